"""What a page is made of: text, tables and pictures, ready to be shown."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Best = Mapping[Any, str]

# A vector picture larger than this (many points) is shown as pixels instead.
LARGEST_SVG = 400_000
# The number in "4.5 ± 0.3", "12 %" or "−1.3 (−2.0 to −0.5)", but not in a date.
_LEADING_NUMBER = re.compile(r"([+\-−]?\d[\d,]*\.?\d*(?:[eE][+\-]?\d+)?)\s*(?:$|[±%(\[])")


class Piece:
    """Something that can stand below a heading; ``kind`` says how it is shown."""

    kind: str


class Text(Piece):
    """Paragraphs.

    Parameters
    ----------
    paragraphs : str or sequence of str
        One paragraph or several.
    """

    kind = "text"

    def __init__(self, paragraphs: str | Sequence[str]) -> None:
        self.paragraphs = [paragraphs] if isinstance(paragraphs, str) else list(paragraphs)


class Cell(NamedTuple):
    """A cell of a table: what is shown, and the number it is sorted by, if it is one."""

    text: str
    number: float | None
    best: bool = False


class Table(Piece):
    """A table that sorts.

    Parameters
    ----------
    frame : DataFrame
        Its cells. An index that is named, or not of whole numbers, becomes the first columns.
    caption : str, default=""
        A sentence below the table.
    formats : mapping of str to str or callable, default=None
        How to show the cells of a column: ``"{:.2f}"`` or a function of the cell. Without,
        the largest number of a column is shown with four digits, the others like it.
    best : mapping, default=None
        Where to mark the best cell, "high" or "low": a column name marks the best cell of the
        column, a tuple of column names the best of them in every row. Cells that look the same
        as the best are marked too.

    Raises
    ------
    ValueError
        If ``formats`` or ``best`` name a column that is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab.page import Table
    >>> errors = pd.DataFrame({"ERM": [3.0], "mixup": [2.5]})
    >>> table = Table(errors, best={("ERM", "mixup"): "low"})
    >>> [cell.best for cell in table.rows[0]]
    [False, True]
    """

    kind = "table"

    def __init__(
        self,
        frame: pd.DataFrame,
        caption: str = "",
        formats: Mapping[str, str | Callable] | None = None,
        best: Best | None = None,
    ) -> None:
        frame = _with_index(frame)
        formats, best = formats or {}, best or {}
        _check_columns(frame, formats, best)
        self.caption = caption
        self.columns = [" ".join(map(str, _as_tuple(name))) for name in frame.columns]
        columns = {name: _cells(frame[name], formats.get(name)) for name in frame.columns}
        for key, way in best.items():
            _mark_best(columns, key, way)
        self.numeric = [_is_numeric(cells) for cells in columns.values()]
        self.rows = list(zip(*columns.values(), strict=True))


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    index = frame.index
    if index.nlevels > 1:
        return frame.reset_index()
    if index.name is None and pd.api.types.is_integer_dtype(index):
        return frame
    return frame.rename_axis(index.name if index.name is not None else "name").reset_index()


def _check_columns(frame: pd.DataFrame, formats: Mapping, best: Best) -> None:
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"frame has the column {twice!r} twice. Name each column once.")
    known = list(frame.columns)
    for argument, names in (("formats", formats), ("best", best)):
        for key in names:
            for name in (key,) if key in known else _as_tuple(key):
                if name not in known:
                    raise ValueError(f"{argument} names {name!r}; the columns are {known}.")
    for key, way in best.items():
        if way not in ("high", "low"):
            raise ValueError(f"best[{key!r}] must be 'high' or 'low', got {way!r}.")


def _as_tuple(name: Any) -> tuple:
    return name if isinstance(name, tuple) else (name,)


def _cells(column: pd.Series, form: str | Callable | None) -> list[Cell]:
    form = _usual_form(column) if form is None else form
    cells = [_cell(value, form) for value in column]
    if _is_numeric(cells):
        return cells
    # A column such as "4.5 ± 0.3" sorts by its first numbers.
    found = [_LEADING_NUMBER.match(cell.text) for cell in cells]
    if any(cell.text and not match for match, cell in zip(found, cells, strict=True)):
        return cells
    return [
        Cell(cell.text, float(match[1].replace(",", "").replace("−", "-")) if match else None)
        for match, cell in zip(found, cells, strict=True)
    ]


def _usual_form(column: pd.Series) -> str:
    """Return a format with as many decimals as the largest number needs for four digits."""
    if not pd.api.types.is_float_dtype(column):
        return "{:,}" if pd.api.types.is_integer_dtype(column) else "{}"
    numbers = column.dropna().to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    largest = abs(numbers).max(initial=0.0)
    if not largest or (numbers == np.round(numbers)).all():
        return "{:,.0f}" if largest < 1e15 else "{:.4g}"
    decimals = 3 - math.floor(math.log10(largest))
    return f"{{:,.{max(decimals, 0)}f}}" if decimals <= 6 else "{:.3e}"


def _cell(value: Any, form: str | Callable) -> Cell:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return Cell("", None)
    number = None
    if isinstance(value, Number) and not isinstance(value, (bool, np.bool_, complex)):
        number = float(value)
    return Cell(str(form(value)) if callable(form) else form.format(value), number)


def _is_numeric(cells: list[Cell]) -> bool:
    return any(cell.number is not None for cell in cells)


def _mark_best(columns: dict[Any, list[Cell]], key: Any, way: str) -> None:
    """Mark the best cells of a column, or among columns in every row."""
    names = [key] if key in columns else list(_as_tuple(key))
    places = [[(name, row) for row in range(len(columns[name]))] for name in names]
    groups = places if key in columns else list(zip(*places, strict=True))
    for group in groups:
        numbers = [columns[name][row].number for name, row in group]
        numbers = [number for number in numbers if number is not None]
        if not numbers:
            continue
        best = max(numbers) if way == "high" else min(numbers)
        looks = {
            columns[name][row].text for name, row in group if columns[name][row].number == best
        }
        for name, row in group:
            if columns[name][row].text in looks:
                columns[name][row] = columns[name][row]._replace(best=True)


class Picture(Piece):
    """A figure, drawn when the piece is made.

    Parameters
    ----------
    figure : matplotlib Figure, or a display with ``figure_``
        What to show.
    name : str
        Name of the picture's files, of letters, digits, "-" and "_".
    alt : str
        What the picture shows, for those who cannot see it.
    caption : str, default=""
        A sentence below the picture.

    Raises
    ------
    ValueError
        If the name has other characters or ``alt`` is empty.
    """

    kind = "picture"

    def __init__(self, figure: Any, name: str, alt: str, caption: str = "") -> None:
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            raise ValueError(
                f"name must consist of letters, digits, '-' and '_', got {name!r}."
            )
        if not alt.strip():
            raise ValueError(f"alt must say what the picture {name!r} shows, got {alt!r}.")
        figure = getattr(figure, "figure_", figure)
        self.name, self.alt, self.caption = name, alt, caption
        self.width = round(96 * figure.get_figwidth())
        self.svg, self.png = _draw(figure, name)

    @property
    def source(self) -> str:
        """The picture as an address that holds all of its data."""
        if len(self.svg) <= LARGEST_SVG:
            return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def _draw(figure: Any, name: str) -> tuple[bytes, bytes]:
    """Return a figure as SVG and PNG, the same bytes every time."""
    import matplotlib

    svg, png = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.savefig(png, format="png", dpi=150)
    return svg.getvalue(), png.getvalue()
