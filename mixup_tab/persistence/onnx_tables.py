"""Tables in an ONNX graph: raw inputs, the output of TableEncoder, codes for nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from mixup_tab.persistence.onnx_graph import ML, Graph
from mixup_tab.tables import TableEncoder
from mixup_tab.tables.columns import MISSING_WORDS

# TableEncoder's word for missing values.
_MISSING = "NA"


@dataclass
class Words:
    """A text column, shape (rows, 1), and the level of each word; None: the word itself."""

    name: str
    meaning: Mapping[str, str] | None = None


@dataclass
class Mixed:
    """Parts of a table side by side: numbers with their column count, and words."""

    parts: list[tuple[str, int] | Words]


@dataclass
class Raw:
    """The inputs of the file: one matrix, or one input per column, as a model needs.

    Attributes
    ----------
    width : tuple of int
        Shape of a row.
    names : list of str
        Names of the columns, x0, x1, … where there are none.
    dtype : dtype
        Type of the matrix.
    is_matrix : bool
        Whether the matrix has been used.
    """

    graph: Graph
    width: tuple[int, ...]
    names: list[str]
    dtype: Any = np.float64
    is_matrix: bool = False

    def matrix(self) -> str:
        """Return the input of all columns."""
        self.is_matrix = True
        return self.graph.input("X", self.dtype, self.width)

    def number(self, name: str) -> str:
        """Return the input of a column of numbers."""
        return self.graph.input(name, np.float64, [1])

    def words(self, name: str) -> str:
        """Return the input of a column of text."""
        return self.graph.input(name, object, [1])


# A string names a matrix of float64 in the graph.
Table = Raw | Mixed | str


def numbers_of(graph: Graph, table: Table, reader: Any) -> str:
    """Return a table of numbers as one matrix; ``reader`` cannot take categories."""
    if isinstance(table, Raw):
        return table.matrix()
    return table if isinstance(table, str) else _joined(graph, table, {}, reader)


def coded(graph: Graph, table: Table, model: Any) -> str:
    """Return the input matrix of a model of this package, with codes for categories."""
    if getattr(model, "is_categorical_", None) is None:
        return numbers_of(graph, table, model)
    columns = np.flatnonzero(model.is_categorical_).tolist()
    levels = dict(zip(columns, model.categories_, strict=True))
    if isinstance(table, Raw):
        text = {column for column, each in levels.items() if is_text(each)}
        table = _side_by_side(table, text) if text else table.matrix()
    if isinstance(table, str):
        return _number_codes(graph, table, levels, len(model.is_categorical_))
    return _joined(graph, table, levels, model)


def _side_by_side(table: Raw, text: set[int]) -> Mixed:
    return Mixed(
        [
            Words(table.words(name)) if column in text else (table.number(name), 1)
            for column, name in enumerate(table.names)
        ]
    )


def levels_read(step: Any) -> dict[int, np.ndarray]:
    """Return the levels of columns that a step of scikit-learn treats as categories."""
    if isinstance(step, (OneHotEncoder, OrdinalEncoder)):
        return dict(enumerate(step.categories_))
    if isinstance(step, Pipeline):
        return next((read for _, each in step.steps if (read := levels_read(each))), {})
    found: dict[int, np.ndarray] = {}
    if isinstance(step, ColumnTransformer):
        for name, columns in step._transformer_to_input_indices.items():
            inner = levels_read(step.named_transformers_.get(name))
            found |= {int(columns[k]): levels for k, levels in inner.items()}
    return found


def is_text(levels: np.ndarray) -> bool:
    """Whether the levels of a column are text; raises ValueError if only some are."""
    kinds = {isinstance(level, str) for level in levels.tolist()}
    if len(kinds) > 1:
        raise ValueError(
            f"a category has levels of several types, {levels.tolist()[:5]}. An ONNX file "
            "needs text or numbers: convert them all to text before fit."
        )
    return kinds == {True}


def _joined(graph: Graph, table: Mixed, levels: dict[int, Any], reader: Any) -> str:
    """Return all parts as one matrix; words become their codes."""
    joined: list[str] = []
    column = 0
    rest = dict(levels)
    for part in table.parts:
        if isinstance(part, Words):
            if column not in rest:
                raise ValueError(
                    f"{type(reader).__name__} gets column {column} as text, which an ONNX "
                    "file supports only for categories of a model of mixup_tab. Use "
                    "TableEncoder(categories='one-hot')."
                )
            joined.append(_code(graph, part, rest.pop(column)))
        else:
            joined.append(part[0])
        column += 1 if isinstance(part, Words) else part[1]
    x = _concat(graph, joined)
    return _number_codes(graph, x, rest, column) if rest else x


def _number_codes(graph: Graph, x: str, levels: dict[int, Any], width: int) -> str:
    """Return a matrix with codes in columns whose levels are numbers, −1 for other values."""
    places = [(c, k) for c, each in levels.items() for k in range(len(each))]
    known = np.array([levels[c][k] for c, k in places], np.float64)
    chosen = graph("Gather", x, np.array([c for c, _ in places]), axis=1)
    found = graph.cast(graph("Equal", chosen, known), np.float64)
    # At most one level of a column matches, so the sum is its code.
    sums = np.array([[(k + 1.0) * (c == column) for column in levels] for c, k in places])
    codes = graph("Sub", graph("MatMul", found, sums), np.float64(1))
    others = [column for column in range(width) if column not in levels]
    order = np.argsort([*others, *levels])
    numbers = graph("Gather", x, np.array(others, np.int64), axis=1)
    return graph("Gather", graph("Concat", numbers, codes, axis=1), order, axis=1)


def _code(graph: Graph, words: Words, levels: Sequence[str]) -> str:
    """Return the position of each word's level as float64, −1 for other words."""
    place = {level: float(k) for k, level in enumerate(levels)}
    meaning = words.meaning
    known = (
        place if meaning is None else {w: place[m] for w, m in meaning.items() if m in place}
    )
    return graph.cast(_look_up(graph, words.name, known, -1.0), np.float64)


def _look_up(graph: Graph, words: str, known: Mapping[str, float], other: float) -> str:
    return graph(
        "LabelEncoder",
        words,
        domain=ML,
        keys_strings=list(known),
        values_floats=list(known.values()),
        default_float=other,
    )


def _concat(graph: Graph, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else graph("Concat", *parts, axis=1)


# ------------------------------------------------------------------------- TableEncoder


def encoded(graph: Graph, encoder: TableEncoder, table: Raw) -> Mixed:
    """Return the output of a fitted TableEncoder for raw columns."""
    parts: list[Any] = []
    numbers = _numbers(graph, encoder, table)
    kept, gaps = encoder._kept, encoder._gaps
    if kept:
        x = _concat(graph, [numbers[name] for name in kept])
        if encoder.impute:
            medians = encoder._imputer.statistics_.astype(np.float64)
            x = graph("Where", graph("IsNaN", x), medians, x)
        parts.append((x, len(kept)))
    if gaps and encoder.impute:
        x = graph("IsNaN", _concat(graph, [numbers[name] for name in gaps]))
        parts.append((graph.cast(x, np.float64), len(gaps)))
    for name, (levels, means) in encoder._means.items():
        place = _with_missing({level: float(k) for k, level in enumerate(levels)})
        row = graph.cast(
            _look_up(graph, table.words(name), place, float(len(levels))), np.int64
        )
        row = graph("Squeeze", row, np.array([1]))
        parts.append((graph("Gather", means.astype(np.float64), row), means.shape[1]))
    for name, known_words in encoder.levels_.items():
        words = Words(table.words(name), _with_missing(known_words))
        if encoder.categories == "category":
            parts.append(words)
        else:
            names = list(dict.fromkeys(known_words.values()))
            codes, known = _code(graph, words, names), np.arange(float(len(names)))
            parts.append((graph.cast(graph("Equal", codes, known), np.float64), len(names)))
    return Mixed(parts)


def _with_missing(known: Mapping[str, Any]) -> dict[str, Any]:
    """Add all words for a missing value, if missing values are a level."""
    if _MISSING not in known:
        return dict(known)
    return {**known, **dict.fromkeys(sorted(MISSING_WORDS), known[_MISSING])}


def _numbers(graph: Graph, encoder: TableEncoder, table: Raw) -> dict[str, str]:
    """Return the needed numeric columns, with NaN for infinite values."""
    needed = {*encoder._kept, *encoder._gaps}
    found: dict[str, str] = {}
    for name, kind in encoder.kinds_.items():
        if kind == "text":
            raise ValueError(
                f"column {name!r} is free text, which TableEncoder encodes with "
                "skrub.StringEncoder. ONNX has no such operation: drop the column, or "
                "convert it to numbers before fit."
            )
        if kind == "date":
            parts = {f"{name}_{part}" for part in ("seconds", "month", "weekday", "hour")}
            if parts & needed:
                found |= _date_parts(graph, name, table.number(name))
        elif name in needed:
            x = table.number(name)
            found[name] = graph("Where", graph("IsInf", x), np.float64(np.nan), x)
    return found


def _date_parts(graph: Graph, name: str, seconds: str) -> dict[str, str]:
    """Return TableEncoder's features of dates, from seconds since 1970.

    Computed with whole numbers in float64, which can hold any date. For the month, years begin
    in March, and eras of 400 years have equal length (Hinnant 2021, "chrono-Compatible
    Low-Level Date Algorithms").
    """

    def floor(x: str, divisor: float) -> str:
        return graph("Floor", graph("Div", x, np.float64(divisor)))

    def rest(x: str, divisor: float) -> str:
        return graph("Sub", x, graph("Mul", floor(x, divisor), np.float64(divisor)))

    day = floor(seconds, 86_400)
    in_era = rest(graph("Add", day, np.float64(719_468)), 146_097)
    leaps = graph("Sub", floor(in_era, 1460), floor(in_era, 36_524))
    leaps = graph("Add", leaps, floor(in_era, 146_096))
    year = floor(graph("Sub", in_era, leaps), 365)
    before = graph("Add", graph("Mul", year, np.float64(365)), floor(year, 4))
    in_year = graph("Sub", in_era, graph("Sub", before, floor(year, 100)))
    month = graph("Add", graph("Mul", in_year, np.float64(5)), np.float64(2))
    month = rest(graph("Add", floor(month, 153), np.float64(2)), 12)  # March is 2
    return {
        f"{name}_seconds": seconds,
        f"{name}_month": graph("Add", month, np.float64(1)),
        f"{name}_weekday": rest(graph("Add", day, np.float64(3)), 7),
        f"{name}_hour": floor(rest(seconds, 86_400), 3600),
    }
