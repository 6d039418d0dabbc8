"""Running a benchmark: tasks in processes, results on disk as they come."""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import threadpoolctl
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from mixup_tab.metrics import calibration_bins, classification_scores
from mixup_tab.training.stopping import propagate_interrupt


class Task(NamedTuple):
    """One method on one split of one table.

    ``cost`` is a guess of how long it takes, in any unit: big ones go first.
    """

    protocol: str
    dataset: str
    method: str
    fold: int
    seed: int
    cost: float = 1.0

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What makes a task the same in another run of the same folder."""
        return self.protocol, self.dataset, self.method, self.fold


@dataclass
class Trial:
    """What a task fits and is judged on.

    Attributes
    ----------
    model : estimator
        Not fitted yet.
    X : ndarray or DataFrame
        All rows.
    y : ndarray of int
        Classes of all rows, from 0 to ``n_classes - 1``.
    train, test : ndarray of int
        Rows.
    n_classes : int
        Of the whole table; the training rows may lack some.
    """

    model: BaseEstimator
    X: Any
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    n_classes: int


class Outcome(NamedTuple):
    """What came of a task: a row and calibration bins, or why it failed."""

    task: Task
    row: dict[str, Any] | None = None
    bins: pd.DataFrame | None = None
    error: str | None = None


class Plan(ABC):
    """What a benchmark consists of. It travels to the processes with every task."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on in the same folder."""

    @abstractmethod
    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""

    @abstractmethod
    def prepare(self, task: Task) -> Trial:
        """Return what a task fits; called in the process that fits it."""


def perform(plan: Plan, task: Task) -> Outcome:
    """Fit and score one method on one split.

    Parameters
    ----------
    plan : Plan
        Where the task comes from.
    task : Task
        What to do.

    Returns
    -------
    Outcome
        Failures are told, not raised; Ctrl-C passes.
    """
    try:
        with _one_thread(), warnings.catch_warnings():
            # What a net has to say about its convergence would tear the progress bar.
            warnings.simplefilter("ignore")
            return _score(plan.prepare(task), task)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        return Outcome(task, error=f"{type(error).__name__}: {error} ({where})")


def _score(trial: Trial, task: Task) -> Outcome:
    started = time.perf_counter()
    y_train, y_test = trial.y[trial.train], trial.y[trial.test]
    _fit(trial.model, _safe_indexing(trial.X, trial.train), y_train)
    fitted = time.perf_counter()
    some = np.asarray(trial.model.predict_proba(_safe_indexing(trial.X, trial.test)))
    predicted = time.perf_counter()
    proba = np.zeros((len(trial.test), trial.n_classes))
    proba[:, np.asarray(trial.model.classes_, dtype=int)] = some
    scores = classification_scores(y_test, proba)
    row = {
        **dict(zip(("protocol", "dataset", "method", "fold", "seed"), task, strict=False)),
        "n_train": len(trial.train),
        "n_test": len(trial.test),
        "n_classes": trial.n_classes,
        "accuracy": 1 - scores["error"],
        **scores,
        "fit_seconds": fitted - started,
        "predict_seconds": predicted - fitted,
        "alpha": chosen_alpha(trial.model),
    }
    return Outcome(task, row, calibration_bins(y_test, proba))


def _fit(model: BaseEstimator, X: Any, y: np.ndarray) -> None:
    """Fit a model; Ctrl-C ends the benchmark, not only this fit."""
    with warnings.catch_warnings(), propagate_interrupt():
        # scikit-learn's net takes Ctrl-C as the end of training and warns.
        warnings.filterwarnings("error", "Training (was )?interrupted")
        try:
            model.fit(X, y)
        except (RuntimeWarning, UserWarning, SystemExit) as interruption:
            raise KeyboardInterrupt from interruption


def chosen_alpha(model: BaseEstimator) -> str:
    """Return the α that a fitted model uses, or those of its members, as text.

    Parameters
    ----------
    model : estimator
        Fitted; a pipeline, a search or one of ours.

    Returns
    -------
    str
        Empty for models without α.
    """
    if hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    if isinstance(model, Pipeline):
        return chosen_alpha(model[-1])
    alphas = np.atleast_1d(getattr(model, "alpha_", []))
    return " ".join(f"{alpha:g}" for alpha in alphas)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let every method compute with one thread, whatever it computes with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def execute(plan: Plan, tasks: Sequence[Task], n_jobs: int = 1) -> Iterator[Outcome]:
    """Perform tasks in processes of one thread and yield outcomes as they are ready.

    Parameters
    ----------
    plan : Plan
        Where the tasks come from.
    tasks : sequence of Task
        What to do; costly ones are begun first.
    n_jobs : int, default=1
        Number of processes; -1 is one per core.

    Returns
    -------
    iterator of Outcome
        In no order.
    """
    tasks = sorted(tasks, key=lambda task: -task.cost)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    return pool(joblib.delayed(_perform_apart)(plan, task, os.getpid()) for task in tasks)


def _perform_apart(plan: Plan, task: Task, parent: int) -> Outcome:
    """Perform a task; in a process of its own leave Ctrl-C to the parent, who ends it."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return perform(plan, task)
