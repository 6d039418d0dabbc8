"""Validation of tables and targets, mixing of rows, and conversion to the user's container."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse, vstack
from sklearn.utils import _safe_indexing, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

_ENCODE = (
    "Text, dates and missing values cannot be mixed. Encode and impute them first, with "
    "mixup_tab.TableEncoder('one-hot') in front of the sampler."
)
_ONE_KIND = (
    "The labels in y must all be strings or all be numbers. Convert them, and drop rows "
    "without a label."
)
_SEVERAL = (
    "Multilabel and multioutput targets are not supported. Give y one label per row, or use "
    "labels='values' to mix its columns as numbers."
)
_NO_LABELS = {
    "unknown": _ONE_KIND,
    "continuous": "y holds fractions. Use labels='values' to mix them as numbers, or bin them "
    "into classes.",
}
# Part of scikit-learn's message, and the remedy to add.
_HINTS = {
    "X contains NaN": _ENCODE,
    "could not convert": _ENCODE,
    "float() argument must be": _ENCODE,
    "could not be promoted": _ENCODE,
    "boolean value of NA": "Drop rows without a label from X and y.",
    "contains NaN": "Drop rows without a target from X and y.",
}


def check_rows(sampler: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return a table of floats, dense or CSR, and its targets; errors name a remedy.

    Sets ``n_features_in_`` and ``feature_names_in_`` of the sampler.
    """
    bad = _columns_to_encode(X)
    if bad:
        raise TypeError(f"Columns {bad} of X hold categories or dates. {_ENCODE}")
    options = {"multi_output": True, "accept_sparse": "csr", "dtype": [np.float64, np.float32]}
    try:
        return validate_data(sampler, X, y, **options)
    except (ValueError, TypeError) as error:
        hint = next((hint for part, hint in _HINTS.items() if part in str(error)), None)
        if hint is None:
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{error}\n{hint}") from error


def _columns_to_encode(X: Any) -> list:
    """Return names of columns that scikit-learn might silently convert to numbers."""
    if hasattr(X, "schema"):  # polars
        return [name for name, dtype in X.schema.items() if dtype.is_temporal()]
    if not isinstance(X, pd.DataFrame):
        return []
    return [
        name
        for name, dtype in zip(X.columns, X.dtypes, strict=True)
        if isinstance(dtype, pd.CategoricalDtype) or dtype.kind in "mM"
    ]


def check_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes in order, and the position of every label among them.

    ``y`` may also be one-hot rows, dense or sparse; their classes are column numbers.
    """
    try:
        kind = type_of_target(y, input_name="y")
    except TypeError as error:  # labels that cannot be sorted, or bytes
        raise TypeError(f"{error} {_ONE_KIND}") from error
    if kind == "multilabel-indicator" and (np.asarray(y.sum(axis=1)) == 1).all():
        y = np.asarray(y.argmax(axis=1)).ravel()
    elif kind not in ("binary", "multiclass"):
        raise ValueError(f"Unknown label type. {_NO_LABELS.get(kind, _SEVERAL)}")
    classes, codes = np.unique(column_or_1d(y), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y holds only one class, {classes.tolist()[0]!r}; at least 2 classes are needed."
        )
    return classes, codes


def check_values(y: Any) -> np.ndarray:
    """Return the targets of a regression as floats."""
    if issparse(y) or y.dtype.kind not in "fiu":
        raise TypeError(
            "labels='values' needs a dense y of numbers without missing values. Use "
            "labels='unmixed' for classes."
        )
    return y if y.dtype.kind == "f" else y.astype(np.float64)


def mix_rows(table: Any, rows: np.ndarray, weights: np.ndarray) -> Any:
    """Return weighted sums of rows of a table.

    Parameters
    ----------
    table : ndarray of shape (rows,) or (rows, columns), or CSR matrix
        Numbers.
    rows : ndarray of int64, shape (count, k)
        Positions of the rows in each sum.
    weights : ndarray of float64, shape (count, k)
        Weights; every row sums to 1.

    Returns
    -------
    ndarray of shape (count,) or (count, columns), or CSR matrix
        In the dtype of ``table``.
    """
    # Own row + Σ weight · (other − own): a value that all rows share is exact, so that there is
    # no rounding noise for a tree to split on.
    own = mixed = table[rows[:, 0]]
    column = (-1,) + (1,) * (table.ndim - 1)
    for other, share in zip(rows.T[1:], weights.T[1:].astype(table.dtype), strict=True):
        step, share = table[other] - own, share.reshape(column)
        mixed = mixed + (step.multiply(share).tocsr() if issparse(step) else step * share)
    return mixed


def stack(parts: list) -> Any:
    """Stack arrays or sparse matrices vertically."""
    return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)


def take(original: Any, rows: np.ndarray) -> Any:
    """Return rows of a target in its own container; pandas objects get a new index."""
    taken = _safe_indexing(original, rows)
    pandas = isinstance(taken, pd.Series | pd.DataFrame)
    return taken.reset_index(drop=True) if pandas else taken


def like(original: Any, values: Any) -> Any:
    """Return mixed values in the container of the original table or target.

    Columns of floats keep their dtype, all others become float64; pandas objects get a new
    index.
    """
    if isinstance(original, list):
        return values.tolist()
    if isinstance(original, pd.DataFrame):
        return _frame(original, values)
    if isinstance(original, pd.Series):
        return pd.Series(values, name=original.name)
    if hasattr(original, "columns"):  # polars
        floats = {name: dtype for name, dtype in original.schema.items() if dtype.is_float()}
        return type(original)(values, schema=original.columns).cast(floats)
    sparse = issparse(original) and issparse(values)
    return values.asformat(original.format) if sparse else values


def _frame(original: pd.DataFrame, values: Any) -> pd.DataFrame:
    make = pd.DataFrame.sparse.from_spmatrix if issparse(values) else pd.DataFrame
    frame = make(values, columns=original.columns)
    if not frame.columns.is_unique:
        return frame
    floats = original.dtypes[[pd.api.types.is_float_dtype(dtype) for dtype in original.dtypes]]
    return frame.astype(floats.to_dict())
