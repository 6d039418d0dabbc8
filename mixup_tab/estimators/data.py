"""Training data and its validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, validate_data
from skorch.dataset import Dataset

from mixup_tab.estimators.categories import code_categories, find_categories, levels_of
from mixup_tab.nets import Columns, PreparedNet, RobustScale
from mixup_tab.nets.columns import thinned
from mixup_tab.training import MixupNet
from mixup_tab.training.table import as_tensor


@dataclass
class TrainingData:
    """Validated training data.

    Attributes
    ----------
    X : ndarray, shape (rows, *features)
        Numbers of any dtype if the net has an input layer, else float32 or int16.
    y : ndarray, shape (rows,) of int64 codes or (rows, outputs) of float32
    weight : ndarray of float32, shape (rows,), mean 1, or None
    n_outputs : int
        Width of a net's last layer: the number of classes or of values.
    categories : tuple of (int, int)
        Pairs of a column of codes and its number of levels.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    n_outputs: int
    categories: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        self._input_layers: dict[Any, RobustScale | Columns] = {}
        self.kept_layer: RobustScale | Columns | None = None

    def dataset(self) -> Dataset:
        """Return the rows as skorch's dataset, with their weights."""
        rows = Dataset(self.X, self.y)
        rows.weight = self.weight
        return rows

    def input_layer(
        self, embedding: str, seed: int = 0, rows: np.ndarray | None = None
    ) -> RobustScale | Columns:
        """Return the input layer of an MLP, fitted once to all rows or some of them.

        Plain scaling is always fitted to all rows.
        """
        if self.kept_layer is not None:
            return self.kept_layer
        if embedding == "none" and not self.categories:
            key: Any = embedding
        else:
            split = None if rows is None else (seed, len(rows))
            key = embedding, seed * (embedding == "periodic"), split
        if key not in self._input_layers:
            self._input_layers[key] = self._fit_layer(embedding, seed, rows)
        return self._input_layers[key]

    def _fit_layer(
        self, embedding: str, seed: int, rows: np.ndarray | None
    ) -> RobustScale | Columns:
        if embedding == "none" and not self.categories:
            return RobustScale.fit(as_tensor(self.X))
        X, y, weight = self.X, self.y, self.weight
        if rows is not None:
            rows = thinned(rows, 65_536)  # as Columns.fit would do
            X, y, weight = X[rows], y[rows], None if weight is None else weight[rows]
        options: dict[str, Any] = {"embedding": embedding, "seed": seed}
        return Columns.fit(as_tensor(X), y, weight, categories=self.categories, **options)


def follow_rows(module: Any, data: TrainingData, *, first: bool) -> None:
    """Update the scaling of a net with the next rows of a stream."""
    layer = getattr(module, "input_layer", None)
    if isinstance(layer, Columns) and first and len(data.X) < _LEAST_ROWS:
        what = "categories" if data.categories else "embedding"
        other = "" if data.categories else ", or use embedding='none'"
        raise ValueError(
            f"partial_fit fits the {what} to its first batch, which has only {len(data.X)} "
            f"rows (n_samples={len(data.X)}). Start with at least {_LEAST_ROWS} rows{other}."
        )
    if isinstance(layer, (RobustScale, Columns)):
        rows = as_tensor(data.X).to(next(layer.buffers()).device)
        layer.follow(rows, first=first)


# Rows needed to estimate bins and the frequencies of levels.
_LEAST_ROWS = 256


def takes_any_shape(module: Any) -> bool:
    """Whether an input of a net may have more axes than a row of a table.

    ``module=None`` is an MLP behind an input layer; other nets take inputs unchanged.
    """
    return module is not None


# Dtypes that an input layer accepts; others are converted to the first.
_NUMBERS: list[Any] = [
    *(np.float64, np.float32, np.float16, np.bool_),
    *(np.int64, np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16, np.uint8),
]


def input_types(module: Any, net: MixupNet | None = None) -> list[Any]:
    """Return the dtypes of inputs that a net accepts: in training, or for ``net`` to predict.

    An input layer takes any numbers, and a PreparedNet 16-bit integers. Other nets are trained
    in single precision, and predict in double precision if they can.
    """
    if not takes_any_shape(module):
        return _NUMBERS
    double = [np.float64] if net is not None and net.predicts_in_double() else []
    return [*double, np.float32, *([np.int16] if scales_integers(module) else [])]


def scales_integers(module: Any) -> bool:
    """Whether a net takes 16-bit integers and scales them itself."""
    kind = getattr(module, "func", module)
    return isinstance(kind, type) and issubclass(kind, PreparedNet)


_TABLE_HINT = (
    "Rows with text or missing values cannot be mixed. Put a TableEncoder in front: "
    "make_pipeline(mixup_tab.TableEncoder(), estimator)."
)


_HINTS = {
    "Input X contains NaN": _TABLE_HINT,
    "could not convert": _TABLE_HINT,
    "could not be promoted": _TABLE_HINT,
    "float() argument must be": _TABLE_HINT,
    "too large for dtype('float32')": "Replace infinite values. Your module computes in single "
    "precision, up to 3.4e38: put a StandardScaler in front of larger numbers.",
    "Found array with dim": "Inputs with more than two axes need a net that accepts them: pass "
    "its class as module.",
}


# Up to this many values, checking all of them costs almost nothing.
_FEW_VALUES = 10_000


def check_X(estimator: Any, X: Any, **options: Any) -> Any:
    """Validate inputs and targets; errors say how to handle raw tables."""
    if (few := _few_plain_rows(estimator, X, options)) is not None:
        return few
    if hasattr(X, "tocsr"):
        raise TypeError(
            "Sparse input is not supported, because mixed rows are dense. Use X.toarray(), or "
            "put sklearn.decomposition.TruncatedSVD in front."
        )
    try:
        with np.errstate(
            over="ignore"
        ):  # values beyond float32 become infinite, which is an error
            return validate_data(
                estimator,
                _with_all_digits(_coded(estimator, X, reset=options.get("reset", True))),
                allow_nd=takes_any_shape(estimator.module),
                **options,
            )
    except (ValueError, TypeError) as error:
        hint = next((hint for part, hint in _HINTS.items() if part in str(error)), None)
        if hint is None:
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{error}\n{hint}") from error


def _coded(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return a table with codes instead of categories; with ``reset``, find these first."""
    given = getattr(estimator, "categorical_features", "from_dtype")
    if reset:
        vars(estimator).update(find_categories(X, given, module=estimator.module))
    known = getattr(estimator, "is_categorical_", None)
    return X if known is None else code_categories(X, known, estimator.categories_)


def _with_all_digits(X: Any) -> Any:
    """Convert lists and pandas' nullable integers so that scikit-learn keeps integers."""
    if isinstance(X, (list, tuple)):
        return np.asarray(X)
    if not isinstance(X, pd.DataFrame) or X.empty:
        return X
    plain = [getattr(dtype, "numpy_dtype", dtype) for dtype in X.dtypes]
    whole = all(dtype.kind in "iu" for dtype in X.dtypes)
    if plain == X.dtypes.tolist() or not whole or X.isna().any(axis=None):
        return X
    return X.astype(np.result_type(*plain))


def _few_plain_rows(estimator: Any, X: Any, options: dict[str, Any]) -> np.ndarray | None:
    """Return a few rows to predict as an array, if they need no other checks.

    For a single row scikit-learn's validation takes longer than the prediction.
    """
    if options.get("reset") is not False or "y" in options:
        return None
    if getattr(estimator, "is_categorical_", None) is not None:
        return None
    names = getattr(estimator, "feature_names_in_", None)
    if type(X) is pd.DataFrame and names is not None and X.size < _FEW_VALUES:
        same = X.columns.tolist() == names.tolist()
        plain = same and all(isinstance(dtype, np.dtype) for dtype in X.dtypes)
        X, names = (X.to_numpy(), None) if plain else (X, names)
    fine = (
        type(X) is np.ndarray
        and names is None
        and X.ndim == 2
        and 0 < X.size < _FEW_VALUES
        and X.dtype in options["dtype"]
        and X.shape[1] == estimator.n_features_in_
        and bool(np.isfinite(X).all())
    )
    return X if fine else None


def check_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Return the weights of rows as float64; None means 1, and all zeros are an error."""
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weight.any():
        raise ValueError(
            "sample_weight is zero for every row. At least two rows need a positive weight."
        )
    return weight / weight.max()  # sums stay finite


def make_training_data(
    estimator: Any,
    X: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    n_outputs: int,
    least: int = 2,
) -> TrainingData:
    """Drop rows of weight zero and bring the weights to mean 1; equal weights are None.

    A batch of ``partial_fit`` may be a single row (``least=1``), which is mixed with itself.
    """
    keep = weight > 0
    if not keep.any():
        raise ValueError("All rows have weight zero. Check class_weight and sample_weight.")
    if not keep.all():
        X, y, weight = X[keep], y[keep], weight[keep]
    if len(X) < least:
        raise ValueError(
            "Found 1 sample (n_samples=1) with a positive weight; at least 2 are needed "
            "to mix them."
        )
    equal = (weight == weight[0]).all()
    mean_one = None if equal else (weight / weight.mean()).astype(np.float32)
    return TrainingData(X, y, mean_one, n_outputs, levels_of(estimator))
