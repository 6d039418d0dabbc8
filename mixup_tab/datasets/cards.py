"""Cards: what a data set is, where it comes from and how its files are read."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mixup_tab.datasets.home import facts

PAGE = "https://archive.ics.uci.edu/dataset/{}"
TYPES = ("number", "category", "drop")


@dataclass(frozen=True, kw_only=True)
class Files:
    """How the table is read from the archive.

    Parameters
    ----------
    members : tuple of str
        Files of the archive whose rows follow each other.
    label_members : tuple of str
        As many files that hold nothing but the target; empty where it is a column.
    separator : str
        Between columns; " " is any white space.
    header : bool
        Whether the first line holds names; those of the card are used all the same.
    missing : str
        What stands for a missing value; an empty cell always does.
    skip : tuple of str
        Lines that begin with one of these are no rows.
    decimal : str
        Decimal point.
    encoding : str
        Encoding of the text.
    """

    members: tuple[str, ...]
    label_members: tuple[str, ...] = ()
    separator: str = ","
    header: bool = False
    missing: str = ""
    skip: tuple[str, ...] = ()
    decimal: str = "."
    encoding: str = "utf-8"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One data set of the UCI archive.

    Parameters
    ----------
    name : str
        What :func:`~mixup_tab.datasets.fetch_uci` is asked for; the name of the card's file.
    uci : int
        Number in the archive.
    title, licence, citation : str
        As the archive gives them.
    doi : str or None
        Digital object identifier.
    url : str
        Address of the archive file.
    sha256 : str or None
        Checksum of that file, where independent public sources agree on it.
    task : {"classification", "regression"}
        What is predicted.
    target : str
        The column that is predicted.
    rows, features, missing : int
        Size, and number of missing cells among the features.
    classes : int or None
        Number of classes.
    files : Files
        How the table is read.
    columns : dict of str to {"number", "category", "drop"}
        All columns, in the order of the file.
    labels : dict of str to str
        New names of target values.
    note, paper : str
        What to know, and what the mixup paper did with the set.
    """

    name: str
    uci: int
    title: str
    licence: str
    citation: str
    url: str
    task: str
    target: str
    rows: int
    features: int
    missing: int
    files: Files
    columns: dict[str, str]
    classes: int | None = None
    doi: str | None = None
    sha256: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    note: str = ""
    paper: str = ""

    @property
    def feature_names(self) -> list[str]:
        """Columns that are neither the target nor dropped."""
        kept = (name for name, kind in self.columns.items() if kind != "drop")
        return [name for name in kept if name != self.target]

    @property
    def page(self) -> str:
        """Address of the set's page."""
        return PAGE.format(self.uci)

    def description(self) -> str:
        """Return what a user should read before using the set."""
        missing = f"{self.missing} missing cells" if self.missing else "nothing missing"
        size = f"{self.rows} rows, {self.features} features, {missing}"
        classes = f", {self.classes} classes" if self.classes else ""
        source = f"{self.page}, https://doi.org/{self.doi}" if self.doi else self.page
        lines = [
            f"{self.title}\n",
            f"{self.task.capitalize()}: {size}{classes}.",
            self.note,
            f"In the mixup paper: {self.paper}" if self.paper else "",
            f"Source: {source}",
            f"Licence: {self.licence}",
            f"Cite: {self.citation}",
        ]
        return "\n".join(line for line in lines if line)


@cache
def cards() -> dict[str, Card]:
    """Return all cards by name."""
    paths = sorted(facts("uci").glob("*.toml"))
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in paths}


def parse(name: str, text: str) -> Card:
    """Read one card.

    Parameters
    ----------
    name : str
        Name of the data set.
    text : str
        The card, in TOML.

    Returns
    -------
    Card

    Raises
    ------
    TypeError
        For a field that is missing or not known.
    """
    fields = tomllib.loads(text)
    files = {key: _tuple(value) for key, value in fields.pop("files").items()}
    columns = expand(fields.pop("columns"))
    return Card(name=name, files=Files(**files), columns=columns, **fields)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expand(columns: dict[str, str]) -> dict[str, str]:
    """Write out names such as ``x1..x3``.

    Parameters
    ----------
    columns : dict of str to str
        Types by name.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> expand({"sex": "category", "x1..x3": "number"})
    {'sex': 'category', 'x1': 'number', 'x2': 'number', 'x3': 'number'}
    """
    written = {}
    for name, kind in columns.items():
        run = re.fullmatch(r"(.*?)(\d+)\.\.\1(\d+)", name)
        if run:
            first, last = int(run[2]), int(run[3])
            written |= {f"{run[1]}{number}": kind for number in range(first, last + 1)}
        else:
            written[name] = kind
    return written
