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


def number_seen_first(y: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Number classes anew, those of the training rows first.

    The temperature of scikit-learn's ``CalibratedClassifierCV`` is right for numeric labels
    only where the training rows have the classes 0, 1, 2 and so on without gaps.

    Parameters
    ----------
    y : ndarray of int of shape (rows,)
        Classes, from 0 and without gaps.
    train : ndarray of int
        Training rows.

    Returns
    -------
    ndarray of int of shape (rows,)
    """
    seen = np.unique(y[train])
    return np.argsort(np.append(seen, np.setdiff1d(y, seen)))[y]


def inner_folds(y: np.ndarray, n_folds: int, seed: int) -> list[Split]:
    """Return folds of training rows in which no net meets a class that it has not seen.

    The few rows of a class that a fold would keep from its net altogether are trained on and
    predicted too: a class of probability zero says nothing about a temperature.

    Parameters
    ----------
    y : ndarray of int of shape (rows,)
        Classes of the training rows.
    n_folds : int
        How many.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    list of (train, test)
        Every row is in one test part.
    """
    splits = folds_of(y, n_folds, seed)
    return [
        (np.append(train, np.flatnonzero(~np.isin(y, y[train]))), test)
        for train, test in splits
    ]
