"""What models compute from their inputs to probabilities or values, in an ONNX graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from mixup_tab._extras import import_extra
from mixup_tab.estimators import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    RescaledClassifier,
    RescaledRegressor,
)
from mixup_tab.nets import MLP, Columns, Periodic, RobustScale
from mixup_tab.nets.stacked import as_stack
from mixup_tab.persistence.onnx_graph import ML, ML_OPSET, OPSET, Graph, quiet
from mixup_tab.persistence.onnx_tables import Raw, Table, coded, encoded, numbers_of
from mixup_tab.persistence.onnx_trees import boosted_probabilities, boosted_values
from mixup_tab.tables import TableEncoder

# Probabilities of an ensemble are not taken for smaller than this before they are tempered.
_LEAST = 1e-7
# Where scaled inputs are clipped, before they are clipped smoothly.
_FAR = 1e9

# The formula of a rescaled net: θ, the mean input and the mean target.
_Shrunk = tuple[float, np.ndarray, np.ndarray]


# ------------------------------------------------------------------- whole estimators


def innermost(model: Any) -> Any:
    """Return the model at the end of pipelines and searches."""
    while True:
        if isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        elif isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline):
            model = model.steps[-1][1]
        else:
            return model


def unwrapped(graph: Graph, model: Any, table: Table) -> tuple[Any, Table]:
    """Return the innermost model, and the inputs that it gets from the steps before it."""
    while True:
        if isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        elif isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline):
            for name, step in model.steps[:-1]:
                table = _transformed(graph, name, step, table)
            model = model.steps[-1][1]
        else:
            return model, table


def probabilities(graph: Graph, model: Any, table: Table) -> str:
    """Return the probabilities of a classifier, shape (rows, classes), in float32."""
    model, table = unwrapped(graph, model, table)
    if isinstance(model, CalibratedClassifierCV):
        found = [_calibrated(graph, each, table) for each in model.calibrated_classifiers_]
        return _weighted(graph, found, [1 / len(found)] * len(found))
    if isinstance(model, HistGradientBoostingClassifier):
        return boosted_probabilities(graph, model, numbers_of(graph, table, model))
    if isinstance(model, _OURS):
        return graph("Softmax", logits(graph, model, table), axis=1)
    return _by_skl2onnx(graph, model, numbers_of(graph, table, model), outputs=2)


def logits(graph: Graph, model: Any, table: Table) -> str:
    """Return what the probabilities of a classifier of ours are the softmax of, in float32."""
    model, table = unwrapped(graph, model, table)
    if isinstance(model, MixupEnsembleClassifier):
        mean = _ensemble_mean(graph, model, table, probabilities)
        least, most = np.float32(_LEAST), np.float32(1)
        powers = graph("Log", graph("Clip", mean, least, most))
        return graph("Div", powers, np.float32(model.temperature_))
    if not isinstance(model, _OURS):
        raise ValueError(
            f"{type(model).__name__} is inside of a CalibratedClassifierCV, which can be "
            "exported around classifiers of mixup_tab only."
        )
    outputs, members = _outputs(graph, model, table)
    if members == 1:
        return outputs
    alone = graph("LogSoftmax", outputs, axis=-1)
    return graph("ReduceLogSumExp", alone, np.array([0]), keepdims=0)


def values(graph: Graph, model: Any, table: Table) -> str:
    """Return the values of a regressor, shape (rows, targets), in float64."""
    model, table = unwrapped(graph, model, table)
    if isinstance(model, MixupRegressor) and hasattr(model, "quantile_shift_"):
        middle = int(np.abs(np.subtract(model._fitted_quantiles(), 0.5)).argmin())
        return graph("Gather", quantiles(graph, model, table), np.array(middle), axis=2)
    if isinstance(model, (MixupRegressor, RescaledRegressor)):
        scaled, inner = _mean_outputs(graph, model, table), getattr(model, "estimator_", model)
        return _unscaled(graph, scaled, inner.target_scale_, inner.target_mean_)
    if isinstance(model, MixupEnsembleRegressor):
        mean = _ensemble_mean(graph, model, table, values)
        return _unscaled(graph, mean, model.target_scale_, model.target_mean_)
    x = numbers_of(graph, table, model)
    if isinstance(model, HistGradientBoostingRegressor):
        return boosted_values(graph, model, x)
    found = _by_skl2onnx(graph, model, x, outputs=1)
    return graph("Reshape", graph.cast(found, np.float64), np.array([0, -1]))


def quantiles(graph: Graph, model: MixupRegressor, table: Table) -> str:
    """Return the quantiles of a regressor, shape (rows, targets, quantiles), in float64."""
    shift = model.quantile_shift_
    outputs = _mean_outputs(graph, model, table)
    outputs = graph("Add", graph("Reshape", outputs, np.array([-1, *shift.shape])), shift)
    # The n smallest of n are all of them in order, so none cross.
    count = np.array(shift.shape[1:])
    ordered = graph("TopK", outputs, count, outputs=2, axis=2, largest=0, sorted=1)
    return _unscaled(graph, ordered, model.target_scale_[:, None], model.target_mean_[:, None])


_OURS = (MixupClassifier, RescaledClassifier, MixupEnsembleClassifier)


def _unscaled(graph: Graph, x: str, scale: np.ndarray, mean: np.ndarray) -> str:
    return graph("Add", graph("Mul", x, scale.astype(np.float64)), mean.astype(np.float64))


def _weighted(graph: Graph, parts: list[str], weights: list[float], dtype: Any = np.float32) -> str:
    scaled = [graph("Mul", part, dtype(weight)) for part, weight in zip(parts, weights, strict=True)]
    return graph("Sum", *scaled)


def _ensemble_mean(graph: Graph, model: Any, table: Table, predict: Any) -> str:
    x = coded(graph, table, model)
    parts, weights = [], []
    for weight, members in zip(model.weights_[model.weights_ > 0], model.estimators_, strict=True):
        parts += [predict(graph, member, x) for member in members]
        weights += [weight / len(members)] * len(members)
    return _weighted(graph, parts, weights, np.float32 if is_classifier(model) else np.float64)


def _calibrated(graph: Graph, one: Any, table: Table) -> str:
    """Return the probabilities of one part of a CalibratedClassifierCV."""
    x = logits(graph, one.estimator, table)
    classes = len(one.classes)
    if classes == 2:  # the log-odds of the second class
        x = graph("MatMul", x, np.array([[-1], [1]], np.float32))
    else:
        x = graph("LogSoftmax", x, axis=1)
    if one.method == "temperature":
        spread = np.array([[-1, 1]]) if classes == 2 else np.eye(classes)
        factor = float(one.calibrators[0].beta_) * spread
        return graph("Softmax", graph("MatMul", x, factor.astype(np.float32)), axis=1)
    if one.method != "sigmoid":
        raise ValueError(
            f"CalibratedClassifierCV(method={one.method!r}) cannot be exported: it has steps, at "
            "which rounding changes probabilities. Use method='temperature' or 'sigmoid'."
        )
    slope, offset = np.array([[each.a_, each.b_] for each in one.calibrators]).T
    x = graph("Add", graph("Mul", x, -slope.astype(np.float32)), -offset.astype(np.float32))
    if classes == 2:  # the same as (1 − p, p) for p = sigmoid(x)
        return graph("Softmax", graph("MatMul", x, np.array([[0, 1]], np.float32)), axis=1)
    x = graph("Sigmoid", x)
    return graph("Div", x, graph("ReduceSum", x, np.array([1])))


# --------------------------------------------------------------------------- pipelines


def _transformed(graph: Graph, name: str, step: Any, table: Table) -> Table:
    """Return what a step of a pipeline makes of a table."""
    if step is None or step == "passthrough" or hasattr(step, "fit_resample"):
        return table
    if hasattr(step, "_waveforms"):  # a reader of files, whose result is what the file takes
        return table
    if isinstance(step, TableEncoder):
        if not isinstance(table, Raw):
            raise ValueError(f"step {name!r} is a TableEncoder, which must be the first step.")
        return encoded(graph, step, table)
    try:
        if hasattr(step, "_make_layer"):  # a step that is a layer of a net
            example = torch.zeros(2, *table.width, dtype=_torch_dtype(table.dtype))
            return graph.cast(graph.net(step._make_layer(), table.matrix(), example), np.float64)
        x = numbers_of(graph, table, step)
        if isinstance(step, SimpleImputer) and step.missing_values is np.nan:
            return _imputed(graph, step, x)
        return graph.cast(_by_skl2onnx(graph, step, x), np.float64)
    except ValueError as error:
        raise ValueError(
            f"step {name!r} of the pipeline, {type(step).__name__}, cannot be exported: {error}"
        ) from error


def _imputed(graph: Graph, step: SimpleImputer, x: str) -> str:
    """Return the result of a SimpleImputer; onnxruntime has none for float64."""
    kept = ~np.isnan(step.statistics_)
    missing = graph("IsNaN", x)
    filled = graph("Where", missing, step.statistics_.astype(np.float64), x)
    parts = [graph("Gather", filled, np.flatnonzero(kept), axis=1)]
    if step.add_indicator:
        found = graph("Gather", missing, np.asarray(step.indicator_.features_), axis=1)
        parts.append(graph.cast(found, np.float64))
    return graph("Concat", *parts, axis=1)


def _by_skl2onnx(graph: Graph, model: Any, x: str, outputs: int = 1) -> str:
    """Return the last of the outputs that skl2onnx makes for an estimator of scikit-learn.

    In single precision where onnxruntime lacks an operator in double.
    """
    kinds = import_extra("skl2onnx.common.data_types", "onnx")
    try:
        made = _converted(model, kinds.DoubleTensorType, outputs)
    except Exception:
        try:
            made = _converted(model, kinds.FloatTensorType, outputs)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            message = f"skl2onnx and onnxruntime do not know {type(model).__name__} ({reason})."
            raise ValueError(message) from error
        x = graph.cast(x, np.float32)
    return graph.inline(made, [x])[outputs - 1]


def _converted(model: Any, kind: Any, outputs: int) -> Any:
    """Return an estimator in ONNX if onnxruntime can load it, else raise any error."""
    convert = import_extra("skl2onnx", "onnx").convert_sklearn
    with quiet():
        made = convert(
            model,
            initial_types=[("X", kind([None, model.n_features_in_]))],
            target_opset={"": OPSET, ML: ML_OPSET},
            options={id(model): {"zipmap": False}} if outputs == 2 else None,
        )
        ort = import_extra("onnxruntime", "onnx")
        ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return made


# -------------------------------------------------------------------------------- nets


def _mean_outputs(graph: Graph, model: Any, table: Table) -> str:
    """Return the mean of the outputs of all members, in float64."""
    outputs, members = _outputs(graph, model, table)
    outputs = graph.cast(outputs, np.float64)
    return outputs if members == 1 else graph("ReduceMean", outputs, np.array([0]), keepdims=0)


def _outputs(graph: Graph, model: Any, table: Table) -> tuple[str, int]:
    """Return the outputs of a net and its number of members, which are the first axis if many."""
    shrunk = None
    if isinstance(model, (RescaledClassifier, RescaledRegressor)):
        shrunk = (model.theta_, model.x_mean_, model.y_mean_)
        model = model.estimator_
    module, members = model.net_.module_, int(model.net_.n_members)
    x = coded(graph, table, model)
    if isinstance(module, MLP) and module.can_join:
        return _mlp(graph, module, x, shrunk), members
    return _any_net(graph, model, module, x, shrunk, table), members


class _Whole(nn.Module):
    """A net with all that is done to its inputs and outputs."""

    def __init__(self, module: nn.Module, dtype: torch.dtype | None, shrunk: _Shrunk | None):
        super().__init__()
        self.module, self.dtype, self.theta = module, dtype, None
        if shrunk is not None:
            self.theta, x_mean, y_mean = shrunk
            self.register_buffer("x_mean", torch.as_tensor(x_mean))
            self.register_buffer("y_mean", torch.as_tensor(y_mean))

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.dtype is None else x.to(self.dtype)
        if self.theta is None:
            return self.module(x).float()
        outputs = []
        for prepare, body in as_stack(self.module).halves():
            ready = prepare(x)
            ready = torch.lerp(self.x_mean.to(ready), ready, self.theta)
            outputs.append(body(ready))
        found = outputs[0] if len(outputs) == 1 else torch.stack(outputs)
        return (found / self.theta + (1 - 1 / self.theta) * self.y_mean).float()


def _any_net(
    graph: Graph, model: Any, module: nn.Module, x: str, shrunk: _Shrunk | None, table: Table
) -> str:
    given = _torch_dtype(table.dtype if isinstance(table, Raw) else np.float64)
    if not isinstance(table, (Raw, str)):
        given = torch.float64
    shape = model._blank_row.shape[1:] if hasattr(model, "_blank_row") else (model.n_features_in_,)
    wanted = as_stack(module).input_dtype(given, training=False, device="cpu")
    whole = _Whole(module, None if wanted == given else wanted, shrunk)
    return graph.net(whole, x, torch.zeros(2, *shape, dtype=given))


def _torch_dtype(dtype: Any) -> torch.dtype:
    return torch.from_numpy(np.zeros(0, dtype)).dtype


def _mlp(graph: Graph, net: MLP, x: str, shrunk: _Shrunk | None) -> str:
    """Return the outputs of a stack of MLPs.

    What is linear before the first layer and after the last one is written into their weights.
    """
    layers = [
        (weight.detach().double().numpy(), bias.detach().double().numpy())
        for weight, bias in net.layers()
    ]
    if shrunk is not None:
        theta, x_mean, y_mean = shrunk
        weight, bias = layers[0]
        layers[0] = theta * weight, bias + (1 - theta) * (weight @ x_mean)[:, None]
        weight, bias = layers[-1]
        layers[-1] = weight / theta, bias / theta + (1 - 1 / theta) * y_mean
    dtype = np.float64  # without an input layer numbers may be large
    if net.input_layer is not None:
        dtype = _numpy(net.weight0).dtype
        x, gain, offset = _input_layer(graph, net.input_layer, x)
        weight, bias = layers[0]
        bias = bias + (weight[:, :, : len(offset)] @ offset)[:, None]
        layers[0] = weight[:, :, : len(gain)] * gain, bias
        x = x if dtype == np.float32 else graph.cast(x, dtype)
    for k, (weight, bias) in enumerate(layers):
        x = graph("Relu", x) if k else x
        weight, bias = weight.astype(dtype), bias.astype(dtype)
        if net.n_members == 1:
            x = graph("Gemm", x, weight[0], bias[0, 0], transB=1)
        else:
            x = graph("Add", graph("MatMul", x, weight.swapaxes(1, 2)), bias)
    return x if dtype == np.float32 else graph.cast(x, np.float32)


def _input_layer(graph: Graph, layer: Any, x: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Return inputs that gain · inputs + offset makes those that the first layer takes.

    Zeros that fill up the width are left out.
    """
    if isinstance(layer, RobustScale):
        x, _ = _scaled(graph, layer, x)
        return x, np.full(layer.width, layer.limit), np.zeros(layer.width)
    if not isinstance(layer, Columns):
        raise ValueError(f"an input layer of type {type(layer).__name__} cannot be exported.")
    numbers = _numpy(layer.numbers)
    parts = []
    if len(numbers):
        whole = len(numbers) == layer.n_columns
        scaled, exact = _scaled(
            graph, layer.scale, x if whole else graph("Gather", x, numbers, axis=1)
        )
        parts = [scaled, *_embedded(graph, layer, scaled, exact)]
    if len(layer.level):
        level = graph("Gather", x, _numpy(layer.level_column), axis=1)
        found = graph("Equal", level, _numpy(layer.level).astype(np.float64))
        parts.append(graph.cast(found, np.float32))
    joined = parts[0] if len(parts) == 1 else graph("Concat", *parts, axis=1)
    first = np.full(len(numbers), layer.scale.limit)
    gain = np.concatenate([first, _numpy(layer.gain).astype(np.float64)])
    offset = np.concatenate([0 * first, _numpy(layer.offset).astype(np.float64)])
    return joined, gain, offset


def _scaled(graph: Graph, layer: RobustScale, x: str) -> tuple[str, str]:
    """Return numbers scaled and clipped to (−1, 1), in float32, and as they are before that."""
    exact = x if layer.shift is None else graph("Sub", x, _numpy(layer.shift))
    z = graph("Div", graph("Sub", exact, _numpy(layer.center)), _numpy(layer.scale))
    z = graph.cast(graph("Clip", z, np.float64(-_FAR), np.float64(_FAR)), np.float32)
    # z / √(limit² + z²); the factor that is missing is one of the weights.
    square = graph("Add", graph("Mul", z, z), np.float32(layer.limit**2))
    return graph("Div", z, graph("Sqrt", square)), exact


def _embedded(graph: Graph, layer: Columns, scaled: str, exact: str) -> list[str]:
    encoding = layer.encoding
    if encoding is None:
        return []
    column = _numpy(encoding.column)
    if isinstance(encoding, Periodic):
        turns = 2 * math.pi * _numpy(encoding.frequency).astype(np.float64).ravel()
        start = 2 * math.pi * _numpy(encoding.phase).astype(np.float64).ravel()
        z = graph("Gather", scaled, column, axis=1)
        z = graph("Mul", z, (turns * layer.scale.limit).astype(np.float32))
        return [graph("Cos", graph("Add", z, start.astype(np.float32)))]
    spread = graph("Sub", graph("Gather", exact, column, axis=1), _numpy(encoding.low))
    spread = graph("Div", spread, _numpy(encoding.step))
    return [graph.cast(graph("Clip", spread, np.float64(0), np.float64(1)), np.float32)]


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
