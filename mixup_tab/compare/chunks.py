"""Read tables larger than memory in chunks, with every cell as written in the file."""

from __future__ import annotations

import csv
import io
import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pandas as pd

from mixup_tab.compare.reading import (
    NOT_TEXT,
    SIZE_LIMIT,
    FileProblem,
    arrow_frame,
    check_size,
    check_unique,
    checked_size,
    clear_errors,
    declared_separator,
    format_of,
    json_decoder,
    open_arrow,
    open_text,
    read_json,
    separator_of,
)

ROWS = 20_000
# Largest cell, and largest chunk, in characters; a chunk ends early when it is full.
_MOST_CHARACTERS = 2**26
_END = "\0"  # occurs in no text
# Called with the number of an unreadable row, and the reason.
_Skip = Callable[[int, str], None]


def read_chunks(
    path: Path,
    wanted: Collection[str],
    *,
    stdin: BinaryIO | None = None,
    rows: int = ROWS,
    size_limit: float = SIZE_LIMIT,
    skip: _Skip | None = None,
) -> Iterator[pd.DataFrame]:
    """Read a table chunk by chunk, with one chunk in memory at a time.

    Text formats yield strings, with empty cells missing; Parquet and Feather yield values of
    their own types. So no value depends on its chunk. JSON: an array is read at once, and lines
    are read twice, because any line may add a column.

    Parameters
    ----------
    path : Path
        As in :func:`~.reading.read_table`.
    wanted : collection of str
        Columns to read, if the file has them.
    stdin : binary file, default=None
        CSV to read instead of the file; ``path`` is then its name in messages.
    rows : int, default=20,000
        Maximum number of rows per chunk.
    size_limit : float, default=4e9
        Maximum size of a chunk, or of a row of text, in bytes.
    skip : callable, default=None
        Called for each unreadable row, which is left out. None raises ValueError.

    Yields
    ------
    DataFrame
        First an empty one with all columns of the file, then the wanted columns of each
        chunk. The index numbers the rows from 1, without the header.

    Raises
    ------
    ValueError
        As :func:`~.reading.read_table` does.
    """
    extension = ".csv" if stdin is not None else format_of(path)
    skip = skip or _raise_for_row
    with clear_errors(path):
        if extension in (".parquet", ".feather"):
            yield from _arrow_chunks(path, wanted, rows, size_limit)
        elif extension not in (".csv", ".tsv", ".tab"):
            yield from _json_chunks(path, wanted, rows, size_limit, skip)
        else:
            with _Lines(stdin or open_text(path), size_limit) as lines:
                separator = "" if extension == ".csv" else "\t"
                yield from _csv_chunks(lines, separator, wanted, rows, skip)


def _raise_for_row(row: int, reason: str) -> None:
    raise FileProblem(
        f"cannot be read: row {row:,} {reason}. Correct it, or leave such rows out with "
        "--on-error skip."
    )


# ---------------------------------------------------------------------------------- text


class _Lines:
    """Lines of text, with a limit on the characters per row."""

    def __init__(self, file: BinaryIO, limit: float) -> None:
        buffered = io.BufferedReader(file)  # type: ignore[type-var]
        wide = buffered.peek(2)[:2] in (BOM_UTF16_LE, BOM_UTF16_BE)
        encoding = "utf-16" if wide else "utf-8-sig"
        self._text = io.TextIOWrapper(buffered, encoding, newline="")
        self._limit, self._taken = int(limit), 0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        self._text.close()

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(self._limit + 1):
            self._taken += len(line)
            check_size(self._taken, self._limit)
            if "\0" in line:
                raise FileProblem(NOT_TEXT)
            yield line

    def end_row(self) -> int:
        """Return the number of characters in this row, and start a new one."""
        taken, self._taken = self._taken, 0
        return taken


class _Row(NamedTuple):
    number: int
    cells: list[Any]
    characters: int


def _frames(found: Iterable[_Row], names: list[str], rows: int) -> Iterator[pd.DataFrame]:
    kept: list[_Row] = []
    characters = 0
    for row in found:
        kept.append(row)
        characters += row.characters
        if len(kept) == rows or characters > _MOST_CHARACTERS:
            yield _frame(kept, names)
            kept, characters = [], 0
    if kept:
        yield _frame(kept, names)


def _frame(rows: list[_Row], names: list[str]) -> pd.DataFrame:
    numbers, cells = [row.number for row in rows], [row.cells for row in rows]
    return pd.DataFrame(cells, index=numbers, columns=names, dtype=object)


def _csv_chunks(
    lines: _Lines, separator: str, wanted: Collection[str], rows: int, skip: _Skip
) -> Iterator[pd.DataFrame]:
    rest = iter(lines)
    first = next((line for line in rest if line.strip()), None)
    if first is None:
        raise pd.errors.EmptyDataError
    if declared := declared_separator(first.encode()):
        separator, first = declared, next(rest, "")
    separator = separator or separator_of(first.encode())
    csv.field_size_limit(max(csv.field_size_limit(), _MOST_CHARACTERS))
    # If the end mark is parsed as a row of its own, no quotation mark is still open.
    everything = chain([first], rest, [_END])
    reader = csv.reader(everything, delimiter=separator, skipinitialspace=True)
    header = next(reader)
    check_unique(name for name in header if name)
    names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    # A separator at the end of every line makes a column without a name.
    real = [name for name, given in zip(names, header, strict=True) if given or name in wanted]
    yield pd.DataFrame(columns=real, dtype=object)
    chosen = [name for name in names if name in wanted]
    places = [names.index(name) for name in chosen]
    yield from _frames(_csv_rows(lines, reader, len(names), places, skip), chosen, rows)


def _csv_rows(
    lines: _Lines, reader: Iterable[list[str]], width: int, places: list[int], skip: _Skip
) -> Iterator[_Row]:
    number, lacking = 0, [""] * width
    for cells in reader:
        if cells == [_END]:
            return
        characters = lines.end_row()
        if not cells or (width > 1 and cells == [""]):  # a blank line
            continue
        number += 1
        if any(cells[width:]):  # trailing separators are not columns
            skip(number, f"has {len(cells)} fields, but the header has {width}")
            continue
        cells += lacking[len(cells) :]
        yield _Row(number, [cells[place] or None for place in places], characters)
    raise FileProblem("cannot be read: a quotation mark is never closed. Correct it.")


def _json_chunks(
    path: Path, wanted: Collection[str], rows: int, limit: float, skip: _Skip
) -> Iterator[pd.DataFrame]:
    with _Lines(open_text(path), limit) as lines:
        first = next((line.strip() for line in lines if line.strip()), None)
    if first is None:
        raise pd.errors.EmptyDataError
    if first.startswith("["):
        everything = read_json(path, (), limit)
        names = list(everything)
        found = (dict(zip(names, row, strict=True)) for row in everything.to_numpy(object))
        numbered: Iterator[_Cells] = ((k, cells, 0) for k, cells in enumerate(found, 1))
    else:
        keys: dict[str, None] = {}
        for _, cells, _ in _json_lines(path, limit, skip):
            keys |= dict.fromkeys(cells)
        names, numbered = list(keys), _json_lines(path, limit, lambda row, reason: None)
    yield pd.DataFrame(columns=names, dtype=object)
    chosen = [name for name in names if name in wanted]
    found_rows = (
        _Row(number, [_word(cells.get(name)) for name in chosen], characters)
        for number, cells, characters in numbered
    )
    yield from _frames(found_rows, chosen, rows)


# Row number, cells, and size in characters.
_Cells = tuple[int, dict[str, Any], int]


def _json_lines(path: Path, limit: float, skip: _Skip) -> Iterator[_Cells]:
    parse, number = json_decoder().decode, 0
    with _Lines(open_text(path), limit) as lines:
        for line in lines:
            characters = lines.end_row()
            if not line.strip():
                continue
            number += 1
            reason = 'is not an object such as {"size": 1.5}'
            try:
                cells = parse(line.strip())
            except (json.JSONDecodeError, RecursionError):
                cells = None
            except FileProblem as error:  # a duplicate key
                cells, reason = None, str(error).partition(". Give")[0]
            if isinstance(cells, dict):
                yield number, cells, characters
            else:
                skip(number, reason)


def _word(value: Any) -> Any:
    """Return lists and objects as JSON, which is a valid cell of no type but text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


# -------------------------------------------------------------------------- binary formats


def _arrow_chunks(
    path: Path, wanted: Collection[str], rows: int, limit: float
) -> Iterator[pd.DataFrame]:
    schema, sizes, batches = open_arrow(path)
    check_size(max(sizes, default=0), limit)
    yield arrow_frame(schema, []).astype(object)
    done = 0
    for batch in batches:
        check_size(checked_size(batch), limit)
        for start in range(0, batch.num_rows, rows):
            frame = arrow_frame(schema, [batch.slice(start, rows)], done)
            frame.index = pd.RangeIndex(done + 1, done + len(frame) + 1)
            done += len(frame)
            yield frame[[name for name in frame if name in wanted]]
