import numpy as np
import pytest
from matplotlib.figure import Figure

from mixup_tab.displays import MixedPairDisplay

RNG = np.random.default_rng(0)
YES, NO = RNG.normal(size=(2, 40)).astype(np.float32)
IMAGES = RNG.normal(size=(2, 1, 8, 6)).astype(np.float32)


def test_a_pair_is_mixed_with_the_weight_that_is_given():
    display = MixedPairDisplay.from_pair(YES, NO, 0.7, labels=("yes", "no"))
    np.testing.assert_allclose(display.mixed, 0.7 * YES + 0.3 * NO, rtol=1e-6)
    drawn = [ax.lines[0].get_ydata() for ax in display.axes_]
    for curve, expected in zip(drawn, (YES, NO, display.mixed), strict=True):
        np.testing.assert_array_equal(curve, expected)
    assert display.axes_[0].get_title() == "yes"
    assert display.axes_[2].get_title() == "λ = 0.70: 0.70 yes + 0.30 no"


@pytest.mark.parametrize("seed", range(4))
def test_mixup_is_shown_with_the_weight_that_it_drew(seed):
    display = MixedPairDisplay.from_rule(*IMAGES, alpha=0.5, random_state=seed)
    lam = display.lam
    assert lam < 1
    expected = lam * IMAGES[0] + (1 - lam) * IMAGES[1]
    np.testing.assert_allclose(display.mixed, expected, atol=1e-5)
    scales = {ax.images[0].get_clim() for ax in display.axes_}
    assert len(scales) == 1  # else the weights could not be seen


@pytest.mark.parametrize("seed", range(4))
def test_cutmix_takes_a_box_of_the_size_that_is_shown(seed):
    display = MixedPairDisplay.from_rule(*IMAGES, "cutmix", alpha=1, random_state=seed)
    kept, taken = display.mixed == IMAGES[0], display.mixed == IMAGES[1]
    assert (kept | taken).all()
    assert kept.mean() == pytest.approx(display.lam)


def test_given_axes_are_drawn_in():
    axes = Figure().subplots(3)
    display = MixedPairDisplay.from_pair(YES, NO, 0.5, axes=axes)
    assert list(display.axes_) == list(axes)
    with pytest.raises(ValueError, match="three matplotlib Axes, got 2"):
        display.plot(axes[:2])


def test_arguments_that_make_no_picture():
    with pytest.raises(ValueError, match=r"lam must lie in \[0, 1\], got 1.2"):
        MixedPairDisplay.from_pair(YES, NO, 1.2)
    with pytest.raises(ValueError, match=r"same shape, got \(40,\) and \(39,\)"):
        MixedPairDisplay.from_pair(YES, NO[:-1], 0.5)
    with pytest.raises(ValueError, match="alpha=0 mixes nothing"):
        MixedPairDisplay.from_rule(YES, NO, alpha=0)
