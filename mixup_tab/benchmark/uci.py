"""Tables, splits and methods of ``mixup-tab benchmark``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets as bundled
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab._plain import shown
from mixup_tab.benchmark.report import PLAIN
from mixup_tab.datasets import fetch_uci, list_uci
from mixup_tab.estimators import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.tables import TableEncoder

Split = tuple[np.ndarray, np.ndarray]

# UCI tables that come with scikit-learn, so that no download is needed.
BUNDLED: dict[str, Callable] = {
    "iris": bundled.load_iris,
    "wine": bundled.load_wine,
    "breast-cancer": bundled.load_breast_cancer,
    "digits": bundled.load_digits,
}
MIXUP = "mixup"
METHODS = {
    PLAIN: MixupClassifier(alpha=0, device="cpu"),
    MIXUP: MixupClassifier(device="cpu"),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier()),
    "MixupEnsembleClassifier": MixupEnsembleClassifier(device="cpu"),
    "RandomForestClassifier": RandomForestClassifier(),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(),
}
DEFAULT_METHODS = (PLAIN, MIXUP, "MLPClassifier")


def choose_methods(
    names: Sequence[str] = DEFAULT_METHODS, alphas: Sequence[float] = (0.2,)
) -> dict[str, BaseEstimator]:
    """Return pipelines from :func:`with_columns` by name; "mixup" once per α."""
    chosen = {}
    for name in _known("methods", names, METHODS):
        if name == MIXUP:
            for alpha in dict.fromkeys(map(check_alpha, alphas)):
                net = MixupClassifier(alpha, device="cpu")
                chosen[f"{MIXUP} α={alpha:g}"] = with_columns(net)
        else:
            chosen[name] = with_columns(METHODS[name])
    return chosen


def with_columns(*steps: BaseEstimator) -> Pipeline:
    """Return a pipeline of an encoder that suits the first step, and the steps."""
    own_net = getattr(steps[0], "module", None) is not None
    native = hasattr(steps[0], "categorical_features") and not own_net
    return make_pipeline(TableEncoder("category" if native else "one-hot"), *steps)


def choose_tables(
    names: Sequence[str] | None = None, data_home: str | os.PathLike | None = None
) -> dict[str, Callable]:
    """Return loaders of classification tables by name.

    Names are those of files in ``data_home``, which take precedence, of scikit-learn's tables
    or of UCI cards. None is all files in ``data_home``, or scikit-learn's tables if None too.
    """
    if names is None and data_home is None:
        names = list(BUNDLED)
    known = list_uci(data_home).set_index("name")
    known = known[known["task"] == "classification"]
    local = known[known["local"]] if data_home is not None else known.iloc[:0]
    if names is None and local.empty:
        raise ValueError(
            f"data_home={str(data_home)!r} holds no classification table. Use another folder."
        )
    names = list(local.index) if names is None else names
    return {
        name: partial(BUNDLED[name], return_X_y=True, as_frame=True)
        if name in BUNDLED and name not in local.index
        else partial(load_uci, name, data_home)
        for name in _known("datasets", names, [*BUNDLED, *known.index])
    }


def load_uci(
    name: str, data_home: str | os.PathLike | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return columns and class codes of a UCI table, without rows that have no class."""
    X, target = fetch_uci(name, data_home=data_home, return_X_y=True)
    y, _ = pd.factorize(target, sort=True)
    return X[y >= 0].reset_index(drop=True), y[y >= 0]


def _known(argument: str, names: Sequence[str], known: Any) -> Sequence[str]:
    """Return names; ValueError if there are none, or one is unknown."""
    known = list(dict.fromkeys(known))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        some = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        raise ValueError(
            f"{argument} must be some of {some}; got {', '.join(unknown) or 'none'}."
        )
    return names


def random_splits(
    repeats: int, random_state: int = 0, test_share: float = 0.25
) -> Callable[[Any, np.ndarray], list[Split]]:
    """Return a function that draws stratified splits; split r uses ``random_state + r``."""
    if not 1 <= repeats <= 1000:
        raise ValueError(f"repeats must lie in [1, 1000], got {repeats!r}.")

    def split(X: Any, y: np.ndarray) -> list[Split]:
        draws = (
            StratifiedShuffleSplit(1, test_size=test_share, random_state=random_state + r)
            for r in range(repeats)
        )
        return [next(draw.split(y, strata(y, 2))) for draw in draws]

    return split


def stratified_folds(
    folds: int, random_state: int = 0, repeats: int = 1
) -> Callable[[Any, np.ndarray], list[Split]]:
    """Return a function that makes stratified folds, several times.

    Repeat r is shuffled with ``random_state + r``. Classes with fewer rows than folds are kept.
    """
    _check_least("folds", folds, 2)
    _check_least("repeats", repeats, 1)

    def split(X: Any, y: np.ndarray) -> list[Split]:
        groups = strata(y, folds)
        return [
            part
            for r in range(repeats)
            for part in StratifiedKFold(
                folds, shuffle=True, random_state=random_state + r
            ).split(y, groups)
        ]

    return split


def _check_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {shown(value)}.")


def strata(y: np.ndarray, least: int) -> np.ndarray:
    """Return classes for stratifying, with classes of fewer than ``least`` rows merged.

    If these are still too few, they join the smallest other class. No row is left out: a rare
    class may be missing in the training rows of a split, for all methods alike.
    """
    labels, counts = np.unique(y, return_counts=True)
    rare, common = labels[counts < least], labels[counts >= least]
    if not len(rare):
        return y
    home = rare[0]
    if counts[counts < least].sum() < least and len(common):
        home = common[counts[counts >= least].argmin()]
    return np.where(np.isin(y, rare), home, y)
