"""Intervals for scores from repeated random splits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


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
    variance = scores.var(ddof=1) * (1 / count + test_share / (1 - test_share))
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * np.sqrt(variance))
    return Interval(mean, mean - half, mean + half)
