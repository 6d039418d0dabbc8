from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from mixup_tab.displays.class_colors import label_colors

from mixup_tab import Mixup
from mixup_tab.displays.mixed_samples import MixedSamplesDisplay
from mixup_tab.mixing import RULES

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2))
Y = np.repeat(["a", "b", "c"], 10)


def pairs(points):
    """Every point, as coefficients of all pairs of rows: none where there is no such pair."""
    first, second = (a.ravel() for a in np.meshgrid(range(len(X)), range(len(X))))
    across, from_second = X[first] - X[second], points[:, None] - X[second]
    length = (across**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        lam = (from_second * across).sum(axis=2) / length
    apart = np.abs(from_second - lam[..., None] * across).max(axis=2)
    return first, second, np.where((apart < 1e-4) & (lam > -1e-4) & (lam < 1.0001), lam, np.nan)


def test_mixup_lies_between_two_rows_with_the_label_of_its_weights():
    display = MixedSamplesDisplay.from_rule(X, Y, alpha=1, n_samples=50)
    first, second, lam = pairs(display.mixed)
    own, other = (np.eye(3)[np.unique(Y, return_inverse=True)[1][k]] for k in (first, second))
    for label, weights in zip(display.labels, lam, strict=True):
        labels = weights[:, None] * own + (1 - weights)[:, None] * other
        assert np.nanmin(np.abs(labels - label).max(axis=1)) < 1e-3


def test_a_class_mixed_within_itself_keeps_its_labels():
    display = MixedSamplesDisplay.from_rule(X, Y, "same_class", alpha=1)
    np.testing.assert_allclose(np.sort(display.labels), [[0, 0, 1]] * 1000, atol=1e-6)


def test_cutmix_takes_every_value_from_a_row():
    display = MixedSamplesDisplay.from_rule(X, Y, "cutmix", alpha=1, n_samples=200)
    for column in (0, 1):
        assert np.isin(display.mixed[:, column], X[:, column].astype(np.float32)).all()
    assert set(np.unique(display.labels.round(6))) <= {0, 0.5, 1}


VISIBLE = [
    name for name, make in RULES.items() if not make().hidden and make().kind != "values"
]


@pytest.mark.parametrize("name", VISIBLE)
def test_every_rule_that_mixes_inputs_of_a_classification(name):
    display = MixedSamplesDisplay.from_rule(X, Y, name, alpha=1, n_samples=70)
    assert display.mixed.shape == (70, 2)
    np.testing.assert_allclose(display.labels.sum(axis=1), 1, atol=1e-5)
    rows = set(map(tuple, X.astype(np.float32)))
    assert not set(map(tuple, display.mixed)) <= rows


def test_alpha_zero_leaves_rows_alone():
    display = MixedSamplesDisplay.from_rule(X, Y, alpha=0, n_samples=30)
    np.testing.assert_array_equal(
        np.sort(display.mixed, axis=0), np.sort(X.astype("f"), axis=0)
    )


def test_a_part_of_the_rows_comes_from_all_classes():
    display = MixedSamplesDisplay.from_rule(X, Y, alpha=0, n_samples=15)
    assert (display.labels.sum(axis=0) > 0).all()


def test_colours_are_those_of_the_labels():
    display = MixedSamplesDisplay.from_rule(X, Y, alpha=1)
    np.testing.assert_allclose(
        display.points_.get_facecolors()[:, :3], label_colors(display.labels)
    )


def test_names_of_columns_and_classes_are_shown():
    table = pd.DataFrame(X, columns=["height", "weight"])
    display = MixedSamplesDisplay.from_rule(table, Y == "a", ax=Figure().subplots())
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("height", "weight")
    texts = [text.get_text() for text in display.legend_.get_texts()]
    assert texts == ["False", "half of each", "True"]


def test_the_seed_decides():
    one, same, other = (
        MixedSamplesDisplay.from_rule(X, Y, random_state=seed).mixed for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@dataclass(frozen=True)
class OfHiddenLayers(Mixup):
    hidden = True


@dataclass(frozen=True)
class OfValues(Mixup):
    kind = "values"


def test_arguments_that_make_no_picture():
    draw = MixedSamplesDisplay.from_rule
    with pytest.raises(ValueError, match=r"two columns .*, got 3.*PCA"):
        draw(np.ones((4, 3)), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="at least two classes, got only 'a'"):
        draw(X[:10], Y[:10])
    with pytest.raises(ValueError, match="NaN"):
        draw(np.where(X[0] == X, np.nan, X), Y)
    for n_samples in (0, 2.5):
        with pytest.raises(ValueError, match=f"whole number of at least 1, got {n_samples}"):
            draw(X, Y, n_samples=n_samples)
    with pytest.raises(ValueError, match="alpha must be a finite number of at least 0"):
        draw(X, Y, alpha=-1)
    with pytest.raises(ValueError, match="hidden layer"):
        draw(X, Y, OfHiddenLayers())
    with pytest.raises(ValueError, match="for regression"):
        draw(X, Y, OfValues())


def test_torchs_own_random_state_is_left_alone():
    before = torch.get_rng_state()
    MixedSamplesDisplay.from_rule(X, Y)
    assert bool((torch.get_rng_state() == before).all())
