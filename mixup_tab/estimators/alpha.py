"""Choosing α on the training data (``alpha="auto"``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from mixup_tab.estimators.checks import TrainingData
from mixup_tab.estimators.together import Rows, count_weights, fit_together, plan_chunks
from mixup_tab.training.device import threads_for

if TYPE_CHECKING:
    from mixup_tab.estimators.base import BaseMixup

ALPHAS = (0.0, 0.1, 0.3, 1.0)
FOLDS = 5


def score_alphas(
    estimator: BaseMixup,
    data: TrainingData,
    seed: int,
    on_epochs: Callable[[int], None] | None = None,
) -> dict[float, Any]:
    """Cross-validate the values of α, all nets side by side.

    Parameters
    ----------
    estimator : MixupClassifier or MixupRegressor
        What is to be fitted with one of them.
    data : TrainingData
        Its validated training data.
    seed : int
        Decides the folds and every net.
    on_epochs : callable, default=None
        Called with the number of epochs finished since the last call; may raise.

    Returns
    -------
    dict of float to ndarray of shape (folds,)
        For each α and fold the score of the rows left out, higher is better: minus the
        mean log-loss of a classifier, minus the mean squared error of a regressor.

    Raises
    ------
    ValueError
        If a fit fails.
    """
    fold_of = _fold_of_rows(data.y, min(FOLDS, len(data.X)), seed)
    parts = [fold_of != fold for fold in range(fold_of.max() + 1)]
    rows = [Rows(*(_part(values, kept) for values in _columns(data))) for kept in parts]
    params = {"random_state": seed, "verbose": 0, "warm_start": False}
    if hasattr(estimator, "class_weight"):
        params["class_weight"] = None  # it is in the weights already
    if estimator.batch_size != "auto":
        params["batch_size"] = min(estimator.batch_size, min(len(part.X) for part in rows))
    jobs = [
        (_quiet_clone(estimator).set_params(alpha=alpha, **params), fold)
        for alpha in ALPHAS
        for fold in range(len(parts))
    ]
    n_outputs = estimator._n_outputs(data.y)
    size = count_weights(estimator, data.X[0].size, n_outputs)
    chunks = plan_chunks([size] * len(jobs), estimator.device)

    tell = on_epochs or (lambda epochs: None)

    def work(chunk: list[int]) -> list[tuple[int, float]]:
        with threads_for(0):
            chosen = [jobs[job] for job in chunk]
            errors = fit_together(
                [est for est, _ in chosen], [rows[f] for _, f in chosen], tell
            )
            _refuse_first(errors)
            return [(job, _score(*jobs[job], data, parts)) for job in chunk]

    threads = torch.get_num_threads()
    results = Parallel(n_jobs=threads, require="sharedmem")(map(delayed(work), chunks))
    scores = np.empty(len(jobs))
    for job, score in (result for chunk in results for result in chunk):
        scores[job] = score
    return dict(zip(ALPHAS, scores.reshape(len(ALPHAS), -1), strict=True))


def _quiet_clone(estimator: BaseMixup) -> BaseMixup:
    """Return a clone without scikit-learn's callbacks, which are for the final fit."""
    copy = clone(estimator)
    vars(copy).pop("_skl_callbacks", None)
    return copy


def _columns(data: TrainingData) -> tuple:
    return data.X, data.y, data.weight


def _part(values: np.ndarray | None, kept: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[kept]


def _score(estimator: BaseMixup, fold: int, data: TrainingData, parts: list) -> float:
    X, y, weight = (_part(values, ~parts[fold]) for values in _columns(data))
    return -float(np.average(estimator._row_losses(X, y), weights=weight))


def _fold_of_rows(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal the rows out to folds at random; class by class where there are classes."""
    order = np.random.default_rng(seed).permutation(len(y))
    if y.ndim == 1:
        order = order[np.argsort(y[order], kind="stable")]
    fold_of = np.empty(len(y), dtype=np.int64)
    fold_of[order] = np.arange(len(y)) % folds
    return fold_of


def _refuse_first(errors: list[Exception | None]) -> None:
    for error in errors:
        if error is not None:
            raise ValueError(
                "alpha='auto' cross-validates on the training rows, and a fit of that failed "
                f"(below). Give alpha as a number instead, such as 0.2.\n{error}"
            ) from error
