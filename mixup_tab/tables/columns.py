"""Typed columns: the dtype of each column of a raw table, and its conversion."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from reprlib import repr as shortened
from shlex import quote
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from mixup_tab._extras import import_extra
from mixup_tab.tables.number_formats import (
    MARKS,
    AmbiguousNumberError,
    find_format,
    parse,
    resembles,
)

# Words for a missing value in a feature, as in pandas and skrub; so is an empty cell.
MISSING_WORDS = frozenset(
    {"", "?", "...", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NULL", "null"}
    | {"None", "none", "NaN", "nan", "-NaN", "-nan", "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND"}
)
# Names in pandas.api.types.infer_dtype, and the dtypes of this module.
_OBJECTS = {
    **dict.fromkeys(("string", "empty", "mixed-integer"), "text"),
    **dict.fromkeys(("date", "datetime64"), "date"),
    "date with zone": "date with zone",
    **dict.fromkeys(
        ("boolean", "integer", "floating", "decimal", "mixed-integer-float"), "number"
    ),
}
_TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}
_PERHAPS_DATE = re.compile(r"\d\D+\d|\d{6}|[^\W\d_]{3}\W+\d{4}")
# Formats of dates and times that skrub does not find.
_MORE_FORMATS = (
    *("ISO8601", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%b %Y"),
    *("%d %b %Y %H:%M", "%d %b %Y %H:%M:%S", "%b %d, %Y %H:%M", "%b %d, %Y %I:%M %p"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%m/%d/%y %H:%M", "%d/%m/%y %H:%M", "%d.%m.%y %H:%M"),
    *("%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p"),
    *("%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S", "%a, %d %b %Y %H:%M:%S %z"),
    *("%d/%b/%Y:%H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%H:%M:%S", "%H:%M"),
)
_ZONE = r":\d\d.*(?:[zZ]|[+-]\d\d:?(?:\d\d)?)$"


class TypedTable(NamedTuple):
    """Columns of one dtype each.

    Attributes
    ----------
    frame : DataFrame
        Numbers as float64, dates and durations as pandas' own, text as strings.
    dtypes : dict of str to {"number", "date", "date with zone", "duration", "text"}
        By column.
    date_formats : dict of str to str
        Formats of dates written as text, such as ``"%d.%m.%Y"``.
    number_formats : dict of str to str
        Formats of numbers that Python cannot parse, such as ``",%"``; see
        :mod:`~.number_formats`.
    notes : tuple of str
        Notes for the user.
    """

    frame: pd.DataFrame
    dtypes: dict[str, str]
    date_formats: dict[str, str]
    number_formats: dict[str, str]
    notes: tuple[str, ...]


def clean(frame: pd.DataFrame, decimal: str | None = None) -> TypedTable:
    """Find the dtype of every column and convert its values.

    Text that consists only of booleans, numbers, or dates of one format is converted, but not
    the text of pandas' categories. Words such as "NA" or "?" are missing values
    (:data:`MISSING_WORDS`).

    Parameters
    ----------
    frame : DataFrame
        The columns.
    decimal : {".", ","}, default=None
        Decimal mark of columns with ambiguous values, such as "1,234". By default it is that of
        the other text columns; if these have none or both, the column stays text.
    """
    dtypes = {name: dtype_of(frame[name]) for name in frame}
    columns = {name: as_dtype(frame[name], dtype) for name, dtype in dtypes.items()}
    categories = {n for n in frame if isinstance(frame[n].dtype, pd.CategoricalDtype)}
    words = {n: columns[n] for n in frame if dtypes[n] == "text" and n not in categories}
    values = {name: column.dropna().unique().tolist() for name, column in words.items()}
    formats = _number_formats({name: some for name, some in values.items() if some}, decimal)
    parsed = {name: _parse(words[name], values[name], form) for name, form in formats.items()}
    return TypedTable(
        pd.DataFrame(columns | {n: p.column for n, p in parsed.items()}, index=frame.index),
        dtypes | {name: each.dtype for name, each in parsed.items()},
        {name: each.date_format for name, each in parsed.items() if each.date_format},
        {name: p.number_format for name, p in parsed.items() if p.number_format is not None},
        _notes(parsed),
    )


class _Parsed(NamedTuple):
    """A text column after conversion, and its item in a note."""

    column: pd.Series
    dtype: str = "text"
    date_format: str | None = None
    number_format: str | None = None
    kind_of_note: str = ""
    item: str = ""


_NOTES = {
    "numbers": "Read as numbers: {}.",
    "unclear numbers": "Look like numbers but are read as text: {}. Set the decimal mark with "
    "--decimal.",
    "nearly numbers": "Look like numbers but are read as text because of some values: {}. "
    "Write plain numbers, and leave cells without a number empty.",
    "nearly dates": "Look like dates but are read as text, because the dates have no common "
    "format: {}. Write all of them like 2024-01-31.",
    "unclear dates": "Day and month could be swapped: {}. Write dates like 2024-01-31 to be "
    "sure.",
}


def _notes(parsed: dict[str, _Parsed]) -> tuple[str, ...]:
    notes = []
    for kind, text in _NOTES.items():
        items = [f"{n!r} ({p.item})" for n, p in parsed.items() if p.kind_of_note == kind]
        more = [f"and {len(items) - 5} more columns"] if len(items) > 5 else []
        if items:
            notes.append(text.format(", ".join(items[:5] + more)))
    return tuple(notes)


_Format = str | AmbiguousNumberError | None


def _number_formats(values: dict[str, list[str]], decimal: str | None) -> dict[str, _Format]:
    """Find the formats of numbers; unambiguous columns decide the decimal mark of others."""
    formats: dict[str, _Format] = {}
    for name, some in values.items():
        try:
            formats[name] = find_format(some)
        except AmbiguousNumberError as error:
            formats[name] = error
    marks = {form[:1] for form in formats.values() if isinstance(form, str)}.intersection(MARKS)
    if decimal is None and len(marks) == 1:
        decimal = marks.pop()
    if decimal is not None:
        for name, form in formats.items():
            if isinstance(form, AmbiguousNumberError):
                formats[name] = find_format(values[name], decimal)
    return formats


def _parse(words: pd.Series, values: list[str], form: _Format) -> _Parsed:
    """Turn text into numbers or dates if all of it is."""
    if not (isinstance(form, str) and form.startswith(",")):
        try:
            return _Parsed(_numbers(words), "number")
        except ValueError:
            pass
    if isinstance(form, str):
        item = f"{shortened(values[0])} is {parse(values[:1], form)[0]:g}"
        return _Parsed(_numbers(words, form), "number", None, form, "numbers", item)
    if isinstance(form, AmbiguousNumberError):
        return _Parsed(words, kind_of_note="unclear numbers", item=str(form))
    return _parse_dates(words, values) or _Parsed(words, **_resemblance(values))


def _resemblance(values: list[str]) -> dict[str, str]:
    what = resembles(values)
    if what is None:
        return {}
    others = [value for value in values if resembles([value]) is None] or values[:2]
    return {"kind_of_note": f"nearly {what}", "item": ", ".join(map(shortened, others[:2]))}


def _parse_dates(words: pd.Series, values: list[str]) -> _Parsed | None:
    if not _PERHAPS_DATE.search(values[0]):  # skrub is slow to import and to try formats
        return None
    found = _date_format(words)
    if found is None:
        return None
    form, dtype = found
    column = as_dtype(words, dtype, form)
    read = _Parsed(column, dtype, form)
    if not re.match("%[dm].%[dm]", form):
        return read
    swapped = form.translate(str.maketrans("dm", "md"))
    try:
        other = as_dtype(words, dtype, swapped)
    except ValueError:
        return read
    if other.equals(column):
        return read
    if form.startswith("%m."):  # in dates with points, the day comes first
        read = read._replace(column=other, date_format=swapped)
    item = f"{words.dropna().iloc[0]!r} is {read.column.dropna().iloc[0]:%d %B %Y}"
    return read._replace(kind_of_note="unclear dates", item=item)


def _date_format(words: pd.Series) -> tuple[str, str] | None:
    """Return the format in which all values are dates, and the dtype of these."""
    parser = import_extra("skrub", "tables").ToDatetime()
    try:
        found = parser.fit_transform(words)
        return parser.format_, dtype_of(found)
    except ValueError:  # skrub raises it if these are not dates
        pass
    for form in _MORE_FORMATS:
        zone = "date with zone" if "%z" in form else "date"
        with suppress(ValueError):
            as_dtype(words.dropna().head(1), zone, form)
            as_dtype(words, zone, form)
            return form, zone
    return None


def dtype_of(column: pd.Series) -> str:
    """Return the dtype of a column's values; booleans are numbers, categories text.

    Returns
    -------
    {"number", "date", "date with zone", "duration", "text"}

    Raises
    ------
    ValueError
        If the column holds lists, bytes or anything else that is none of these.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        return "date" if column.dt.tz is None else "date with zone"
    if types.is_timedelta64_dtype(column.dtype):
        return "duration"
    if types.is_bool_dtype(column.dtype) or types.is_any_real_numeric_dtype(column.dtype):
        return "number"
    if isinstance(column.dtype, (pd.CategoricalDtype, pd.StringDtype)):
        return "text"
    inside = types.infer_dtype(column, skipna=True)
    if inside == "mixed" and column.dropna().map(types.is_scalar).all():
        return "text"
    if inside == "datetime":
        zoned = column.dropna().map(lambda value: value.tzinfo is not None).unique()
        names = {(True,): "date with zone", (False,): "date"}
        inside = names.get(tuple(zoned), "dates with and without a zone, or other")
    if inside not in _OBJECTS:
        raise ValueError(
            f"column {column.name!r} holds {inside} values, which are not numbers, text or "
            f"dates. Drop it (--drop {quote(str(column.name))} on the command line)."
        )
    return _OBJECTS[inside]


def as_dtype(
    column: pd.Series,
    dtype: str,
    date_format: str | None = None,
    number_format: str | None = None,
) -> pd.Series:
    """Convert a column to a dtype; infinity becomes missing.

    Parameters
    ----------
    column : Series
        The column.
    dtype : {"number", "date", "date with zone", "duration", "text"}
        The dtype. Dates with a zone become dates in UTC.
    date_format : str, default=None
        Format of dates written as text; None is ISO 8601.
    number_format : str, default=None
        Format of numbers written as text; None is plain numbers.

    Raises
    ------
    ValueError
        If the values cannot be converted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # dates without a common format
            return _converted(column, dtype, date_format, number_format)
    except (ValueError, TypeError, UserWarning) as error:
        reason = (
            str(error).partition("\n")[0].rstrip(".")
        )  # the rest of pandas' message is long
        raise ValueError(
            f"column {column.name!r} should hold values of type {dtype!r}: {reason}. Correct "
            "these values, or leave them empty."
        ) from error


def _converted(
    column: pd.Series, dtype: str, date_format: str | None, number_format: str | None
) -> pd.Series:
    found = dtype_of(column)
    if "text" in (found, dtype):
        column = as_written(column)
        column = column.mask(column.isin(MISSING_WORDS))
    if dtype == "text":
        return column
    if found not in (dtype, "text") and not column.isna().all():
        raise ValueError(f"it holds values of type {found!r}")
    if dtype == "duration":
        return pd.to_timedelta(column)
    if dtype == "number":
        if found == "number" and (number_format or "").endswith("%"):
            raise ValueError(
                "it held percentages in training, but these numbers have no % sign"
            )
        return _numbers(column, number_format)
    return _dates(column, date_format, zone=dtype == "date with zone")


def as_written(column: pd.Series) -> pd.Series:
    """Return values as stripped strings; empty strings are missing."""
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.astype(object).map(str, na_action="ignore")
    column = column.astype(pd.StringDtype()).str.strip()
    return column.mask(column == "")


def _dates(column: pd.Series, date_format: str | None, zone: bool) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):
        if zone and date_format is None and not column.dropna().str.contains(_ZONE).all():
            raise ValueError("it holds dates without a zone")
        column = pd.to_datetime(column, format=date_format or "ISO8601", utc=zone)
    column = pd.to_datetime(column, utc=zone)
    if zone:
        return column.dt.tz_localize(None)
    if column.dt.tz is not None:
        raise ValueError("it holds dates with a zone")
    return column


def _numbers(column: pd.Series, number_format: str | None = None) -> pd.Series:
    if isinstance(column.dtype, pd.StringDtype):
        known = _TRUTH
        if number_format is not None:
            values = column.dropna().unique().tolist()
            known = dict(zip(values, parse(values, number_format), strict=True))
        column = column.astype(object).map(lambda x: known.get(x, x), na_action="ignore")
    values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.where(np.isinf(values), np.nan, values)
    return pd.Series(values, index=column.index, name=column.name)
