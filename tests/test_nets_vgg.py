import pytest
import torch
from torch.nn import functional as F

from mixup_tab.nets import VGG11

CHANNELS = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


def test_number_of_parameters_at_the_size_of_the_paper():
    net = VGG11(30, (1, 160, 101))
    assert sum(p.numel() for p in net.parameters()) == 13_172_894
    assert net.head[0].weight.shape == (512, 7680)


def test_it_computes_what_the_code_of_the_paper_computes():
    net, x = VGG11(4, (1, 64, 33), width=0.125), torch.randn(3, 1, 64, 33)
    outputs, p = net(x), iter(net.parameters())
    hidden = x
    for entry in CHANNELS:
        if entry == "M":
            hidden = F.max_pool2d(hidden, 2)
            continue
        hidden = F.conv2d(hidden, next(p), next(p), padding=1)
        assert hidden.shape[1] == entry // 8
        hidden = F.relu(F.batch_norm(hidden, None, None, next(p), next(p), training=True))
    hidden = F.linear(hidden.reshape(3, -1), next(p), next(p))
    torch.testing.assert_close(outputs, F.linear(hidden, next(p), next(p)))
    assert next(p, None) is None


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_no_width_is_refused(width):
    with pytest.raises(ValueError, match="width must be at least 1/64"):
        VGG11(3, (40, 33), width=width)
