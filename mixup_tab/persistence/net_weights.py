"""Nets in a model file: their weights, and how to rebuild them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mixup_tab._extras import import_extra
from mixup_tab.losses import MixedCrossEntropy, MixedPinballLoss, MixedSquaredError
from mixup_tab.nets import MLP, Columns, Periodic, PiecewiseLinear, RobustScale

if TYPE_CHECKING:
    from mixup_tab.training import MixupNet

# More nets than anybody trains; building them takes a second.
_MOST_MEMBERS = 10_000
# Arguments that estimators pass to a module; a file can set no others.
_ARGUMENTS = {"in_features", "out_features", "input_shape", "hidden_layer_sizes", "dropout"}
_LAYER = "input_layer."
_SCALING = ("center", "scale", "shift", "seen", "n_seen")

Weights = dict[str, Tensor]


def pack_weights(nets: Sequence[MixupNet]) -> bytes:
    """Return the weights of nets as safetensors; those of net k are named ``k.name``.

    Raises
    ------
    ValueError
        If the state of a net holds anything but tensors.
    """
    tensors = {}
    for number, net in enumerate(nets):
        for name, tensor in net.module_.state_dict().items():
            if not isinstance(tensor, Tensor):
                raise ValueError(
                    f"this model cannot be saved: the state {name!r} of module={net.module!r} "
                    "is not a tensor."
                )
            # A copy, because safetensors rejects tensors that share memory.
            tensors[f"{number}.{name}"] = tensor.detach().cpu().contiguous().clone()
    return import_extra("safetensors.torch", "models").save(tensors)


def unpack_weights(data: bytes) -> dict[int, Weights]:
    """Return the weights from :func:`pack_weights`, all finite, by number of the net."""
    nets: dict[int, Weights] = {}
    for name, tensor in import_extra("safetensors.torch", "models").load(data).items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"weights {name!r:.80} hold NaN or infinity")
        number, _, own = name.partition(".")
        nets.setdefault(int(number), {})[own] = tensor
    return nets


def describe(net: MixupNet) -> dict[str, Any]:
    """Return what :func:`make_net` needs besides the weights."""
    arguments, layer = net.get_params_for("module"), input_layer(net)
    arguments.pop("input_layer", None)
    return {
        "module": net.module,
        "arguments": arguments,
        "columns": None if layer is None else n_columns(layer),
        "categories": getattr(layer, "categories", None),
        "classifies": isinstance(net.criterion_, MixedCrossEntropy),
        "quantiles": getattr(net.criterion_, "quantiles", None),
        "n_outputs": net.n_outputs,
        "n_members": net.n_members,
        "batch_size": net.batch_size,
        "seeds": net.seeds_,
    }


def input_layer(net: MixupNet) -> RobustScale | Columns | None:
    """Return the input layer for the columns of a table; None for user-defined modules."""
    has = "input_layer" in net.get_params_for("module")
    return net.module_.input_layer if has else None  # type: ignore[return-value]


def n_columns(layer: RobustScale | Columns) -> int:
    """Return the number of input columns of a layer."""
    return layer.n_columns if isinstance(layer, Columns) else len(layer.center)


def make_net(facts: dict[str, Any], stored: Weights, device: str) -> MixupNet:
    """Return the net from the result of :func:`describe`, with these weights.

    Raises
    ------
    Exception
        Of any type, if they do not match; raised before much memory is used.
    """
    from mixup_tab.training import MixupNet

    arguments = checked_arguments(facts, stored)
    net = MixupNet(
        facts["module"],
        _criterion(facts["classifies"], facts["quantiles"]),
        n_outputs=facts["n_outputs"],
        n_members=facts["n_members"],
        random_state=list(facts["seeds"]),
        batch_size=facts["batch_size"],
        device=device,
        verbose=0,
        callbacks__print_log=None,
        **{f"module__{name}": value for name, value in arguments.items()},
    ).initialize()
    net.module_.load_state_dict(stored)
    net.n_outputs_ = facts["n_outputs"]
    return net


def checked_arguments(facts: dict[str, Any], stored: Weights) -> dict[str, Any]:
    """Return the arguments of the module from the result of :func:`describe`.

    Raises an exception of any type if the weights are not those of such a net.
    """
    members, module = facts["n_members"], facts["module"]
    for name in ("n_members", "n_outputs", "batch_size"):
        if type(facts[name]) is not int or facts[name] < 1:
            raise ValueError(f"{name} of its net is {facts[name]!r:.40}")
    if members > _MOST_MEMBERS:
        raise ValueError(f"n_estimators={members} are more than {_MOST_MEMBERS:,}")
    arguments = dict(facts["arguments"])
    if not callable(module) or arguments.keys() - _ARGUMENTS:
        raise ValueError("its net is of an unknown type")
    if facts["columns"] is not None:
        made = _make_layer(stored, facts["columns"], facts["categories"])
        arguments["input_layer"] = made
    _check_tensors(stored, module, arguments, members)
    return arguments


def _criterion(classifies: bool, quantiles: Any) -> Any:
    if classifies:
        return MixedCrossEntropy
    return (
        MixedSquaredError
        if quantiles is None
        else partial(MixedPinballLoss, quantiles=quantiles)
    )


def _make_layer(stored: Weights, count: int, categories: Any) -> RobustScale | Columns:
    """Return an input layer for these tensors; plain scaling if ``categories`` is None."""
    if type(count) is not int or not 1 <= count <= sum(t.numel() for t in stored.values()):
        raise ValueError(f"n_features_in_={count!r:.40} does not match its weights")
    from mixup_tab.estimators.categories import MOST_LEVELS

    if categories is None:
        return _scaling(stored, _LAYER, count)
    pairs = [(column, levels) for column, levels in categories]
    if not all(type(n) is int and n >= 0 for pair in pairs for n in pair):
        raise ValueError("its description of categories is wrong")
    codes = {column for column, levels in pairs if column < count and levels <= MOST_LEVELS}
    if len(codes) < len(pairs):
        raise ValueError("its description of categories is wrong")
    numbers = count - len(pairs)
    scale = _scaling(stored, f"{_LAYER}scale.", numbers)
    encoding = _encoding(stored, numbers)
    return Columns(scale, encoding, n_columns=count, categories=tuple(pairs))


def _scaling(stored: Weights, prefix: str, numbers: int) -> RobustScale:
    found = {name: stored.get(prefix + name) for name in _SCALING}
    layer = RobustScale(torch.zeros(numbers), torch.ones(numbers), found["shift"])
    layer.seen, layer.n_seen = found["seen"], found["n_seen"]
    fine = all(
        tensor is None or (tensor.dtype == torch.float64 and tensor.shape[-1:] == shape)
        for name, tensor in found.items()
        for shape in [() if name == "n_seen" else (numbers,)]
    )
    if not fine:
        raise ValueError("the scaling of its columns is wrong")
    return layer


def _encoding(stored: Weights, numbers: int) -> PiecewiseLinear | Periodic | None:
    part = f"{_LAYER}encoding."
    found = {k.removeprefix(part): t for k, t in stored.items() if k.startswith(part)}
    if not found:
        return None
    if "frequency" in found:
        cosines = Periodic(**found)
        if cosines.frequency.dim() != 2 or len(cosines.frequency) != numbers:
            raise ValueError("the embedding of its columns is wrong")
        return cosines
    bins = PiecewiseLinear(**found)
    column, step = bins.column, bins.step
    fine = column.dtype == torch.int64 and column.dim() == 1 and bool((step > 0).all())
    fine = fine and bool(((column >= 0) & (column < numbers)).all())
    fine = fine and column.shape == step.shape == bins.low.shape
    if not (fine and step.dtype == bins.low.dtype == torch.float64):
        raise ValueError("the embedding of its columns is wrong")
    return bins


class _Sizes(MLP):
    """An MLP that draws no weights: on the meta device, that imports torch's compiler."""

    def reset_parameters(self, generators: Any = None) -> None:
        """Draw nothing."""


def _check_tensors(
    stored: Weights, module: Any, arguments: Mapping[str, Any], members: int
) -> None:
    """Check that weights have the names, shapes and dtypes of the net."""
    stacked = module is MLP
    with torch.device("meta"):  # shapes without memory
        net = _Sizes(**arguments, n_members=members) if stacked else module(**arguments)
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
                f"weights {name!r} are {tuple(found.shape)} {found.dtype}, but its net needs "
                f"{tuple(tensor.shape)} {tensor.dtype}"
            )
