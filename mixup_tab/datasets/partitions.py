"""The partitions of the 121-set study, from tables or from the authors' own files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

Split = tuple[np.ndarray, np.ndarray]
FOLDS = ("fold1", "fold2", "fold3", "fold4")


class Partitions(NamedTuple):
    """How the rows of a set are divided.

    Parameters
    ----------
    tune : (train, valid)
        Row numbers for choosing hyperparameters.
    folds : list of (train, test)
        Row numbers for scoring.
    two_files : bool
        Whether the set has a test file of its own; then that is the only fold.
    """

    tune: Split
    folds: list[Split]
    two_files: bool


def from_table(table: pd.DataFrame) -> Partitions:
    """Read partitions in the form of a table with one line per row of the data.

    Parameters
    ----------
    table : DataFrame
        Columns row, file (all, train, test), tune (train, valid), fold1 to fold4 (train, test).

    Returns
    -------
    Partitions
    """
    two_files = bool((table["file"] != "all").any())
    scored = ("file",) if two_files else FOLDS
    folds = [_where(table, column, "test") for column in scored]
    return Partitions(_where(table, "tune", "valid"), folds, two_files)


def _where(table: pd.DataFrame, column: str, held_out: str) -> Split:
    rows = table["row"].to_numpy()
    train, out = (table[column] == part for part in ("train", held_out))
    return rows[train.to_numpy()], rows[out.to_numpy()]


def from_lines(tune: str, folds: str, sizes: Sequence[int]) -> Partitions:
    """Read the authors' files: lines of row numbers from 0, training and held out in turn.

    Parameters
    ----------
    tune : str
        Text of ``conxuntos.dat``.
    folds : str
        Text of ``conxuntos_kfold.dat``.
    sizes : sequence of int
        Rows of the training file, and of the test file if there is one.

    Returns
    -------
    Partitions
        Row numbers in ascending order.
    """
    pairs = _pairs(folds)
    if len(sizes) == 2:
        rows = np.arange(sum(sizes))
        pairs = [(rows[: sizes[0]], rows[sizes[0] :])]
    return Partitions(_pairs(tune)[0], pairs, len(sizes) == 2)


def _pairs(text: str) -> list[Split]:
    rows = [line.split() for line in text.splitlines()]
    lines = [np.sort(np.array(row, dtype=int)) for row in rows if row]
    return list(zip(lines[::2], lines[1::2], strict=True))
