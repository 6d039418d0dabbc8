"""How far calibration that was counted on test rows can be believed."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.utils import check_random_state

from mixup_tab.evaluation.statistics import Interval
from mixup_tab.metrics import expected_calibration_error, pool_bins

_SUMS = ("confidence", "correct")  # over the rows of a bin


def calibration_error_interval(
    bins: pd.DataFrame,
    *,
    level: float = 0.95,
    n_resamples: int = 1000,
    random_state: Any = 0,
) -> Interval:
    """Return the expected calibration error with a confidence interval.

    Rows are drawn with replacement from the bins, right and wrong ones, each with the mean
    confidence of its bin; the basic bootstrap interval of their ECE makes up for most of what
    few rows add to an ECE. The lower end is 0 where probabilities that are right in every bin
    give an ECE as large in more than (1 − level) / 2 of as many draws of the outcomes.

    The interval is about the chance that put just these rows into the test set: for the ECE of
    these bins and this fitted model. It does not cover other bins or another training.

    Parameters
    ----------
    bins : DataFrame
        From :func:`~mixup_tab.metrics.calibration_bins`, or several of these below
        each other.
    level : float, default=0.95
        Confidence level, in (0, 1).
    n_resamples : int, default=1000
        Number of draws, ≥ 1.
    random_state : int, RandomState or None, default=0
        Seed of the draws.

    Returns
    -------
    Interval
        ``mean`` is the ECE itself; all nan where the bins hold no row.

    Raises
    ------
    ValueError
        If ``level``, ``n_resamples`` or a column of the bins is not as described here.

    Examples
    --------
    >>> from mixup_tab.displays.calibration_bands import calibration_error_interval
    >>> from mixup_tab.metrics import calibration_bins
    >>> bins = calibration_bins([0, 1] * 50, [[0.9, 0.1]] * 100)
    >>> [round(end, 2) for end in calibration_error_interval(bins)]
    [0.4, 0.3, 0.5]
    """
    _check_level(level)
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, got {n_resamples!r}.")
    error, held = expected_calibration_error(bins), _held(bins)
    if held.empty:
        return Interval(error, error, error)
    rng = check_random_state(random_state)
    count, correct = held["count"].to_numpy(int), held["correct"].to_numpy(int)
    confidence, rows = (held["confidence"] / held["count"]).clip(0, 1).to_numpy(), count.sum()
    drawn = rng.multinomial(rows, np.append(correct, count - correct) / rows, n_resamples)
    right, wrong = np.split(drawn, 2, axis=1)
    errors = np.abs((right + wrong) * confidence - right).sum(axis=1) / rows
    low, high = np.quantile(errors, [(1 - level) / 2, (1 + level) / 2])
    calibrated = rng.binomial(count, confidence, (n_resamples, len(count)))
    of_calibrated = np.abs(count * confidence - calibrated).sum(axis=1) / rows
    may_be_calibrated = np.mean(of_calibrated >= error) > (1 - level) / 2
    lower = 0.0 if may_be_calibrated else max(2 * error - high, 0.0)
    return Interval(error, float(lower), float(max(2 * error - low, error)))


def accuracy_intervals(bins: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return the accuracy in every bin with Wilson's interval for a share (Wilson 1927).

    Each interval is about the chance of which rows fell into its bin, for one bin alone: of
    twenty bins at a level of 95 %, one misses on average.

    Parameters
    ----------
    bins : DataFrame
        From :func:`~mixup_tab.metrics.calibration_bins`, or several of these below
        each other.
    level : float, default=0.95
        Confidence level, in (0, 1).

    Returns
    -------
    DataFrame
        One row per bin that holds rows: mean ``confidence``, ``accuracy``, and the ends ``low``
        and ``high`` of its interval.

    Raises
    ------
    ValueError
        If ``level`` or a column of the bins is not as described here.

    Examples
    --------
    >>> from mixup_tab.displays.calibration_bands import accuracy_intervals
    >>> from mixup_tab.metrics import calibration_bins
    >>> bins = calibration_bins([0, 1], [[0.9, 0.1], [0.9, 0.1]])
    >>> accuracy_intervals(bins).round(2)
       confidence  accuracy   low  high
    0         0.9       0.5  0.09  0.91
    """
    _check_level(level)
    held = _held(bins)
    counts = zip(held["correct"].astype(int), held["count"].astype(int), strict=True)
    ends = [binomtest(k, n).proportion_ci(level, method="wilson") for k, n in counts]
    return pd.DataFrame(
        {
            "confidence": held["confidence"] / held["count"],
            "accuracy": held["correct"] / held["count"],
            "low": [end.low for end in ends],
            "high": [end.high for end in ends],
        }
    ).reset_index(drop=True)


def _held(bins: pd.DataFrame) -> pd.DataFrame:
    """Pooled bins that hold rows."""
    pooled = pool_bins(bins)
    rows = pooled["count"]
    if not all(pooled[name].between(0, rows + 1e-6).all() for name in _SUMS):
        raise ValueError(
            "bins hold more right predictions, or more confidence, than rows, or less than "
            "none. Take what calibration_bins returns."
        )
    return pooled[rows > 0]


def _check_level(level: float) -> None:
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, such as 0.95, got {level!r}.")
