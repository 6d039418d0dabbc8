"""Raw tables: our nets and their peers, each with its own preprocessing, on the same folds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab.datasets import fetch_uci, list_uci
from mixup_tab.evaluation.protocols.contestants import CONTESTANTS, check_methods
from mixup_tab.evaluation.protocols.options import (
    check_count,
    check_datasets,
    check_home,
    check_seed,
    read_names,
)
from mixup_tab.evaluation.protocols.splits import folds_of
from mixup_tab.evaluation.runs import Plan, Task, Trial
from mixup_tab.training.device import pick_device


@dataclass(frozen=True)
class RawPlan(Plan):
    """All methods on the raw tables, over stratified folds.

    Classes with fewer rows than folds stay; see
    :func:`~mixup_tab.evaluation.protocols.splits.strata`. Use :meth:`make`.
    """

    sizes: dict[str, tuple[int, int]]
    methods: tuple[str, ...]
    folds: int
    seed: int
    device: str
    data_home: str | None

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
    ) -> RawPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Names, or files of names. None takes all classification tables that lie in
            ``data_home``, or all that are known where that is not given.
        methods : sequence of str, default=None
            Names of contestants; None takes all that are installed.
        folds : int, default=4
            Stratified folds.
        max_rows : int, default=20000
            Larger tables are left out.
        seed : int, default=0
            Seed of the folds; fold k is fitted with ``seed + k``.
        device : str, default="cpu"
            Where our nets are trained.
        data_home : str or path-like, default=None
            Where the tables lie.

        Returns
        -------
        RawPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        home = check_home(data_home)
        listed = list_uci(home)
        listed = listed[listed["task"] == "classification"]
        listed = listed.sort_values("local", ascending=False, kind="stable")
        names = read_names(datasets)
        if home is not None and names is None:
            listed = listed[listed["local"]]
        where = "the list of UCI tables" if home is None else f"{home} nor known otherwise"
        chosen = check_datasets(names, list(listed["name"]), where)
        table = listed.set_index("name").loc[chosen]
        table = table[table["rows"] <= check_count("max_rows", max_rows)]
        if table.empty:
            raise ValueError(f"max_rows={max_rows} leaves no table. Give a larger number.")
        if table["rows"].min() < check_count("folds", folds, 2):
            raise ValueError(
                f"folds={folds} is more than the rows of {table['rows'].idxmin()}, "
                f"{table['rows'].min()}. Give a smaller number."
            )
        return cls(
            {row.Index: (int(row.rows), int(row.features)) for row in table.itertuples()},
            check_methods(methods, list(CONTESTANTS)),
            folds,
            check_seed(seed),
            pick_device(device),
            home,
        )

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "protocol": "raw",
            "folds": self.folds,
            "seed": self.seed,
            "device": self.device,
            "data_home": self.data_home,
        }

    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""
        return [
            Task("raw", name, method, fold, self.seed + fold, self._cost(name, method))
            for name in self.sizes
            for fold in range(self.folds)
            for method in self.methods
        ]

    def _cost(self, name: str, method: str) -> float:
        rows, features = self.sizes[name]
        return CONTESTANTS[method].weight * (500 + rows) * (10 + features) ** 0.5

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        X, y = load_raw(task.dataset, self.data_home)
        train, test = folds_of(y, self.folds, self.seed)[task.fold]
        model = CONTESTANTS[task.method].for_tables(task.seed, self.device)
        return Trial(model, X, y, train, test, int(y.max()) + 1)


@lru_cache(maxsize=2)
def load_raw(name: str, data_home: str | None) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the columns of a raw table and its classes as numbers.

    Parameters
    ----------
    name : str
        Its name.
    data_home : str or None
        Where it lies.

    Returns
    -------
    X : DataFrame of shape (rows, columns)
    y : ndarray of int of shape (rows,)
        Rows without a label are left out.
    """
    X, target = fetch_uci(name, data_home=data_home, return_X_y=True)
    y, _ = pd.factorize(target, sort=True)
    return X[y >= 0].reset_index(drop=True), y[y >= 0]
