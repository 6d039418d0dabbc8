"""What is to be predicted from what: a table with typed columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from shlex import quote

import numpy as np
import pandas as pd

from mixup_tab.compare.columns import Columns, as_dtype, clean
from mixup_tab.compare.validation import (
    check_features,
    check_names,
    check_target,
    group_codes,
    times,
)

KINDS = ("auto", "classification", "regression")
# A target of whole numbers with more different values than this is taken as a quantity.
_MOST_CLASSES = 20


@dataclass(frozen=True)
class Task:
    """A table that is ready for cross-validation.

    Attributes
    ----------
    X : DataFrame
        Features, typed; see :func:`~.columns.clean`.
    y : ndarray of int64 codes or of float64
        Target.
    classes : tuple of str
        Names of the classes, in the order of their codes; empty for regression.
    groups : ndarray of int64 or None
        Group of every row.
    in_order : bool
        Whether the rows are in the order of time.
    columns : Columns
        What the columns of the table were for.
    dtypes, date_formats : dict of str to str
        By feature, as in :class:`~.columns.TypedTable`.
    notes : tuple of str
        What the user should know about how the table was read.
    """

    X: pd.DataFrame
    y: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None
    in_order: bool
    columns: Columns
    dtypes: dict[str, str] = field(default_factory=dict)
    date_formats: dict[str, str] = field(default_factory=dict)
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


def prepare(frame: pd.DataFrame, columns: Columns, kind: str = "auto") -> Task:
    """Clean a table once and check that its target can be predicted.

    Parameters
    ----------
    frame : DataFrame
        The table.
    columns : Columns
        What its columns are for.
    kind : {"auto", "classification", "regression"}, default="auto"
        "auto" takes numbers with a fractional part, or with more than 20 different values,
        as quantities and everything else as classes.

    Raises
    ------
    ValueError
        If columns are missing or the target cannot be predicted sensibly.
    """
    if kind not in KINDS:
        raise ValueError(f"task must be one of {', '.join(KINDS)}, got {kind!r}.")
    frame = frame.rename(columns=str)
    check_names(frame, columns)
    known = frame[columns.target].notna().to_numpy()
    notes = []
    if not known.all():
        notes.append(f"{np.sum(~known):,} rows without a value of {columns.target!r} left out.")
    frame = frame[known].reset_index(drop=True)
    if columns.time is not None:
        order = np.argsort(times(frame[[columns.time]]), kind="stable")
        frame = frame.iloc[order].reset_index(drop=True)
    dtype = check_target(frame[columns.target], kind)
    target = as_dtype(frame[columns.target], dtype)
    is_class = _is_class(target, dtype, kind)
    if kind == "auto" and dtype == "number":  # anything else can only be a class
        other = "regression" if is_class else "classification"
        notes.append(
            f"{columns.target!r} has {target.nunique():,} different values and is taken as "
            f"{'a class' if is_class else 'a quantity'}; --task {other} changes that."
        )
    y, classes = encode(target) if is_class else (target.to_numpy(np.float64), ())
    X, dtypes, date_formats = clean(frame.drop(columns=columns.no_features()))
    check_features(X, y, columns, is_class)
    groups = None if columns.groups is None else group_codes(frame[columns.groups])
    notes += _hints(X)
    in_order = columns.time is not None
    return Task(X, y, classes, groups, in_order, columns, dtypes, date_formats, tuple(notes))


def _is_class(target: pd.Series, dtype: str, kind: str) -> bool:
    if kind != "auto":
        return kind == "classification"
    if dtype == "text":
        return True
    whole = bool((target % 1 == 0).all())
    return whole and target.nunique() <= _MOST_CLASSES


def encode(target: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return codes of classes, and their names: 1.0 is called "1"."""
    codes, labels = pd.factorize(target, sort=True)
    names = (f"{name:.15g}" if isinstance(name, float) else str(name) for name in labels)
    return codes.astype(np.int64), tuple(names)


def _hints(X: pd.DataFrame) -> Iterator[str]:
    """Point at columns that look like row numbers."""
    for name in X:
        text = str(name).lower()
        named = text in ("id", "index") or text.endswith("_id") or text.startswith("unnamed:")
        if named and X[name].is_unique:
            yield (
                f"Column {name!r} has another value in every row and looks like an ID; "
                f"--id {quote(name)} leaves it out."
            )
