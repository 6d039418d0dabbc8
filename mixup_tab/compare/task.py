"""A table as a task: typed features and a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from shlex import quote

import numpy as np
import pandas as pd

from mixup_tab.compare.columns import Columns
from mixup_tab.compare.validation import (
    check_features,
    check_names,
    check_quantity,
    check_target,
    group_codes,
    times,
)
from mixup_tab.tables.columns import MISSING_WORDS, TypedTable, as_written, clean
from mixup_tab.tables.number_formats import MARKS

KINDS = ("auto", "classification", "regression")
_INDEX = "The index {!r} of the table is left out; frame.reset_index() makes it a column."
# A target of whole numbers with more different values than this is numeric.
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Task:
    """A table that is ready for cross-validation.

    Attributes
    ----------
    X : DataFrame
        Features, typed; see :func:`~mixup_tab.tables.columns.clean`.
    y : ndarray of int64 codes or of float64
        Target.
    classes : tuple of str
        Names of the classes as the table writes them, in the order of their codes; empty for
        regression.
    groups : ndarray of int64 or None
        Group of every row.
    in_order : bool
        Whether the rows are sorted by time.
    columns : Columns
        Roles of the columns of the table.
    dtypes, date_formats, number_formats : dict of str to str
        By feature, as in :class:`~mixup_tab.tables.columns.TypedTable`.
    notes : tuple of str
        Remarks on how the table was read.
    """

    X: pd.DataFrame
    y: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None
    in_order: bool
    columns: Columns
    dtypes: dict[str, str] = field(default_factory=dict)
    date_formats: dict[str, str] = field(default_factory=dict)
    number_formats: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return bool(self.classes)

    def take(self, rows: np.ndarray, *notes: str) -> Task:
        """Return the same task with some of the rows."""
        return replace(
            self,
            X=self.X.iloc[rows].reset_index(drop=True),
            y=self.y[rows],
            groups=None if self.groups is None else self.groups[rows],
            notes=(*self.notes, *notes),
        )


def prepare(
    frame: pd.DataFrame, columns: Columns, kind: str = "auto", decimal: str | None = None
) -> Task:
    """Clean a table once and check that its target can be predicted.

    Class labels are kept as written, such as "NA" and "01"; only empty cells are missing. In
    numeric targets, as in features, words such as "NA" are missing values.

    Parameters
    ----------
    frame : DataFrame
        The table.
    columns : Columns
        Roles of its columns.
    kind : {"auto", "classification", "regression"}, default="auto"
        "auto" is regression for numbers with a fractional part or with more than 20 different
        values, else classification.
    decimal : {".", ","}, default=None
        Decimal mark of columns whose values are ambiguous; see
        :func:`~mixup_tab.tables.columns.clean`.

    Raises
    ------
    ValueError
        If columns are missing, or the target cannot be predicted.
    """
    if kind not in KINDS:
        raise ValueError(f"task must be one of {', '.join(KINDS)}, got {kind!r}.")
    if decimal not in (None, *MARKS):
        raise ValueError(f"decimal must be '.' or ',', got {decimal!r}.")
    frame, name = frame.rename(columns=str), columns.target
    check_names(frame, columns)
    notes = [_INDEX.format(index) for index in frame.index.names if index is not None]
    rows = len(frame)
    frame = frame[as_written(frame[name]).notna()]
    if columns.time is not None:
        order = np.argsort(times(frame[[columns.time]], decimal), kind="stable")
        frame = frame.iloc[order]
    others = [other for other in columns.non_features() if other != name]
    table = clean(frame.drop(columns=others), decimal)
    known, y, classes, note = _target(frame[name], table, kind)
    if len(y) < rows:
        notes.append(f"Rows without a value of {name!r} left out: {rows - len(y):,}.")
    X = table.frame.drop(columns=name)[known].reset_index(drop=True)
    check_features(X, y, columns, bool(classes))
    groups = None if columns.groups is None else group_codes(frame.loc[known, columns.groups])
    formats = table.dtypes, table.date_formats, table.number_formats
    dtypes, dates, forms = ({n: f for n, f in each.items() if n != name} for each in formats)
    notes += [*note, *table.notes, *_hints(X, classes)]
    in_order = columns.time is not None
    return Task(X, y, classes, groups, in_order, columns, dtypes, dates, forms, tuple(notes))


def _target(
    column: pd.Series, table: TypedTable, kind: str
) -> tuple[pd.Series, np.ndarray, tuple[str, ...], list[str]]:
    """Return a mask of rows with a target, its codes or numbers, class names, and notes."""
    name, labels, numbers = str(column.name), as_written(column), None
    categories = isinstance(column.dtype, pd.CategoricalDtype) and kind != "regression"
    if table.dtypes[name] == "number" and not categories:
        numbers = table.frame[name]
    is_class = _is_class(labels, numbers, kind)
    known = labels.notna() & (is_class | ~labels.isin(MISSING_WORDS))
    labels, numbers = labels[known], None if numbers is None else numbers[known]
    check_target(labels, numbers, table.dtypes[name], kind)
    if numbers is not None and not is_class:
        check_quantity(numbers)
    y, classes = encode(labels) if is_class else (np.asarray(numbers), ())
    if kind != "auto" or numbers is None:  # only numbers leave a choice
        return known, y, classes, []
    note = (
        f"{name!r} has {labels.nunique():,} different values and is treated as "
        f"{'a class' if is_class else 'a number'}. Change this with --task "
        f"{'regression' if is_class else 'classification'}."
    )
    return known, y, classes, [note]


def _is_class(labels: pd.Series, numbers: pd.Series | None, kind: str) -> bool:
    if kind != "auto":
        return kind == "classification"
    if numbers is None:
        return True
    whole = bool((numbers.dropna() % 1 == 0).all())
    return whole and labels.nunique() <= _MOST_CLASSES


def encode(labels: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class codes and names, in numeric order if all names are numbers."""
    names = sorted(labels.unique())
    numbers = _exact(names)
    if numbers:
        names.sort(key=dict(zip(names, numbers, strict=True)).__getitem__)
    return pd.Categorical(labels, names).codes.astype(np.int64), tuple(names)


def _exact(names: Iterable[str]) -> list[Decimal]:
    """Return all names as numbers, or an empty list if any is not a finite number."""
    try:
        numbers = [Decimal(name) for name in names]
    except InvalidOperation:
        return []
    return numbers if all(number.is_finite() for number in numbers) else []


def _hints(X: pd.DataFrame, classes: tuple[str, ...]) -> Iterator[str]:
    """Warn of classes that are the same number, and of columns that look like IDs."""
    counts = Counter(_exact(classes))
    alike = [name for name in classes if counts and counts[Decimal(name)] > 1]
    if alike:
        yield (
            f"The classes {', '.join(map(repr, alike))} are the same number in different "
            "spellings, and count as different classes. Use one spelling."
        )
    for name in X:
        text = str(name).lower()
        named = text in ("id", "index") or text.endswith("_id")
        named = named or text.startswith(("unnamed:", "__index_level_"))
        if named and X[name].is_unique:
            yield (
                f"Column {name!r} has a different value in every row and looks like an ID. "
                f"Leave it out with --id {quote(name)}."
            )
