"""Wrong labels: which rows get them, and which."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d


def corrupt_labels(
    y: ArrayLike, rate: float, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give a share of the rows the label of another class.

    Rows are drawn without replacement, and each gets one of the other classes, all with the
    same probability. With the same ``random_state``, rows that are changed at a lower rate
    are changed in the same way at a higher one.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any kind, of 2 classes at least.
    rate : float
        Share of the rows, in [0, 1]; rounded to whole rows.
    random_state : int, RandomState or None, default=None
        Seed of the draw.

    Returns
    -------
    y_corrupted : ndarray of shape (n_samples,)
        The labels.
    changed : ndarray of bool of shape (n_samples,)
        Which rows have a wrong one.

    Raises
    ------
    ValueError
        If the rate is out of range, a label is missing or there is one class only.
    TypeError
        If the rate is no number.

    Examples
    --------
    >>> from mixup_tab.robustness import corrupt_labels
    >>> y, changed = corrupt_labels(["a", "b", "a", "b"], rate=0.5, random_state=0)
    >>> y.tolist(), changed.tolist()
    (['a', 'b', 'b', 'a'], [False, False, True, True])
    """
    check_rate(rate)
    classes, codes = np.unique(check_labels(y), return_inverse=True)
    random = check_random_state(random_state)
    order = random.permutation(len(codes))
    shift = random.randint(1, len(classes), size=len(codes))
    changed = np.zeros(len(codes), dtype=bool)
    changed[order[: round(rate * len(codes))]] = True
    return classes[np.where(changed, codes + shift, codes) % len(classes)], changed


def check_labels(y: ArrayLike) -> np.ndarray:
    """Return labels of at least two classes as an array, or raise ValueError."""
    y = column_or_1d(y)
    if pd.isna(y).any():
        raise ValueError("y holds missing labels. Drop rows without a label from X and y.")
    count = len(np.unique(y))
    if count < 2:
        raise ValueError(
            f"y holds {count} class; a label can only be corrupted to another one. Give "
            "labels of at least 2 classes."
        )
    return y


def check_rate(rate: float) -> float:
    """Return a share of wrong labels if it is one, else raise TypeError or ValueError."""
    if not isinstance(rate, Real) or isinstance(rate, bool):
        raise TypeError(f"rates must be numbers in [0, 1], got {rate!r}.")
    if not 0 <= rate <= 1:
        raise ValueError(f"rates must lie in [0, 1], got {rate!r}. 0.2 is a fifth of the rows.")
    return rate
