import pytest
import torch
from torch.nn import functional as F

from mixup_tab.nets import BCResNet, SubSpectralNorm
from mixup_tab.nets.bcresnet import BroadcastedBlock


@pytest.mark.parametrize(("tau", "count"), [(1, 9_232), (8, 321_068)])
@pytest.mark.parametrize("shape", [(1, 40, 101), (160, 101)])
def test_numbers_of_parameters_are_those_of_the_paper(tau, count, shape):
    net = BCResNet(12, shape, tau=tau)
    assert sum(p.numel() for p in net.parameters()) == count


def test_shapes_between_the_stages_are_those_of_table_1():
    net, x = BCResNet(12, (1, 40, 20)).eval(), torch.zeros(1, 1, 40, 20)
    x = net.head(x)
    seen = [tuple(x.shape[1:])]
    for block in net.blocks:
        x = block(x)
        seen.append(tuple(x.shape[1:]))
    wanted = [(16, 20, 20), (8, 20, 20), (12, 10, 20), (16, 5, 20), (20, 5, 20)]
    assert list(dict.fromkeys(seen)) == wanted
    assert net.tail(x).shape[1:] == (32, 1, 20)


def test_dilation_doubles_from_stage_to_stage():
    dilations = [block.time[0].dilation[1] for block in BCResNet(12, (40, 20)).blocks]
    assert dilations == [1] * 2 + [2] * 2 + [4] * 4 + [8] * 4


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (2, 33, 20), (64, 50)])
def test_any_number_of_frequencies_and_times_will_do(shape):
    net, x = BCResNet(3, shape), torch.randn(4, *shape)
    outputs = net(x)
    outputs.sum().backward()
    assert outputs.shape == (4, 3)
    assert net.eval()(x).isfinite().all()


def test_every_band_of_a_channel_is_normalised_by_itself():
    norm, x = SubSpectralNorm(3, 10), torch.randn(4, 3, 10, 6) * 5 + 2
    bands = norm(x).view(4, 3, 5, 2, 6).double()
    torch.testing.assert_close(bands.mean((0, 3, 4)), torch.zeros(3, 5).double(), **near())
    deviation = bands.var((0, 3, 4), correction=0)
    torch.testing.assert_close(deviation, torch.ones(3, 5).double(), **near(1e-4))


def near(atol=1e-5):
    return {"atol": atol, "rtol": 0}


@pytest.mark.parametrize(("frequencies", "bands"), [(40, 5), (64, 4), (9, 3), (7, 1), (3, 3)])
def test_fewer_bands_where_five_do_not_fit(frequencies, bands):
    assert SubSpectralNorm(1, frequencies).sub_bands == bands


@pytest.mark.parametrize(("channels", "stride"), [(6, 1), (4, 2)])
def test_a_block_computes_the_equation_of_the_paper(channels, stride):
    block = BroadcastedBlock(channels, 6, 10 // stride, stride=stride, dilation=2).eval()
    x, p = torch.randn(2, channels, 10, 7), dict(block.named_parameters())
    scale = (1 + 1e-5) ** -0.5  # running statistics are still 0 and 1
    two_d = x
    if channels != 6:
        two_d = F.relu(F.conv2d(x, p["widen.0.weight"]) * scale)
    kernel = p["frequency.0.weight"]
    two_d = F.conv2d(two_d, kernel, stride=(stride, 1), padding=(1, 0), groups=6) * scale
    average = two_d.mean(2)
    one_d = F.conv1d(average, p["time.0.weight"][:, :, 0], padding=2, dilation=2, groups=6)
    one_d = F.conv1d(F.silu(one_d * scale), p["time.3.weight"][..., 0])
    wanted = two_d + one_d.unsqueeze(2) + (x if channels == 6 else 0)
    torch.testing.assert_close(block(x), F.relu(wanted))


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_no_width_is_refused(tau):
    with pytest.raises(ValueError, match="tau must be at least"):
        BCResNet(3, (40, 33), tau=tau)
