"""Fitted pipelines as bytes without pickle: skops reads them once they are checked."""

from __future__ import annotations

import copy
import json
import re
import zoneinfo
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import BSpline
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from mixup_tab._extras import import_extra
from mixup_tab.persistence.archive import pack, unpack
from mixup_tab.persistence.schema import check, shrink
from mixup_tab.persistence.trusted import TRUSTED

_SCHEMA = "schema.json"
# A schema takes about twenty times its length in memory.
JSON_SHARE = 20
_DATES = re.compile(r"datetime64\[(s|ms|us|ns), (.+)\]")
_OFFSET = re.compile(r"UTC([+-]\d\d:\d\d)?")


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
    """Put what a file should not hold, or holds at length, into plain values.

    skops writes a hundred bytes for every word of a dict; splines go to compiled code, which
    does not check them; dtypes of pandas hold objects for time zones.
    """
    if isinstance(part, CountVectorizer) and hasattr(part, "vocabulary_"):
        words = part.vocabulary_
        part.vocabulary_ = json.dumps(sorted(words, key=words.__getitem__))
    elif isinstance(part, SplineTransformer) and hasattr(part, "bsplines_"):
        part.bsplines_ = [(s.t, s.c, int(s.k), s.extrapolate) for s in part.bsplines_]
    elif isinstance(getattr(part, "output_dtype_", None), pd.DatetimeTZDtype):
        part.output_dtype_ = str(part.output_dtype_)
        _unit_and_zone(part.output_dtype_)


def _restore(part: Any) -> None:
    """Undo :func:`_make_plain`, and check what compiled code or pandas relies on."""
    if isinstance(part, CountVectorizer) and hasattr(part, "vocabulary_"):
        words = json.loads(part.vocabulary_)
        part.vocabulary_ = {word: number for number, word in enumerate(words)}
        if len(part.vocabulary_) != len(words):
            raise ValueError("a vocabulary of it has a word twice")
    elif isinstance(part, SplineTransformer) and hasattr(part, "bsplines_"):
        part.bsplines_ = [BSpline(t, c, k, extrapolate=e) for t, c, k, e in part.bsplines_]
        if part.n_features_out_ > sum(spline.c.shape[1] for spline in part.bsplines_):
            raise ValueError("splines of it have other numbers of columns than it says")
    elif isinstance(part, OneHotEncoder) and hasattr(part, "categories_"):
        known = [words for words in part.categories_ if words.dtype.kind not in "OU"]
        if not all(np.array_equal(words, np.unique(words), equal_nan=True) for words in known):
            raise ValueError("categories of it are not in order")  # they are searched by halves
        dropped = part._drop_idx_after_grouping
        widths = [len(words) for words in part.categories_]
        if dropped is not None:
            pairs = zip(dropped.tolist(), widths, strict=True)
            if not all(k is None or (type(k) is int and 0 <= k < n) for k, n in pairs):
                raise ValueError("categories of it are dropped that it has not")
        if part._infrequent_enabled or part._n_features_outs != part._compute_n_features_outs():
            raise ValueError("categories of it have other numbers than it says")
    elif hasattr(part, "output_time_zone_"):
        zone = None
        if isinstance(part.output_dtype_, str):
            part.output_dtype_ = pd.DatetimeTZDtype(*_unit_and_zone(part.output_dtype_))
            zone = str(part.output_dtype_.tz)
        if part.output_time_zone_ != zone:
            raise ValueError(f"it holds a time zone {part.output_time_zone_!r:.40}")


def _unit_and_zone(dtype: str) -> tuple[str, str]:
    """Return what makes a dtype of dates, of a zone that opens no file but its own."""
    found = _DATES.fullmatch(dtype)
    zone = found[2] if found else ""
    if not (_OFFSET.fullmatch(zone) or zone in zoneinfo.available_timezones()):
        raise ValueError(f"it holds dates of an unknown zone, {dtype!r:.80}")
    return found[1], zone  # type: ignore[index]


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
