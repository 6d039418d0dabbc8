"""How far probabilities can be believed: with and without mixup, before and after mending."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import skrub
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV

from mixup_tab.estimators import MixupClassifier
from mixup_tab.estimators.rescaled import RescaledClassifier
from mixup_tab.evaluation.protocols.raw import RawPlan, load_raw
from mixup_tab.evaluation.protocols.splits import (
    Split,
    folds_of,
    inner_folds,
    number_seen_first,
)
from mixup_tab.evaluation.runs import Task, Trial

INNER_FOLDS = 3

# Nets that are compared as they are; the last mixes as a MixupClassifier does unasked.
NETS: dict[str, dict[str, Any]] = {
    "ERM": {"alpha": 0},
    "mixup": {"mixing": "mixup"},
    "mixup+cutmix": {"mixing": "mixup+cutmix"},
}
TEMPERED, RESCALED = " tempered", " rescaled"
# What is done to a net, and the net itself.
BEFORE: dict[str, str] = {
    **{name + TEMPERED: name for name in NETS},
    "mixup" + RESCALED: "mixup",
}
METHODS = tuple(
    method for net in NETS for method in (net, *(m for m in BEFORE if BEFORE[m] == net))
)


@dataclass(frozen=True)
class CalibrationPlan(RawPlan):
    """Nets with and without mixup on the raw tables, as they are and mended; use :meth:`make`.

    A temperature is fitted by :class:`~sklearn.calibration.CalibratedClassifierCV` on
    predictions of a three-fold cross-validation inside the training rows; it then divides the
    logits of the same net, trained on all of them.
    """

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        *,
        folds: int = 4,
        max_rows: int = 20_000,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> CalibrationPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Names, or files of names. None takes all classification tables that lie in
            ``data_home``, or all that are known where that is not given.
        methods : sequence of str, default=None
            "ERM", "mixup" and "mixup+cutmix", the same with " tempered" behind, and "mixup
            rescaled". What a method is compared with is added. None takes all.
        folds : int, default=4
            Stratified folds.
        max_rows : int, default=20000
            Larger tables are left out.
        seed : int, default=0
            Seed of the folds; fold k is fitted with ``seed + k``.
        device : str, default="cpu"
            Where nets are trained.
        data_home : str or path-like, default=None
            Where the tables lie.

        Returns
        -------
        CalibrationPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        raw = RawPlan.make(
            datasets,
            (),
            folds=folds,
            max_rows=max_rows,
            seed=seed,
            device=device,
            data_home=data_home,
        )
        return cls(**{**vars(raw), "methods": _check_methods(methods)})

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {**super().identity(), "protocol": "calibration", "inner_folds": INNER_FOLDS}

    def tasks(self) -> list[Task]:
        """Return everything that is to be done; the methods of a fold follow each other."""
        return [
            Task("calibration", name, method, fold, self.seed + fold, rows * columns**0.5)
            for name, (rows, columns) in self.sizes.items()
            for fold in range(self.folds)
            for method in self.methods
        ]

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        _, y = load_raw(task.dataset, self.data_home)
        X, (train, test) = _numeric_fold(
            task.dataset, self.data_home, self.folds, self.seed, task.fold
        )
        y = number_seen_first(y, train)
        model = _model(task.method, y[train], task.seed, self.device)
        return Trial(model, X, y, train, test, int(y.max()) + 1)


def _check_methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    for name in methods or ():
        if name not in METHODS:
            raise ValueError(f"methods={name!r} not known here. Known: {', '.join(METHODS)}.")
    wanted = set(METHODS if methods is None else methods)
    wanted |= {BEFORE[name] for name in wanted if name in BEFORE}
    return tuple(name for name in METHODS if name in wanted)


@lru_cache(maxsize=1)
def _numeric_fold(
    name: str, data_home: str | None, folds: int, seed: int, fold: int
) -> tuple[np.ndarray, Split]:
    """Return a table as numbers, by what skrub learns of the training rows, and the rows."""
    X, y = load_raw(name, data_home)
    train, test = folds_of(y, folds, seed)[fold]
    front = skrub.tabular_pipeline(MixupClassifier())[:-1]
    front.fit(X.iloc[train], y[train])
    return np.asarray(front.transform(X), dtype=np.float32), (train, test)


def _model(method: str, y: np.ndarray, seed: int, device: str) -> BaseEstimator:
    """Return what a method fits to rows of these classes."""
    mend = _MENDED.get(method.removeprefix(BEFORE.get(method, method)))
    net = MixupClassifier(**NETS[BEFORE.get(method, method)], random_state=seed, device=device)
    return net if mend is None else mend(net, y, seed)


def _tempered(net: MixupClassifier, y: np.ndarray, seed: int) -> BaseEstimator:
    folds = inner_folds(y, INNER_FOLDS, seed)
    return CalibratedClassifierCV(net, method="temperature", cv=folds, ensemble=False)


_MENDED: dict[str, Callable[..., BaseEstimator]] = {
    TEMPERED: _tempered,
    RESCALED: lambda net, y, seed: RescaledClassifier(net),
}
