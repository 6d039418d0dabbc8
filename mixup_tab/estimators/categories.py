"""Columns of categories, and their conversion to codes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab._plain import shown

# As in HistGradientBoosting. Every level is an output of the input layer, so more are slow.
MOST_LEVELS = 255
# Names of categorical dtypes in pandas and polars.
_DTYPES = ("category", "Categorical", "Enum")


def find_categories(X: Any, given: Any, *, module: Any) -> dict[str, Any]:
    """Return ``is_categorical_`` and ``categories_`` for a table; None without categories.

    ``given`` is ``categorical_features``, with the meaning of HistGradientBoostingClassifier.
    """
    if module is not None and not (given is None or isinstance(given, str)):
        raise ValueError(
            f"categorical_features={shown(given)} needs module=None, because other modules "
            "take numbers. Put a OneHotEncoder in front and use categorical_features=None."
        )
    found = _chosen(X, given) if module is None else None
    if found is None or not found.any():
        return {"is_categorical_": None, "categories_": None}
    frame = _frame(X)
    levels = [_levels(frame.iloc[:, position]) for position in np.flatnonzero(found)]
    return {"is_categorical_": found, "categories_": levels}


def _chosen(X: Any, given: Any) -> np.ndarray | None:
    """Return the mask of the columns that ``categorical_features`` chooses."""
    columns = getattr(X, "columns", None)
    if given is None or (isinstance(given, str) and columns is None):
        return None
    if isinstance(given, str):
        return np.array([str(dtype).partition("(")[0] in _DTYPES for dtype in X.dtypes])
    chosen, width = np.asarray(given), np.shape(X)[1] if np.ndim(X) == 2 else 0
    if not chosen.size:
        return None
    message = f"categorical_features={shown(given)} "
    if chosen.dtype.kind == "b":
        if chosen.shape != (width,):
            raise ValueError(
                f"{message}must be a mask with one value for each of the {width} columns of X, "
                f"got {chosen.size} values."
            )
        return chosen
    if chosen.dtype.kind in "UO" and all(isinstance(name, str) for name in chosen.flat):
        names = [] if columns is None else list(columns)
        unknown = [name for name in chosen.tolist() if name not in names]
        if unknown:
            raise ValueError(
                f"{message}contains {unknown[0]!r}, which is not a column of X: {names}. Use "
                "column names of a DataFrame, or indices."
            )
        chosen = np.array([names.index(name) for name in chosen])
    elif chosen.dtype.kind not in "iu":
        raise ValueError(
            f"{message}must be 'from_dtype', None, or an array of booleans, indices or names."
        )
    if chosen.min() < 0 or chosen.max() >= width:
        raise ValueError(f"{message}must hold indices from 0 to {width - 1}.")
    return np.isin(np.arange(width), chosen)


def _levels(column: pd.Series) -> np.ndarray:
    """Return the distinct values in order, without missing values and negative numbers."""
    known = pd.Categorical(column).remove_unused_categories().categories
    with contextlib.suppress(TypeError):  # values of different types have no order
        known = known.sort_values()
    values = known.to_numpy()
    values = values[values >= 0] if values.dtype.kind in "if" else values
    if len(values) > MOST_LEVELS:
        raise ValueError(
            f"The categorical column {column.name!r} has {len(values)} levels, more than "
            f"{MOST_LEVELS}. Put mixup_tab.TableEncoder in front: "
            "make_pipeline(TableEncoder(), ...)."
        )
    return values


def code_categories(
    X: Any, is_categorical: np.ndarray, categories: Sequence[np.ndarray]
) -> pd.DataFrame:
    """Return a table with codes instead of categories, −1 for unknown ones."""
    frame = _frame(X).copy(deep=False)
    for position, levels in zip(np.flatnonzero(is_categorical), categories, strict=True):
        if position < frame.shape[1]:
            codes = pd.Index(levels).get_indexer(frame.iloc[:, position])
            frame.isetitem(position, codes.astype(np.int16))
    return frame


def _frame(X: Any) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        return X
    return X.to_pandas() if hasattr(X, "to_pandas") else pd.DataFrame(X)


def levels_of(estimator: Any) -> tuple[tuple[int, int], ...]:
    """Return pairs of a column of codes and its number of levels."""
    if getattr(estimator, "is_categorical_", None) is None:
        return ()
    columns = np.flatnonzero(estimator.is_categorical_).tolist()
    return tuple(zip(columns, map(len, estimator.categories_), strict=True))
