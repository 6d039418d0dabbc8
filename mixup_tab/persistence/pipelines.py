"""Fitted pipelines as bytes without pickle: skops reads them once they are checked."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline

from mixup_tab._extras import import_extra
from mixup_tab.persistence.archive import pack, unpack
from mixup_tab.persistence.schema import check, shrink
from mixup_tab.persistence.trusted import TRUSTED

_SCHEMA = "schema.json"
# A schema takes about twenty times its length in memory.
JSON_SHARE = 20


def to_bytes(pipeline: Pipeline) -> bytes:
    """Return a fitted pipeline without its net as bytes; the pipeline stays as it is.

    Raises
    ------
    ValueError
        If it holds something that :func:`from_bytes` would refuse.
    """
    net = pipeline[-1]
    for name in ("module", "callbacks"):
        if getattr(net, name) is not None:
            raise ValueError(
                f"{name}={getattr(net, name)!r} cannot be saved without pickle. Use "
                f"{name}=None."
            )
    *steps, (name, net) = pipeline.steps
    bare = copy.copy(net)
    del bare.net_
    lean = copy.deepcopy(Pipeline([*steps, (name, bare)]))
    for part in _parts(lean):
        _make_plain(part)
    members = unpack(import_extra("skops.io", "models").dumps(lean))
    schema, files = shrink(json.loads(members[_SCHEMA]))
    arrays = {files[name]: part for name, part in members.items() if name in files}
    check(schema, arrays)
    return pack({_SCHEMA: json.dumps(schema).encode(), **arrays})


def from_bytes(data: bytes, size_limit: float) -> Pipeline:
    """Return the pipeline of :func:`to_bytes`, running nothing that the bytes decide.

    Raises
    ------
    Foreign
        If it holds a type or function that is not trusted.
    Exception
        Of any kind, if it is broken.
    """
    arrays = unpack(data)
    schema = arrays.pop(_SCHEMA)
    if len(schema) * JSON_SHARE > size_limit:
        raise ValueError(f"its schema takes {len(schema):,} bytes, too many for size_limit")
    check(json.loads(schema), arrays)
    names = sorted(set.union(*TRUSTED.values()))
    pipeline = import_extra("skops.io", "models").loads(data, trusted=names)
    if type(pipeline) is not Pipeline:
        raise ValueError("it holds no pipeline")
    for part in _parts(pipeline):
        _restore(part)
    return pipeline


def _make_plain(part: Any) -> None:
    """Shorten what skops writes at length: a hundred bytes for every word of a dict."""
    if isinstance(part, CountVectorizer) and hasattr(part, "vocabulary_"):
        words = part.vocabulary_
        part.vocabulary_ = json.dumps(sorted(words, key=words.__getitem__))


def _restore(part: Any) -> None:
    """Undo :func:`_make_plain`, and check what compiled code relies on."""
    if isinstance(part, CountVectorizer) and hasattr(part, "vocabulary_"):
        words = json.loads(part.vocabulary_)
        part.vocabulary_ = {word: number for number, word in enumerate(words)}
        if len(part.vocabulary_) != len(words):
            raise ValueError("a vocabulary of it has a word twice")


def _parts(thing: Any, seen: dict[int, Any] | None = None) -> Iterator[Any]:
    """Yield an estimator and all objects inside of it, each once."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # which keeps it, so that no other object gets its id
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, (list, tuple)):
        parts = list(thing)
    else:
        yield thing
        parts = list(getattr(thing, "__dict__", {}).values())
    for part in parts:
        yield from _parts(part, seen)
