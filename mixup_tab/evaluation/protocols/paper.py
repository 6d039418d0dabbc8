"""Table 4 of the mixup paper: ERM against mixup on six UCI tables, in the paper's setting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.protocols.options import (
    check_count,
    check_datasets,
    check_home,
    check_seed,
    read_names,
)
from mixup_tab.evaluation.protocols.raw import load_raw
from mixup_tab.evaluation.protocols.splits import repeat_of
from mixup_tab.evaluation.runs import Plan, Task, Trial
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.search import MixupSearchCV
from mixup_tab.training.device import pick_device

TEST_SHARE = 0.25
INNER_FOLDS = 5
ALPHAS = (0.1, 0.2, 0.4, 1.0)
INPUTS = ("unscaled", "scaled")
ERM, CHOSEN = "ERM", "mixup α chosen"

# Test errors in percent, ERM and mixup (Zhang et al. 2017, table 4).
PUBLISHED = {
    "abalone": (74.0, 73.6),
    "arcene": (57.6, 48.0),
    "arrhythmia": (56.6, 46.3),
    "htru2": (2.0, 2.0),
    "iris": (21.3, 17.3),
    "phishing-websites": (16.3, 15.2),
}


@dataclass(frozen=True)
class PaperPlan(Plan):
    """ERM, mixup at several α and mixup that chooses α, on repeated splits; see :meth:`make`.

    The paper states no α, split, repeats or scaling, so inputs are taken as they are and
    standardised. Every method of a repeat has the same rows and the same seed.
    """

    sizes: dict[str, tuple[int, int]]
    alphas: tuple[float, ...]
    repeats: int
    seed: int
    device: str
    data_home: str | None

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        *,
        alphas: Sequence[float] = ALPHAS,
        repeats: int = 20,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> PaperPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Some of the paper's six, or files of names; None takes all.
        alphas : sequence of float, default=(0.1, 0.2, 0.4, 1)
            Values of α beside 0, tried one by one and to choose from.
        repeats : int, default=20
            Random stratified splits into 75 % training and 25 % test rows.
        seed : int, default=0
            Repeat r uses ``seed + r`` for the split and for every method.
        device : str, default="cpu"
            Where nets are trained.
        data_home : str or path-like, default=None
            Where the tables lie.

        Returns
        -------
        PaperPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        alphas = tuple(sorted({check_alpha(a) for a in alphas if check_alpha(a) > 0}))
        if not alphas:
            raise ValueError("alpha must have a value above 0 to compare with ERM. Give one.")
        home = check_home(data_home)
        names = check_datasets(read_names(datasets), PUBLISHED, "table 4 of the paper")
        check_count("repeats", repeats)
        check_seed(seed)
        device = pick_device(device)
        sizes = {name: load_raw(name, home)[0].shape for name in names}
        return cls(sizes, alphas, repeats, seed, device, home)

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "protocol": "paper",
            "alphas": list(self.alphas),
            "seed": self.seed,
            "device": self.device,
            "data_home": self.data_home,
        }

    def methods(self, seed: int, scaled: bool) -> dict[str, BaseEstimator]:
        """Return what is compared, by name."""
        common = {"random_state": seed, "device": self.device}
        single = {ERM: 0.0} | {f"mixup α={alpha:g}": alpha for alpha in self.alphas}
        models: dict[str, BaseEstimator] = {
            name: pipeline(MixupClassifier.from_paper(alpha, **common), scaled)
            for name, alpha in single.items()
        }
        models[CHOSEN] = MixupSearchCV(
            models[ERM],
            {"mixupclassifier__alpha": list(self.alphas)},
            scoring="accuracy",
            cv=StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed),
            n_jobs=1,
        )
        return models

    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""
        return [
            Task(
                f"paper-{inputs}",
                name,
                method,
                fold,
                self.seed + fold,
                self._cost(name, method),
            )
            for name in self.sizes
            for inputs in INPUTS
            for fold in range(self.repeats)
            for method in self.methods(0, scaled=False)
        ]

    def _cost(self, name: str, method: str) -> float:
        rows, features = self.sizes[name]
        fits = 1 + INNER_FOLDS * len(self.alphas) / 2 if method == CHOSEN else 1
        return fits * rows * (100 + features)

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        X, y = load_raw(task.dataset, self.data_home)
        train, test = repeat_of(y, TEST_SHARE, task.seed)
        model = self.methods(task.seed, task.protocol.endswith("-scaled"))[task.method]
        return Trial(model, X, y, train, test, int(y.max()) + 1)


def pipeline(net: BaseEstimator, scaled: bool) -> Pipeline:
    """Return a net with what the paper's tables need in front.

    Parameters
    ----------
    net : estimator
        The net.
    scaled : bool
        Whether columns are standardised.

    Returns
    -------
    Pipeline
        Medians for missing numbers, one column per category, the scaler if any, the net.
    """
    columns = make_column_transformer(
        (
            OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
            make_column_selector(dtype_exclude="number"),
        ),
        remainder=SimpleImputer(strategy="median", keep_empty_features=True),
    )
    return make_pipeline(columns, *([StandardScaler()] if scaled else []), net)
