"""From stored weights to the net of an estimator, once they are known to fit each other."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.base import is_classifier
from torch import Tensor

from mixup_tab._extras import import_extra
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.categories import MOST_LEVELS, levels_of
from mixup_tab.estimators.data import TrainingData, takes_any_shape
from mixup_tab.estimators.fitting import is_auto, make_net, module_params
from mixup_tab.losses import check_quantiles
from mixup_tab.nets import MLP, Columns, Periodic, PiecewiseLinear, RobustScale
from mixup_tab.nets.columns import EMBEDDINGS

# More nets than anybody trains; making them takes a second.
_MOST_MEMBERS = 10_000


def load_net(estimator: BaseMixup, weights: bytes, dtype: type) -> None:
    """Give an estimator that has been fitted, but lost its net, a net with these weights.

    Parameters
    ----------
    estimator : MixupClassifier or MixupRegressor
        With all attributes of a fitted one but ``net_``.
    weights : bytes
        Of a safetensors file.
    dtype : type
        Of the rows that it was fitted on.

    Raises
    ------
    Exception
        Of any kind, if they do not fit, at once and without taking much memory.
    """
    estimator._validate_params()
    data = _one_row(estimator, dtype)
    stored = import_extra("safetensors.torch", "models").load(weights)
    data.kept_layer = _input_layer(stored, estimator, data)
    _check_tensors(stored, estimator, data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # batch_size is larger than one row
        net = make_net(estimator, data, partial=True)
    net.module_.load_state_dict(stored)
    if not is_auto(estimator.batch_size):
        net.batch_size = estimator.batch_size
    estimator.net_ = net


def _one_row(estimator: BaseMixup, dtype: type) -> TrainingData:
    """Return enough of a table to make the net from, which takes no memory."""
    features = estimator.n_features_in_
    if type(features) is not int or features < 1:
        raise ValueError(f"n_features_in_ is {features!r:.40}")
    outputs = _n_classes(estimator) if is_classifier(estimator) else _n_values(estimator)
    if not outputs:
        raise ValueError("what it knows about the target is wrong")
    X: np.ndarray = np.broadcast_to(np.zeros((), dtype), (1, features))
    y = np.zeros((1, outputs), np.float32)
    return TrainingData(X, y, None, outputs, _categories(estimator))


def _categories(estimator: BaseMixup) -> tuple[tuple[int, int], ...]:
    """Return columns and numbers of levels, once they are as ``fit`` leaves them."""
    if takes_any_shape(estimator.module) or estimator.is_categorical_ is None:
        return ()
    mask, levels = estimator.is_categorical_, estimator.categories_
    fine = mask.dtype == np.bool_ and mask.shape == (estimator.n_features_in_,)
    fine = fine and len(levels) == mask.sum()
    fine = fine and all(
        part.ndim == 1 and len(part) <= MOST_LEVELS and pd.Index(part).is_unique
        for part in levels
    )
    if not fine:
        raise ValueError("what it knows about categories, or n_features_in_, is wrong")
    return levels_of(estimator)


def _input_layer(
    stored: dict[str, Tensor], estimator: BaseMixup, data: TrainingData
) -> Columns | None:
    """Return an input layer for these tensors, None for plain scaling."""
    if takes_any_shape(estimator.module):
        estimator.embedding_ = None
        return None
    if estimator.embedding_ not in EMBEDDINGS:
        raise ValueError(f"embedding_ is {estimator.embedding_!r:.40}")
    if estimator.embedding_ == "none" and not data.categories:
        return None
    features = data.X.shape[1]
    numbers = features - len(data.categories)
    part = "input_layer.encoding."
    found = {
        name.removeprefix(part): tensor
        for name, tensor in stored.items()
        if name.startswith(part)
    }
    encoding: PiecewiseLinear | Periodic | None = None
    if numbers and estimator.embedding_ == "periodic":
        encoding = Periodic(**found)
        fine = encoding.frequency.dim() == 2 and len(encoding.frequency) == numbers
    elif numbers and estimator.embedding_ != "none":
        encoding = PiecewiseLinear(**found)
        column, step = encoding.column, encoding.step
        fine = column.dtype == torch.int64 and column.dim() == 1 and (step > 0).all()
        fine = fine and ((column >= 0) & (column < numbers)).all()
        fine = fine and column.shape == step.shape == encoding.low.shape
        fine = fine and step.dtype == encoding.low.dtype == torch.float64
    else:
        fine = not found
    if not fine:
        raise ValueError("the embedding of its columns is wrong")
    scale = RobustScale(torch.zeros(numbers), torch.ones(numbers))
    return Columns(scale, encoding, n_columns=features, categories=data.categories)


def _n_classes(estimator: BaseMixup) -> int:
    """Return the number of classes, 0 if they are not as ``fit`` leaves them."""
    classes = estimator.classes_
    fine = classes.ndim == 1 and np.array_equal(classes, np.unique(classes))
    return len(classes) if fine else 0


def _n_values(estimator: BaseMixup) -> int:
    """Return the number of values that a net predicts, 0 if what scales them is not right."""
    mean, scale, one = estimator.target_mean_, estimator.target_scale_, estimator._one_column
    fine = mean.dtype == scale.dtype == np.float64 and mean.ndim == 1
    fine = fine and mean.shape == scale.shape and np.isfinite([mean, scale]).all()
    fine = fine and (scale > 0).all() and type(one) is bool and (len(mean) == 1 or not one)
    levels = () if estimator.quantiles is None else check_quantiles(estimator.quantiles)
    if not levels:
        fine = fine and not hasattr(estimator, "quantile_shift_")
    elif fine:
        shift = estimator.quantile_shift_
        fine = shift.dtype == np.float64 and shift.shape == (len(mean), len(levels))
        fine = fine and np.isfinite(shift).all()
    return len(mean) * max(len(levels), 1) if fine else 0


def _check_tensors(stored: dict[str, Tensor], estimator: BaseMixup, data: TrainingData) -> None:
    """Check that weights are finite and have the names, shapes and dtypes that the net has."""
    for name, tensor in stored.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"weights {name!r:.80} hold NaN or infinity")
    values = sum(tensor.numel() for tensor in stored.values())
    if not takes_any_shape(estimator.module) and data.X.size > values:
        raise ValueError(f"n_features_in_={data.X.size} are more than its weights")
    members = int(estimator.n_estimators)
    if members > _MOST_MEMBERS:
        raise ValueError(f"n_estimators={members} are more than {_MOST_MEMBERS:,}")
    params = module_params(estimator, data)
    module = params.pop("module")
    own = {name.removeprefix("module__"): value for name, value in params.items()}
    stacked = module is MLP
    with torch.device("meta"):  # shapes without memory
        net = module(**own, **({"n_members": members} if stacked else {}))
    expected = net.state_dict()
    if members > 1 and not stacked:
        expected = {
            f"members.{k}.{name}": tensor
            for k in range(members)
            for name, tensor in expected.items()
        }
    if stored.keys() != expected.keys():
        raise ValueError("its weights are those of another net")
    for name, tensor in expected.items():
        found = stored[name]
        if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(
                f"weights {name!r} are {tuple(found.shape)} {found.dtype}, and the net that it "
                f"describes has {tuple(tensor.shape)} {tensor.dtype}"
            )
