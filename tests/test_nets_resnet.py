import copy

import pytest
import torch
from torch.nn import functional as F

from mixup_tab.nets import ResNet10


@pytest.mark.parametrize(("width", "count"), [(0.25, 308_794), (1, 4_903_114)])
@pytest.mark.parametrize("shape", [(1, 40, 101), (160, 51)])
def test_number_of_parameters_whatever_the_size_of_the_images(width, count, shape):
    net = ResNet10(10, shape, width=width)
    assert sum(p.numel() for p in net.parameters()) == count


def test_it_computes_what_its_docstring_says():
    net, x = ResNet10(4, (2, 21, 19), width=1 / 16), torch.randn(3, 2, 21, 19)
    outputs, p = net(x), iter(net.parameters())

    def convolution(x, stride, padding):
        x = F.conv2d(x, next(p), stride=stride, padding=padding)
        return F.batch_norm(x, None, None, next(p), next(p), training=True)

    hidden = F.relu(convolution(x, (2, 1), 2))
    assert hidden.shape == (3, 4, 11, 19)
    for channels, stride in ((4, 1), (8, 2), (16, 2), (32, 2)):
        inner = convolution(F.relu(convolution(hidden, stride, 1)), 1, 1)
        assert inner.shape[1] == channels
        hidden = F.relu(inner + (convolution(hidden, stride, 0) if stride > 1 else hidden))
    outcome = F.linear(hidden.mean((2, 3)), next(p), next(p))
    torch.testing.assert_close(outputs, outcome)
    assert next(p, None) is None


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 200)])
def test_any_size_of_image_will_do(shape):
    net = ResNet10(3, shape, width=1 / 16).eval()
    assert net(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan")])
def test_no_width_is_refused(width):
    with pytest.raises(ValueError, match="width must be positive"):
        ResNet10(3, (40, 33), width=width)


@pytest.mark.parametrize("width", [1 / 64, 1 / 16, 0.1, 0.25])
def test_channels_last_changes_no_gradient(width):
    """With few channels, a stride of a 1 × 1 convolution once wrote beyond its memory."""
    net = ResNet10(3, (1, 24, 21), width=width)
    assert net.features[1 + 2].layers[0].weight.is_contiguous(memory_format=torch.channels_last)
    plain = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    for seed in range(3):
        x = torch.randn(16, 1, 24, 21, generator=torch.Generator().manual_seed(seed))
        for one in (net, plain):
            one.zero_grad()
            one(x).square().sum().backward()
        pairs = zip(net.parameters(), plain.parameters(), strict=True)
        for ours, theirs in pairs:
            scale = theirs.grad.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(
                ours.grad / scale, theirs.grad / scale, rtol=0, atol=0.05
            )
