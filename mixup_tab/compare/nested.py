"""Nested cross-validation of plain training, mixup and a reference on one table."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import joblib
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, root_mean_squared_error

from mixup_tab.compare.choosing import (
    Setting,
    best_alpha,
    make_net,
    probabilities,
    search_alpha,
    seeded_pipeline,
)
from mixup_tab.compare.folds import Split
from mixup_tab.compare.question import Question
from mixup_tab.metrics import calibration_bins, classification_scores
from mixup_tab.training.stopping import propagate_interrupt

ERM, MIXUP, REFERENCE = "ERM", "mixup", "HistGradientBoosting"
# What is said about folds of ordinary tables, and of no use to the user.
_EXPECTED = (
    "The least populated class",
    "Found unknown categories",
    "test scores are non-finite",
)


@dataclass
class Outcome:
    """What came of one split.

    Attributes
    ----------
    rows : list of dict
        Scores, one dict per method.
    curve : dict of float to float
        Mean score inside the training rows by α, higher is better; 0 is plain training.
    bins : dict of str to DataFrame
        Calibration bins by method, of classifiers.
    warnings : set of str
        What was warned of.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    curve: dict[float, float] = field(default_factory=dict)
    bins: dict[str, pd.DataFrame] = field(default_factory=dict)
    warnings: set[str] = field(default_factory=set)


def run_split(question: Question, split: Split, setting: Setting) -> Outcome:
    """Choose α on the training rows of a split, fit every method, score on the test rows.

    Plain training and mixup see the same rows, made ready once, and have the same seed.

    Parameters
    ----------
    question : Question
        The table.
    split : Split
        Which rows.
    setting : Setting
        Values of α, seed and device.

    Returns
    -------
    Outcome
    """
    outcome = Outcome()
    with warnings.catch_warnings(record=True) as caught, propagate_interrupt():
        warnings.simplefilter("always")
        for contestant in _contestants(question, split, setting, outcome.curve):
            row, bins = _judge(question, split, contestant)
            outcome.rows.append(row)
            if bins is not None:
                outcome.bins[contestant.name] = bins
    outcome.warnings = unexpected(caught)
    return outcome


def unexpected(caught: Sequence[warnings.WarningMessage]) -> set[str]:
    """Return the first lines of warnings that the user should see, each once."""
    told = {str(warning.message).partition("\n")[0] for warning in caught}
    return {text for text in told if not any(known in text for known in _EXPECTED)}


class _Contestant(NamedTuple):
    """A method, what it is fitted on and judged by, and the seconds it took before that."""

    name: str
    model: BaseEstimator
    X_train: Any
    X_test: Any
    seconds: float = 0.0
    alpha: float | None = None


def _contestants(
    question: Question, split: Split, setting: Setting, curve: dict[float, float]
) -> Iterator[_Contestant]:
    """Yield the methods; what the search of α learned goes into the curve."""
    train, X_test = question.take(split.train), question.X.iloc[split.test]
    net, seed = make_net(question, setting, split.repeat), setting.seed + split.repeat
    started = time.perf_counter()
    curve |= search_alpha(train, net, (0.0, *setting.alphas), seed)
    searched = time.perf_counter()
    steps = clone(net[:-1])
    X_ready = steps.fit_transform(train.X, train.y)
    ready = time.perf_counter() - searched
    X_test_ready = steps.transform(X_test)
    alphas = {ERM: 0.0, MIXUP: best_alpha(curve, mixed=True)}
    for name, alpha in alphas.items():
        seconds = ready + (searched - started if alpha else 0.0)
        model = clone(net[-1]).set_params(alpha=alpha)
        yield _Contestant(name, model, X_ready, X_test_ready, seconds, alpha)
    kinds = (HistGradientBoostingRegressor, HistGradientBoostingClassifier)
    final = kinds[question.classifies]()
    reference = seeded_pipeline(final, question.kinds.values(), seed)
    yield _Contestant(REFERENCE, reference, train.X, X_test)


def _judge(
    question: Question, split: Split, contestant: _Contestant
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Fit a method on the training rows and score it on the test rows."""
    model, started = contestant.model, time.perf_counter()
    model.fit(contestant.X_train, question.y[split.train])
    seconds = contestant.seconds + time.perf_counter() - started
    y_test, bins = question.y[split.test], None
    if question.classifies:
        proba = probabilities(model, contestant.X_test, len(question.classes))
        scores, bins = classification_scores(y_test, proba), calibration_bins(y_test, proba)
    else:
        predicted = model.predict(contestant.X_test)
        rmse = root_mean_squared_error(y_test, predicted)
        scores = {"rmse": float(rmse), "r2": float(r2_score(y_test, predicted))}
    row = {
        "repeat": split.repeat,
        "fold": split.fold,
        "method": contestant.name,
        "alpha": contestant.alpha,
        "n_train": len(split.train),
        "n_test": len(split.test),
        **scores,
        "fit_seconds": seconds,
    }
    return row, bins


def execute(
    question: Question, splits: Sequence[Split], setting: Setting, n_jobs: int = 1
) -> Iterator[Outcome]:
    """Run splits in processes and yield what comes of them, in no order.

    Parameters
    ----------
    question : Question
        The table.
    splits : sequence of Split
        What to do.
    setting : Setting
        Values of α, seed and device.
    n_jobs : int, default=1
        Number of processes; -1 is one per core.

    Returns
    -------
    iterator of Outcome
    """
    pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    task = joblib.delayed(_run_apart)
    return pool(task(question, split, setting, os.getpid()) for split in splits)


def _run_apart(question: Question, split: Split, setting: Setting, parent: int) -> Outcome:
    """Run a split; in a process of its own leave Ctrl-C to the parent, who ends it."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run_split(question, split, setting)
