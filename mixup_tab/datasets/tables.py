"""Read tables, from plain files or according to a card, into scikit-learn's Bunch."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.datasets.archives import SIZE_LIMIT, check_size, read_gzip
from mixup_tab.datasets.cards import Files, UciCard

ENDING = ".csv.gz"
_PER_COLUMN = 1000  # bytes that pandas needs for a column without rows
TARGET = "target"


def in_a_line(error: Exception) -> str:
    """Return an error message in one line, without the final full stop."""
    return " ".join(str(error).split()).rstrip(".")


def plain_names(folder: Path) -> list[str]:
    """Return the names of the tables ``<name>.csv.gz`` in a folder, which need not exist."""
    return sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}"))


def read_plain(
    path: Path, text: Iterable[str] = (), size_limit: float = SIZE_LIMIT
) -> pd.DataFrame:
    """Read a table with a header and ``target`` as last column; only empty cells are missing.

    Columns in ``text`` are read as text even if they look like numbers; text columns other than
    the target become pandas categories. Raises ValueError if the file cannot be read, its last
    column is not a complete ``target``, or it has more than ``size_limit`` bytes.
    """
    try:
        content = read_gzip(path, size_limit)
        columns = content.count(b",", 0, content.find(b"\n"))
        check_size("a table of so many columns", _PER_COLUMN * columns, size_limit)
        # "None" and "NA" are values in some tables.
        frame = pd.read_csv(
            io.BytesIO(content),
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            dtype=dict.fromkeys(text, str),
        )
    except (OSError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path} cannot be read as a gzip file of comma-separated values: "
            f"{in_a_line(error)}. Replace or delete it."
        ) from error
    if frame.columns[-1] != TARGET or frame[TARGET].isna().any():
        raise ValueError(
            f"{path} must have {TARGET!r} as its last column, with a value in every row; the "
            f"last is {frame.columns[-1]!r}. Move the column and remove rows without a value."
        )
    return _with_categories(frame)


def _with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert text columns other than the target to pandas categories."""
    dtypes = frame.drop(columns=TARGET).dtypes
    text = [name for name, dtype in dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    return frame.astype(dict.fromkeys(text, "category"))


def read_table(card: UciCard, contents: Sequence[bytes]) -> pd.DataFrame:
    """Read the table of a card from the contents of its members and label members.

    Features come in the order of the card, then ``target``; rows without a target are left out.
    Raises ValueError if the files do not match the card.
    """
    names, files = list(card.columns), card.files
    if files.label_members:
        names.remove(card.target)
    tables = [_read(content, names, files) for content in contents[: len(files.members)]]
    for table, content in zip(tables, contents[len(files.members) :], strict=False):
        table[card.target] = _read(content, [card.target], files)[card.target]
    frame = pd.concat(tables, ignore_index=True).dropna(subset=[card.target])
    if len(frame) != card.rows:
        raise ValueError(
            f"{card.name} has {card.rows} rows by its card, but its files have {len(frame)}"
        )
    return _typed(frame.reset_index(drop=True), card)


def _read(content: bytes, names: list[str], files: Files) -> pd.DataFrame:
    """Read one file with all cells as text."""
    lines = content.decode(files.encoding).splitlines()[int(files.header) :]
    rows = [line for line in lines if not (files.skip and line.startswith(files.skip))]
    table = pd.read_csv(
        io.StringIO("\n".join(rows)),
        sep=r"\s+" if files.separator == " " else files.separator,
        header=None,
        dtype=str,
        keep_default_na=False,
        na_values=["", files.missing],
        skipinitialspace=True,
    )
    if table.shape[1] != len(names):
        raise ValueError(f"a file has {table.shape[1]} columns, but its card {len(names)}")
    return table.set_axis(names, axis=1)


def _typed(frame: pd.DataFrame, card: UciCard) -> pd.DataFrame:
    """Convert columns to their types and sort them as in the card."""
    names = [*card.feature_names, card.target]
    columns = {name: _convert(frame[name], card) for name in names}
    if card.labels:
        columns[card.target] = columns[card.target].replace(card.labels)
    return _with_categories(pd.DataFrame(columns).rename(columns={card.target: TARGET}))


def _convert(column: pd.Series, card: UciCard) -> pd.Series:
    if card.columns[str(column.name)] == "category":
        return column.str.strip()
    if card.files.decimal != ".":
        column = column.str.replace(card.files.decimal, ".", regex=False)
    return pd.to_numeric(column)


def to_bunch(
    frame: pd.DataFrame, *, task: str, as_frame: bool, return_X_y: bool, **more: Any
) -> Bunch | tuple:
    """Return a table with ``target`` as last column in the form of scikit-learn's fetchers.

    ``more`` are further entries of the Bunch.
    """
    data, target = frame.drop(columns=TARGET), frame[TARGET]
    if not as_frame:
        data, target = data.to_numpy(), target.to_numpy()
    if return_X_y:
        return data, target
    labels = sorted(frame[TARGET].unique().tolist()) if task == "classification" else None
    return Bunch(
        data=data,
        target=target,
        frame=frame if as_frame else None,
        feature_names=[column for column in frame if column != TARGET],
        target_names=labels,
        task=task,
        **more,
    )
