"""From the bytes of an archive's files to a table, as its card says."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pandas as pd

from mixup_tab.datasets.cards import Card, Files
from mixup_tab.datasets.plain import TARGET, with_categories


def read_table(card: Card, contents: Sequence[bytes]) -> pd.DataFrame:
    """Read the table of a card.

    Parameters
    ----------
    card : Card
        How it is read.
    contents : sequence of bytes
        Its members, then its label members.

    Returns
    -------
    DataFrame of shape (rows, features + 1)
        Features in the order of the card, then ``target``. Rows whose target is missing are
        left out.

    Raises
    ------
    ValueError
        If the files do not hold what the card says.
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
            f"{card.name} has {card.rows} rows by its card, and its files hold {len(frame)}"
        )
    return _tidy(frame.reset_index(drop=True), card)


def _read(content: bytes, names: list[str], files: Files) -> pd.DataFrame:
    """Read one file as text; what it says is converted later."""
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
        raise ValueError(f"a file has {table.shape[1]} columns, and its card {len(names)}")
    return table.set_axis(names, axis=1)


def _tidy(frame: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Convert columns to their types and bring them in order."""
    kept = [*card.feature_names, card.target]
    columns = {name: _convert(frame[name], card) for name in kept}
    if card.labels:
        columns[card.target] = columns[card.target].replace(card.labels)
    tidy = pd.DataFrame(columns).rename(columns={card.target: TARGET})
    return with_categories(tidy)


def _convert(column: pd.Series, card: Card) -> pd.Series:
    if card.columns[column.name] == "category":
        return column.str.strip()
    if card.files.decimal != ".":
        column = column.str.replace(card.files.decimal, ".", regex=False)
    return pd.to_numeric(column)
