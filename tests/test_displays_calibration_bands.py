import numpy as np
import pandas as pd
import pytest
from mixup_tab.displays.calibration_bands import (
    accuracy_intervals,
    calibration_error_interval,
)
from scipy.stats import norm

from mixup_tab.metrics import calibration_bins, expected_calibration_error


def two_classes(rows, gap, seed):
    """Confidences, and outcomes that are right less often by the gap."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.6, 1, rows)
    wrong = rng.random(rows) >= confidence - gap
    return wrong.astype(int), np.column_stack([confidence, 1 - confidence])


def bins_of(rows, gap=0.0, seed=0, n_bins=15):
    return calibration_bins(*two_classes(rows, gap, seed), n_bins)


@pytest.mark.parametrize("gap", [0, 0.1])
def test_the_true_error_is_mostly_inside(gap):
    hits = 0
    for seed in range(30):
        interval = calibration_error_interval(bins_of(400, gap, seed), n_resamples=300)
        hits += interval.low <= gap <= interval.high
    assert hits >= 25


def test_the_interval_is_narrower_for_more_rows_and_a_lower_level():
    def width(rows, **options):
        interval = calibration_error_interval(bins_of(rows, 0.2), **options)
        return interval.high - interval.low

    assert width(10_000) < width(1000) / 2.5
    assert width(1000, level=0.5) < width(1000) / 2


def test_the_error_is_the_known_one_and_inside():
    for gap in (0, 0.2):
        bins = bins_of(300, gap)
        error, low, high = calibration_error_interval(bins)
        assert error == expected_calibration_error(bins)
        assert 0 <= low <= error <= high


def test_zero_is_inside_only_where_a_calibrated_model_would_do_as_badly():
    assert calibration_error_interval(bins_of(200, 0.0)).low == 0
    assert calibration_error_interval(bins_of(200, 0.3)).low > 0.15


def test_the_seed_decides_and_folds_add_up():
    bins = bins_of(300, 0.1)
    first = calibration_error_interval(bins, random_state=1)
    assert calibration_error_interval(bins, random_state=1) == first
    assert calibration_error_interval(bins, random_state=2) != first
    y, proba = two_classes(300, 0.1, 0)
    parts = [calibration_bins(y[rows], proba[rows]) for rows in np.split(np.arange(300), 3)]
    together = calibration_error_interval(pd.concat(parts), random_state=1)
    assert together == pytest.approx(first)


def test_no_rows_give_no_interval():
    empty = bins_of(10).assign(count=0, confidence=0.0, correct=0)
    assert np.isnan(calibration_error_interval(empty)).all()
    assert accuracy_intervals(empty).empty


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_of_bins_agree_with_wilsons_formula(level):
    bins = bins_of(200, n_bins=20)
    bands = accuracy_intervals(bins, level)
    held = bins[bins["count"] > 0]
    n, p, z = held["count"], held["correct"] / held["count"], norm.ppf((1 + level) / 2)
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(bands["accuracy"], p)
    np.testing.assert_allclose(bands["confidence"], held["confidence"] / n)
    np.testing.assert_allclose(bands["low"], center - half, atol=1e-12)
    np.testing.assert_allclose(bands["high"], center + half, atol=1e-12)


@pytest.mark.parametrize("level", [0, 1, 95, "95"])
@pytest.mark.parametrize("function", [calibration_error_interval, accuracy_intervals])
def test_levels_that_are_none_are_refused(function, level):
    with pytest.raises(ValueError, match=f"level must lie between 0 and 1.*got {level!r}"):
        function(bins_of(10), level=level)


@pytest.mark.parametrize("change", [{"correct": 99}, {"correct": -1}, {"confidence": -1.0}])
@pytest.mark.parametrize("function", [calibration_error_interval, accuracy_intervals])
def test_bins_that_count_more_than_their_rows_are_refused(function, change):
    with pytest.raises(ValueError, match="Take what calibration_bins returns"):
        function(bins_of(10).assign(**change))


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="n_resamples must be at least 1, got 0"):
        calibration_error_interval(bins_of(10), n_resamples=0)
