"""Models in an ONNX graph: from inputs to probabilities or values."""

from __future__ import annotations

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

from mixup_tab._extras import import_extra
from mixup_tab.estimators import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    RescaledClassifier,
    RescaledRegressor,
)
from mixup_tab.persistence.onnx_graph import ML, ML_OPSET, OPSET, Graph, quiet
from mixup_tab.persistence.onnx_nets import net_outputs, torch_dtype
from mixup_tab.persistence.onnx_tables import (
    Raw,
    Table,
    coded,
    encoded,
    is_text,
    levels_read,
    numbers_of,
)
from mixup_tab.persistence.onnx_trees import boosted, boosted_probabilities
from mixup_tab.tables import TableEncoder

# Smaller probabilities of an ensemble are raised to this before its temperature is applied.
_LEAST = 1e-7


# ------------------------------------------------------------------- whole estimators


def split_steps(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Return the named steps of pipelines before the innermost model, and that model."""
    steps: list[tuple[str, Any]] = []
    while True:
        if isinstance(model, BaseSearchCV):
            model = model.best_estimator_
        elif isinstance(model, FrozenEstimator):
            model = model.estimator
        elif hasattr(model, "_refusal"):  # a RejectingClassifier
            model = model.estimator_
        elif isinstance(model, Pipeline):
            steps += [pair for pair in model.steps[:-1] if not _does_nothing(pair[1])]
            model = model.steps[-1][1]
        else:
            return steps, model


def _does_nothing(step: Any) -> bool:
    """Whether a step of a pipeline does nothing in prediction."""
    return step is None or step == "passthrough" or hasattr(step, "fit_resample")


def _unwrapped(graph: Graph, model: Any, table: Table) -> tuple[Any, Table]:
    """Return the innermost model, and its inputs after the steps before it."""
    steps, model = split_steps(model)
    for name, step in steps:
        table = _transformed(graph, name, step, table)
    return model, table


def probabilities(graph: Graph, model: Any, table: Table) -> str:
    """Return the probabilities of a classifier, shape (rows, classes), in float32."""
    model, table = _unwrapped(graph, model, table)
    if isinstance(model, CalibratedClassifierCV):
        found = [_calibrated(graph, each, table) for each in model.calibrated_classifiers_]
        return _weighted(graph, found, [1 / len(found)] * len(found))
    if isinstance(model, HistGradientBoostingClassifier):
        return boosted_probabilities(graph, model, numbers_of(graph, table, model))
    if isinstance(model, _OURS):
        return graph("Softmax", logits(graph, model, table), axis=1)
    return graph.cast(_by_skl2onnx(graph, model, table, outputs=2), np.float32)


def logits(graph: Graph, model: Any, table: Table) -> str:
    """Return the logits of a classifier of this package, in float32."""
    model, table = _unwrapped(graph, model, table)
    if isinstance(model, MixupEnsembleClassifier):
        mean = _ensemble_mean(graph, model, table, probabilities)
        least, most = np.float32(_LEAST), np.float32(1)
        powers = graph("Log", graph("Clip", mean, least, most))
        return graph("Div", powers, np.float32(model.temperature_))
    if not isinstance(model, _OURS):
        raise ValueError(
            f"{type(model).__name__} is inside a CalibratedClassifierCV, which can be "
            "exported only with classifiers of mixup_tab."
        )
    outputs, members = net_outputs(graph, model, table)
    if members == 1:
        return outputs
    alone = graph("LogSoftmax", outputs, axis=-1)
    return graph("ReduceLogSumExp", alone, np.array([0]), keepdims=0)


def values(graph: Graph, model: Any, table: Table) -> str:
    """Return the values of a regressor, shape (rows, targets), in float64."""
    model, table = _unwrapped(graph, model, table)
    if isinstance(model, MixupRegressor) and hasattr(model, "quantile_shift_"):
        middle = int(np.abs(np.subtract(model._fitted_quantiles(), 0.5)).argmin())
        return graph("Gather", quantiles(graph, model, table), np.array(middle), axis=2)
    if isinstance(model, (MixupRegressor, RescaledRegressor)):
        inner: Any = getattr(model, "estimator_", model)
        scaled = _mean_outputs(graph, model, table)
        return _unscaled(graph, scaled, inner.target_scale_, inner.target_mean_)
    if isinstance(model, MixupEnsembleRegressor):
        mean = _ensemble_mean(graph, model, table, values)
        return _unscaled(graph, mean, model.target_scale_, model.target_mean_)
    # No link function: it was fitted to standardised targets, which only plain losses allow.
    if isinstance(model, HistGradientBoostingRegressor):
        return boosted(graph, model, numbers_of(graph, table, model))
    found = _by_skl2onnx(graph, model, table)
    return graph("Reshape", graph.cast(found, np.float64), np.array([0, -1]))


def quantiles(graph: Graph, model: Any, table: Table) -> str:
    """Return the quantiles of a regressor, shape (rows, targets, quantiles), in float64."""
    model, table = _unwrapped(graph, model, table)
    shift = model.quantile_shift_
    outputs = _mean_outputs(graph, model, table)
    outputs = graph("Add", graph("Reshape", outputs, np.array([-1, *shift.shape])), shift)
    # The n smallest of n values are all of them, sorted, so that quantiles do not cross.
    count = np.array(shift.shape[1:])
    ordered = graph("TopK", outputs, count, outputs=2, axis=2, largest=0, sorted=1)
    return _unscaled(graph, ordered, model.target_scale_[:, None], model.target_mean_[:, None])


_OURS = (MixupClassifier, RescaledClassifier, MixupEnsembleClassifier)


def _unscaled(graph: Graph, x: str, scale: np.ndarray, mean: np.ndarray) -> str:
    return graph("Add", graph("Mul", x, scale.astype(np.float64)), mean.astype(np.float64))


def _weighted(
    graph: Graph, parts: list[str], weights: list[float], dtype: Any = np.float32
) -> str:
    scaled = [
        graph("Mul", part, dtype(weight)) for part, weight in zip(parts, weights, strict=True)
    ]
    return graph("Sum", *scaled)


def _ensemble_mean(graph: Graph, model: Any, table: Table, predict: Any) -> str:
    x = coded(graph, table, model)
    parts, weights = [], []
    for weight, members in zip(
        model.weights_[model.weights_ > 0], model.estimators_, strict=True
    ):
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
            f"CalibratedClassifierCV(method={one.method!r}) cannot be exported, because "
            "rounding changes its steps. Use method='temperature' or 'sigmoid'."
        )
    slope, offset = np.array([[each.a_, each.b_] for each in one.calibrators]).T
    x = graph("Add", graph("Mul", x, -slope.astype(np.float32)), -offset.astype(np.float32))
    if classes == 2:  # the same as (1 − p, p) for p = sigmoid(x)
        return graph("Softmax", graph("MatMul", x, np.array([[0, 1]], np.float32)), axis=1)
    x = graph("Sigmoid", x)
    return graph("Div", x, graph("ReduceSum", x, np.array([1])))


def _mean_outputs(graph: Graph, model: Any, table: Table) -> str:
    """Return the mean of the outputs of all members, in float64."""
    outputs, members = net_outputs(graph, model, table)
    outputs = graph.cast(outputs, np.float64)
    return outputs if members == 1 else graph("ReduceMean", outputs, np.array([0]), keepdims=0)


# --------------------------------------------------------------------------- pipelines


def _transformed(graph: Graph, name: str, step: Any, table: Table) -> Table:
    """Return a table after a step of a pipeline."""
    if hasattr(step, "_waveforms"):  # the ONNX file takes waveforms
        return table
    if isinstance(step, TableEncoder):
        if not isinstance(table, Raw):
            raise ValueError(f"step {name!r} is a TableEncoder, which must be the first step.")
        return encoded(graph, step, table)
    try:
        if hasattr(step, "_make_layer") and isinstance(table, Raw):  # a layer of a net
            example = torch.zeros(2, *table.width, dtype=torch_dtype(table.dtype))
            return graph.cast(
                graph.net(step._make_layer(), table.matrix(), example), np.float64
            )
        if isinstance(step, SimpleImputer) and step.missing_values is np.nan:
            return _imputed(graph, step, numbers_of(graph, table, step))
        return graph.cast(_by_skl2onnx(graph, step, table), np.float64)
    except ValueError as error:
        raise ValueError(
            f"step {name!r} of the pipeline, {type(step).__name__}, cannot be exported: {error}"
        ) from error


def _imputed(graph: Graph, step: SimpleImputer, x: str) -> str:
    """Return the result of a SimpleImputer, which onnxruntime lacks for float64."""
    kept = ~np.isnan(step.statistics_)
    missing = graph("IsNaN", x)
    filled = graph("Where", missing, step.statistics_.astype(np.float64), x)
    parts = [graph("Gather", filled, np.flatnonzero(kept), axis=1)]
    if step.add_indicator:
        found = graph("Gather", missing, np.asarray(step.indicator_.features_), axis=1)
        parts.append(graph.cast(found, np.float64))
    return graph("Concat", *parts, axis=1)


def _by_skl2onnx(graph: Graph, model: Any, table: Table, outputs: int = 1) -> str:
    """Return the last output of an estimator of scikit-learn, converted by skl2onnx.

    In single precision if onnxruntime lacks an operator in double precision.
    """
    text = {column for column, each in levels_read(model).items() if is_text(each)}
    if text and isinstance(table, Raw):
        names = list(table.names)
        inputs = [
            table.words(name) if column in text else table.number(name)
            for column, name in enumerate(names)
        ]
    else:
        names, inputs = ["X"], [numbers_of(graph, table, model)]
    kinds = import_extra("skl2onnx.common.data_types", "onnx")
    try:
        made = _converted(model, names, text, kinds.DoubleTensorType, outputs)
    except Exception:
        try:
            made = _converted(model, names, text, kinds.FloatTensorType, outputs)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            message = (
                f"skl2onnx or onnxruntime does not support {type(model).__name__} ({reason})."
            )
            raise ValueError(message) from error
        inputs = [
            name if column in text else graph.cast(name, np.float32)
            for column, name in enumerate(inputs)
        ]
    graph.converted.append(type(model).__name__)
    return graph.inline(made, inputs)[outputs - 1]


def _converted(model: Any, names: list[str], text: set[int], kind: Any, outputs: int) -> Any:
    """Return an estimator in ONNX; raises any error if onnxruntime cannot load it."""
    convert = import_extra("skl2onnx", "onnx").convert_sklearn
    words = import_extra("skl2onnx.common.data_types", "onnx").StringTensorType
    width = model.n_features_in_ if names == ["X"] else 1
    types = [
        (name, (words if column in text else kind)([None, width]))
        for column, name in enumerate(names)
    ]
    with quiet():
        made = convert(
            model,
            initial_types=types,
            target_opset={"": OPSET, ML: ML_OPSET},
            options={id(model): {"zipmap": False}} if outputs == 2 else None,
        )
        # Prefixes, as in Graph.inline, do not reach functions that are called inside branches.
        loaded = import_extra("onnx.compose", "onnx").add_prefix(made, "/")
        ort = import_extra("onnxruntime", "onnx")
        ort.InferenceSession(loaded.SerializeToString(), providers=["CPUExecutionProvider"])
    return made
