"""ERM against mixup on small tables: repeated splits, paired seeds, honest intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.runs import Plan, Task, Trial, execute
from mixup_tab.evaluation.statistics import resampled_interval
from mixup_tab.evaluation.tables import check_names, load
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.training.device import pick_device

TEST_SHARE = 0.25
PROTOCOLS = ("paper", "default")
METRICS = ("error", "log_loss", "brier")


def method_name(alpha: float) -> str:
    """Return how a method is called in tables and pictures."""
    return "ERM" if alpha == 0 else f"mixup α={alpha:g}"


def methods(protocol: str, alphas: Sequence[float], seed: int, device: str) -> dict[str, Any]:
    """Return the estimators that a protocol compares.

    Parameters
    ----------
    protocol : {"paper", "default"}
        - "paper": 2 × 128 ReLU, Adam with its defaults, 10 epochs, batches of 16
          (Zhang et al. 2017, section 3.6), on standardised inputs, for all methods.
        - "default": every method as it comes; MLPClassifier on standardised inputs.
    alphas : sequence of float
        Values of α beside 0.
    seed : int
        Random state of every method.
    device : str
        Where our nets are trained.

    Returns
    -------
    dict of str to estimator
    """
    common = {"random_state": seed, "device": device}
    if protocol == "paper":
        peer = MLPClassifier(
            (128, 128), alpha=0.0, batch_size=16, max_iter=10, random_state=seed
        )
        ours = {
            method_name(a): _scaled(MixupClassifier.from_paper(a, **common))
            for a in (0, *alphas)
        }
    else:
        peer = MLPClassifier(random_state=seed)
        ours = {method_name(a): MixupClassifier(a, **common) for a in (0, *alphas)}
    return {**ours, "MLPClassifier": _scaled(peer)}


def _scaled(estimator: BaseEstimator) -> BaseEstimator:
    return make_pipeline(StandardScaler(), estimator)


@dataclass(frozen=True)
class SmallTablesPlan(Plan):
    """Plain training, mixup and MLPClassifier on bundled tables; :func:`plan` makes one.

    Every method is fitted on the same rows of a split with the same seed.
    """

    datasets: tuple[str, ...]
    alphas: tuple[float, ...]
    protocols: tuple[str, ...]
    repeats: int
    seed: int
    device: str

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {"protocol": "small", "seed": self.seed, "device": self.device}

    def tasks(self) -> list[Task]:
        """Return everything that is to be done, whole repeats after each other."""
        return [
            Task(protocol, dataset, method, repeat, self.seed + repeat)
            for repeat in range(self.repeats)
            for dataset in self.datasets
            for protocol in self.protocols
            for method in methods(protocol, self.alphas, self.seed, self.device)
        ]

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        X, y = load(task.dataset)
        # The split belongs to the table and the repeat, not to the method.
        splitter = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=task.seed)
        train, test = next(splitter.split(X, y))
        model = methods(task.protocol, self.alphas, task.seed, self.device)[task.method]
        return Trial(model, X, y, train, test, int(y.max()) + 1)


def plan(
    datasets: Sequence[str],
    *,
    alphas: Sequence[float] = (0.2,),
    protocols: Sequence[str] = PROTOCOLS,
    repeats: int = 10,
    seed: int = 0,
    device: str = "auto",
) -> SmallTablesPlan:
    """Plan a comparison of plain training, mixup and MLPClassifier.

    Parameters
    ----------
    datasets : sequence of str
        Names of bundled tables.
    alphas : sequence of float, default=(0.2,)
        Values of α beside 0, which is always there.
    protocols : sequence of {"paper", "default"}
        See :func:`methods`.
    repeats : int, default=10
        Number of random stratified splits into 75 % training and 25 % test rows.
    seed : int, default=0
        Repeat r uses ``seed + r`` for the split and for every method.
    device : str, default="auto"
        Where our nets are trained.

    Returns
    -------
    SmallTablesPlan

    Raises
    ------
    ValueError
        For anything that is not as described here.
    """
    check_names(datasets)
    alphas = tuple(dict.fromkeys(check_alpha(a) for a in alphas if check_alpha(a) > 0))
    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise ValueError(
            f"protocol={unknown[0]!r} not known. Known are: {', '.join(PROTOCOLS)}."
        )
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats!r}.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie in [0, 2**31), got {seed!r}.")
    device = pick_device(device)
    return SmallTablesPlan(tuple(datasets), alphas, tuple(protocols), repeats, seed, device)


def compare(datasets: Sequence[str], *, n_jobs: int = 1, **settings: Any) -> pd.DataFrame:
    """Compare plain training, mixup and scikit-learn's MLPClassifier on tables.

    Parameters
    ----------
    datasets : sequence of str
        Names of bundled tables.
    n_jobs : int, default=1
        Number of processes.
    **settings
        As in :func:`plan`.

    Returns
    -------
    DataFrame
        One row per table, protocol, split (``fold``) and method: error, log-loss, Brier score
        (sum over classes), calibration error and seconds.

    Raises
    ------
    RuntimeError
        If a method fails.
    """
    planned = plan(datasets, **settings)
    tasks = planned.tasks()
    rows = {}
    for outcome in execute(planned, tasks, n_jobs):
        if outcome.error is not None:
            raise RuntimeError(f"{outcome.task.method} failed: {outcome.error}")
        rows[outcome.task.key] = outcome.row
    return pd.DataFrame([rows[task.key] for task in tasks])


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Return means, intervals and paired differences to ERM.

    Parameters
    ----------
    results : DataFrame
        Rows of :func:`compare`.

    Returns
    -------
    DataFrame
        One row per protocol, dataset and method. For each metric: mean (``error``), 95 %
        interval (``error_low``, ``error_high``), difference to ERM on the same splits
        (``error_diff``) and its interval (``error_diff_low``, ``error_diff_high``). See
        :func:`~mixup_tab.evaluation.statistics.resampled_interval`.
    """
    rows = []
    for (protocol, dataset), group in results.groupby(["protocol", "dataset"], sort=False):
        wide = group.pivot(index="fold", columns="method", values=list(METRICS))
        for method in group["method"].unique():
            row = {"protocol": protocol, "dataset": dataset, "method": method}
            row["repeats"] = int(wide["error"][method].notna().sum())
            for metric in METRICS:
                scores = wide[metric]
                row |= _ends(metric, scores[method])
                if method != "ERM":
                    erm = scores.get("ERM", np.nan)
                    row |= _ends(f"{metric}_diff", scores[method] - erm)
            rows.append(row)
    return pd.DataFrame(rows)


def _ends(name: str, scores: pd.Series) -> dict[str, float]:
    scores = scores.dropna().to_numpy()
    # A run that was stopped may lack the other half of every pair.
    ends = resampled_interval(scores, TEST_SHARE) if len(scores) else (np.nan,) * 3
    mean, low, high = ends
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
