import numpy as np
import pandas as pd
import pytest

from mixup_tab.metrics import (
    calibration_bins,
    classification_scores,
    expected_calibration_error,
)


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
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "whole numbers from 0 to 1"),
        ([-1, 0], [[0.5, 0.5], [0.5, 0.5]], "whole numbers from 0 to 1"),
        (["a", "b"], [[0.5, 0.5], [0.5, 0.5]], "Encode labels"),
        ([0], [[2.0, -1.0]], "predict_proba"),
        ([0], [[np.nan, 1.0]], "predict_proba"),
        ([0], [[0.9, 0.9]], "rows of sum 1"),
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
