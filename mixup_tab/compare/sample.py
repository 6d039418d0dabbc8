"""Fewer rows of a very large table, for the comparison."""

from __future__ import annotations

import numpy as np

from mixup_tab.compare.question import Question


def sample_rows(question: Question, max_rows: int, folds: int, seed: int) -> Question:
    """Draw rows at random if there are more than a comparison needs.

    Every class keeps its share but not less than a row per fold. Groups are drawn whole.

    Parameters
    ----------
    question : Question
        The table.
    max_rows : int
        How many rows to keep, about.
    folds : int
        How many folds there will be.
    seed : int
        Of the draw.

    Returns
    -------
    Question
        The same one if it is small enough.

    Raises
    ------
    ValueError
        If ``max_rows`` is too small.
    """
    if max_rows < 20:
        raise ValueError(f"max_rows must be at least 20, got {max_rows!r}.")
    rows = len(question.y)
    if rows <= max_rows:
        return question
    rng = np.random.default_rng(seed)
    if question.groups is not None:
        kept = _whole_groups(question.groups, max_rows, rng)
    elif question.classifies and not question.in_order:
        kept = _of_every_class(question.y, max_rows, folds, rng)
    else:
        kept = rng.choice(rows, max_rows, replace=False)
    note = (
        f"The comparison uses {len(kept):,} of the {rows:,} rows, drawn at random; --max-rows "
        "changes that."
    )
    return question.take(np.sort(kept), note)


def _of_every_class(
    y: np.ndarray, max_rows: int, folds: int, rng: np.random.Generator
) -> np.ndarray:
    share = max_rows / len(y)
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    parts = np.split(order, np.cumsum(np.bincount(y))[:-1])
    return np.concatenate([part[: max(round(share * len(part)), folds)] for part in parts])


def _whole_groups(groups: np.ndarray, max_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Take groups in random order until the next one would be too much."""
    sizes = np.bincount(groups)
    order = rng.permutation(len(sizes))
    fits = np.cumsum(sizes[order]) <= max_rows
    fits[0] = True
    return np.flatnonzero(np.isin(groups, order[fits]))
