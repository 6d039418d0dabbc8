"""Typed columns: what each column is for, and which values it holds."""

from __future__ import annotations

import warnings
from shlex import quote
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from mixup_tab._extras import import_extra

# How pandas.api.types.infer_dtype calls objects, and the dtypes of this module.
_OBJECTS = {
    **dict.fromkeys(("string", "empty", "mixed-integer"), "text"),
    **dict.fromkeys(("datetime", "date", "datetime64"), "date"),
    **dict.fromkeys(
        ("boolean", "integer", "floating", "decimal", "mixed-integer-float"), "number"
    ),
}


class Columns(NamedTuple):
    """What the columns of a table are for; all but the named ones are features.

    Attributes
    ----------
    target : str
        The column to predict.
    id : str or None
        Names the rows.
    drop : tuple of str
        Left out.
    groups : str or None
        Rows with the same value stay together in a fold.
    time : str or None
        Orders the rows: training rows come before test rows.
    """

    target: str
    id: str | None = None
    drop: tuple[str, ...] = ()
    groups: str | None = None
    time: str | None = None

    def no_features(self) -> list[str]:
        """Return the columns from which nothing is predicted."""
        named = (self.target, self.id, *self.drop, self.groups, self.time)
        return list(dict.fromkeys(name for name in named if name is not None))


class TypedTable(NamedTuple):
    """Columns of one dtype each.

    Attributes
    ----------
    frame : DataFrame
        Numbers as float64, dates and durations as pandas' own, text as strings.
    dtypes : dict of str to {"number", "date", "duration", "text"}
        By column.
    date_formats : dict of str to str
        Formats of the dates that were written as text, such as ``"%d.%m.%Y"``.
    """

    frame: pd.DataFrame
    dtypes: dict[str, str]
    date_formats: dict[str, str]


def clean(frame: pd.DataFrame) -> TypedTable:
    """Find the dtype of every column and convert its values.

    :class:`skrub.Cleaner` turns words for missing values, such as "?" or "n/a", into missing
    values, and text that holds dates or numbers only into these. Columns of numbers need no
    cleaning, and skip it: it takes 6 ms per column, a minute for 10,000.
    """
    skrub = import_extra("skrub", "cli")
    dtypes = {name: dtype_of(frame[name]) for name in frame}
    columns = {name: as_dtype(frame[name], dtype) for name, dtype in dtypes.items()}
    words = pd.DataFrame({name: columns[name] for name in frame if dtypes[name] == "text"})
    date_formats = {}
    if words.shape[1]:
        cleaner = skrub.Cleaner(drop_null_fraction=None, parse_numbers=True)
        cleaned = cleaner.fit_transform(words)
        for name in words:
            if cleaned[name].isna().all():  # anything could be parsed from nothing
                continue
            dtypes[name] = dtype_of(cleaned[name])
            columns[name] = as_dtype(cleaned[name], dtypes[name])
            if dtypes[name] == "date":
                (date_formats[name],) = (
                    step.format_
                    for step in cleaner.all_processing_steps_[name]
                    if isinstance(step, skrub.ToDatetime)
                )
    return TypedTable(pd.DataFrame(columns, index=frame.index), dtypes, date_formats)


def dtype_of(column: pd.Series) -> str:
    """Return "number", "date", "duration" or "text"; booleans are numbers, categories text.

    Raises
    ------
    ValueError
        If the column holds lists, bytes or anything else that is none of these.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if types.is_timedelta64_dtype(column.dtype):
        return "duration"
    if types.is_bool_dtype(column.dtype) or types.is_numeric_dtype(column.dtype):
        return "number"
    if isinstance(column.dtype, (pd.CategoricalDtype, pd.StringDtype)):
        return "text"
    inside = types.infer_dtype(column, skipna=True)
    if inside == "mixed" and column.dropna().map(types.is_scalar).all():
        return "text"
    if inside not in _OBJECTS:
        raise ValueError(
            f"column {column.name!r} holds {inside} values, which are not numbers, text or "
            f"dates. Leave it out with --drop {quote(str(column.name))}."
        )
    return _OBJECTS[inside]


def as_dtype(column: pd.Series, dtype: str, date_format: str | None = None) -> pd.Series:
    """Convert a column to a dtype, wherever it was read from; infinity becomes missing.

    Parameters
    ----------
    column : Series
        The column.
    dtype : {"number", "date", "duration", "text"}
        What it should hold.
    date_format : str, default=None
        How dates that are text are written; None recognises common formats.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # dates without a common format
            return _converted(column, dtype, date_format)
    except (ValueError, TypeError, UserWarning) as error:
        raise ValueError(
            f"column {column.name!r} should hold values of type {dtype!r}: {error}."
        ) from error


def _converted(column: pd.Series, dtype: str, date_format: str | None) -> pd.Series:
    found = dtype_of(column)
    if dtype == "text":
        if isinstance(column.dtype, pd.StringDtype):
            return column
        text = column.astype(object).map(str, na_action="ignore")
        return text.astype(pd.StringDtype())  # also where every value is missing
    if found == "text":  # words for missing values are cleaned as in training
        cleaner = import_extra("skrub", "cli").Cleaner(
            drop_null_fraction=None, datetime_format=date_format
        )
        words = _converted(column, "text", None)
        column = cleaner.fit_transform(words.to_frame()).iloc[:, 0]
        found = dtype_of(column)
    if found not in (dtype, "text") and not column.isna().all():
        raise ValueError(f"it holds values of type {found!r}")
    if dtype == "date":
        return pd.to_datetime(column, format=date_format)
    return pd.to_timedelta(column) if dtype == "duration" else _numbers(column)


def _numbers(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):  # booleans beside missing values are text
        known = {"True": 1.0, "False": 0.0}
        column = column.astype(object).map(lambda x: known.get(x, x), na_action="ignore")
    values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.where(np.isinf(values), np.nan, values)
    return pd.Series(values, index=column.index, name=column.name)
