"""Intervals and tests for scores, from repeated splits and over several data sets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mixup_tab.evaluation.ranking import average_ranks, holm, paired_tests, share_of_best

__all__ = [
    "Interval",
    "average_ranks",
    "holm",
    "paired_tests",
    "resampled_interval",
    "resampled_test",
    "share_of_best",
]


class Interval(NamedTuple):
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def resampled_interval(
    scores: np.ndarray, test_share: float, *, level: float = 0.95
) -> Interval:
    """Return the corrected resampled t interval of a mean.

    Scores of random splits of one table depend on each other, because the splits share
    rows; the plain t interval is then far too narrow. Nadeau and Bengio (2003, Machine
    Learning 52, section 3) correct the variance of the mean of R scores to
    (1/R + n_test/n_train) s².

    Parameters
    ----------
    scores : ndarray of shape (R,)
        Scores, or differences of paired scores, of R ≥ 1 splits.
    test_share : float
        n_test / (n_train + n_test), in (0, 1).
    level : float, default=0.95
        Confidence level.

    Returns
    -------
    Interval
        With infinite ends for a single score.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.evaluation.statistics import resampled_interval
    >>> interval = resampled_interval(np.array([1.0, 2.0, 3.0]), test_share=0.25)
    >>> interval.mean, round(interval.low, 2)
    (2.0, -1.51)
    """
    scores = np.asarray(scores, dtype=float)
    mean, count = float(scores.mean()), len(scores)
    if count < 2:
        return Interval(mean, -np.inf, np.inf)
    error = np.sqrt(_resampled_variance(scores, test_share))
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * error)
    return Interval(mean, mean - half, mean + half)


def resampled_test(differences: ArrayLike, test_share: float) -> float:
    """Return the p value of the corrected resampled t test.

    Tests whether the mean of paired differences over random splits of one table is 0, with
    the variance of :func:`resampled_interval` (Nadeau and Bengio 2003).

    Parameters
    ----------
    differences : array-like of shape (R,)
        Differences of two methods on R splits.
    test_share : float
        n_test / (n_train + n_test), in (0, 1).

    Returns
    -------
    float
        Two-sided; nan for fewer than two splits.

    Examples
    --------
    >>> from mixup_tab.evaluation.statistics import resampled_test
    >>> round(resampled_test([0.1, 0.2, 0.3, 0.2], test_share=0.25), 3)
    0.049
    """
    differences = np.asarray(differences, dtype=float)
    if len(differences) < 2:
        return float("nan")
    error = np.sqrt(_resampled_variance(differences, test_share))
    if error == 0:
        return float(differences[0] == 0)
    t = abs(differences.mean()) / error
    return float(2 * stats.t.sf(t, len(differences) - 1))


def _resampled_variance(scores: np.ndarray, test_share: float) -> float:
    """Variance of the mean of scores from splits that share rows."""
    return scores.var(ddof=1) * (1 / len(scores) + test_share / (1 - test_share))
