from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mixup_tab import MixupClassifier
from mixup_tab.nets import PreActResNet18


@pytest.mark.parametrize(("width", "count"), [(64, 11_172_170), (16, 701_018)])
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 8, 8)])
def test_number_of_parameters_whatever_the_size_of_the_images(width, count, shape):
    net = PreActResNet18(10, shape, width=width)
    assert sum(p.numel() for p in net.parameters()) == count


def norm_relu(x, p):
    return F.relu(F.batch_norm(x, None, None, next(p), next(p), training=True))


def test_it_computes_the_equations_of_he_et_al():
    net, x = PreActResNet18(4, (2, 9, 8), width=2), torch.randn(3, 2, 9, 8)
    with torch.no_grad():  # so that no norm is the identity by accident
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    outputs, p = net(x), iter(net.parameters())
    hidden = F.conv2d(x, next(p), padding=1)
    for stage, channels in enumerate((2, 4, 8, 16)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            active = norm_relu(hidden, p)
            inner = F.conv2d(active, next(p), stride=stride, padding=1)
            inner = F.conv2d(norm_relu(inner, p), next(p), padding=1)
            assert inner.shape[1] == channels
            if stride == 2:
                hidden = inner + F.conv2d(active, next(p), stride=2)
            else:
                hidden = inner + (hidden if block else active)
    outcome = F.linear(norm_relu(hidden, p).mean((2, 3)), next(p), next(p))
    torch.testing.assert_close(outputs, outcome)
    assert next(p, None) is None


def test_every_layout_gives_the_same_outputs():
    x = torch.randn(2, 3, 32, 32)
    net = PreActResNet18(3, (3, 32, 32), width=4).eval()
    flat = PreActResNet18(3, (3 * 32 * 32,), width=4).eval()
    flat.load_state_dict(net.state_dict())
    assert torch.equal(flat(x.flatten(1)), net(x))
    gray = PreActResNet18(3, (1, 8, 5), width=4).eval()
    x = torch.randn(2, 1, 8, 5)
    again = PreActResNet18(3, (8, 5), width=4).eval()
    again.load_state_dict(gray.state_dict())
    assert torch.equal(again(x[:, 0]), gray(x))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 40)])
def test_any_size_of_image_will_do(shape):
    assert PreActResNet18(3, shape, width=2).eval()(torch.zeros(2, *shape)).shape == (2, 3)


def test_dropout_is_active_in_training_only():
    net, x = PreActResNet18(3, (8, 8), dropout=0.5, width=4), torch.randn(6, 8, 8)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("width", [0, -1, 2.5, float("nan"), float("inf"), "wide"])
def test_no_width_is_refused(width):
    with pytest.raises(ValueError, match="width must be a whole number of channels"):
        PreActResNet18(3, (8, 8), width=width)


def test_mixed_precision_can_be_turned_off():
    assert PreActResNet18(2, (8, 8), width=1).mixed_precision
    assert not PreActResNet18(2, (8, 8), width=1, mixed_precision=False).mixed_precision


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_the_classifier_learns_images_with_it(mixing):
    y = np.arange(48) % 3
    X = np.random.default_rng(0).normal(size=(48, 1, 8, 9)).astype(np.float32)
    for image, label in zip(X, y, strict=True):
        image[0, :, 3 * label : 3 * label + 3] += 2
    model = MixupClassifier(
        module=partial(PreActResNet18, width=4),
        mixing=mixing,
        max_epochs=8,
        batch_size=8,
        random_state=0,
    )
    assert model.fit(X, y).score(X, y) > 0.8
