"""Scores of predicted probabilities, calibration with intervals, and intervals over splits.

Labels are column numbers of ``proba`` throughout: ``np.searchsorted(clf.classes_, y)``.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.utils import check_random_state

from mixup_tab._plain import shown

__all__ = [
    "Interval",
    "accuracy_intervals",
    "calibration_bins",
    "calibration_error_interval",
    "classification_scores",
    "expected_calibration_error",
    "pool_bins",
    "resampled_interval",
]

# Errors are whole numbers of rows and often equal by chance: with 2 splits, equally good
# methods differ by more than the 95 % interval in up to 12 % of simulated tables, with 5
# splits in up to 2 % (tests/test_compare.py).
LEAST_SPLITS = 5
BIN_COLUMNS = ("low", "high", "count", "confidence", "correct")


class Interval(NamedTuple):
    """An estimate with its confidence interval.

    Attributes
    ----------
    mean : float
        The estimate.
    low, high : float
        Ends of the interval.
    """

    mean: float
    low: float
    high: float


def classification_scores(y: ArrayLike, proba: ArrayLike) -> dict[str, float]:
    """Score predicted probabilities by error, log-loss, Brier score and calibration.

    Parameters
    ----------
    y : array-like of int of shape (n_samples,)
        True classes as column numbers of ``proba``; not every class must occur.
    proba : array-like of shape (n_samples, n_classes)
        Predicted probabilities, at least two classes. Rows that sum to 1 within 0.001 are
        normalized.

    Returns
    -------
    dict of str to float
        - ``error``: share of wrong predictions, in [0, 1];
        - ``log_loss``: in nats; probabilities are clipped at 2.2e-16;
        - ``brier``: squared distance summed over the classes, in [0, 2];
        - ``ece``: expected calibration error with 15 bins, in [0, 1].

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities, or ``y`` holds other than its column numbers.

    Examples
    --------
    >>> from mixup_tab.metrics import classification_scores
    >>> scores = classification_scores([0, 1], [[0.9, 0.1], [0.6, 0.4]])
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'error': 0.5, 'log_loss': 0.511, 'brier': 0.37, 'ece': 0.35}
    """
    y, proba = _check_predictions(y, proba)
    labels = np.arange(proba.shape[1])
    return {
        "error": float(np.mean(proba.argmax(axis=1) != y)),
        "log_loss": float(log_loss(y, proba, labels=labels)),
        "brier": float(brier_score_loss(y, proba, labels=labels, scale_by_half=False)),
        "ece": expected_calibration_error(calibration_bins(y, proba)),
    }


def calibration_bins(y: ArrayLike, proba: ArrayLike, n_bins: int = 15) -> pd.DataFrame:
    """Count how often predictions of similar confidence are right.

    The confidence is the largest probability of a row (Guo et al. 2017, arXiv 1706.04599,
    section 2). To pool folds or tables, concatenate their bins with ``pandas.concat``: every
    function here adds up bins with the same ends.

    Parameters
    ----------
    y : array-like of int of shape (n_samples,)
        True classes as column numbers of ``proba``.
    proba : array-like of shape (n_samples, n_classes)
        Predicted probabilities.
    n_bins : int, default=15
        Number of bins (low, high] of equal width over (0, 1], ≥ 1.

    Returns
    -------
    DataFrame
        One row per bin: its ends ``low`` and ``high``, the ``count`` of rows, and over these
        rows the sum of ``confidence`` and the number of ``correct`` predictions.

    Raises
    ------
    ValueError
        If ``n_bins`` is below 1, or ``y`` and ``proba`` do not match.

    Examples
    --------
    >>> from mixup_tab.metrics import calibration_bins
    >>> bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], n_bins=2)
    >>> bins[["count", "correct"]].to_numpy().tolist()
    [[0, 0], [3, 2]]
    """
    y, proba = _check_predictions(y, proba)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {shown(n_bins)}.")
    confidence = proba.max(axis=1)
    edges = np.linspace(0, 1, n_bins + 1)
    bin_of_row = np.searchsorted(edges[1:-1], confidence, side="left")
    correct = proba.argmax(axis=1) == y
    values = (
        edges[:-1],
        edges[1:],
        np.bincount(bin_of_row, minlength=n_bins),
        np.bincount(bin_of_row, confidence, minlength=n_bins),
        np.bincount(bin_of_row[correct], minlength=n_bins),
    )
    return pd.DataFrame(dict(zip(BIN_COLUMNS, values, strict=True)))


def pool_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Add up bins with the same ends.

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`; several may be concatenated.

    Returns
    -------
    DataFrame
        One row per bin, in rising order.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    lacking = [name for name in BIN_COLUMNS if name not in bins]
    if lacking:
        raise ValueError(
            f"bins has no column {lacking[0]!r}. Pass the result of calibration_bins."
        )
    # Rounded, because a text file may have changed the last digits of the ends.
    ends = [bins["low"].round(9), bins["high"].round(9)]
    return bins.groupby(ends)[list(BIN_COLUMNS[2:])].sum().reset_index()


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Return the mean distance between confidence and accuracy, weighted by rows.

    ``ECE = Σ (n_b / n) |accuracy_b − confidence_b|`` (Guo et al. 2017, arXiv 1706.04599,
    equation 3).

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`; several may be concatenated.

    Returns
    -------
    float
        In [0, 1]; NaN if the bins are empty.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> from mixup_tab.metrics import calibration_bins, expected_calibration_error
    >>> bins = calibration_bins([0, 1], [[0.9, 0.1], [0.9, 0.1]])
    >>> round(expected_calibration_error(bins), 3)
    0.4
    """
    pooled = pool_bins(bins)
    if not pooled["count"].sum():
        return float("nan")
    gap = (pooled["confidence"] - pooled["correct"]).abs().sum()
    return float(gap / pooled["count"].sum())


def calibration_error_interval(
    bins: pd.DataFrame,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: Any = 0,
) -> Interval:
    """Return the expected calibration error with a confidence interval.

    The interval is a basic bootstrap: rows are resampled from the bins, each with the mean
    confidence of its bin. It corrects most of the upward bias of the ECE on few rows. Its lower
    end is 0 if calibrated probabilities would give an ECE this large with a probability of more
    than (1 − level) / 2. If all rows are right or all wrong, the upper end allows for the
    accuracies in Wilson's interval.

    The interval covers the choice of test rows for these bins and this fitted model, not other
    bins or another training run.

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`; several may be concatenated.
    level : float, default=0.95
        Confidence level, in (0, 1).
    n_resamples : int, default=1000
        Number of bootstrap samples, ≥ 1.
    random_state : int, RandomState instance or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    Interval
        ``mean`` is the ECE itself; all NaN if the bins are empty.

    Raises
    ------
    ValueError
        If ``level`` or ``n_resamples`` is out of range, or the bins lack a column.

    Examples
    --------
    >>> from mixup_tab.metrics import calibration_bins, calibration_error_interval
    >>> bins = calibration_bins([0, 1] * 50, [[0.9, 0.1]] * 100)
    >>> [round(end, 2) for end in calibration_error_interval(bins)]
    [0.4, 0.3, 0.5]
    """
    _check_level(level)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {shown(n_resamples)}.")
    error, filled = expected_calibration_error(bins), _filled_bins(bins)
    if filled.empty:
        return Interval(error, error, error)
    rng = check_random_state(random_state)
    count, correct = filled["count"].to_numpy(int), filled["correct"].to_numpy(int)
    confidence = (filled["confidence"] / filled["count"]).clip(0, 1).to_numpy()
    rows = count.sum()
    drawn = rng.multinomial(rows, np.append(correct, count - correct) / rows, n_resamples)
    right, wrong = np.split(drawn, 2, axis=1)
    errors = np.abs((right + wrong) * confidence - right).sum(axis=1) / rows
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    # The basic interval mirrors the quantiles about the estimate. Near 0 that is too narrow
    # below, so the hypothesis "calibrated" is tested directly.
    calibrated = rng.binomial(count, confidence, (n_resamples, len(count)))
    if_calibrated = np.abs(count * confidence - calibrated).sum(axis=1) / rows
    may_be_calibrated = np.mean(if_calibrated >= error) > (1 - level) / 2
    lower = 0.0 if may_be_calibrated else max(2 * error - high, 0.0)
    upper = max(2 * error - low, error)
    if correct.sum() in (0, rows):  # resampling cannot show the rare other case
        ends = stats.binomtest(correct.sum(), rows).proportion_ci(level, method="wilson")
        upper = max(upper, np.abs((count * confidence).sum() / rows - np.array(ends)).max())
    return Interval(error, float(lower), float(upper))


def accuracy_intervals(bins: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return the accuracy in every bin with Wilson's score interval (Wilson 1927).

    Each interval is for a single bin: at a level of 95 %, it fails to cover the true accuracy
    in one bin of twenty on average.

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`; several may be concatenated.
    level : float, default=0.95
        Confidence level, in (0, 1).

    Returns
    -------
    DataFrame
        One row per bin that is not empty: mean ``confidence``, ``accuracy``, and the ends
        ``low`` and ``high`` of its interval.

    Raises
    ------
    ValueError
        If ``level`` is out of range, or the bins lack a column.

    Examples
    --------
    >>> from mixup_tab.metrics import accuracy_intervals, calibration_bins
    >>> bins = calibration_bins([0, 1], [[0.9, 0.1], [0.9, 0.1]])
    >>> accuracy_intervals(bins).round(2)
       confidence  accuracy   low  high
    0         0.9       0.5  0.09  0.91
    """
    _check_level(level)
    filled = _filled_bins(bins)
    counts = zip(filled["correct"].astype(int), filled["count"].astype(int), strict=True)
    ends = [stats.binomtest(k, n).proportion_ci(level, method="wilson") for k, n in counts]
    return pd.DataFrame(
        {
            "confidence": filled["confidence"] / filled["count"],
            "accuracy": filled["correct"] / filled["count"],
            "low": [end.low for end in ends],
            "high": [end.high for end in ends],
        }
    ).reset_index(drop=True)


def resampled_interval(
    scores: ArrayLike, test_share: float, *, level: float = 0.95
) -> Interval:
    """Return the mean over random splits with the corrected resampled t interval.

    Random splits of one table share rows, so their scores depend on each other and the plain t
    interval is far too narrow. Nadeau and Bengio (2003, Machine Learning 52,
    section 3) correct the variance of the mean of R scores to (1/R + n_test/n_train) s².

    Parameters
    ----------
    scores : array-like of shape (n_splits,)
        Scores, or differences of paired scores, at least one.
    test_share : float
        n_test / (n_train + n_test), in [0, 1); 0 gives the plain t interval.
    level : float, default=0.95
        Confidence level, in (0, 1).

    Returns
    -------
    Interval
        The ends are infinite for a single score and for equal scores, which say nothing about
        their variance.

    Raises
    ------
    ValueError
        If there are no scores, or ``test_share`` or ``level`` is out of range.

    Examples
    --------
    >>> from mixup_tab.metrics import resampled_interval
    >>> interval = resampled_interval([1.0, 2.0, 3.0], test_share=0.25)
    >>> interval.mean, round(interval.low, 2)
    (2.0, -1.51)
    """
    _check_level(level)
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not len(scores):
        raise ValueError(
            f"scores must have the shape (n_splits,), at least one, got {scores.shape}."
        )
    if not 0 <= test_share < 1:
        raise ValueError(
            "test_share must lie in [0, 1), such as 0.25 for 75/25 splits, got "
            f"{shown(test_share)}."
        )
    mean, count = float(scores.mean()), len(scores)
    if count < 2 or np.ptp(scores) <= 1e-12 * np.abs(scores).max():
        return Interval(mean, -np.inf, np.inf)
    error = np.sqrt(scores.var(ddof=1) * (1 / count + test_share / (1 - test_share)))
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * error)
    return Interval(mean, mean - half, mean + half)


def _check_predictions(y: ArrayLike, proba: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return classes, and probabilities in float64 with rows that sum to 1."""
    y, proba = np.asarray(y), np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            f"proba must have the shape (n_samples, n_classes) with at least 2 classes, got "
            f"{proba.shape}."
        )
    if y.shape != proba.shape[:1] or not len(y):
        raise ValueError(
            f"y must hold one class for each of the {len(proba)} rows of proba, at least one, "
            f"got the shape {y.shape}."
        )
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= proba.shape[1]:
        raise ValueError(
            f"y must hold integers from 0 to {proba.shape[1] - 1}, columns of proba, got "
            f"{np.unique(y)[:5].tolist()}. Encode labels with np.searchsorted(clf.classes_, y)."
        )
    total = proba.sum(axis=1, keepdims=True)
    if not np.isfinite(proba).all() or (proba < 0).any() or (abs(total - 1) > 1e-3).any():
        raise ValueError(
            "proba must hold probabilities: finite, not negative, each row summing to 1. Pass "
            "the result of predict_proba, not of decision_function."
        )
    return y, proba / total


def _filled_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Return the pooled bins that are not empty."""
    pooled = pool_bins(bins)
    rows = pooled["count"]
    if not all(pooled[name].between(0, rows + 1e-6).all() for name in BIN_COLUMNS[3:]):
        raise ValueError(
            "confidence and correct of every bin must be between 0 and its count. Pass the "
            "result of calibration_bins."
        )
    return pooled[rows > 0]


def _check_level(level: float) -> None:
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95, got {shown(level)}.")
