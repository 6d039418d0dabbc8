"""Folds of a table: at random, stratified, by groups or by time; a sample of its rows."""

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

from mixup_tab.compare.task import Task


class Split(NamedTuple):
    """Training and test rows of one fold of one repeat."""

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray

    @property
    def test_share(self) -> float:
        """Share of test rows among the rows of this split."""
        return len(self.test) / (len(self.train) + len(self.test))


def splitter(task: Task, folds: int, seed: int) -> BaseCrossValidator:
    """Return a cross-validator: by time, by groups, stratified by class or at random."""
    if task.in_order:
        return TimeSeriesSplit(folds)
    grouped = task.groups is not None
    if task.is_classification:
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
    else:
        kind = GroupKFold if grouped else KFold
    return kind(folds, shuffle=True, random_state=seed)


def make_splits(task: Task, folds: int, repeats: int, seed: int) -> list[Split]:
    """Assign rows to folds, several times; repeat r uses ``seed + r``.

    Folds by time cannot be redrawn, so ``repeats`` is ignored for them.

    Raises
    ------
    ValueError
        If the training rows of a fold have a single class or a single group.
    """
    splits = []
    for repeat in range(1 if task.in_order else repeats):
        parts = splitter(task, folds, seed + repeat).split(task.X, task.y, task.groups)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            splits += [Split(repeat, fold, *part) for fold, part in enumerate(parts)]
    for split in splits:
        _check_training_rows(task, split)
    return splits


def _check_training_rows(task: Task, split: Split) -> None:
    if task.is_classification:
        (codes,) = np.nonzero(np.bincount(task.y[split.train]))
        if len(codes) < 2:
            by = "time" if task.in_order else "groups"
            raise ValueError(
                f"folds by {by}: the training rows of fold {split.fold + 1} hold class "
                f"{task.classes[codes[0]]!r} only. Use fewer --folds, or no --{by}."
            )
    if task.groups is not None and len(np.unique(task.groups[split.train])) < 2:
        raise ValueError(
            f"groups={task.columns.groups!r}: the training rows of fold {split.fold + 1} are "
            "a single group, so α cannot be chosen. Use another column for --groups."
        )


def check_folds(task: Task, folds: int, repeats: int) -> None:
    """Raise ValueError if a table is too small for its folds."""
    rows = len(task.y)
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds!r}.")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats!r}.")
    least = max(20, 4 * folds)
    if rows < least:
        raise ValueError(
            f"the table has {rows} rows with a target, but folds={folds} needs at least "
            f"{least}. Add rows."
        )
    if task.groups is not None:
        groups = len(np.unique(task.groups))
        if groups <= folds:
            raise ValueError(
                f"groups={task.columns.groups!r} has {groups} different values, but "
                f"folds={folds} needs at least {folds + 1}, because training rows are split "
                "again. Use fewer --folds."
            )
    if task.is_classification and not task.in_order:
        _check_classes(task, folds)


def _check_classes(task: Task, folds: int) -> None:
    counts = np.bincount(task.y, minlength=len(task.classes))
    rare = [
        f"{task.classes[code]!r} ({counts[code]})"
        for code in np.argsort(counts, kind="stable")
        if counts[code] < folds
    ]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise ValueError(
            f"target={task.columns.target!r} has classes with fewer rows than folds={folds}: "
            f"{', '.join(rare[:5])}{more}. Use fewer --folds, merge classes, or remove "
            "these rows."
        )


def sample_rows(task: Task, max_rows: int, folds: int, seed: int) -> Task:
    """Draw about ``max_rows`` rows at random, or return the task if it is small enough.

    Every class keeps its share, but at least one row per fold. Groups are drawn whole.
    """
    if max_rows < 20:
        raise ValueError(f"max_rows must be at least 20, got {max_rows!r}.")
    rows = len(task.y)
    if rows <= max_rows:
        return task
    rng = np.random.default_rng(seed)
    if task.groups is not None:
        kept = _whole_groups(task.groups, max_rows, rng)
    elif task.is_classification and not task.in_order:
        kept = _class_by_class(task.y, max_rows, folds, rng)
    else:
        kept = rng.choice(rows, max_rows, replace=False)
    note = (
        f"The comparison uses {len(kept):,} of the {rows:,} rows, drawn at random. Change "
        "this with --max-rows."
    )
    return task.take(np.sort(kept), note)


def _class_by_class(
    y: np.ndarray, max_rows: int, folds: int, rng: np.random.Generator
) -> np.ndarray:
    share = max_rows / len(y)
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    parts = np.split(order, np.cumsum(np.bincount(y))[:-1])
    return np.concatenate([part[: max(round(share * len(part)), folds)] for part in parts])


def _whole_groups(groups: np.ndarray, max_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Take groups in random order until the next would exceed the limit."""
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    fits = np.cumsum(sizes[order]) <= max_rows
    fits[0] = True
    return np.flatnonzero(np.isin(groups, order[fits]))
