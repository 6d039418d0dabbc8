"""Nets in an ONNX graph: stacks of MLPs node by node, others through torch's exporter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixup_tab.estimators import RescaledClassifier, RescaledRegressor
from mixup_tab.nets import MLP, Columns, Periodic, RobustScale
from mixup_tab.nets.stacked import as_stack
from mixup_tab.persistence.onnx_graph import Graph
from mixup_tab.persistence.onnx_tables import Raw, Table, coded

# Hard limit for scaled numbers, before smooth clipping.
_FAR = 1e9

# Parameters of a rescaled net: θ, mean input and mean target.
_Shrunk = tuple[float, np.ndarray, np.ndarray]


def net_outputs(graph: Graph, model: Any, table: Table) -> tuple[str, int]:
    """Return the outputs of a net, in float32, and its number of members.

    Several members are the first axis.
    """
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
    """A net with the rescaling of its inputs and outputs."""

    x_mean: Tensor
    y_mean: Tensor

    def __init__(self, module: nn.Module, dtype: torch.dtype, shrunk: _Shrunk | None) -> None:
        super().__init__()
        self.module, self.dtype, self.theta = module, dtype, 1.0
        if shrunk is not None:
            self.theta, x_mean, y_mean = shrunk
            self.register_buffer("x_mean", torch.as_tensor(x_mean))
            self.register_buffer("y_mean", torch.as_tensor(y_mean))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if self.theta == 1:
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
    given = torch_dtype(table.dtype if isinstance(table, Raw) else np.float64)
    blank = getattr(model, "_blank_row", np.zeros((1, model.n_features_in_)))
    dtype = as_stack(module).input_dtype(given, training=False, device="cpu")
    example = torch.zeros(2, *blank.shape[1:], dtype=given)
    return graph.net(_Whole(module, dtype, shrunk), x, example)


def torch_dtype(dtype: Any) -> torch.dtype:
    """Return NumPy's dtype as torch's."""
    return torch.from_numpy(np.zeros(0, dtype)).dtype


def _mlp(graph: Graph, net: MLP, x: str, shrunk: _Shrunk | None) -> str:
    """Return the outputs of a stack of MLPs.

    Linear operations before the first layer and after the last are merged into their weights.
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
    # Without an input layer, numbers may be large.
    in_double = graph.in_double or net.input_layer is None
    dtype = np.dtype(np.float64) if in_double else _numpy(net.weight0).dtype
    if net.input_layer is not None:
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
    """Return x, gain and offset, so that gain · x + offset is the input of the first layer.

    Padding with zeros is left out.
    """
    if isinstance(layer, RobustScale):
        x, _ = _scaled(graph, layer, x)
        return x, np.ones(layer.width), np.zeros(layer.width)
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
    first = np.ones(len(numbers))
    gain = np.concatenate([first, _numpy(layer.gain).astype(np.float64)])
    offset = np.concatenate([0 * first, _numpy(layer.offset).astype(np.float64)])
    return joined, gain, offset


def _scaled(graph: Graph, layer: RobustScale, x: str) -> tuple[str, str]:
    """Return numbers scaled and clipped, in float32, and before that."""
    exact = x if layer.shift is None else graph("Sub", x, _numpy(layer.shift))
    z = graph("Div", graph("Sub", exact, _numpy(layer.center)), _numpy(layer.scale))
    z = graph.cast(graph("Clip", z, np.float64(-_FAR), np.float64(_FAR)), np.float32)
    square = graph("Mul", graph("Mul", z, z), np.float32(1 / layer.limit**2))
    return graph("Div", z, graph("Sqrt", graph("Add", square, np.float32(1)))), exact


def _embedded(graph: Graph, layer: Columns, scaled: str, exact: str) -> list[str]:
    encoding = layer.encoding
    if encoding is None:
        return []
    column = _numpy(encoding.column)
    if isinstance(encoding, Periodic):
        turns = graph("Mul", graph("Gather", scaled, column, axis=1), _flat(encoding.frequency))
        turns = graph("Add", turns, _flat(encoding.phase))
        return [graph("Cos", graph("Mul", turns, np.float32(2 * math.pi)))]
    spread = graph("Sub", graph("Gather", exact, column, axis=1), _numpy(encoding.low))
    spread = graph("Div", spread, _numpy(encoding.step))
    return [graph.cast(graph("Clip", spread, np.float64(0), np.float64(1)), np.float32)]


def _flat(tensor: Tensor) -> np.ndarray:
    return _numpy(tensor).ravel()


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
