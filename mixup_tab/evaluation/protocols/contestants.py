"""Who takes part in the benchmarks on UCI tables, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import skrub
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier

from mixup_tab.estimators import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.evaluation.protocols import peers


class Contestant(NamedTuple):
    """A method with a name.

    Attributes
    ----------
    make : callable
        Takes a seed and a device, returns an estimator that is not fitted: for numeric rows
        if it is one of ours, and else for raw tables.
    weight : float
        How long a fit takes beside that of others, roughly.
    ours : bool
        Whether it is one of ours.
    module : str
        What must be installed.
    """

    make: Callable[[int, str], BaseEstimator]
    weight: float
    ours: bool = False
    module: str = "sklearn"

    @property
    def installed(self) -> bool:
        """Whether it can take part here."""
        return find_spec(self.module) is not None

    def for_tables(self, seed: int, device: str) -> BaseEstimator:
        """Return it with what a raw table needs in front."""
        model = self.make(seed, device)
        return skrub.tabular_pipeline(model) if self.ours else model


def _ours(**params: Any) -> Callable[[int, str], BaseEstimator]:
    return lambda seed, device: MixupClassifier(**params, random_state=seed, device=device)


def _best_effort(seed: int, device: str) -> BaseEstimator:
    return MixupEnsembleClassifier(n_jobs=1, random_state=seed, device=device)


def _skrubbed(kind: type, **params: Any) -> Callable[[int, str], BaseEstimator]:
    return lambda seed, device: skrub.tabular_pipeline(kind(**params, random_state=seed))


DEFAULTS = "MixupClassifier"
BEST_EFFORT = "best effort"

CONTESTANTS: dict[str, Contestant] = {
    DEFAULTS: Contestant(_ours(), 1, ours=True),
    BEST_EFFORT: Contestant(_best_effort, 20, ours=True),
    "ERM": Contestant(_ours(alpha=0), 1, ours=True),
    "RandomForest": Contestant(_skrubbed(RandomForestClassifier, n_estimators=500), 1),
    "HistGradientBoosting": Contestant(
        _skrubbed(HistGradientBoostingClassifier, categorical_features="from_dtype"), 3
    ),
    "SVC": Contestant(peers.svc, 3),
    "MLPClassifier": Contestant(_skrubbed(MLPClassifier), 1),
    "LightGBM": Contestant(peers.lightgbm, 2, module="lightgbm"),
    "CatBoost": Contestant(peers.catboost, 20, module="catboost"),
    "RealMLP-TD-S": Contestant(peers.real_mlp, 10, module="pytabkit"),
    "TabM": Contestant(peers.tabm, 60, module="pytabkit"),
}
OURS = tuple(name for name, contestant in CONTESTANTS.items() if contestant.ours)


def check_methods(methods: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names of methods if all can take part.

    Parameters
    ----------
    methods : sequence of str or None
        Their names; None takes all known ones that are installed.
    known : sequence of str
        Those that the benchmark has.

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If one is not known or not installed.
    """
    if methods is None:
        return tuple(name for name in known if CONTESTANTS[name].installed)
    for name in methods:
        if name not in known:
            raise ValueError(f"methods={name!r} not known here. Known: {', '.join(known)}.")
        if not CONTESTANTS[name].installed:
            raise ValueError(
                f"methods={name!r} needs {CONTESTANTS[name].module}, which is not installed. "
                'Run python -m pip install "mixup-tab[peers]", or leave it out.'
            )
    return tuple(dict.fromkeys(methods))
