"""What each choice behind the defaults and behind MixupEnsembleClassifier is worth.

Measured on training rows only: the training part of the study's first fold is split again,
and no test row of that fold takes part. The study's folds are separate draws, so rows of the
first training part are test rows of the other three folds; whoever chooses by this table and
reports on all four folds has seen most rows of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab.datasets import fetch_delgado, list_delgado
from mixup_tab.estimators import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.estimators.ensemble_classifier import PORTFOLIO
from mixup_tab.evaluation.protocols.options import (
    check_count,
    check_datasets,
    check_home,
    check_seed,
    read_names,
)
from mixup_tab.evaluation.protocols.splits import (
    Split,
    inner_folds,
    number_seen_first,
    repeat_of,
)
from mixup_tab.evaluation.runs import Plan, Task, Trial
from mixup_tab.mixing import Mixup
from mixup_tab.nets import MLP, BinnedMLP
from mixup_tab.training import LearningRate
from mixup_tab.training.device import pick_device

MAX_ROWS = 2500
MIN_ROWS = 50  # fewer leave a dozen rows to score on, where one bad guess rules the mean
TEST_SHARE = 0.25
DEFAULTS = "MixupClassifier"
BEST_EFFORT = "MixupEnsembleClassifier"


class Variant(NamedTuple):
    """One way to do it.

    Attributes
    ----------
    make : callable
        Takes ``random_state`` and ``device``, returns an estimator that is not fitted.
    against : str
        The variant that it is compared with.
    weight : float
        How long a fit takes beside one of the defaults, roughly.
    """

    make: Callable[..., BaseEstimator]
    against: str
    weight: float = 1


class _FiveFolds:
    """Five stratified folds of the training rows, also where a class has fewer than five.

    ``CalibratedClassifierCV`` refuses such classes unless the folds keep their number secret.
    """

    def split(self, X: Any, y: np.ndarray, groups: Any = None) -> list[Split]:
        """Return training and test rows."""
        return inner_folds(np.asarray(y), 5, seed=0)

    def get_n_splits(self, *args: Any) -> int:
        """Return 5."""
        return 5


def _net(weight: float = 1, **params: Any) -> Variant:
    return Variant(lambda **common: MixupClassifier(**params, **common), DEFAULTS, weight)


def _ensemble(weight: float, against: str = BEST_EFFORT, **params: Any) -> Variant:
    return Variant(
        lambda **common: MixupEnsembleClassifier(**params, **common), against, weight
    )


def _standardised(**common: Any) -> BaseEstimator:
    return make_pipeline(StandardScaler(), MixupClassifier(module=MLP, **common))


def _tempered(**common: Any) -> BaseEstimator:
    net = MixupClassifier(**common)
    return CalibratedClassifierCV(net, method="temperature", cv=_FiveFolds(), ensemble=False)


def describe(params: Mapping[str, Any]) -> str:
    """Return parameters of a candidate in one line without commas.

    Parameters
    ----------
    params : mapping
        Parameters of :class:`~mixup_tab.MixupClassifier`.

    Returns
    -------
    str

    Examples
    --------
    >>> describe({"mixing": "cutmix", "alpha": 0.2, "max_epochs": "long"})
    'cutmix alpha=0.2 long'
    """

    def word(name: str, value: Any) -> str:
        if isinstance(value, (str, type)):
            return getattr(value, "__name__", value)
        if isinstance(value, (tuple, list)):
            value = "x".join(map(str, value)) or "none"
        return f"{name}={value}"

    return " ".join(word(name, value) for name, value in params.items())


CHANGES: dict[str, Variant] = {
    "plain training": _net(alpha=0),
    "alpha=0.4": _net(alpha=0.4),
    "mixup": _net(mixing="mixup"),
    "cutmix": _net(mixing="cutmix"),
    "folded": _net(mixing=Mixup(folded=True)),
    "n_estimators=1": _net(0.5, n_estimators=1),
    "n_estimators=8": _net(2, n_estimators=8),
    "learning_rate_init=0.002": _net(learning_rate_init=0.002),
    "binned": _net(2, module=BinnedMLP),
    "standardised": Variant(_standardised, DEFAULTS),
    "weight_decay=0": _net(weight_decay=0),
    "weight_decay=1": _net(weight_decay=1),
    "dropout=0.2": _net(dropout=0.2),
    "constant rate": _net(callbacks=[LearningRate("constant")]),
    "hidden 256x256": _net(3, hidden_layer_sizes=(256, 256)),
    "early stopping": _net(early_stopping=True),
    "temperature": Variant(_tempered, DEFAULTS, 6),
    "alpha=auto": _net(8, alpha="auto"),
    BEST_EFFORT: _ensemble(30, DEFAULTS),
}
WITHOUT: dict[str, Variant] = {
    f"without {describe(one)}": _ensemble(25, candidates=[c for c in PORTFOLIO if c is not one])
    for one in PORTFOLIO
}
ALONE: dict[str, Variant] = {
    f"only {describe(one)}": _ensemble(5, candidates=[one]) for one in PORTFOLIO
}
VARIANTS: dict[str, Variant] = {
    DEFAULTS: _net(),
    **CHANGES,
    **WITHOUT,
    **ALONE,
    "cv=10": _ensemble(60, cv=10),
}


@dataclass(frozen=True)
class AblationPlan(Plan):
    """Every variant on repeated splits of training rows; use :meth:`make`.

    Of every set the training rows of the study's first fold, or its training file, are taken,
    at most 2500 of them, drawn by the seed. They are split into 75 % to fit on and 25 % to
    score on; all variants of a repeat have the same rows and the same seed.

    Sets of fewer than 50 such rows take part only where they are asked for by name.
    """

    sizes: dict[str, tuple[int, int]]
    methods: tuple[str, ...]
    repeats: int
    seed: int
    device: str
    data_home: str | None

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        *,
        repeats: int = 3,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> AblationPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Names, or files of names. None takes all that lie in ``data_home``, or all 121, but
            for the smallest.
        methods : sequence of str, default=None
            Variants; what they are compared with is added. None takes all.
        repeats : int, default=3
            Random stratified splits of the training rows.
        seed : int, default=0
            Decides which rows of a large set are drawn; repeat r uses ``seed + r`` for the
            split and for every variant.
        device : str, default="cpu"
            Where nets are trained.
        data_home : str or path-like, default=None
            Where the sets lie: a folder that holds ``delgado121`` and ``folds``.

        Returns
        -------
        AblationPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        home = check_home(data_home)
        methods, device = _check_variants(methods), pick_device(device)
        check_count("repeats", repeats)
        check_seed(seed)
        known = list_delgado(home)
        where = "the study's 121 sets" if home is None else home
        names = check_datasets(read_names(datasets), known, where)
        sizes = {name: _inner_rows(name, home, seed)[0].shape for name in names}
        if datasets is None:
            sizes = {name: size for name, size in sizes.items() if size[0] >= MIN_ROWS}
        return cls(sizes, methods, repeats, seed, device, home)

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "protocol": "ablation",
            "max_rows": MAX_ROWS,
            "defaults": describe(MixupClassifier().get_params(deep=False)),
            "portfolio": [describe(one) for one in PORTFOLIO],
            "seed": self.seed,
            "device": self.device,
            "data_home": self.data_home,
        }

    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""
        return [
            Task("ablation", name, method, repeat, self.seed + repeat, self._cost(name, method))
            for name in self.sizes
            for repeat in range(self.repeats)
            for method in self.methods
        ]

    def _cost(self, name: str, method: str) -> float:
        rows, features = self.sizes[name]
        return VARIANTS[method].weight * (500 + rows) * (10 + features) ** 0.5

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits; its rows are training rows of the study only."""
        X, y, n_classes = _inner_rows(task.dataset, self.data_home, self.seed)
        train, test = repeat_of(y, TEST_SHARE, task.seed)
        y = number_seen_first(y, train)
        model = VARIANTS[task.method].make(random_state=task.seed, device=self.device)
        return Trial(model, X, y, train, test, n_classes)


def _check_variants(methods: Sequence[str] | None) -> tuple[str, ...]:
    for name in methods or ():
        if name not in VARIANTS:
            raise ValueError(f"methods={name!r} not known here. Known: {', '.join(VARIANTS)}.")
    wanted = set(VARIANTS if methods is None else methods)
    while missing := {VARIANTS[name].against for name in wanted} - wanted:
        wanted |= missing
    return tuple(name for name in VARIANTS if name in wanted)


@lru_cache(maxsize=2)
def _inner_rows(
    name: str, data_home: str | None, seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return rows and classes of the first training part, and the set's number of classes."""
    data = fetch_delgado(name, data_home=data_home)
    rows, _ = data.folds[0]
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False))
    return data.data[rows], data.target[rows], int(data.target.max()) + 1
