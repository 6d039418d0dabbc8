import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.nets import VGG11, BCResNet, LeNet
from mixup_tab.nets.images import as_images, image_format

NETS = [LeNet, VGG11, BCResNet]
SMALL = {LeNet: {}, VGG11: {"width": 1 / 16}, BCResNet: {"tau": 0.5}}


@pytest.mark.parametrize(
    ("shape", "image_shape", "expected"),
    [
        ((2, 40, 33), (160, 101), (2, 40, 33)),
        ((40, 33), (160, 101), (1, 40, 33)),
        ((16160,), (160, 101), (1, 160, 101)),
        ((1320,), (40, 33), (1, 40, 33)),
        ((2640,), (2, 40, 33), (2, 40, 33)),
    ],
)
def test_the_shape_of_one_example_says_what_it_is(shape, image_shape, expected):
    assert image_format(shape, image_shape) == expected


def test_flattened_examples_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"image_shape=\(160, 101\) has 16160.*has 4040"):
        image_format((4040,))


@pytest.mark.parametrize("shape", [(), (1, 1, 40, 33)])
def test_examples_that_are_no_images_are_refused(shape):
    with pytest.raises(ValueError, match="One example must have the shape"):
        image_format(shape)


def test_a_batch_is_viewed_not_copied():
    x = torch.randn(3, 40, 33)
    for batch in (x, x.flatten(1), x.unsqueeze(1)):
        images = as_images(batch, (1, 40, 33))
        assert images.shape == (3, 1, 40, 33)
        assert images.data_ptr() == x.data_ptr()


@pytest.mark.parametrize("shape", [(3, 33, 40), (3, 1, 40, 32), (3, 1319), (3, 40, 33)])
def test_a_batch_of_another_size_is_refused(shape):
    with pytest.raises(ValueError, match=r"made for examples of shape \(2, 40, 33\)"):
        as_images(torch.zeros(shape), (2, 40, 33))


@pytest.mark.parametrize("net", NETS)
def test_every_layout_gives_the_same_outputs(net):
    x = torch.randn(2, 1, 40, 33)
    module = net(3, (1, 40, 33), **SMALL[net]).eval()
    wanted = module(x)
    flat = net(3, (1320,), image_shape=(40, 33), **SMALL[net]).eval()
    flat.load_state_dict(module.state_dict())
    assert wanted.shape == (2, 3)
    assert torch.equal(module(x[:, 0]), wanted)
    assert torch.equal(flat(x.flatten(1)), wanted)
    assert module(x[:0]).shape == (0, 3)


@pytest.mark.parametrize(("net", "least"), [(LeNet, 16), (VGG11, 32)])
def test_images_that_pooling_would_leave_empty_are_refused(net, least):
    small = SMALL[net]
    assert net(3, (least, least), **small).eval()(torch.zeros(1, least, least)).shape == (1, 3)
    with pytest.raises(ValueError, match=f"at least {least} frequencies"):
        net(3, (1, 40, least - 1), **small)


@pytest.mark.parametrize("net", NETS)
def test_dropout_is_active_in_training_only(net):
    module, x = net(3, (40, 33), dropout=0.5, **SMALL[net]), torch.randn(8, 40, 33)
    torch.manual_seed(0)
    assert not torch.equal(module(x), module(x))
    assert torch.equal(module.eval()(x), module(x))
    plain = net(3, (40, 33), **SMALL[net])
    assert torch.equal(plain(x), plain(x))


def test_mixed_precision_is_an_attribute():
    assert all(net(2, (40, 33), **SMALL[net]).mixed_precision for net in NETS)
    assert not BCResNet(2, (40, 33), mixed_precision=False).mixed_precision


def tone_images(n=48):
    """Images with a bright band that says the class, in float32."""
    y = np.arange(n) % 3
    X = np.random.default_rng(0).normal(size=(n, 1, 36, 33)).astype(np.float32)
    for image, label in zip(X, y, strict=True):
        image[0, 10 * label + 3 : 10 * label + 9] += 2
    return X, y


@pytest.mark.parametrize(("net", "rate"), [(LeNet, 0.001), (VGG11, 0.003), (BCResNet, 0.003)])
@pytest.mark.parametrize("mixing", ["mixup+cutmix", "cutout"])
def test_the_classifier_learns_images_with_it(net, rate, mixing):
    X, y = tone_images()

    def small(out_features, input_shape, dropout):
        return net(out_features, input_shape, dropout=dropout, **SMALL[net])

    settings = {"max_epochs": 10, "batch_size": 8, "dropout": 0.1, "random_state": 0}
    settings |= {"learning_rate_init": rate, "alpha": 0.2}
    fitted = MixupClassifier(module=small, mixing=mixing, **settings).fit(X, y)
    assert fitted.score(X, y) > 0.8
