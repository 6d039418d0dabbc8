"""Intervals and tests for scores, from repeated splits and over several data sets."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mixup_tab.evaluation.ranking import average_ranks, holm, paired_tests, share_of_best
from mixup_tab.metrics import Interval, resampled_interval

__all__ = [
    "Interval",
    "average_ranks",
    "holm",
    "paired_tests",
    "resampled_interval",
    "resampled_test",
    "share_of_best",
]


def resampled_test(differences: ArrayLike, test_share: float) -> float:
    """Return the p value of the corrected resampled t test.

    Tests whether the mean of paired differences over random splits of one table is 0, with
    the variance of :func:`~mixup_tab.metrics.resampled_interval` (Nadeau and Bengio 2003).

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
