"""ERM against mixup on tables: repeated splits, paired seeds, honest intervals."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.statistics import resampled_interval
from mixup_tab.evaluation.tables import check_names, load
from mixup_tab.mixing.draw import check_alpha
from mixup_tab.training.device import pick_device

TEST_SHARE = 0.25
PROTOCOLS = ("paper", "default")
METRICS = ("error", "log_loss", "brier")


class Task(NamedTuple):
    """One table, split once; every method is fitted on the same rows with the same seed."""

    dataset: str
    protocol: str
    alphas: tuple[float, ...]
    repeat: int
    seed: int
    device: str


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


def run_task(task: Task) -> list[dict[str, Any]]:
    """Fit and score every method on one split.

    Parameters
    ----------
    task : Task
        What to do.

    Returns
    -------
    list of dict
        One row per method: test error, log-loss, Brier score (sum over classes), fit time.
    """
    X, y = load(task.dataset)
    # The split belongs to the table and the repeat, not to the method.
    splitter = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=task.seed)
    train, test = next(splitter.split(X, y))
    rows = []
    for name, model in methods(task.protocol, task.alphas, task.seed, task.device).items():
        start = time.perf_counter()
        _fit(model, X[train], y[train])
        seconds = time.perf_counter() - start
        proba = model.predict_proba(X[test])
        labels = model.classes_
        rows.append(
            {
                "dataset": task.dataset,
                "protocol": task.protocol,
                "method": name,
                "repeat": task.repeat,
                "seed": task.seed,
                "error": float(np.mean(labels[proba.argmax(1)] != y[test])),
                "log_loss": log_loss(y[test], proba, labels=labels),
                "brier": brier_score_loss(y[test], proba, labels=labels, scale_by_half=False),
                "fit_seconds": seconds,
            }
        )
    return rows


def _fit(model: BaseEstimator, X: np.ndarray, y: np.ndarray) -> None:
    """Fit a model; Ctrl-C ends the benchmark, not only this fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten epochs are the setting
        # Nets, ours and scikit-learn's, take Ctrl-C as the end of training and warn.
        warnings.filterwarnings("error", "Training (was )?interrupted")
        try:
            model.fit(X, y)
        except (RuntimeWarning, UserWarning) as interruption:
            raise KeyboardInterrupt from interruption


def plan(
    datasets: Sequence[str],
    *,
    alphas: Sequence[float] = (0.2,),
    protocols: Sequence[str] = PROTOCOLS,
    repeats: int = 10,
    seed: int = 0,
    device: str = "auto",
) -> list[Task]:
    """List what a comparison of plain training, mixup and MLPClassifier consists of.

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
    list of Task
        One per table, protocol and repeat.

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
    return [
        Task(dataset, protocol, alphas, repeat, seed + repeat, device)
        for repeat in range(repeats)
        for dataset in datasets
        for protocol in protocols
    ]


def execute(tasks: Sequence[Task], n_jobs: int = 1) -> Iterator[list[dict[str, Any]]]:
    """Run tasks in processes and yield the rows of each as they are ready, in no order.

    Parameters
    ----------
    tasks : sequence of Task
        What to do.
    n_jobs : int, default=1
        Number of processes.

    Returns
    -------
    iterator of list of dict
        The rows of :func:`run_task`.
    """
    pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    return pool(joblib.delayed(run_task)(task) for task in tasks)


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
        One row per table, protocol, repeat and method; see :func:`run_task`.
    """
    tasks = plan(datasets, **settings)
    return pd.DataFrame([row for rows in execute(tasks, n_jobs) for row in rows])


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Return means, intervals and paired differences to ERM.

    Parameters
    ----------
    results : DataFrame
        Rows of :func:`run_task`.

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
        wide = group.pivot(index="repeat", columns="method", values=list(METRICS))
        for method in group["method"].unique():
            row = {"protocol": protocol, "dataset": dataset, "method": method}
            row["repeats"] = int(wide["error"][method].notna().sum())
            for metric in METRICS:
                scores = wide[metric]
                row |= _ends(metric, scores[method])
                if method != "ERM":
                    row |= _ends(f"{metric}_diff", scores[method] - scores["ERM"])
            rows.append(row)
    return pd.DataFrame(rows)


def _ends(name: str, scores: pd.Series) -> dict[str, float]:
    mean, low, high = resampled_interval(scores.dropna().to_numpy(), TEST_SHARE)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}
