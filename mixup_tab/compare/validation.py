"""Checks of tables and targets; each raises ValueError."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from shlex import quote

import numpy as np
import pandas as pd

from mixup_tab.compare.columns import Columns
from mixup_tab.tables.columns import MISSING_WORDS, as_written, clean

# Squares of a quantity, and their sum over all rows, are finite up to here.
_LARGEST = 1e140
# Text with a larger share of different values looks like an ID.
_ID_SHARE = 0.9
_ID_NAME = re.compile(r"(.*[_ ])?(id|uuid|guid|index|row[_ ]?(number|no|nr))", re.IGNORECASE)
# Rows searched for columns that leak the target; enough to rule out chance.
_SEARCHED = 20_000


def check_names(frame: pd.DataFrame, columns: Columns) -> None:
    """Check that a table is not empty, and that its columns exist and have one role each."""
    names = list(frame.columns)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(
            f"the table has more than one column called {twice[0]!r}. Give every column "
            "its own name."
        )
    if frame.empty:
        raise ValueError(
            f"the table has {len(frame)} rows and {len(names)} columns: nothing to learn from."
        )
    given = {"target": [columns.target], "drop": columns.drop}
    given |= {role: [getattr(columns, role)] for role in ("id", "groups", "time")}
    for role, wanted in given.items():
        for name in wanted:
            if name is not None and name not in names:
                raise ValueError(f"{role}={name!r} is not a column. {_close(name, names)}")
    if columns.target in (columns.id, *columns.drop, columns.groups, columns.time):
        raise ValueError(
            f"target={columns.target!r} is also given as --id, --drop, --groups or --time. "
            "Use it as --target only."
        )
    if columns.groups is not None and columns.time is not None:
        raise ValueError(
            f"groups={columns.groups!r} and time={columns.time!r} cannot be combined. Use one "
            "of them, and --drop the other if it is not a feature."
        )


def _close(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    close = close or [other for other in names if other.lower() == name.lower()]
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    return f"Columns: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."


def check_target(labels: pd.Series, numbers: pd.Series | None, dtype: str, kind: str) -> None:
    """Check that a target can be predicted.

    Parameters
    ----------
    labels : Series
        Its values as written, without missing ones.
    numbers : Series or None
        Its values as numbers, if they are.
    dtype : str
        Its type; see :class:`~mixup_tab.tables.columns.TypedTable`.
    kind : {"auto", "classification", "regression"}
        Type of the task.

    Raises
    ------
    ValueError
        If it is empty, constant, a date, an ID, or not numeric where it must be.
    """
    name, rows, different = labels.name, len(labels), labels.nunique()
    if not rows:
        raise ValueError(f"target={name!r} is missing in every row. Choose another --target.")
    if dtype not in ("number", "text") and kind != "classification":
        raise ValueError(
            f"target={name!r} holds values of type {dtype!r}. Convert them to numbers, such as "
            "days since a date, or treat them as classes with --task classification."
        )
    if numbers is not None and (numbers.isna() & ~labels.isin(MISSING_WORDS)).any():
        raise ValueError(f"target={name!r} holds infinite values. Remove or fix those rows.")
    if different == 1:
        raise ValueError(
            f"target={name!r} is {labels.iloc[0]!r} in all {rows:,} rows: nothing to predict. "
            "Choose another --target."
        )
    if _is_id(labels, numbers, different):
        raise ValueError(
            f"target={name!r} has {different:,} different values in {rows:,} rows and looks "
            "like an ID. Choose another --target."
        )
    if kind == "regression" and numbers is None:
        raise ValueError(
            f"target={name!r} holds text such as {labels.iloc[0]!r}, but task='regression' "
            "needs numbers. Use --task classification."
        )


def check_quantity(numbers: pd.Series) -> None:
    """Check that the squares of a numeric target are finite and not 0 in float64.

    Raises
    ------
    ValueError
        If its values, or their differences, are too large or too small.
    """
    name, largest = numbers.name, float(numbers.abs().max())
    if largest > _LARGEST:
        raise ValueError(
            f"target={name!r} holds values as large as {largest:.3g}, which are too large to "
            "compute with. Use another unit, or fix those rows."
        )
    spread = float(numbers.max() - numbers.min())
    if spread < 1 / _LARGEST:
        raise ValueError(
            f"target={name!r} has values from {numbers.min():.10g} to {numbers.max():.10g}, "
            "whose differences are too small to compute with. Use another unit, or "
            "subtract a constant."
        )


def _is_id(labels: pd.Series, numbers: pd.Series | None, different: int) -> bool:
    if numbers is None:
        return different > max(_ID_SHARE * len(labels), 10)
    if different < len(labels) or len(labels) < 10:
        return False
    with np.errstate(over="ignore"):
        counts_rows = bool((numbers.sort_values().diff().iloc[1:] == 1).all())
    return counts_rows or _ID_NAME.fullmatch(str(labels.name)) is not None


def times(column: pd.DataFrame, decimal: str | None = None) -> np.ndarray:
    """Return the times in a table of one column, as values that can be sorted."""
    (name,) = column
    typed, dtypes, *_ = clean(column, decimal)
    wrong = typed[name].isna() | (dtypes[name] == "text")
    if wrong.any():
        raise ValueError(
            f"time={name!r} must hold a number or a date in every row, of one format; "
            f"{wrong.sum():,} rows do not, such as {column[name][wrong].iloc[0]!r}. Fix them, "
            "or choose another --time."
        )
    return typed[name].to_numpy()


def group_codes(column: pd.Series) -> np.ndarray:
    """Return the group of every row as a number."""
    column = as_written(column)
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"groups={column.name!r} is missing in {missing:,} rows. Fill it in, or remove "
            "those rows."
        )
    return pd.factorize(column)[0].astype(np.int64)


def check_features(X: pd.DataFrame, y: np.ndarray, columns: Columns, is_class: bool) -> None:
    """Check that a table has features, and that none of them leaks the target."""
    if X.shape[1] == 0:
        raise ValueError(
            f"no column is left to predict {columns.target!r} from. Use a table with "
            "features, or fewer --drop."
        )
    step = -(-len(X) // _SEARCHED)
    X, y = X.iloc[::step], y[::step]
    for name in X:
        if _leaks(X[name], y, is_class):
            raise ValueError(
                f"column {name!r} leaks the target {columns.target!r}: their values match one "
                f"to one. Leave it out with --drop {quote(str(name))}."
            )


def _leaks(column: pd.Series, y: np.ndarray, is_class: bool) -> bool:
    """Whether a feature determines the target and the target the feature."""
    if column.isna().any() or len(y) < 10:
        return False
    codes, values = pd.factorize(column)
    targets, different = pd.factorize(y)
    if len(values) != len(different):
        return False
    pairs = np.unique(codes * len(different) + targets)
    if len(pairs) != len(values):
        return False
    if is_class or len(values) <= len(y) / 2:
        return True
    # With all values different, pairs prove nothing; only a monotonic relation does.
    if column.dtype.kind not in "fiuM":
        return False
    rising = y[np.argsort(column.to_numpy(), kind="stable")]
    return bool(np.all(np.diff(rising) >= 0) or np.all(np.diff(rising) <= 0))
