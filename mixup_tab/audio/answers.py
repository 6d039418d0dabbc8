"""Choose words from probabilities, with NumPy alone."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from mixup_tab._plain import shown

UNKNOWN = "unknown"  # label of other sounds than the words


def best_words(
    proba: np.ndarray, classes: np.ndarray, unknown: Any = UNKNOWN
) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of each row's most probable word, and its margin.

    The margin is the word's probability minus that of the class ``unknown``, if there is one.
    The word is the answer if its margin reaches the threshold.
    """
    words = np.flatnonzero(classes != unknown)
    best = words[proba[:, words].argmax(axis=1)]
    other = proba[:, classes == unknown].sum(axis=1)
    return best, proba[np.arange(len(proba)), best] - other


def check_threshold(threshold: Any) -> None:
    """Raise TypeError or ValueError unless a threshold is a number in [−1, 1]."""
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or not -1 <= threshold <= 1:
        kind = ValueError if number else TypeError
        raise kind(f"threshold={shown(threshold)} must be a number in [-1, 1].")
