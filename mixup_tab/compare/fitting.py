"""Nested cross-validation of plain training, mixup with α chosen inside, and boosting."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss, make_scorer, r2_score, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mixup_tab._resumable import in_processes
from mixup_tab.compare.folds import Split, splitter
from mixup_tab.compare.progress import counted
from mixup_tab.compare.task import Task
from mixup_tab.estimators import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
)
from mixup_tab.metrics import calibration_bins, classification_scores
from mixup_tab.search import MixupSearchCV
from mixup_tab.tables import TableEncoder
from mixup_tab.training.stopping import propagate_interrupt

PLAIN, MIXUP, ENSEMBLE = "plain training", "mixup", "ensemble"
LIGHTGBM, HISTOGRAM = "LightGBM", "HistGradientBoosting"
_INNER_FOLDS = 3
# Fits of an ensemble on fewer than 5,000 rows, for the progress bar.
_FITS_OF_ENSEMBLE = 28
# Warnings that ordinary tables cause in some folds, and that do not help the user.
_EXPECTED = (
    "The least populated class",
    "test scores are non-finite",
)


class Setting(NamedTuple):
    """Settings of all splits.

    Attributes
    ----------
    alphas : tuple of float
        Values of α, without 0.
    seed : int
    device : str
        Device of the nets.
    best : bool
        Whether to include an ensemble.
    boosting : {"LightGBM", "HistGradientBoosting"}
        Library of gradient boosting.
    """

    alphas: tuple[float, ...]
    seed: int = 0
    device: str = "cpu"
    best: bool = False
    boosting: str = HISTOGRAM


def installed_boosting() -> str:
    """Return LightGBM where it can be imported, else scikit-learn's gradient boosting."""
    try:
        import_module("lightgbm")
    except (ImportError, OSError):  # OSError: its OpenMP library is missing
        return HISTOGRAM
    return LIGHTGBM


def make_net(task: Task, setting: Setting, repeat: int = 0) -> Pipeline:
    """Return a pipeline of encoder and net."""
    kind = MixupClassifier if task.is_classification else MixupRegressor
    return _behind_encoder(kind, setting, repeat)


def make_ensemble(task: Task, setting: Setting, repeat: int = 0) -> Pipeline:
    """Return a pipeline of encoder and ensemble."""
    kind = MixupEnsembleClassifier if task.is_classification else MixupEnsembleRegressor
    return _behind_encoder(kind, setting, repeat)


def _behind_encoder(kind: Any, setting: Setting, repeat: int) -> Pipeline:
    seed = setting.seed + repeat
    return make_pipeline(
        TableEncoder(random_state=seed), kind(device=setting.device, random_state=seed)
    )


def make_boosting(task: Task, setting: Setting, repeat: int = 0) -> Pipeline:
    """Return gradient boosting, which handles categories and missing numbers itself."""
    kind = "Classifier" if task.is_classification else "Regressor"
    seed = setting.seed + repeat
    encoder = TableEncoder(impute=False, random_state=seed)
    if setting.boosting == HISTOGRAM:
        kinds = HistGradientBoostingClassifier, HistGradientBoostingRegressor
        return make_pipeline(encoder, kinds[kind == "Regressor"](random_state=seed))
    # The same result on any number of cores, as for the nets.
    steady = {"deterministic": True, "force_row_wise": True, "n_jobs": 1}
    model = getattr(import_module("lightgbm"), f"LGBM{kind}")
    return make_pipeline(
        encoder,
        FunctionTransformer(_number_columns),
        model(random_state=seed, verbose=-1, **steady),
    )


def _number_columns(X: pd.DataFrame) -> pd.DataFrame:
    """Name columns by number: LightGBM rejects names with brackets, colons or commas."""
    return X.set_axis(range(X.shape[1]), axis=1)


# ------------------------------------------------------------------------ choosing α


def search_alpha(
    task: Task, net: Pipeline, alphas: Sequence[float], seed: int, n_jobs: int = 1
) -> dict[float, float]:
    """Cross-validate values of α together with all steps before the net.

    Returns
    -------
    dict of float to float
        Mean score over the folds by α: minus the log-loss, or minus the squared error.
    """
    folds = _INNER_FOLDS
    if task.is_classification and not task.in_order:
        counts = np.bincount(task.y)
        folds = int(np.clip(counts[counts > 0].min(), 2, folds))
    if task.groups is not None:
        folds = min(folds, len(np.unique(task.groups)))
    search = MixupSearchCV(
        net,
        {f"{net.steps[-1][0]}__alpha": list(alphas)},
        scoring=_scoring(task),
        cv=splitter(task, folds, seed),
        refit=False,
        n_jobs=n_jobs,
    )
    search.fit(task.X, task.y, groups=task.groups)
    results = search.cv_results_
    parts = [results[f"split{fold}_test_score"] for fold in range(search.n_splits_)]
    # A fold whose training rows lack a class has no score for any α and is left out. An α whose
    # fit failed on another fold ranks last.
    scored = [part for part in parts if not np.isnan(part).all()]
    means = np.mean(scored, axis=0) if scored else np.full(len(alphas), np.nan)
    return dict(zip(alphas, np.where(np.isnan(means), -np.inf, means).tolist(), strict=True))


def best_alpha(curve: dict[float, float], *, mixed: bool) -> float:
    """Return the α with the highest score; above 0 if ``mixed``."""
    return max((alpha for alpha in curve if alpha > 0 or not mixed), key=curve.__getitem__)


def _scoring(task: Task) -> Any:
    if not task.is_classification:
        return "neg_mean_squared_error"
    n_classes = len(task.classes)
    if task.in_order or task.groups is not None:  # training rows may lack a class
        return partial(_padded_log_likelihood, n_classes=n_classes)
    # This form lets MixupSearchCV prepare the test rows once for all nets.
    return make_scorer(_log_likelihood, response_method="predict_proba", n_classes=n_classes)


def _log_likelihood(y: np.ndarray, proba: np.ndarray, n_classes: int) -> float:
    seen = (
        2 if proba.ndim == 1 else proba.shape[1]
    )  # with two classes, only the second is given
    if seen != n_classes:
        return np.nan
    return -log_loss(y, proba, labels=np.arange(n_classes))


def _padded_log_likelihood(model: Any, X: Any, y: np.ndarray, n_classes: int) -> float:
    return _log_likelihood(y, probabilities(model, X, n_classes), n_classes)


def probabilities(model: BaseEstimator, X: Any, n_classes: int) -> np.ndarray:
    """Return probabilities of all classes: 0 for those that no training row has."""
    proba = np.zeros((len(X), n_classes))
    proba[:, model.classes_] = model.predict_proba(X)
    return proba


# -------------------------------------------------------------------------- one split


@dataclass
class SplitResult:
    """Results of one split.

    Attributes
    ----------
    rows : list of dict
        Scores, one dict per method.
    curve : dict of float to float
        Mean score within the training rows by α, higher is better; 0 is plain training.
    bins : dict of str to DataFrame
        Calibration bins by method, of classifiers.
    warnings : set of str
        Warnings that the user should see.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    curve: dict[float, float] = field(default_factory=dict)
    bins: dict[str, pd.DataFrame] = field(default_factory=dict)
    warnings: set[str] = field(default_factory=set)


class _Method(NamedTuple):
    """A model, its training and test rows, and the seconds spent before its fit."""

    name: str
    model: BaseEstimator
    X_train: Any
    X_test: Any
    seconds: float = 0.0
    alpha: float | None = None


def fit_split(task: Task, split: Split, setting: Setting) -> SplitResult:
    """Choose α on the training rows of a split, fit all methods, score on the test rows.

    Plain training and mixup see the same rows, prepared once, and have the same seed.
    """
    result = SplitResult()
    with warnings.catch_warnings(record=True) as caught, propagate_interrupt():
        warnings.simplefilter("always")
        for method in _methods(task, split, setting, result.curve):
            _fit_and_score(task, split, method, result)
    result.warnings = unexpected(caught)
    return result


def unexpected(caught: Sequence[warnings.WarningMessage]) -> set[str]:
    """Return the first lines of warnings that the user should see, each once."""
    lines = {str(warning.message).partition("\n")[0] for warning in caught}
    return {text for text in lines if not any(known in text for known in _EXPECTED)}


def _methods(
    task: Task, split: Split, setting: Setting, curve: dict[float, float]
) -> Iterator[_Method]:
    """Yield the methods; store the scores by which α is chosen in ``curve``."""
    train, X_test = task.take(split.train), task.X.iloc[split.test]
    net = make_net(task, setting, split.repeat)
    started = time.perf_counter()
    curve |= search_alpha(train, net, (0.0, *setting.alphas), setting.seed + split.repeat)
    searched = time.perf_counter()
    steps = clone(net[:-1])
    X_train_ready = steps.fit_transform(train.X, train.y)
    ready = time.perf_counter() - searched
    X_test_ready = steps.transform(X_test)
    for name, alpha in {PLAIN: 0.0, MIXUP: best_alpha(curve, mixed=True)}.items():
        seconds = ready + (searched - started if alpha else 0.0)
        model = clone(net[-1]).set_params(alpha=alpha)
        yield _Method(name, model, X_train_ready, X_test_ready, seconds, alpha)
    if setting.best:
        yield _Method(ENSEMBLE, make_ensemble(task, setting, split.repeat), train.X, X_test)
    boosting = make_boosting(task, setting, split.repeat)
    yield _Method(setting.boosting, boosting, train.X, X_test)


def _fit_and_score(task: Task, split: Split, method: _Method, result: SplitResult) -> None:
    model, started = method.model, time.perf_counter()
    model.fit(method.X_train, task.y[split.train])
    seconds = method.seconds + time.perf_counter() - started
    y_test = task.y[split.test]
    if task.is_classification:
        proba = probabilities(model, method.X_test, len(task.classes))
        scores = classification_scores(y_test, proba)
        result.bins[method.name] = calibration_bins(y_test, proba)
    else:
        predicted = model.predict(method.X_test)
        rmse = root_mean_squared_error(y_test, predicted)
        scores = {"rmse": float(rmse), "r2": float(r2_score(y_test, predicted))}
    row = {"repeat": split.repeat, "fold": split.fold, "method": method.name}
    row |= {"alpha": method.alpha, "n_train": len(split.train), "n_test": len(split.test)}
    result.rows.append({**row, **scores, "fit_seconds": seconds})


# ------------------------------------------------------------------------- all splits


def fit_splits(
    task: Task,
    splits: Sequence[Split],
    setting: Setting,
    n_jobs: int = 1,
    progress: Path | None = None,
) -> Generator[SplitResult, None, None]:
    """Run splits in processes and yield results as they finish.

    The file ``progress`` records how far they are; see :mod:`~.progress`.
    """
    fits = _INNER_FOLDS * (1 + len(setting.alphas)) + 3 + _FITS_OF_ENSEMBLE * setting.best
    return in_processes(partial(_fit_counted, task, setting, progress, fits), splits, n_jobs)


def _fit_counted(
    task: Task, setting: Setting, progress: Path | None, fits: int, split: Split
) -> SplitResult:
    with nullcontext() if progress is None else counted(progress, fits):
        return fit_split(task, split, setting)
