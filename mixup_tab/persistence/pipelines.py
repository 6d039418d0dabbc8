"""Fitted estimators as JSON and arrays, and back, without pickle.

The JSON is in the layout of skops: a tree of nodes, described in ``schema.py``, which checks it
before :class:`Reader` makes anything. Importing skops itself takes longer than importing torch,
because it imports all of scikit-learn.

Everything but plain values, containers, arrays and objects of trusted types is stored in a
plain form, as the content of a :class:`Stored`.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.persistence.archive import pack, unpack
from mixup_tab.persistence.net_weights import (
    Weights,
    check_estimator,
    describe,
    make_net,
    pack_weights,
    unpack_weights,
)
from mixup_tab.persistence.plain_forms import PLAIN_FORMS, check_sound, name_of, no_search, ours
from mixup_tab.persistence.schema import Foreign, check
from mixup_tab.persistence.steps import check_read, written
from mixup_tab.persistence.trusted import PROTOCOL, TRUSTED
from mixup_tab.training import MixupNet

_SCHEMA = "schema.json"
# A schema takes about twenty times its length in memory.
JSON_SHARE = 20

_VALUES = (type(None), bool, int, float, str)
# Attributes that only matter for training, or on the machine of the training, and what is
# stored instead; None also stands for generators of random numbers.
_INSTEAD = {"callbacks": None, "n_jobs": None, "memory": None, "device": "auto"}
_LEFT_OUT = {"_metadata_request", "_callback_fit_ctx", "_parent_callback_ctx"}
_LEFT_OUT |= {"_skl_callbacks", "_skl_callbacks_to_teardown"}
# Nets of ours, which a file may name.
_NETS = {
    "mixup_tab.nets.mlp.MLP",
    "mixup_tab.nets.vgg.VGG11",
    "mixup_tab.nets.lenet.LeNet",
    "mixup_tab.nets.resnet.ResNet10",
    "mixup_tab.nets.bcresnet.BCResNet",
    "mixup_tab.nets.preact_resnet.PreActResNet18",
    "mixup_tab.audio.from_waveform.FromWaveform",
}


class Stored:
    """Stands in a file for something in its plain form.

    Parameters
    ----------
    kind : str
        A name of ``PLAIN_FORMS``, or of a method of :class:`Reader`.
    content : plain
        Its form.
    """

    def __init__(self, kind: str, content: Any) -> None:
        self.kind, self.content = kind, content


class MissingModule(ValueError):
    """A file needs a module of the user's that was not given."""


def to_bytes(model: Any) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return a fitted estimator as bytes; it stays as it is.

    Returns
    -------
    model, weights : bytes
        All but the weights of its nets, and these.
    modules : dict of str to callable
        Modules of the user's, by name.

    Raises
    ------
    ValueError
        If it holds something that :func:`from_bytes` would refuse.
    """
    writer = Writer()
    schema = {"protocol": PROTOCOL, **writer.node(model)}
    check(schema, writer.arrays)
    packed = pack({_SCHEMA: json.dumps(schema).encode(), **writer.arrays})
    return packed, pack_weights(writer.nets), writer.modules


def from_bytes(
    data: bytes, weights: bytes, modules: Mapping[str, Any], device: str, size_limit: float
) -> Any:
    """Return the estimator of :func:`to_bytes`, running nothing that the bytes decide.

    Raises
    ------
    MissingModule
        If it needs a module of the user's that is not among ``modules``.
    Foreign
        If it holds a type or function that is not trusted.
    Exception
        Of any kind, if it is broken.
    """
    arrays = unpack(data)
    text = arrays.pop(_SCHEMA)
    if len(text) * JSON_SHARE > size_limit:
        raise ValueError(f"its schema takes {len(text):,} bytes, too many for size_limit")
    schema = json.loads(text)
    check(schema, arrays)
    reader = Reader(arrays, unpack_weights(weights), modules, device)
    model = reader.make(schema)
    if reader.nets.keys() != reader.weights.keys():
        raise ValueError("it holds weights of nets that it does not have")
    for part in reader.objects:
        if isinstance(part, BaseMixup) and hasattr(part, "net_"):
            check_estimator(part)
        if "device" in vars(part):
            part.device = device
    return model


# ----------------------------------------------------------------------------------- writing


class Writer:
    """Writes nodes, each thing once, with numbers from 1.

    Attributes
    ----------
    arrays : dict of str to bytes
        Files of numpy's, by name.
    nets : list of MixupNet
        Those that were found, in the order of their numbers.
    modules : dict of str to callable
        Modules of the user's, by name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, bytes] = {}
        self.nets: list[MixupNet] = []
        self.modules: dict[str, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._kept: list[Any] = []  # so that nothing else gets the id of one that is gone

    def node(self, thing: Any) -> dict[str, Any]:
        """Return the node of a thing, or a reference if it has been written."""
        if isinstance(thing, (np.random.RandomState, np.random.Generator)):
            thing = None
        key: Any = json.dumps(thing) if type(thing) in _VALUES else id(thing)
        if key in self._numbers:
            return {"__id__": self._numbers[key]}
        number = self._numbers[key] = len(self._numbers) + 1
        self._kept.append(thing)
        return {**self._new(thing, number), "__id__": number}

    def _new(self, thing: Any, number: int) -> dict[str, Any]:
        name = name_of(type(thing))
        if type(thing) in _VALUES:
            return _node("JsonNode", "builtins.str", content=json.dumps(thing))
        if type(thing) is list and len(thing) > 8 and {*map(type, thing)} <= {*_VALUES}:
            return self._stored("json", json.dumps(thing))  # a hundredth of so many nodes
        if type(thing) in (list, tuple):
            kind = "ListNode" if type(thing) is list else "TupleNode"
            return _node(kind, name, content=[*map(self.node, thing)])
        if type(thing) is dict:
            return self._dict(thing)
        if name in PLAIN_FORMS:
            return self._stored(name, PLAIN_FORMS[name][0](thing))
        if isinstance(thing, np.generic):
            return self._stored("scalar", np.asarray(thing))
        if isinstance(thing, np.ndarray):
            return self._array(np.asarray(thing), number)
        if isinstance(thing, np.dtype):
            return _node("DTypeNode", "numpy.dtype", content=self.node(np.empty(0, thing)))
        if isinstance(thing, MixupNet):
            self.nets.append(thing)
            return self._stored("net", {"number": len(self.nets) - 1, **describe(thing)})
        if isinstance(thing, functools.partial):
            parts = {"func": thing.func, "args": thing.args, "keywords": thing.keywords}
            return self._stored("partial", parts)
        if _is_module(thing):
            return self._stored("module", self._named(thing))
        if isinstance(thing, type):
            return _node("TypeNode", name_of(thing))
        return self._object(thing)

    def _dict(self, thing: dict[Any, Any]) -> dict[str, Any]:
        if {*map(type, thing)} - {str}:
            return self._stored("dict", (list(thing), list(thing.values())))
        types = self.node([str] * len(thing))
        content = {key: self.node(value) for key, value in thing.items()}
        return _node("DictNode", "builtins.dict", key_types=types, content=content)

    def _array(self, array: np.ndarray, number: int) -> dict[str, Any]:
        if array.dtype == object:
            parts, shape = [*map(self.node, array.tolist())], self.node(array.shape)
            return _node(
                "NdArrayNode", "numpy.ndarray", type="json", content=parts, shape=shape
            )
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        self.arrays[f"{number}.npy"] = file.getvalue()
        return _node("NdArrayNode", "numpy.ndarray", type="numpy", file=f"{number}.npy")

    def _object(self, thing: Any) -> dict[str, Any]:
        if name_of(type(thing)) not in TRUSTED["ObjectNode"]:
            if hasattr(thing, "best_estimator_"):
                raise no_search(f"{type(thing).__name__} of scikit-learn")
            raise Foreign(name_of(type(thing)))
        state = written(thing).__getstate__()
        if state is not None:
            state = {k: _INSTEAD.get(k, v) for k, v in state.items() if k not in _LEFT_OUT}
            chosen = state.get("categorical_features")
            if isinstance(chosen, (range, pd.Index, pd.Series)):
                state["categorical_features"] = np.asarray(chosen)
            words = state.get("vocabulary_")
            if words:  # of a text vectorizer, whose words have the numbers from 0
                ordered = sorted(words, key=words.__getitem__)
                state["vocabulary_"] = Stored("vocabulary", json.dumps(ordered))
        return _node("ObjectNode", name_of(type(thing)), content=self.node(state))

    def _stored(self, kind: str, content: Any) -> dict[str, Any]:
        return self._object(Stored(kind, content))

    def _named(self, module: Any) -> str:
        """Return the name under which a module is stored."""
        name = name_of(module)
        if name not in _NETS:
            name = module.__name__
            if self.modules.setdefault(name, module) is not module:
                raise ValueError(
                    f"this model cannot be saved: it has two modules named {name!r}. Rename "
                    "one."
                )
        return name


def _is_module(thing: Any) -> bool:
    """Whether a thing makes nets: their class, or a function."""
    is_net = isinstance(thing, type) and issubclass(thing, nn.Module)
    return is_net or isinstance(thing, FunctionType)


def _node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    module, _, own = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": own, **more}


# ----------------------------------------------------------------------------------- reading


class Reader:
    """Makes things from nodes that have been checked.

    Attributes
    ----------
    objects : list
        All objects of trusted types that were made.
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
        self.nets: dict[int, MixupNet] = {}
        self.weights = weights
        self._arrays, self._modules, self._device = arrays, modules, device
        self._made: dict[int, Any] = {}

    def make(self, node: dict[str, Any]) -> Any:
        """Return the thing of a node, which is made once."""
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
        self.make(node["key_types"])  # others may refer to it
        return {key: self.make(part) for key, part in node["content"].items()}

    def _TypeNode(self, node: dict[str, Any]) -> Any:
        return getattr(import_module(node["__module__"]), node["__class__"])

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
        made = object.__new__(self._TypeNode(node))
        if state is not None:
            getattr(made, "__setstate__", vars(made).update)(state)
        if isinstance(made, Stored):
            return self._restored(made.kind, made.content)
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
        if not _is_module(parts["func"]):
            raise ValueError("it has no net that is known")
        return functools.partial(parts["func"], *parts["args"], **parts["keywords"])

    def _module(self, name: str) -> Any:
        if name in self._modules:
            return self._modules[name]
        if name in _NETS:
            return ours(name)
        raise MissingModule(name)


def _vocabulary(text: str) -> dict[str, int]:
    """Return words with the numbers from 0, which compiled code relies on."""
    words = json.loads(text)
    if len({*words}) != len(words):
        raise ValueError("a vocabulary of it has a word twice")
    return {word: number for number, word in enumerate(words)}


def named(modules: Sequence[Any]) -> dict[str, Any]:
    """Return modules of the user's by name.

    Raises
    ------
    TypeError
        If one is neither a class nor a function, such as an instance.
    ValueError
        If two have one name.
    """
    found: dict[str, Any] = {}
    for module in modules:
        if not _is_module(module):
            raise TypeError(
                f"modules must hold nn.Module classes and functions, got {module!r}."
            )
        if found.setdefault(module.__name__, module) is not module:
            raise ValueError(f"modules holds two that are named {module.__name__!r}.")
    return found
