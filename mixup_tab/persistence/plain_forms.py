"""Plain forms (values, containers and arrays) of searches, mixing rules, layers and others."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from numbers import Integral
from typing import Any

import numpy as np
from torch import nn

from mixup_tab import mixing
from mixup_tab.persistence.steps import STEP_FORMS
from mixup_tab.persistence.trusted import TRUSTED

# Limits that save memory: samples per second; samples of a clip, and values for the mel bands
# of a window; windows that overlap at a sample.
_FASTEST, _MOST_VALUES, _MOST_OVERLAP = 1_000_000, 20_000_000, 100


def name_of(kind: Any) -> str:
    """Return the full name of a class or function."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _from_masked(array: Any) -> dict[str, Any]:
    objects = array.dtype == object
    data = array.filled(None) if objects else array.data
    return {"data": data.tolist() if objects else data, "mask": np.ma.getmaskarray(array)}


def _to_masked(parts: dict[str, Any]) -> Any:
    data, mask = parts["data"], parts["mask"]
    if type(data) is list:
        data, values = np.empty(len(data), dtype=object), data
        data[:] = values
    return np.ma.MaskedArray(data, mask)


_SEARCHED = (
    *("cv_results_", "best_estimator_", "best_params_", "best_score_", "best_index_"),
    *("n_splits_", "multimetric_", "refit_time_", "feature_names_in_"),
)
_SEARCH = ("estimator", "param_grid", "scoring", "refit", "cv", "error_score")


def _from_search(search: Any) -> dict[str, Any]:
    """Return the results and the parameters of a search."""
    scoring = search.scoring
    scorers = scoring.values() if isinstance(scoring, dict) else (scoring,)
    wrong = {
        "scoring": not all(isinstance(s, (str, list, tuple, type(None))) for s in scorers),
        "refit": callable(search.refit),
        "cv": not (
            isinstance(search.cv, (Integral, type(None)))
            or name_of(type(search.cv)) in TRUSTED["ObjectNode"]
        ),
    }
    for name in (name for name, found in wrong.items() if found):
        raise no_search(f"search with {name}={getattr(search, name)!r}")
    kept = {name: getattr(search, name) for name in (*_SEARCH, "return_train_score")}
    found = {name: vars(search)[name] for name in _SEARCHED if name in vars(search)}
    return {"parameters": kept, "found": found}


def no_search(what: str) -> ValueError:
    """Return the error for a search that cannot be saved."""
    return ValueError(
        f"a {what} cannot be saved. Save its best model: "
        "save_model(search.best_estimator_, ...)."
    )


def _to_search(parts: dict[str, Any]) -> Any:
    from mixup_tab.search.cv import MixupSearchCV

    kept, found = parts["parameters"], parts["found"]
    if kept.keys() - {*_SEARCH, "return_train_score"} or found.keys() - {*_SEARCHED}:
        raise ValueError("a search in it has wrong attributes")
    search = MixupSearchCV(**kept)
    search.__dict__.update(found)
    scorers, _ = search._get_scorers()
    search.scorer_ = getattr(scorers, "_scorers", scorers)
    return search


def _from_rule(rule: Any) -> dict[str, Any]:
    return {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}


def _to_rule(rule: Any, parts: dict[str, Any]) -> Any:
    return rule(**parts)


def _from_layer(layer: nn.Module) -> dict[str, Any]:
    """Return the parameters of a layer, without noise recordings, which only training needs."""
    return {name: getattr(layer, name) for name in _parameters(type(layer))}


def _to_layer(name: str, parts: dict[str, Any]) -> nn.Module:
    kind = ours(name)
    if [*parts] != _parameters(kind):
        raise ValueError(f"a {kind.__name__} in it has wrong parameters")
    check_sound(parts)
    return kind(**parts)


def _parameters(layer: type[nn.Module]) -> list[str]:
    return sorted(signature(layer).parameters.keys() - {"noise"})


def check_sound(parts: Mapping[str, Any]) -> None:
    """Check that sounds and spectrograms do not take too much memory."""
    rate, window = parts.get("sample_rate", 0), parts.get("window_seconds", 0)
    samples = rate * max(window, parts.get("seconds", 0))
    values = rate * window * parts.get("n_mels", 1)
    overlap = window / parts.get("hop_seconds", 1)
    fine = 0 <= rate <= _FASTEST and 0 <= samples <= _MOST_VALUES
    if not (fine and values <= _MOST_VALUES and overlap <= _MOST_OVERLAP):
        raise ValueError("its sounds or spectrograms are too large")


def ours(name: str) -> Any:
    """Import an object by name; only called for names listed in this package."""
    module, _, own = name.rpartition(".")
    return getattr(import_module(module), own)


_LAYERS = (
    "mixup_tab.audio.layers.SpectrogramLayer",
    "mixup_tab.audio.augment.WaveAugment",
    "mixup_tab.audio.augment.SpecAugment",
)
_RULES = [kind for kind in vars(mixing).values() if dataclasses.is_dataclass(kind)]
# By type: functions to and from the plain form, which consists of values, containers, arrays
# and trusted objects. The second function checks it.
PLAIN_FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "numpy.ma.MaskedArray": (_from_masked, _to_masked),
    "numpy.ma.core.MaskedArray": (_from_masked, _to_masked),  # in older versions
    "mixup_tab.search.cv.MixupSearchCV": (_from_search, _to_search),
    **STEP_FORMS,
    **{name: (_from_layer, functools.partial(_to_layer, name)) for name in _LAYERS},
    **{name_of(rule): (_from_rule, functools.partial(_to_rule, rule)) for rule in _RULES},
}
