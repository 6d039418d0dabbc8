"""Checks of arguments and data, with messages that name argument, value and remedy."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data
from skorch.callbacks import Callback
from torch import Tensor, nn

from mixup_tab.mixing import as_rule
from mixup_tab.mixing.draw import check_alpha
from mixup_tab.nets import PreparedNet, RobustScale
from mixup_tab.training.state import check_mixing_span
from mixup_tab.training.table import as_tensor


def is_auto(value: Any) -> bool:
    """Whether the value of a parameter is "auto"."""
    return isinstance(value, str) and value == "auto"


def _number(
    kind: type,
    low: float,
    high: float,
    hint: str,
    *,
    open_low: bool = False,
    auto: bool = False,
) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if auto and is_auto(value):
            return
        if not isinstance(value, kind) or isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be {hint}, got {value!r}.")
        inside = low < value if open_low else low <= value
        if not (inside and value < high):
            raise ValueError(f"{name} must be {hint}, got {value!r}.")

    return check


def _boolean(name: str, value: Any) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")


def _layers(name: str, value: Any) -> None:
    sizes = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if isinstance(value, np.ndarray):
        sizes = value.tolist()
    if not all(isinstance(s, numbers.Integral) and not isinstance(s, bool) for s in sizes):
        raise TypeError(
            f"{name} must be a sequence of integers such as (128, 128), got {value!r}."
        )
    if any(size < 1 for size in sizes):
        raise ValueError(f"Every entry of {name} must be at least 1, got {value!r}.")


def _alpha(name: str, value: Any) -> None:
    if isinstance(value, str):
        if value != "auto":
            raise TypeError(
                "alpha must be 'auto' or a number of at least 0 (0 turns mixing off), got "
                f"{value!r}."
            )
        return
    check_alpha(value)


def _module(name: str, value: Any) -> None:
    if value is None or (callable(value) and not isinstance(value, nn.Module)):
        return
    raise TypeError(
        f"{name} must be None, an nn.Module class or a function that returns a new "
        f"nn.Module, got {value!r}. An instance would carry its weights from fit to fit: "
        "pass its class, or functools.partial(Class, ...) to fix arguments."
    )


def _callbacks(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, Sequence) and not isinstance(value, str):
        instances = [part[-1] if isinstance(part, tuple) else part for part in value]
        if all(isinstance(instance, Callback) for instance in instances):
            return
    raise TypeError(
        f"{name} must be None or a list of skorch callbacks (instances, or pairs of a name and "
        f"an instance), got {value!r}."
    )


def _random_state(name: str, value: Any) -> None:
    if isinstance(value, numbers.Integral):
        fine = value >= 0
    else:
        fine = value is None or value is np.random or isinstance(value, np.random.RandomState)
    if not fine:
        raise ValueError(
            f"{name} must be None, an integer of at least 0 or a numpy RandomState, got "
            f"{value!r}."
        )


def _verbose(name: str, value: Any) -> None:
    if not isinstance(value, (numbers.Integral, np.bool_)):
        raise TypeError(f"{name} must be True, False or a whole number, got {value!r}.")


@dataclass
class TrainingData:
    """Validated training data.

    Attributes
    ----------
    X : ndarray of float32, shape (rows, *features)
    y : ndarray, shape (rows,) of int64 codes or (rows, outputs) of float32
    weight : ndarray of float32, shape (rows,), mean 1, or None
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None

    def __post_init__(self) -> None:
        self._input_layers: dict[Callable, nn.Module] = {}

    def input_layer(self, fit: Callable[[Tensor], nn.Module]) -> nn.Module:
        """Return the input layer that a function fits to the rows, fitted once."""
        if fit not in self._input_layers:
            self._input_layers[fit] = fit(as_tensor(self.X))
        return self._input_layers[fit]


def input_layer_fitter(module: Any) -> Callable[[Tensor], nn.Module] | None:
    """Return the function that fits a net's input layer to training rows.

    Parameters
    ----------
    module : class, callable or None
        The estimator's ``module``; None is :class:`~mixup_tab.MLP` on scaled columns.

    Returns
    -------
    callable or None
        None for nets that take inputs as they are.
    """
    if module is None:
        return RobustScale.fit
    return getattr(getattr(module, "func", module), "fit_input_layer", None)


def takes_any_shape(module: Any) -> bool:
    """Whether one input of a net may be more than a row of a table."""
    return input_layer_fitter(module) is None


def input_types(module: Any, *types: type) -> list[type]:
    """Return the dtypes in which a net takes its inputs.

    Parameters
    ----------
    module : class, callable or None
        The estimator's ``module``.
    *types : type
        What every net takes.

    Returns
    -------
    list of type
        A :class:`~mixup_tab.nets.PreparedNet` takes 16-bit integers as well.
    """
    kind = getattr(module, "func", module)
    raw = isinstance(kind, type) and issubclass(kind, PreparedNet)
    return [*types, np.int16] if raw else list(types)


_INF = float("inf")
_WHOLE = numbers.Integral
_REAL = numbers.Real

_RULES: dict[str, Callable[[str, Any], Any]] = {
    "alpha": _alpha,
    "mixing": lambda name, value: is_auto(value) or as_rule(value),
    "hidden_layer_sizes": _layers,
    "module": _module,
    "n_estimators": _number(
        _WHOLE, 1, _INF, "'auto' or a whole number of at least 1", auto=True
    ),
    "learning_rate_init": _number(_REAL, 0, _INF, "a positive number", open_low=True),
    "weight_decay": _number(_REAL, 0, _INF, "a number of at least 0"),
    "dropout": _number(_REAL, 0, 1, "a number in [0, 1)"),
    "batch_size": _number(_WHOLE, 1, _INF, "'auto' or a whole number of at least 1", auto=True),
    "max_epochs": _number(_WHOLE, 1, _INF, "'auto' or a whole number of at least 1", auto=True),
    "mixing_span": lambda name, value: check_mixing_span(value),
    "early_stopping": _boolean,
    "validation_fraction": _number(_REAL, 0, 1, "a number between 0 and 1", open_low=True),
    "n_iter_no_change": _number(_WHOLE, 1, _INF, "a whole number of at least 1"),
    "warm_start": _boolean,
    "callbacks": _callbacks,
    "random_state": _random_state,
    "verbose": _verbose,
}


def check_params(estimator: Any) -> None:
    """Check every parameter of an estimator that can be checked without data.

    Parameters
    ----------
    estimator : MixupClassifier or MixupRegressor
        What is about to be fitted.

    Raises
    ------
    TypeError, ValueError
        That name the parameter, its value and what would be right.
    """
    for name, check in _RULES.items():
        check(name, getattr(estimator, name))


_TABLE_HINT = (
    "Put skrub.tabular_pipeline(estimator), or a ColumnTransformer with imputation and "
    "encoding, in front: mixing rows with missing or textual values has no meaning."
)


_HINTS = {
    "Input X contains NaN": _TABLE_HINT,
    "could not convert": _TABLE_HINT,
    "could not be promoted": _TABLE_HINT,
    "float() argument must be": _TABLE_HINT,
    "Found array with dim": "Inputs with more than two axes need a net that takes them: give "
    "its class as module.",
}


def check_X(estimator: Any, X: Any, **options: Any) -> Any:
    """Validate inputs and perhaps targets, explaining how to handle raw tables.

    Parameters
    ----------
    estimator : MixupClassifier or MixupRegressor
        Gets ``n_features_in_`` and ``feature_names_in_``, or is held against them.
    X : array-like
        Inputs.
    **options
        Passed to scikit-learn's ``validate_data``: ``reset``, ``y``, ``dtype`` and so on.

    Returns
    -------
    ndarray, or a tuple of it and the targets
    """
    if _needs_no_check(estimator, X, options):
        return X
    if hasattr(X, "tocsr"):
        raise TypeError(
            "Sparse input is not supported, because mixed rows are dense. Use X.toarray(), "
            "or sklearn.decomposition.TruncatedSVD as a first step of a pipeline."
        )
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
            return validate_data(
                estimator, X, allow_nd=takes_any_shape(estimator.module), **options
            )
    except (ValueError, TypeError) as error:
        hint = next((hint for part, hint in _HINTS.items() if part in str(error)), None)
        if hint is None:
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{error}\n{hint}") from error


def _needs_no_check(estimator: Any, X: Any, options: dict[str, Any]) -> bool:
    """Whether a few rows to predict are plainly fine.

    For a single row scikit-learn's validation takes longer than the prediction.
    """
    return (
        type(X) is np.ndarray
        and options.get("reset") is False
        and "y" not in options
        and X.ndim == 2
        and 0 < X.size < 10_000
        and X.dtype in (np.float32, np.float64)
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
        and bool(np.isfinite(X).all())
    )


def check_weight(sample_weight: Any, X: np.ndarray) -> np.ndarray:
    """Return the weights as an array, refusing negative ones and all zeros.

    Parameters
    ----------
    sample_weight : array-like of shape (rows,), a number, or None
        Weights; None means 1.
    X : ndarray
        The rows they belong to.

    Returns
    -------
    ndarray of float64, shape (rows,)
    """
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative, got {weight.min()!r} in row "
            f"{int(weight.argmin())}. Remove the row or give it weight 0."
        )
    if not weight.any():
        raise ValueError(
            "sample_weight is zero for every row: at least two rows need a positive weight."
        )
    return weight


def keep_weighted(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> TrainingData:
    """Drop rows of weight zero and bring the weights to mean 1.

    Parameters
    ----------
    X, y, weight : ndarray
        Validated inputs, targets and weights.

    Returns
    -------
    TrainingData
        Without weights if all are the same.
    """
    keep = weight > 0
    if not keep.any():
        raise ValueError("No row is left with a positive weight; check class_weight.")
    if not keep.all():
        X, y, weight = X[keep], y[keep], weight[keep]
    if len(X) < 2:
        raise ValueError(
            "Found 1 sample (n_samples=1) with a positive weight; at least 2 are needed "
            "to mix them."
        )
    if (weight == weight[0]).all():
        return TrainingData(X, y, None)
    return TrainingData(X, y, (weight / weight.mean()).astype(np.float32))
