"""Check that a loaded estimator matches its net."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.categories import levels_of
from mixup_tab.nets import Columns, Periodic, PiecewiseLinear, RobustScale
from mixup_tab.persistence.net_weights import input_layer, n_columns
from mixup_tab.training import MixupNet


def check_estimator(estimator: Any) -> None:
    """Raise an exception unless an estimator of this package matches its net."""
    if not isinstance(estimator, BaseMixup) or not hasattr(estimator, "net_"):
        return
    estimator._validate_params()
    net, features = estimator.net_, estimator.n_features_in_
    if type(net) is not MixupNet or type(features) is not int:
        raise ValueError(f"n_features_in_ is {features!r:.40}")
    arguments, layer = net.get_params_for("module"), input_layer(net)
    if (estimator.module is None) != (layer is not None):
        raise ValueError("its net does not match its module")
    shape = arguments.get("input_shape") or (arguments.get("in_features", features),)
    if layer is not None:
        shape = (n_columns(layer),)
    if shape[0] != features:
        raise ValueError(f"n_features_in_={features} does not match its weights")
    outputs = _n_classes(estimator) if is_classifier(estimator) else _n_values(estimator)
    if not outputs or outputs != net.n_outputs:
        raise ValueError("its attributes for the target are wrong")
    if layer is not None:
        _check_categories(estimator, layer)


def _check_categories(estimator: BaseMixup, layer: RobustScale | Columns) -> None:
    """Check that columns and levels are valid, and match the net."""
    mask, levels = estimator.is_categorical_, estimator.categories_
    fine = mask is None or (
        mask.dtype == np.bool_
        and mask.shape == (estimator.n_features_in_,)
        and len(levels) == mask.sum()
        and all(part.ndim == 1 and pd.Index(part).is_unique for part in levels)
    )
    if not fine or levels_of(estimator) != getattr(layer, "categories", ()):
        raise ValueError("its attributes for categories, or n_features_in_, are wrong")
    kinds = {Periodic: ("periodic",), PiecewiseLinear: ("quantile", "target")}
    encoding = getattr(layer, "encoding", None)
    without_numbers = len(levels or ()) == estimator.n_features_in_
    known = kinds.get(type(encoding), ("none",))
    if estimator.embedding_ not in known and not (encoding is None and without_numbers):
        raise ValueError(f"embedding_ is {estimator.embedding_!r:.40}")


def _n_classes(estimator: BaseMixup) -> int:
    """Return the number of classes, 0 if they are not valid."""
    classes = estimator.classes_
    fine = classes.ndim == 1 and np.array_equal(classes, np.unique(classes))
    return len(classes) if fine else 0


def _n_values(estimator: BaseMixup) -> int:
    """Return the number of values that a net predicts, 0 if their scaling is not valid."""
    mean, scale, one = estimator.target_mean_, estimator.target_scale_, estimator._one_column
    fine = mean.dtype == scale.dtype == np.float64 and mean.ndim == 1
    fine = fine and mean.shape == scale.shape and np.isfinite([mean, scale]).all()
    fine = fine and (scale > 0).all() and type(one) is bool and (len(mean) == 1 or not one)
    levels = getattr(estimator.net_.criterion_, "quantiles", ())
    if not levels:
        fine = fine and not hasattr(estimator, "quantile_shift_")
    elif fine:
        shift = estimator.quantile_shift_
        fine = shift.dtype == np.float64 and shift.shape == (len(mean), len(levels))
        fine = fine and np.isfinite(shift).all()
    return len(mean) * max(len(levels), 1) if fine else 0
