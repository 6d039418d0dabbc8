"""From probabilities to words, with NumPy alone."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from mixup_tab._plain import shown

UNKNOWN = "unknown"  # the label of sounds that are none of the words


def best_words(
    proba: np.ndarray, classes: np.ndarray, unknown: Any = UNKNOWN
) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of each row's most probable word, and the score of that word.

    The score is the word's probability, or −1 where the class ``unknown`` is more probable; a
    word is answered if its score reaches the threshold.
    """
    words = np.flatnonzero(classes != unknown)
    best = words[proba[:, words].argmax(axis=1)]
    score = proba[np.arange(len(proba)), best]
    other = proba[:, classes == unknown].sum(axis=1)
    return best, np.where(score >= other, score, -1.0)


def check_threshold(threshold: Any) -> None:
    """Raise TypeError or ValueError unless a threshold is a number in [0, 1]."""
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold <= 1:
        kind = ValueError if number else TypeError
        raise kind(f"threshold={shown(threshold)} must be a number in [0, 1].")
