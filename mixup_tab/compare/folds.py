"""Folds of a user's table: at random, class by class, by groups or by time."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import (
    BaseCrossValidator,
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from mixup_tab.compare.question import Question


class Split(NamedTuple):
    """Training and test rows of one fold of one repeat."""

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray

    @property
    def test_share(self) -> float:
        """Share of the rows in use that are test rows."""
        return len(self.test) / (len(self.train) + len(self.test))


def splitter(question: Question, folds: int, seed: int) -> BaseCrossValidator:
    """Return what cuts a table into folds: by time, by groups, by classes or at random.

    Parameters
    ----------
    question : Question
        The table.
    folds : int
        How many.
    seed : int
        Of the shuffling.

    Returns
    -------
    cross-validation splitter
    """
    if question.in_order:
        return TimeSeriesSplit(folds)
    grouped = question.groups is not None
    if question.classifies:
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
    else:
        kind = GroupKFold if grouped else KFold
    return kind(folds, shuffle=True, random_state=seed)


def make_splits(question: Question, folds: int, repeats: int, seed: int) -> list[Split]:
    """Cut a table into folds, several times; in the order of time there is one way only.

    Parameters
    ----------
    question : Question
        The table.
    folds, repeats : int
        How many folds, how many times.
    seed : int
        Repeat r uses ``seed + r``.

    Returns
    -------
    list of Split

    Raises
    ------
    ValueError
        If the training rows of a fold hold one class or one group only.
    """
    splits = []
    for repeat in range(1 if question.in_order else repeats):
        parts = splitter(question, folds, seed + repeat).split(
            question.X, question.y, question.groups
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            splits += [Split(repeat, fold, *part) for fold, part in enumerate(parts)]
    for split in splits:
        _refuse_one_class(question, split)
        _refuse_one_group(question, split)
    return splits


def _refuse_one_group(question: Question, split: Split) -> None:
    if question.groups is not None and len(np.unique(question.groups[split.train])) < 2:
        raise ValueError(
            f"groups={question.roles.groups!r}: the training rows of fold {split.fold + 1} are "
            "one group, which leaves nothing to choose α by. Use other --groups."
        )


def _refuse_one_class(question: Question, split: Split) -> None:
    if not question.classifies:
        return
    (codes,) = np.nonzero(np.bincount(question.y[split.train]))
    if len(codes) < 2:
        by = "time" if question.in_order else "groups"
        raise ValueError(
            f"folds by {by}: the training rows of fold {split.fold + 1} hold class "
            f"{question.classes[codes[0]]!r} only. Use fewer --folds, or no --{by}."
        )
