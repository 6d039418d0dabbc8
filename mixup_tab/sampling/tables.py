"""Tables in and out: what rows and targets may be, and drawn rows in the same container."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse, vstack
from sklearn.utils import _safe_indexing, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import validate_data

_ENCODE = (
    "Encode and impute first, with skrub.TableVectorizer or a ColumnTransformer of "
    "OneHotEncoder and SimpleImputer in front of the sampler: mixing text, dates or missing "
    "values has no meaning."
)
_ONE_KIND = (
    "The labels in y must be of one kind. Turn them all into strings or all into numbers, and "
    "drop rows without a label."
)
_SEVERAL = (
    "Multilabel and multioutput targets are not supported. Give y one label per row, or use "
    "labels='values' to mix its columns as numbers."
)
_NO_LABELS = {
    "unknown": _ONE_KIND,
    "continuous": "y holds fractions. Use labels='values' to mix them as numbers, or put them "
    "into classes.",
}
_HINTS = {
    "X contains NaN": _ENCODE,
    "could not convert": _ENCODE,
    "float() argument must be": _ENCODE,
    "could not be promoted": _ENCODE,
    "boolean value of NA": "Drop rows without a label from X and y.",
    "contains NaN": "Drop rows without a target from X and y.",
}


def check_rows(sampler: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Validate a table, explaining what to do with columns that are not numbers.

    Parameters
    ----------
    sampler : VicinalSampler
        Gets ``n_features_in_`` and ``feature_names_in_``.
    X : array-like or sparse matrix, shape (rows, features)
        Numbers.
    y : array-like, shape (rows,) or (rows, outputs)
        Targets.

    Returns
    -------
    X : ndarray or CSR matrix of float64 or float32
    y : ndarray or CSR matrix

    Raises
    ------
    TypeError
        If columns hold categories or dates.
    ValueError
        For text, missing and infinite values, and shapes that do not fit.
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
    """Columns whose values scikit-learn might silently take for numbers."""
    if hasattr(X, "schema"):  # polars
        return [name for name, kind in X.schema.items() if kind.is_temporal()]
    if not isinstance(X, pd.DataFrame):
        return []
    return [
        name
        for name, kind in zip(X.columns, X.dtypes, strict=True)
        if isinstance(kind, pd.CategoricalDtype) or kind.kind in "mM"
    ]


def check_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Number the classes of labels.

    Parameters
    ----------
    y : ndarray of shape (rows,) or (rows, 1), or one-hot rows of shape (rows, classes)
        Labels of any kind; one-hot rows may be a sparse matrix.

    Returns
    -------
    classes : ndarray of shape (classes,)
        The distinct labels, in order; numbers of columns for one-hot rows.
    codes : ndarray of int64, shape (rows,)
        Position of each label in ``classes``.

    Raises
    ------
    ValueError
        For fractions, several labels per row, and a single class.
    TypeError
        For labels that cannot be compared with each other.
    """
    try:
        kind = type_of_target(y, input_name="y")
    except TypeError as error:  # they are compared with each other, or are bytes
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
    """Return targets of a regression as floats.

    Parameters
    ----------
    y : ndarray of shape (rows,) or (rows, outputs)
        Numbers.

    Returns
    -------
    ndarray of float64 or float32, shape of ``y``

    Raises
    ------
    TypeError
        If they are not numbers.
    """
    if issparse(y) or y.dtype.kind not in "fiu":
        raise TypeError(
            "labels='values' needs numbers in y, dense and without missing ones. Use "
            "labels='unmixed' for classes."
        )
    return y if y.dtype.kind == "f" else y.astype(np.float64)


def mix_rows(table: Any, rows: np.ndarray, weights: np.ndarray) -> Any:
    """Return sums of rows of a table.

    Columns in which all rows of a sum have the same value keep it to the last bit, so that
    mixing puts no noise into them that a tree might split on.

    Parameters
    ----------
    table : ndarray of shape (rows,) or (rows, columns), or CSR matrix
        Numbers.
    rows : ndarray of int64, shape (count, k)
        Positions of the rows that are mixed.
    weights : ndarray of float64, shape (count, k)
        Weights; every row sums to 1.

    Returns
    -------
    ndarray of shape (count,) or (count, columns), or CSR matrix, of the dtype of ``table``

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.sampling.tables import mix_rows
    >>> table = np.array([[0.0, 1.0], [4.0, 1.0]])
    >>> mix_rows(table, np.array([[0, 1]]), np.array([[0.75, 0.25]]))
    array([[1., 1.]])
    """
    own = mixed = table[rows[:, 0]]
    column = (-1,) + (1,) * (table.ndim - 1)
    for other, share in zip(rows.T[1:], weights.T[1:].astype(table.dtype), strict=True):
        step, share = table[other] - own, share.reshape(column)
        mixed = mixed + (step.multiply(share).tocsr() if issparse(step) else step * share)
    return mixed


def stack(parts: list) -> Any:
    """Return arrays or sparse matrices below each other.

    Parameters
    ----------
    parts : list of ndarray or of CSR matrix
        With the same number of columns.

    Returns
    -------
    ndarray or CSR matrix
    """
    return vstack(parts, format="csr") if issparse(parts[0]) else np.concatenate(parts)


def take(original: Any, rows: np.ndarray) -> Any:
    """Return rows of a target in its own container, numbered from 0.

    Parameters
    ----------
    original : array-like
        Target as the user gave it.
    rows : ndarray of int64
        Positions.

    Returns
    -------
    As ``original``
    """
    taken = _safe_indexing(original, rows)
    pandas = isinstance(taken, pd.Series | pd.DataFrame)
    return taken.reset_index(drop=True) if pandas else taken


def like(original: Any, values: Any) -> Any:
    """Return mixed values in the container that a table came in.

    Parameters
    ----------
    original : array-like
        Table or target as the user gave it.
    values : ndarray or CSR matrix
        Mixed values, with as many columns.

    Returns
    -------
    As ``original``
        Columns of floats keep their type, others become float64. Index of a pandas object:
        0, 1, ….
    """
    if isinstance(original, list):
        return values.tolist()
    if isinstance(original, pd.DataFrame):
        return _frame(original, values)
    if isinstance(original, pd.Series):
        return pd.Series(values, name=original.name)
    if hasattr(original, "columns"):  # polars
        floats = {name: kind for name, kind in original.schema.items() if kind.is_float()}
        return type(original)(values, schema=original.columns).cast(floats)
    sparse = issparse(original) and issparse(values)
    return values.asformat(original.format) if sparse else values


def _frame(original: pd.DataFrame, values: Any) -> pd.DataFrame:
    make = pd.DataFrame.sparse.from_spmatrix if issparse(values) else pd.DataFrame
    frame = make(values, columns=original.columns)
    if not frame.columns.is_unique:
        return frame
    floats = original.dtypes[[pd.api.types.is_float_dtype(kind) for kind in original.dtypes]]
    return frame.astype(floats.to_dict())
