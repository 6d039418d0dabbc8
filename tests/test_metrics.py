import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import norm

from mixup_tab.metrics import (
    accuracy_intervals,
    calibration_bins,
    calibration_error_interval,
    classification_scores,
    expected_calibration_error,
    resampled_interval,
)

# --------------------------------------------------------------- scores and bins


def predictions(rows=500, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(classes, 0.7), rows)
    return rng.integers(0, classes, rows), proba


def ece_row_by_row(y, proba, n_bins):
    confidence, correct = proba.max(1), proba.argmax(1) == y
    total = 0
    for k in range(n_bins):
        inside = (confidence > k / n_bins) & (confidence <= (k + 1) / n_bins)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_ece_agrees_with_its_definition(n_bins):
    y, proba = predictions()
    bins = calibration_bins(y, proba, n_bins)
    expected = ece_row_by_row(y, proba, n_bins)
    assert expected_calibration_error(bins) == pytest.approx(expected)


def test_bins_count_every_row_once():
    y, proba = predictions()
    bins = calibration_bins(y, proba)
    assert bins["count"].sum() == 500
    assert bins["confidence"].sum() == pytest.approx(proba.max(1).sum())
    assert bins["correct"].sum() == (proba.argmax(1) == y).sum()
    assert (bins["low"] * 15).round(9).tolist() == list(range(15))


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    bins = calibration_bins([0, 0], [[0.5, 0.5], [1.0, 0.0]], n_bins=2)
    assert bins["count"].tolist() == [1, 1]


def test_bins_of_folds_add_up_to_those_of_all_rows(tmp_path):
    y, proba = predictions()
    folds = [calibration_bins(y[rows], proba[rows]) for rows in np.split(np.arange(500), 5)]
    pd.concat(folds).to_csv(tmp_path / "bins.csv", index=False, float_format="%.12f")
    together = expected_calibration_error(calibration_bins(y, proba))
    read = pd.read_csv(tmp_path / "bins.csv")
    assert expected_calibration_error(read) == pytest.approx(together)
    # The mean over folds is another, larger number.
    assert np.mean([expected_calibration_error(fold) for fold in folds]) > together


def test_ece_of_no_rows_is_unknown():
    y, proba = predictions(4)
    empty = calibration_bins(y, proba).assign(count=0, confidence=0.0, correct=0)
    assert np.isnan(expected_calibration_error(empty))


def test_scores_agree_with_their_definitions():
    y, proba = predictions()
    truth = np.eye(3)[y]
    assert classification_scores(y, proba) == pytest.approx(
        {
            "error": np.mean(proba.argmax(1) != y),
            "log_loss": -np.log((proba * truth).sum(1)).mean(),
            "brier": ((proba - truth) ** 2).sum(1).mean(),
            "ece": ece_row_by_row(y, proba, 15),
        }
    )


def test_single_precision_and_classes_that_no_row_has():
    y, proba = predictions(50, classes=20)
    y = y % 2
    single = classification_scores(y, proba.astype(np.float32))
    assert single == pytest.approx(classification_scores(y, proba), rel=1e-4)


def test_a_sure_mistake_costs_much_but_not_everything():
    loss = classification_scores([0], np.array([[0, 1]], dtype=np.float32))["log_loss"]
    assert loss == pytest.approx(-np.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize(
    ("y", "proba", "message"),
    [
        ([0, 1], [0.2, 0.8], "proba must have the shape"),
        ([0, 1], [[1.0], [1.0]], "proba must have the shape"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "y must hold one class for each of the 2 rows"),
        ([], np.empty((0, 2)), "y must hold one class"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], r"integers from 0 to 1.*got \[0, 2\]"),
        ([-1, 0], [[0.5, 0.5], [0.5, 0.5]], "integers from 0 to 1"),
        (["a", "b"], [[0.5, 0.5], [0.5, 0.5]], "Encode labels"),
        ([0], [[2.0, -1.0]], "predict_proba"),
        ([0], [[np.nan, 1.0]], "predict_proba"),
        ([0], [[0.9, 0.9]], "each row summing to 1"),
    ],
)
def test_bad_predictions_are_refused(y, proba, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(y, proba)


def test_bad_bins_are_refused():
    with pytest.raises(ValueError, match="n_bins must be at least 1, got 0"):
        calibration_bins([0], [[1.0, 0.0]], n_bins=0)
    with pytest.raises(ValueError, match="no column 'confidence'"):
        expected_calibration_error(
            calibration_bins([0], [[1.0, 0.0]]).drop(columns="confidence")
        )


# ----------------------------------------------------------- calibration intervals


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
    with pytest.raises(ValueError, match="Pass the result of calibration_bins"):
        function(bins_of(10).assign(**change))


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="n_resamples must be at least 1, got 0"):
        calibration_error_interval(bins_of(10), n_resamples=0)


# -------------------------------------------------------------- resampled interval


def test_resampled_interval_is_that_of_nadeau_and_bengio():
    scores = np.random.default_rng(0).normal(3, 2, 12)
    interval = resampled_interval(scores, test_share=0.2)
    error = np.sqrt((1 / 12 + 0.2 / 0.8) * scores.var(ddof=1))
    low, high = stats.t.interval(0.95, 11, loc=scores.mean(), scale=error)
    assert interval == pytest.approx((scores.mean(), low, high))


def test_resampled_interval_is_wider_than_the_plain_t_interval():
    scores = np.random.default_rng(1).normal(size=10)
    plain = stats.ttest_1samp(scores, 0).confidence_interval()
    interval = resampled_interval(scores, test_share=0.25)
    assert interval.low < plain.low < plain.high < interval.high


def test_one_score_gives_no_finite_interval():
    assert resampled_interval(np.array([0.5]), test_share=0.25) == (0.5, -np.inf, np.inf)


@pytest.mark.parametrize("scores", [[0.3] * 4, [0.0] * 4, [0.1 + 0.2, 0.3], [-2.0, -2.0]])
def test_scores_that_are_all_alike_leave_everything_open(scores):
    _, low, high = resampled_interval(scores, test_share=0.25)
    assert (low, high) == (-np.inf, np.inf)


@pytest.mark.parametrize("rows", [1, 10, 300])
def test_calibration_error_of_rows_that_are_all_right_has_room_for_errors(rows):
    """Resampling rows that are all right once gave an interval of width 0."""
    for confidence in (1.0, 0.9):
        bins = calibration_bins([0] * rows, [[confidence, 1 - confidence]] * rows)
        error, low, high = calibration_error_interval(bins)
        accuracy = accuracy_intervals(bins)["low"].iloc[0]
        assert error == pytest.approx(1 - confidence)
        assert high == pytest.approx(max(confidence - accuracy, 1 - confidence))
        assert low <= error


def test_resampled_interval_covers_no_difference_of_two_equal_methods():
    # Repeated 75/25 splits of one sample of 80; the quantity is the mean of the test part.
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        sample = rng.normal(size=80)
        means = [rng.permutation(sample)[:20].mean() for _ in range(10)]
        interval = resampled_interval(np.array(means), test_share=0.25)
        covered.append(interval.low <= 0 <= interval.high)
    assert 0.9 <= np.mean(covered) <= 1


def test_without_shared_rows_it_is_the_plain_t_interval():
    scores = np.random.default_rng(1).normal(size=10)
    plain = stats.ttest_1samp(scores, 0).confidence_interval()
    assert resampled_interval(scores, test_share=0)[1:] == pytest.approx(tuple(plain))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 0.25), r"scores must have the shape \(n_splits,\), .* got \(0,\)"),
        (([[1.0]], 0.25), r"got \(1, 1\)"),
        (([1.0, 2.0], 1), r"test_share must lie in \[0, 1\), .*got 1"),
    ],
)
def test_resampled_intervals_of_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        resampled_interval(*arguments)
