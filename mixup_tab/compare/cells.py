"""Convert the cells of a new file to the types of the training table."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from mixup_tab.tables.columns import as_dtype, dtype_of
from mixup_tab.tables.number_formats import example

# A column with this many unreadable values is taken for another column.
MOST_WRONG = 1_000
# Values per column that a note names.
_MOST_NAMED = 3
_MOMENT = pd.Timestamp("2024-01-31 13:30")
_NOUNS = {"number": "number", "date": "date", "date with zone": "date", "duration": "duration"}


class Problem(NamedTuple):
    """A cell or a row that cannot be read.

    Attributes
    ----------
    row : int
        Number of the row, from 1 for the first below the header.
    reason : str
        What is wrong; follows the value or the row number in the message.
    column : str or None
        None for a whole row.
    value : object
        Content of the cell.
    """

    row: int
    reason: str
    column: str | None = None
    value: Any = None

    def __str__(self) -> str:
        if self.column is None:
            return f"row {self.row:,} {self.reason}"
        return f"row {self.row:,}, column {self.column!r}: {self.value!r} {self.reason}"


class Skipped:
    """Print problems to standard error as they are found, and count them."""

    def __init__(self) -> None:
        self.cells = self.rows = 0

    def __call__(self, problem: Problem) -> None:
        """Print a problem."""
        if not self.cells + self.rows:
            print("Unreadable:", file=sys.stderr)
        self.cells += problem.column is not None
        self.rows += problem.column is None
        print(f"  {problem}", file=sys.stderr)

    def notes(self) -> Iterator[str]:
        """Yield the counts as sentences."""
        if self.cells:
            yield f"Unreadable cells treated as empty: {self.cells:,}."
        if self.rows:
            yield f"Unreadable rows skipped: {self.rows:,}."


class CellReader:
    """Convert the columns of a file, chunk by chunk, as those of the training table were.

    Parameters
    ----------
    dtypes, date_formats, number_formats : mapping of str to str
        Of the columns, as in :class:`~mixup_tab.tables.columns.TypedTable`.
    levels : mapping of str to collection of str
        Known values, for columns whose unknown values are counted.
    skip : callable, default=None
        Called for each unreadable cell, which is then treated as empty. None raises ValueError.
    """

    def __init__(
        self,
        dtypes: Mapping[str, str],
        date_formats: Mapping[str, str],
        number_formats: Mapping[str, str],
        levels: Mapping[str, Any],
        skip: Callable[[Problem], Any] | None = None,
    ) -> None:
        self._dtypes = dtypes
        self._formats = date_formats, number_formats
        self._levels = {name: {*known} for name, known in levels.items()}
        self._skip = skip
        self._wrong: dict[str, set[Any]] = {name: set() for name in dtypes}
        self._unseen: dict[str, Counter[str]] = {name: Counter() for name in levels}

    def read(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns, converted; the index holds the row numbers."""
        typed = pd.DataFrame({name: self._column(frame[name]) for name in self._dtypes})
        for name, known in self._levels.items():
            counts = typed[name].value_counts()
            self._unseen[name].update(counts[~counts.index.isin(known)].to_dict())
        return typed

    def _column(self, column: pd.Series) -> pd.Series:
        name = str(column.name)
        dtype, *formats = self._dtypes[name], *(form.get(name) for form in self._formats)
        read = partial(as_dtype, dtype=dtype, date_format=formats[0], number_format=formats[1])
        try:
            return read(column)
        except ValueError:
            if dtype_of(column) != "text":  # the whole column is of another type
                raise
        reason = f"is not a {_NOUNS[dtype]}{_like(dtype, *formats)}"
        wrong = [*islice(unreadable(column.dropna().unique().tolist(), read), MOST_WRONG)]
        self._wrong[name].update(wrong)
        is_wrong = column.isin(wrong)
        for row, value in column[is_wrong].items():
            problem = Problem(row, reason, name, value)
            if self._skip is None:
                raise ValueError(
                    f"column {name!r} should hold values of type {dtype!r}, but row {row:,} "
                    f"holds {value!r}, which {reason}. Correct such values, or treat them as "
                    "empty with --on-error skip."
                )
            self._skip(problem)
        if len(self._wrong[name]) >= MOST_WRONG:
            raise ValueError(
                f"column {name!r} should hold values of type {dtype!r}, but at least "
                f"{MOST_WRONG:,} values do not. Check that it is the same column as in the "
                "training table."
            )
        return read(column.mask(is_wrong))

    def unseen(self) -> str:
        """List values that the training table did not have, by column; empty if none."""
        parts = []
        for name, counts in self._unseen.items():
            if counts:
                values = [repr(value) for value, _ in counts.most_common(_MOST_NAMED)]
                more = len(counts) - len(values)
                values += [f"{more:,} more"] * bool(more)
                rows = f"{counts.total():,} row{'s' * (counts.total() > 1)}"
                parts.append(f"{name!r} ({', '.join(values)} in {rows})")
        return ", ".join(parts)


def unreadable(values: list[Any], read: Callable[[pd.Series], pd.Series]) -> Iterator[Any]:
    """Yield the values for which ``read`` raises ValueError, found by bisection."""
    try:
        read(pd.Series(values, dtype=object, name=""))
        return
    except ValueError:
        if len(values) == 1:
            yield values[0]
            return
    half = len(values) // 2
    yield from unreadable(values[:half], read)
    yield from unreadable(values[half:], read)


def _like(dtype: str, date_format: str | None, number_format: str | None) -> str:
    """Return an example of a column's format, such as `` such as '31.01.2024'``."""
    if dtype == "number":
        return "" if number_format is None else f" such as {example(number_format)}"
    if dtype == "duration":
        return f" such as {str(_MOMENT - _MOMENT.normalize())!r}"
    if date_format in (None, "ISO8601"):
        zone = "T13:30+01:00" if dtype == "date with zone" else ""
        return f" such as '2024-01-31{zone}'"
    return f" such as {_MOMENT.tz_localize('UTC').strftime(date_format)!r}"
