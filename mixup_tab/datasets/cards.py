"""Cards of UCI data sets: facts, and how to read the files."""

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
    """How to read a table from its archive."""

    members: tuple[str, ...]  # files in the archive; their rows are concatenated
    label_members: tuple[str, ...] = ()  # one file per member, with only the target
    separator: str = ","  # " " is any white space
    header: bool = False  # skip the first line; names come from the card
    missing: str = ""  # marks a missing value, besides an empty cell
    skip: tuple[str, ...] = ()  # beginnings of lines to skip
    decimal: str = "."
    encoding: str = "utf-8"


@dataclass(frozen=True, kw_only=True)
class UciCard:
    """Facts about one data set of the UCI archive, from ``datasets/uci/*.toml``."""

    name: str  # of the card's file, for fetch_uci
    uci: int  # number in the archive
    title: str
    licence: str
    citation: str
    url: str  # of the archive file
    task: str  # "classification" or "regression"
    target: str  # the column to predict
    rows: int
    features: int
    missing: int  # missing cells among the features
    files: Files
    columns: dict[str, str]  # "number", "category" or "drop", in the order of the file
    classes: int | None = None
    doi: str | None = None
    sha256: str | None = None  # of the archive file, if independent sources agree
    labels: dict[str, str] = field(default_factory=dict)  # new names of target values
    note: str = ""
    paper: str = ""  # the mixup paper's results on the set

    @property
    def feature_names(self) -> list[str]:
        """Columns other than the target and dropped ones."""
        kept = (name for name, dtype in self.columns.items() if dtype != "drop")
        return [name for name in kept if name != self.target]

    @property
    def size_limit(self) -> int:
        """Maximum size of its files in bytes: several times the size of such a table."""
        return 2**20 + 64 * self.rows * len(self.columns)

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
    """Return the card in a TOML text; TypeError for a wrong or missing field."""
    fields = tomllib.loads(text)
    files = {key: _as_tuple(value) for key, value in fields.pop("files").items()}
    columns = expand(fields.pop("columns"))
    return UciCard(name=name, files=Files(**files), columns=columns, **fields)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def expand(columns: dict[str, str]) -> dict[str, str]:
    """Expand names such as ``x1..x3``.

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
