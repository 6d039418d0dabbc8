"""Fitted pipelines as bytes without pickle, by skops; the types that may be in them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline

from mixup_tab._extras import import_extra

# What skrub's pipelines hold beyond skrub's own types and what skops trusts by itself. Every
# type that may be loaded is decided here and in _is_trusted.
_TRUSTED = {
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
}
_TRUSTED_PACKAGES = ("skrub", "mixup_tab")
# Modules with the functions by which skrub selects columns; no other function is trusted.
_TRUSTED_FUNCTIONS = ("skrub._dataframe.", "skrub.selectors.", "skrub._table_vectorizer.")


def to_bytes(pipeline: Pipeline) -> bytes:
    """Return a fitted pipeline without its net as bytes; the pipeline stays as it is."""
    if pipeline[-1].module is not None:
        raise ValueError(
            f"module={pipeline[-1].module!r} cannot be saved without pickle. Use the default "
            "net."
        )
    *steps, (name, net) = pipeline.steps
    bare = copy.copy(net)
    del bare.net_
    lean = copy.deepcopy(Pipeline([*steps, (name, bare)]))
    # skops writes a few hundred bytes for every entry of a dict, and again wherever skrub
    # keeps another reference to it. Sorted by its numbers, a vocabulary is a list.
    for vectorizer in _vectorizers(lean):
        words = vectorizer.vocabulary_
        vectorizer.vocabulary_ = np.array(sorted(words, key=words.__getitem__), dtype=str)
    return import_extra("skops.io", "models").dumps(lean)


def from_bytes(data: bytes) -> Pipeline:
    """Return the pipeline of :func:`to_bytes`; skops refuses any type not trusted here."""
    io = import_extra("skops.io", "models")
    trusted = [name for name in io.get_untrusted_types(data=data) if _is_trusted(name)]
    pipeline = io.loads(data, trusted=trusted)
    for vectorizer in _vectorizers(pipeline):
        words = vectorizer.vocabulary_.tolist()
        vectorizer.vocabulary_ = {word: number for number, word in enumerate(words)}
    return pipeline


def foreign_types(data: bytes) -> list[str]:
    """Return the types in stored bytes that no model of this package holds."""
    types = import_extra("skops.io", "models").get_untrusted_types(data=data)
    return [name for name in types if not _is_trusted(name)]


def _is_trusted(name: str) -> bool:
    """Whether a type or function is one of ours or skrub's, defined where its name says."""
    if name in _TRUSTED:
        return True
    module, _, own = name.rpartition(".")
    if module.partition(".")[0] not in _TRUSTED_PACKAGES:
        return False
    try:
        thing: Any = getattr(import_module(module), own)
    except (ImportError, AttributeError):
        return False
    fine = isinstance(thing, type) or name.startswith(_TRUSTED_FUNCTIONS)
    return fine and getattr(thing, "__module__", None) == module


def _vectorizers(thing: Any, seen: set[int] | None = None) -> Iterator[CountVectorizer]:
    """Find everything with a vocabulary inside an estimator, each once."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, CountVectorizer) and hasattr(thing, "vocabulary_"):
        yield thing
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, (list, tuple)):
        parts = list(thing)
    else:
        parts = list(getattr(thing, "__dict__", {}).values())
    for part in parts:
        yield from _vectorizers(part, seen)
