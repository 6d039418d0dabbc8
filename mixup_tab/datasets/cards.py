"""Cards of the UCI archive's data sets: what each is, and how to read its files."""

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
    """How to read the table from the archive.

    Parameters
    ----------
    members : tuple of str
        Files of the archive, whose rows are joined.
    label_members : tuple of str
        As many files that hold only the target; empty if it is a column.
    separator : str
        Between columns; " " is any white space.
    header : bool
        Whether to skip a first line of names; the card's are used.
    missing : str
        Mark of a missing value, besides an empty cell.
    skip : tuple of str
        Lines that begin with one of these are skipped.
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
class UciCard:
    """One data set of the UCI archive.

    Parameters
    ----------
    name : str
        Name for :func:`~mixup_tab.datasets.fetch_uci`, and of the card's file.
    uci : int
        Number in the archive.
    title, licence, citation : str
        As the archive gives them.
    doi : str or None
        Digital object identifier.
    url : str
        Address of the archive file.
    sha256 : str or None
        Checksum of that file, if independent public sources agree on it.
    task : {"classification", "regression"}
        What is predicted.
    target : str
        The column to predict.
    rows, features, missing : int
        Size, and number of missing cells among the features.
    classes : int or None
        Number of classes.
    files : Files
        How to read the table.
    columns : dict of str to {"number", "category", "drop"}
        All columns, in the order of the file.
    labels : dict of str to str
        New names of target values.
    note, paper : str
        What to know, and the mixup paper's results on the set.
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
        """Columns that are neither dropped nor the target."""
        kept = (name for name, dtype in self.columns.items() if dtype != "drop")
        return [name for name in kept if name != self.target]

    @property
    def page(self) -> str:
        """Address of the set's page."""
        return PAGE.format(self.uci)

    def description(self) -> str:
        """Return size, source, licence and citation as text."""
        missing = f"{self.missing} missing cells" if self.missing else "no missing cells"
        classes = f", {self.classes} classes" if self.classes else ""
        source = f"{self.page}, https://doi.org/{self.doi}" if self.doi else self.page
        lines = [
            f"{self.title}\n",
            f"{self.task.capitalize()}: {self.rows} rows, {self.features} features, "
            f"{missing}{classes}.",
            self.note,
            f"In the mixup paper: {self.paper}" if self.paper else "",
            f"Source: {source}",
            f"Licence: {self.licence}",
            f"Cite: {self.citation}",
        ]
        return "\n".join(line for line in lines if line)


@cache
def cards() -> dict[str, UciCard]:
    """Return all cards by name."""
    paths = sorted(facts("uci").glob("*.toml"))
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in paths}


def parse(name: str, text: str) -> UciCard:
    """Return the card that a text in TOML describes; TypeError for a wrong or missing field."""
    fields = tomllib.loads(text)
    files = {key: _as_tuple(value) for key, value in fields.pop("files").items()}
    columns = expand(fields.pop("columns"))
    return UciCard(name=name, files=Files(**files), columns=columns, **fields)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expand(columns: dict[str, str]) -> dict[str, str]:
    """Write out names such as ``x1..x3``.

    Examples
    --------
    >>> expand({"sex": "category", "x1..x3": "number"})
    {'sex': 'category', 'x1': 'number', 'x2': 'number', 'x3': 'number'}
    """
    expanded: dict[str, str] = {}
    for name, dtype in columns.items():
        span = re.fullmatch(r"(.*?)(\d+)\.\.\1(\d+)", name)
        if span:
            first, last = int(span[2]), int(span[3])
            expanded |= {f"{span[1]}{number}": dtype for number in range(first, last + 1)}
        else:
            expanded[name] = dtype
    return expanded
