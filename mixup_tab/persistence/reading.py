"""Read estimators from the JSON and arrays that ``pipelines.py`` writes, without pickle.

``schema.py`` checks the JSON before :class:`Reader` makes anything. This file imports neither
scikit-learn nor pandas, so that a subclass of :class:`Reader` can start without them.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from mixup_tab.persistence.archive import unpack
from mixup_tab.persistence.net_weights import Weights, make_net, unpack_weights
from mixup_tab.persistence.plain_forms import PLAIN_FORMS, check_sound, ours
from mixup_tab.persistence.schema import check
from mixup_tab.persistence.steps import check_read

if TYPE_CHECKING:
    from mixup_tab.training import MixupNet

SCHEMA = "schema.json"
# A schema takes about twenty times its size in memory.
JSON_SHARE = 20
# Nets of this package, which a file may name.
NETS = {
    "mixup_tab.nets.mlp.MLP",
    "mixup_tab.nets.vgg.VGG11",
    "mixup_tab.nets.lenet.LeNet",
    "mixup_tab.nets.resnet.ResNet10",
    "mixup_tab.nets.bcresnet.BCResNet",
    "mixup_tab.nets.preact_resnet.PreActResNet18",
    "mixup_tab.audio.from_waveform.FromWaveform",
}


class MissingModule(ValueError):
    """A file needs a user-defined module that was not passed."""


def from_bytes(
    data: bytes,
    weights: bytes,
    modules: Mapping[str, Any],
    device: str,
    size_limit: float,
    reader_type: type[Reader],
) -> Any:
    """Return the estimator from ``to_bytes``, without running code that the bytes choose.

    ``reader_type`` is :class:`Reader`, or makes something else that predicts the same.

    Raises
    ------
    MissingModule
        If it needs a user-defined module that is not in ``modules``.
    Foreign
        If it holds a type or function that is not trusted.
    Exception
        Of any type, if it is damaged.
    """
    arrays = unpack(data)
    text = arrays.pop(SCHEMA)
    if len(text) * JSON_SHARE > size_limit:
        raise ValueError(f"its schema takes {len(text):,} bytes, too many for size_limit")
    schema = json.loads(text)
    check(schema, arrays)
    reader = reader_type(arrays, unpack_weights(weights), modules, device)
    model = reader.make(schema)
    if reader.nets.keys() != reader.weights.keys():
        raise ValueError("it holds weights of unknown nets")
    reader.check()
    return model


class Reader:
    """Makes objects from checked nodes.

    Attributes
    ----------
    objects : list
        All objects of trusted types made so far.
    nets : dict of int to MixupNet
        All nets, by number.
    """

    def __init__(
        self,
        arrays: Mapping[str, bytes],
        weights: dict[int, Weights],
        modules: Mapping[str, Any],
        device: str,
    ) -> None:
        self.objects: list[Any] = []
        self.nets: dict[int, Any] = {}
        self.weights = weights
        self._arrays, self._modules, self._device = arrays, modules, device
        self._made: dict[int, Any] = {}

    def check(self) -> None:
        """Check that estimators match their nets, and set their device.

        Raises
        ------
        Exception
            Of any type, if they do not.
        """
        from mixup_tab.persistence.estimators import check_estimator

        for part in self.objects:
            check_estimator(part)
            if "device" in vars(part):
                part.device = self._device

    def make(self, node: dict[str, Any]) -> Any:
        """Return the object of a node, which is made once."""
        number = node["__id__"]
        if number not in self._made:
            self._made[number] = getattr(self, f"_{node['__loader__']}")(node)
        return self._made[number]

    def _JsonNode(self, node: dict[str, Any]) -> Any:
        return json.loads(node["content"])

    def _ListNode(self, node: dict[str, Any]) -> list[Any]:
        return [*map(self.make, node["content"])]

    def _TupleNode(self, node: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(self._ListNode(node))

    def _DictNode(self, node: dict[str, Any]) -> dict[str, Any]:
        self.make(node["key_types"])  # other nodes may refer to it
        return {key: self.make(part) for key, part in node["content"].items()}

    def _TypeNode(self, node: dict[str, Any]) -> Any:
        module, own = node["__module__"], node["__class__"]
        try:
            return getattr(import_module(module), own)
        except (ImportError, AttributeError) as error:  # in another version of its package
            raise ValueError(f"{module}.{own} does not exist") from error

    def _DTypeNode(self, node: dict[str, Any]) -> np.dtype:
        return self.make(node["content"]).dtype

    def _NdArrayNode(self, node: dict[str, Any]) -> np.ndarray:
        if node["type"] == "numpy":
            return np.load(io.BytesIO(self._arrays[node["file"]]), allow_pickle=False)
        array = np.empty(self.make(node["shape"]), dtype=object)
        array[:] = self._ListNode(node)
        return array

    def _ObjectNode(self, node: dict[str, Any]) -> Any:
        state = self.make(node["content"])
        if node["__class__"] == "Stored":
            return self._restored(state["kind"], state["content"])
        made = object.__new__(self._TypeNode(node))
        if state is not None:
            getattr(made, "__setstate__", vars(made).update)(state)
        if "sample_rate" in vars(made):
            check_sound(vars(made))
        check_read(made)
        self.objects.append(made)
        return made

    def _restored(self, kind: str, content: Any) -> Any:
        if kind in PLAIN_FORMS:
            return PLAIN_FORMS[kind][1](content)
        own: dict[str, Callable[[Any], Any]] = {
            "net": self._net,
            "module": self._module,
            "partial": self._partial,
            "scalar": lambda array: array[()],
            "json": json.loads,
            "dict": lambda parts: dict(zip(*parts, strict=True)),
            "vocabulary": _vocabulary,
        }
        return own[kind](content)

    def _net(self, facts: dict[str, Any]) -> MixupNet:
        number = facts["number"]
        self.nets[number] = make_net(facts, self.weights[number], self._device)
        return self.nets[number]

    def _partial(self, parts: dict[str, Any]) -> functools.partial:
        if not is_module(parts["func"]):
            raise ValueError("its net is of an unknown type")
        return functools.partial(parts["func"], *parts["args"], **parts["keywords"])

    def _module(self, name: str) -> Any:
        if name in self._modules:
            return self._modules[name]
        if name in NETS:
            return ours(name)
        raise MissingModule(name)


def _vocabulary(text: str) -> dict[str, int]:
    """Return words numbered from 0, as compiled code requires."""
    words = json.loads(text)
    if len({*words}) != len(words):
        raise ValueError("a vocabulary in it has a word twice")
    return {word: number for number, word in enumerate(words)}


def named(modules: Sequence[Any]) -> dict[str, Any]:
    """Return user-defined modules by name.

    Raises
    ------
    TypeError
        If one is neither a class nor a function.
    ValueError
        If two have the same name.
    """
    found: dict[str, Any] = {}
    for module in modules:
        if not is_module(module):
            raise TypeError(
                f"modules must hold nn.Module classes and functions, got {module!r}."
            )
        if found.setdefault(module.__name__, module) is not module:
            raise ValueError(f"modules holds two named {module.__name__!r}. Rename one.")
    return found


def is_module(thing: Any) -> bool:
    """Whether an object makes nets: a class of nets, or a function."""
    is_net = isinstance(thing, type) and issubclass(thing, nn.Module)
    return is_net or isinstance(thing, FunctionType)
