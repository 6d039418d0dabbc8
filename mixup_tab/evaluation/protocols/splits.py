"""Splits of tables with rare classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

Split = tuple[np.ndarray, np.ndarray]


def strata(y: np.ndarray, least: int) -> np.ndarray:
    """Return classes for stratifying, the rare ones put together.

    Classes of fewer than ``least`` rows become one stratum; where that is still too small it
    joins the smallest class that is not rare. No row is left out: a rare class may be missing
    in the training rows of a split, and is then missed by every method alike.

    Parameters
    ----------
    y : ndarray of int of shape (rows,)
        Classes.
    least : int
        Rows that a stratum must have.

    Returns
    -------
    ndarray of int of shape (rows,)

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.evaluation.protocols.splits import strata
    >>> strata(np.array([0, 0, 0, 1, 2, 3, 3]), least=2).tolist()
    [0, 0, 0, 1, 1, 3, 3]
    """
    labels, counts = np.unique(y, return_counts=True)
    rare, common = labels[counts < least], labels[counts >= least]
    if not len(rare):
        return y
    too_few = counts[counts < least].sum() < least
    home = rare[0]
    if too_few and len(common):
        home = common[counts[counts >= least].argmin()]
    return np.where(np.isin(y, rare), home, y)


def folds_of(y: np.ndarray, n_folds: int, seed: int) -> list[Split]:
    """Return stratified folds, the same for every method.

    Parameters
    ----------
    y : ndarray of int of shape (rows,)
        Classes.
    n_folds : int
        How many.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    list of (train, test)
    """
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    return list(folds.split(y, strata(y, n_folds)))


def repeat_of(y: np.ndarray, test_share: float, seed: int) -> Split:
    """Return a random stratified split.

    Parameters
    ----------
    y : ndarray of int of shape (rows,)
        Classes.
    test_share : float
        Share of the test rows.
    seed : int
        Seed of the draw.

    Returns
    -------
    train, test : ndarray of int
    """
    splitter = StratifiedShuffleSplit(1, test_size=test_share, random_state=seed)
    splits: Iterator[Split] = splitter.split(y, strata(y, 2))
    return next(splits)
