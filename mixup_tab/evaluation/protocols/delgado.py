"""The 121-set study: our nets on its folds, beside what it published of 179 classifiers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sklearn.utils import Bunch

from mixup_tab.datasets import fetch_delgado, list_delgado
from mixup_tab.evaluation.protocols.contestants import (
    BEST_EFFORT,
    CONTESTANTS,
    DEFAULTS,
    OURS,
    check_methods,
)
from mixup_tab.evaluation.protocols.options import (
    check_datasets,
    check_home,
    check_seed,
    read_names,
)
from mixup_tab.evaluation.runs import Plan, Task, Trial
from mixup_tab.training.device import pick_device


@dataclass(frozen=True)
class DelgadoPlan(Plan):
    """Our methods on the study's folds; use :meth:`make`.

    Everything that a method chooses, it chooses on the training rows of the fold. The sets
    that come as a training and a test file have that one split.
    """

    sizes: dict[str, tuple[int, int, int]]
    methods: tuple[str, ...]
    seed: int
    device: str
    data_home: str | None

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> DelgadoPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Names, or files of names. None takes all that lie in ``data_home``, or all 121.
        methods : sequence of str, default=None
            Some of ours; None takes the defaults and the best effort.
        seed : int, default=0
            Fold k is fitted with ``seed + k``.
        device : str, default="cpu"
            Where our nets are trained.
        data_home : str or path-like, default=None
            Where the sets lie: a folder that holds ``delgado121`` and ``folds``.

        Returns
        -------
        DelgadoPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        home = check_home(data_home)
        methods = check_methods([DEFAULTS, BEST_EFFORT] if methods is None else methods, OURS)
        device, seed = pick_device(device), check_seed(seed)
        known = list_delgado(home)
        where = "the study's 121 sets" if home is None else home
        names = check_datasets(read_names(datasets), known, where)
        sizes = {}
        for name in names:
            data = fetch_delgado(name, data_home=home)
            sizes[name] = (*data.data.shape, len(data.folds))
        return cls(sizes, methods, seed, device, home)

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "protocol": "delgado",
            "seed": self.seed,
            "device": self.device,
            "data_home": self.data_home,
        }

    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""
        return [
            Task("delgado", name, method, fold, self.seed + fold, self._cost(name, method))
            for name, (_, _, folds) in self.sizes.items()
            for fold in range(folds)
            for method in self.methods
        ]

    def _cost(self, name: str, method: str) -> float:
        rows, features, _ = self.sizes[name]
        return CONTESTANTS[method].weight * (500 + rows) * (10 + features) ** 0.5

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        data = _load(task.dataset, self.data_home)
        train, test = data.folds[task.fold]
        model = CONTESTANTS[task.method].make(task.seed, self.device)
        n_classes = int(data.target.max()) + 1
        return Trial(model, data.data, data.target, train, test, n_classes)


@lru_cache(maxsize=2)
def _load(name: str, data_home: str | None) -> Bunch:
    return fetch_delgado(name, data_home=data_home)
