"""Check the description of an object in a model file before anything is made from it.

It is a tree of nodes in the layout of skops. A node has a kind (``__loader__``), the name of a
type (``__module__``, ``__class__``), a number (``__id__``) and usually content. A node that is
only ``{"__id__": n}`` refers to node n.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mixup_tab.persistence.trusted import FIXED, PROTOCOL, TRUSTED

_COMMON = {"__loader__", "__module__", "__class__", "__id__"}
# Further keys by kind; arrays of numbers and of objects differ.
_KEYS: dict[str, tuple[set[str], ...]] = {
    "JsonNode": ({"content"},),
    "ListNode": ({"content"},),
    "TupleNode": ({"content"},),
    "DictNode": ({"content", "key_types"},),
    "NdArrayNode": ({"type", "file"}, {"type", "content", "shape"}),
    "DTypeNode": ({"content"},),
    "TypeNode": (set(),),
    "ObjectNode": ({"content"},),
}
_DEEPEST = 100
# Nested references could make a small file run for ever. Real pipelines refer to each of their
# parts about forty times.
_MOST_REPEATS = 1000


class Foreign(ValueError):
    """A file names something that is not allowed in a model."""


def check(schema: Any, arrays: Mapping[str, bytes]) -> None:
    """Check that a schema and its arrays are well formed and name only trusted types.

    Nothing is imported.

    Parameters
    ----------
    schema : JSON
        Content of the file.
    arrays : mapping of str to bytes
        All other members.

    Raises
    ------
    Foreign
        If it names a type or function that is not trusted.
    ValueError, KeyError, TypeError, AttributeError
        If it is not well formed.
    """
    protocol = schema["protocol"]
    if type(protocol) is not int or protocol != PROTOCOL:
        raise ValueError(f"its layout is {protocol!r:.20}, but only {PROTOCOL} is supported")
    checker = _Checker(arrays)
    checker.node({key: part for key, part in schema.items() if key != "protocol"}, 0)
    if checker.count > _MOST_REPEATS * len(checker.begun):
        raise ValueError("its schema refers to its parts too often")
    if checker.read != set(arrays):
        raise ValueError("it holds files that it does not use")


class _Checker:
    """Visits the nodes in the order in which they are read."""

    def __init__(self, arrays: Mapping[str, bytes]) -> None:
        self.arrays = arrays
        self.read: set[str] = set()
        # Kind of each finished node, and its value if that is plain JSON, by number. Nodes are
        # added when they are finished, so that none can contain itself.
        self.done: dict[int, tuple[str, Any]] = {}
        self.begun: set[int] = set()
        # Number of nodes with references expanded: in total, and for each node.
        self.count = 0
        self.counts: dict[int, int] = {}

    def node(self, node: Any, depth: int, *allowed: str) -> tuple[str, Any]:
        """Check a node; return its kind, which must be ``allowed``, and its JSON value."""
        if depth > _DEEPEST:
            raise ValueError("its schema is nested too deeply")
        if type(node["__id__"]) is not int or node["__id__"] < 1:
            raise ValueError("a number in its schema is wrong")
        number = node["__id__"]
        if node.keys() == {"__id__"}:
            found = self.done[number]
            self.count += self.counts[number]
        else:
            if number in self.begun:
                raise ValueError("its schema has two nodes of the same number")
            self.begun.add(number)
            before, self.count = self.count, self.count + 1
            found = self.done[number] = self._new(node, depth)
            self.counts[number] = self.count - before
        if allowed and found[0] not in allowed:
            raise ValueError(f"its schema has a {found[0]} where it is not allowed")
        return found

    def _new(self, node: dict[str, Any], depth: int) -> tuple[str, Any]:
        loader, module, own = node["__loader__"], node["__module__"], node["__class__"]
        names = TRUSTED.get(loader) if isinstance(loader, str) else None
        name = f"{module}.{own}"
        if names is None or name not in names or "." in own:
            raise Foreign(name if names else f"{loader} of {name}")
        if node.keys() - _COMMON not in _KEYS[loader]:
            raise ValueError(f"a {loader} of its schema has wrong keys")
        value = getattr(self, f"_{loader}")(node, depth + 1)
        return loader, value

    def _JsonNode(self, node: dict[str, Any], depth: int) -> Any:
        value = json.loads(node["content"])
        if isinstance(value, (list, dict)):
            raise ValueError("a value of its schema is not plain")
        return value

    def _ListNode(self, node: dict[str, Any], depth: int) -> None:
        for part in _listed(node["content"]):
            self.node(part, depth)

    _TupleNode = _ListNode

    def _TypeNode(self, node: dict[str, Any], depth: int) -> str:
        return f"{node['__module__']}.{node['__class__']}"

    def _DictNode(self, node: dict[str, Any], depth: int) -> dict[str, tuple[str, Any]]:
        types = node["key_types"]
        if types["__loader__"] != "ListNode":
            raise ValueError("a dict of its schema lacks the types of its keys")
        self.node(types, depth)
        kinds = [self.node(kind, depth, "TypeNode")[1] for kind in _again(types["content"])]
        if len(kinds) != len(node["content"]) or {*kinds} - {"builtins.str"}:
            raise ValueError("a dict of its schema has keys that are not strings")
        return {key: self.node(part, depth) for key, part in node["content"].items()}

    def _ObjectNode(self, node: dict[str, Any], depth: int) -> None:
        kind, attributes = self.node(node["content"], depth, "DictNode", "JsonNode")
        if kind == "JsonNode":
            if attributes is not None:
                raise ValueError("an object of its schema has no attributes")
            return
        for name, (kind, value) in attributes.items():
            if name.startswith("__"):
                raise Foreign(name)
            if name in FIXED and (kind != "JsonNode" or value not in FIXED[name]):
                found = f"{value!r:.40}" if kind == "JsonNode" else f"a {kind}"
                raise Foreign(f"{name}={found}")

    def _DTypeNode(self, node: dict[str, Any], depth: int) -> None:
        self.node(node["content"], depth, "NdArrayNode")

    def _NdArrayNode(self, node: dict[str, Any], depth: int) -> None:
        if node["type"] == "numpy":
            self.read.add(node["file"])
            _check_array(self.arrays[node["file"]])
            return
        if node["type"] != "json":
            raise ValueError("an array of its schema is of an unknown type")
        for part in _listed(node["content"]):
            self.node(part, depth, "JsonNode")
        shape = node["shape"]
        self.node(shape, depth, "TupleNode")
        lengths = [self.node(part, depth, "JsonNode")[1] for part in _again(shape["content"])]
        if lengths != [len(node["content"])]:
            raise ValueError("an array of its schema declares a wrong length")


def _listed(content: Any) -> list[Any]:
    if type(content) is not list:
        raise ValueError("a list of its schema is not a list")
    return content


def _again(content: list[dict[str, Any]]) -> list[dict[str, int]]:
    """Return references to checked nodes."""
    return [{"__id__": part["__id__"]} for part in content]


def _check_array(data: bytes) -> None:
    """Check the declared size of a ``.npy`` file before it is read."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0}[version]
    shape, _, dtype = read(file)
    count = math.prod(shape)
    if dtype.kind not in "biufUMm" or (count and not dtype.itemsize):
        raise ValueError(f"an array in it has the type {dtype.str:.20}")
    if file.tell() + count * dtype.itemsize != len(data) or max(shape, default=0) > len(data):
        raise ValueError("an array in it declares a wrong length")
