"""Rows for checking an exported file against its model: usual, extreme and odd ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from mixup_tab.nets import Columns
from mixup_tab.persistence.onnx_tables import Raw, is_text, levels_read
from mixup_tab.tables import TableEncoder
from mixup_tab.training import MixupNet

# Distances from the centre of the training rows, in units of their spread.
_FAR = np.repeat([1.0, 10.0, 1e6], [40, 8, 4])
_UNKNOWN = "a word that no training row has"
# Constant columns have larger scales.
_LARGEST_SCALE = 1e290
# Pandas' dates are nanoseconds in 64 bits.
_LAST_SECOND = 9e9


def parts(thing: Any, seen: dict[int, Any] | None = None) -> Iterator[Any]:
    """Yield an estimator and its parts, each once; of a fitted one, only fitted parts."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    inside: Any = ()
    if isinstance(thing, (list, tuple)):
        inside = thing
    elif isinstance(thing, dict):
        inside = thing.values()
    elif isinstance(thing, BaseEstimator) or type(thing).__name__ == "_CalibratedClassifier":
        yield thing
        fitted = [part for name, part in vars(thing).items() if name.endswith("_")]
        inside = () if isinstance(thing, MixupNet) else fitted or vars(thing).values()
    for part in list(inside):
        yield from parts(part, seen)


def rows_to_check(model: Any, raw: Raw) -> tuple[Any, dict[str, np.ndarray]]:
    """Return rows for the model in Python, and the same rows as inputs of the file."""
    rng = np.random.default_rng(0)
    if not raw.is_matrix:
        return _columns(model, raw, rng)
    X = _matrix(model, raw, rng)
    named = bool(raw.names) and hasattr(model, "feature_names_in_")
    if not named and X.dtype != np.float64:  # images or waveforms
        return X, {"X": X}
    frame = pd.DataFrame(X, columns=raw.names if named else None)
    for column, levels in _categories(model).items():
        frame.isetitem(column, _as_levels(X[:, column], levels))
    return (frame if named or frame.dtypes.eq(object).any() else X), {"X": X}


def _matrix(model: Any, raw: Raw, rng: np.random.Generator) -> np.ndarray:
    if raw.dtype == np.int16:
        loud = rng.normal(size=(4, *raw.width)) * np.array([[0], [30], [3_000], [20_000]])
        return loud.clip(-32_768, 32_767).astype(np.int16)
    if raw.dtype == np.float32:
        return rng.normal(size=(4, *raw.width)).astype(np.float32)
    X = _spread_out(model, rng)
    for step in _steps(model)[::-1]:
        try:
            X = step.inverse_transform(X)
        except Exception:  # it has none, or it fails: keep the rows if their width fits
            continue
    if X.shape[1:] != raw.width:
        X = rng.normal(size=(len(_FAR), *raw.width)) * _FAR[:, None].clip(max=10)
    X = X[np.isfinite(X).all(1)]  # the inverse may leave the range of a step
    for column, levels in _categories(model).items():
        X[:, column] = rng.choice(levels, len(X))
    if _steps(model):  # some are discontinuous at 0
        X[rng.random(X.shape) < 0.05] = 0
    if any("Imputer" in type(part).__name__ for part in parts(model)):
        X[rng.random(X.shape) < 0.1] = np.nan
    return X


def _steps(model: Any) -> list[Any]:
    pipelines = (part for part in parts(model) if isinstance(part, Pipeline))
    steps = next(pipelines, Pipeline([("model", None)])).steps[:-1]
    return [step for _, step in steps if hasattr(step, "transform")]


def _spread_out(model: Any, rng: np.random.Generator) -> np.ndarray:
    """Return rows around the training rows of the first net of a model."""
    center, spread = _center_and_spread(model)
    z = rng.normal(size=(len(_FAR), len(center))) * _FAR[:, None]
    return (center + spread * z).clip(-1e300, 1e300)


def _center_and_spread(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and spread by column, of the first net that scales; 0, 1 for codes."""
    for net in parts(model):
        layer = getattr(getattr(net, "module_", None), "input_layer", None)
        if layer is None:
            continue
        scale = layer.scale if isinstance(layer, Columns) else layer
        width = layer.n_columns if isinstance(layer, Columns) else layer.width
        numbers = layer.numbers.numpy() if isinstance(layer, Columns) else np.arange(width)
        shift = 0.0 if scale.shift is None else scale.shift.numpy()
        center, spread = np.zeros(width), np.ones(width)
        center[numbers] = scale.center.numpy() + shift
        spread[numbers] = scale.scale.numpy()
        return center, np.where(spread < _LARGEST_SCALE, spread, 1.0)
    return np.zeros(0), np.ones(0)


def _categories(model: Any) -> dict[int, list[Any]]:
    """Return possible values of categorical columns, from the outermost part that has some.

    Only estimators of this package accept unknown values.
    """
    for part in parts(model):
        if getattr(part, "is_categorical_", None) is not None and hasattr(part, "categories_"):
            columns = np.flatnonzero(part.is_categorical_).tolist()
            levels = [[*each, _unlike(each)] for each in part.categories_]
            return dict(zip(columns, levels, strict=True))
        if found := levels_read(part):
            return {column: list(levels) for column, levels in found.items()}
    return {}


def _as_levels(numbers: Any, levels: list[Any]) -> Any:
    """Return numbers as values of a raw column, with True for 1 if that is a level."""
    known = {level: level for level in levels if isinstance(level, (bool, np.bool_))}
    if not known:
        return numbers
    return pd.Series([known.get(number, number) for number in numbers.tolist()], dtype=object)


def _unlike(levels: np.ndarray) -> Any:
    return _UNKNOWN if is_text(levels) else max(levels) + 1


def _columns(
    model: Any, raw: Raw, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return a table for the model, and the same rows as inputs of the file."""
    encoders = [part for part in parts(model) if isinstance(part, TableEncoder)]
    numbers = _numbers(model, raw, encoders, rng)
    words = _words(model, raw, encoders)
    levels = {} if encoders else {raw.names[k]: each for k, each in _categories(model).items()}
    frame, feeds = {}, {}
    for name in raw.names:
        dtype = encoders[0]._dtypes.get(name, "number") if encoders else "number"
        used = raw.graph.inputs.get(name)
        if name in words:
            values = rng.choice(sorted(words[name]), len(_FAR)).astype(object)
            # Only TableEncoder treats "" as missing; for others it is a word.
            frame[name] = pd.Series(values).replace("", None) if encoders else values
        else:
            values = numbers.get(name, np.zeros(len(_FAR)))
            if dtype != "number":  # pandas' dates have limits
                values = np.where(np.abs(values) < _LAST_SECOND, values.round(), np.nan)
            frame[name] = _as_levels(_as_written(values, dtype), levels.get(name, []))
        if used is not None:
            feeds[name] = values[:, None]
    return pd.DataFrame(frame), feeds


def _words(model: Any, raw: Raw, encoders: list[TableEncoder]) -> dict[str, set[str]]:
    """Return known words by text column."""
    found: dict[str, set[str]] = {}
    for encoder in encoders:
        means = {name: levels for name, (levels, _) in encoder._means.items()}
        for name, levels in {**encoder.levels_, **means}.items():
            found.setdefault(name, set()).update(levels)
        for name, kind in encoder.kinds_.items():
            if kind == "dropped" and encoder._dtypes.get(name) == "text":
                found.setdefault(name, set())
    if encoders:
        return {name: {*words, "", _UNKNOWN} for name, words in found.items()}
    return {
        raw.names[column]: set(levels)
        for column, levels in _categories(model).items()
        if isinstance(levels[0], str)
    }


def _numbers(
    model: Any, raw: Raw, encoders: list[TableEncoder], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return values of numbers and dates by column; with an encoder, some are missing."""
    rows = _spread_out(model, rng)
    if not encoders and rows.shape[1] != len(raw.names):  # other steps come before the net
        rows = rng.normal(size=(len(_FAR), len(raw.names))) * _FAR[:, None].clip(max=10)
    names = raw.names
    if encoders:
        names = [name.removesuffix("_seconds") for name in encoders[0]._kept]
    found = dict(zip(names, rows.T, strict=False))
    if not encoders:
        for column, levels in _categories(model).items():
            if not isinstance(levels[0], str):
                found[names[column]] = rng.choice(levels, len(rows)).astype(np.float64)
        return found
    for values in found.values():
        values[rng.random(len(values)) < 0.1] = np.nan
        values[rng.integers(len(values))] = np.inf
    return found


def _as_written(values: np.ndarray, dtype: str) -> pd.Series:
    """Return numbers, or seconds, as the values of a raw column."""
    column = pd.Series(values)
    if dtype == "duration":
        return pd.to_timedelta(column, unit="s")
    if dtype.startswith("date"):
        return pd.to_datetime(column, unit="s", utc=dtype == "date with zone")
    return column
