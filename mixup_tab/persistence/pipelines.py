"""Write fitted estimators as JSON and arrays, without pickle; ``reading.py`` reads them.

The JSON has the layout of skops: a tree of nodes, described in ``schema.py``. skops itself is
not used, because it imports all of scikit-learn, which takes longer than importing torch.

Plain values, containers, arrays and objects of trusted types are stored directly, all else in a
plain form inside a :class:`Stored`.
"""

from __future__ import annotations

import functools
import io
import json
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab.persistence.archive import pack
from mixup_tab.persistence.net_weights import describe, pack_weights
from mixup_tab.persistence.plain_forms import PLAIN_FORMS, name_of, no_search
from mixup_tab.persistence.reading import NETS, SCHEMA, is_module
from mixup_tab.persistence.schema import Foreign, check
from mixup_tab.persistence.steps import written
from mixup_tab.persistence.trusted import PROTOCOL, TRUSTED
from mixup_tab.training import MixupNet

_VALUES = (type(None), bool, int, float, str)
# Attributes that only matter for training, or on the training machine, and what is stored
# instead. Random generators are stored as None, too.
_INSTEAD = {"callbacks": None, "n_jobs": None, "memory": None, "device": "auto"}
_LEFT_OUT = {"_metadata_request", "_callback_fit_ctx", "_parent_callback_ctx"}
_LEFT_OUT |= {"_skl_callbacks", "_skl_callbacks_to_teardown"}


class Stored:
    """The plain form of an object.

    Parameters
    ----------
    kind : str
        A key of ``PLAIN_FORMS``, or another that ``Reader`` knows.
    content : plain
        The plain form.
    """

    def __init__(self, kind: str, content: Any) -> None:
        self.kind, self.content = kind, content


def to_bytes(model: Any) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return a fitted estimator as bytes, without changing it.

    Returns
    -------
    model, weights : bytes
        The estimator without the weights of its nets, and these weights.
    modules : dict of str to callable
        User-defined modules by name.

    Raises
    ------
    ValueError
        If it holds something that :func:`from_bytes` would reject.
    """
    writer = Writer()
    schema = {"protocol": PROTOCOL, **writer.node(model)}
    check(schema, writer.arrays)
    packed = pack({SCHEMA: json.dumps(schema).encode(), **writer.arrays})
    return packed, pack_weights(writer.nets), writer.modules


class Writer:
    """Writes nodes, one per object, numbered from 1.

    Attributes
    ----------
    arrays : dict of str to bytes
        ``.npy`` files by name.
    nets : list of MixupNet
        Nets, in the order of their numbers.
    modules : dict of str to callable
        User-defined modules by name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, bytes] = {}
        self.nets: list[MixupNet] = []
        self.modules: dict[str, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._kept: list[Any] = []  # keeps objects alive, so that ids stay unique

    def node(self, thing: Any) -> dict[str, Any]:
        """Return the node of an object, or a reference if it has been written."""
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
            return self._stored("json", json.dumps(thing))  # a hundred times smaller than nodes
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
        if is_module(thing):
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
            if words:  # of a text vectorizer, numbered from 0
                ordered = sorted(words, key=words.__getitem__)
                state["vocabulary_"] = Stored("vocabulary", json.dumps(ordered))
        return _node("ObjectNode", name_of(type(thing)), content=self.node(state))

    def _stored(self, kind: str, content: Any) -> dict[str, Any]:
        return self._object(Stored(kind, content))

    def _named(self, module: Any) -> str:
        """Return the name under which to store a module."""
        name = name_of(module)
        if name not in NETS:
            name = module.__name__
            if self.modules.setdefault(name, module) is not module:
                raise ValueError(
                    f"this model cannot be saved: it has two modules named {name!r}. Rename "
                    "one."
                )
        return name


def _node(loader: str, name: str, **more: Any) -> dict[str, Any]:
    module, _, own = name.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": own, **more}
