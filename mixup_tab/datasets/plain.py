"""Folders of plain tables: ``<name>.csv.gz`` with a header, ``target`` last."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

ENDING = ".csv.gz"
TARGET = "target"


def plain_names(folder: Path) -> list[str]:
    """Return the names of the tables that lie in a folder.

    Parameters
    ----------
    folder : Path
        Need not exist.

    Returns
    -------
    list of str
    """
    return sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}"))


def read_plain(path: Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read one table; empty cells are missing, and nothing else is.

    Parameters
    ----------
    path : Path
        The file.
    text : iterable of str, default=()
        Columns that hold text even where it looks like numbers.

    Returns
    -------
    DataFrame
        Text columns are pandas categories, but for the target.

    Raises
    ------
    ValueError
        If the file cannot be read, or its last column is not ``target``.
    """
    try:
        # "None" and "NA" are values of some tables.
        frame = pd.read_csv(
            path,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            dtype=dict.fromkeys(text, str),
        )
    except (zlib.error, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is not a whole gzip file of comma-separated values ({error}). Put a "
            "good copy there, or remove it."
        ) from error
    if frame.columns[-1] != TARGET or frame[TARGET].isna().any():
        raise ValueError(
            f"{path} must have {TARGET!r} as its last column, with a value in every row; the "
            f"last is {frame.columns[-1]!r}. Move the column, and leave out rows without it."
        )
    return with_categories(frame)


def with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Make pandas categories of the text columns, but for the target.

    Parameters
    ----------
    frame : DataFrame
        Features, then ``target``.

    Returns
    -------
    DataFrame
    """
    kinds = frame.drop(columns=TARGET).dtypes
    text = [name for name, kind in kinds.items() if not pd.api.types.is_numeric_dtype(kind)]
    return frame.astype(dict.fromkeys(text, "category"))
