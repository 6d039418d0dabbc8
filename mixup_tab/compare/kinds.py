"""What kind of values a column holds, so that every file is read the same way."""

from __future__ import annotations

import warnings
from shlex import quote

import numpy as np
import pandas as pd
from pandas.api import types


def kind_of(column: pd.Series) -> str:
    """Say what a column holds: "number", "date", "duration" or "text".

    Truth values count as numbers, categories as text.

    Parameters
    ----------
    column : Series
        The column.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If it holds lists, bytes or other things that are no single value.
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
    if inside in ("string", "empty", "mixed-integer"):
        return "text"
    if inside in ("datetime", "date", "datetime64"):
        return "date"
    if inside in ("boolean", "integer", "floating", "decimal", "mixed-integer-float"):
        return "number"
    raise ValueError(
        f"column {column.name!r} holds values of kind {inside!r}, which are not numbers, "
        f"text or dates. Leave it out with --drop {quote(str(column.name))}."
    )


def as_kind(column: pd.Series, kind: str) -> pd.Series:
    """Bring a column to a kind, so that every file is read the same way.

    Parameters
    ----------
    column : Series
        The column.
    kind : {"number", "date", "duration", "text"}
        What it is to hold. Infinite numbers become missing values.

    Returns
    -------
    Series

    Raises
    ------
    ValueError
        If it holds something else.
    """
    if kind == "text":
        if isinstance(column.dtype, pd.StringDtype):
            return column
        text = column.astype(object).map(str, na_action="ignore")
        return text.astype(pd.StringDtype())  # also where every value is missing
    convert = {"number": _numbers, "date": pd.to_datetime, "duration": pd.to_timedelta}[kind]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # dates without a common format
            return convert(column)
    except (ValueError, TypeError, UserWarning) as error:
        raise ValueError(
            f"column {column.name!r} should hold values of kind {kind!r} but holds others "
            f"({error})."
        ) from error


def _numbers(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        column = column.astype(object)
    if column.dtype == object:  # truth values beside missing ones, decimals, written truth
        known = {True: 1.0, False: 0.0, "True": 1.0, "False": 0.0}
        column = column.map(lambda value: known.get(value, value), na_action="ignore")
    values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.where(np.isinf(values), np.nan, values)
    return pd.Series(values, index=column.index, name=column.name)
