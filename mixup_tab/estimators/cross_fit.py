"""Fitting estimators on the folds of their training data, all nets side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from joblib import Parallel, delayed

from mixup_tab.estimators.checks import TrainingData, input_layer_fitter
from mixup_tab.estimators.together import Rows, count_weights, fit_together, plan_chunks
from mixup_tab.training.device import threads_for
from mixup_tab.training.stopping import TrainingAborted

if TYPE_CHECKING:
    from mixup_tab.estimators.base import BaseMixup


def deal_folds(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal rows out to folds at random; class by class where there are classes.

    Parameters
    ----------
    y : ndarray
        Class codes of shape (rows,), or values of shape (rows, outputs).
    folds : int
        How many.
    seed : int
        Decides who goes where.

    Returns
    -------
    ndarray of int, shape (rows,)
        The fold that leaves each row out.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    if y.ndim == 1:
        order = order[np.argsort(y[order], kind="stable")]
    fold_of = np.empty(len(y), dtype=np.int64)
    fold_of[order] = np.arange(len(y)) % folds
    return fold_of


def rows_of(data: TrainingData, chosen: np.ndarray) -> Rows:
    """Return some rows of training data.

    Parameters
    ----------
    data : TrainingData
        All rows.
    chosen : ndarray of bool, shape (rows,)
        Which.

    Returns
    -------
    Rows
    """
    weight = None if data.weight is None else data.weight[chosen]
    return Rows(data.X[chosen], data.y[chosen], weight)


def cross_fit(
    jobs: Sequence[tuple[BaseMixup, int]],
    data: TrainingData,
    fold_of: np.ndarray,
    look: Callable[[BaseMixup, Rows], Any],
    *,
    n_outputs: int,
    n_jobs: int | None = None,
    on_epochs: Callable[[int], None] | None = None,
) -> list[Any]:
    """Fit each estimator without the rows of one fold.

    Parameters
    ----------
    jobs : sequence of (MixupClassifier or MixupRegressor, int)
        Estimators, none twice, and the fold that each is not to see.
    data : TrainingData
        All rows.
    fold_of : ndarray of int, shape (rows,)
        The fold of each row.
    look : callable
        Called with a fitted estimator and the rows left out.
    n_outputs : int
        Width of the nets' last layer.
    n_jobs : int, default=None
        Stacks trained at a time, by threads; None takes as many as torch may use.
    on_epochs : callable, default=None
        Called with the number of epochs finished since the last call; may raise.

    Returns
    -------
    list
        What ``look`` returned, job by job.

    Raises
    ------
    ValueError
        If a fit fails.
    """
    kept = {fold: rows_of(data, fold_of != fold) for fold in {fold for _, fold in jobs}}
    sizes = [count_weights(one, _width(one, data), n_outputs) for one, _ in jobs]
    stopped = threading.Event()

    def tell(epochs: int) -> None:
        if stopped.is_set():
            raise TrainingAborted
        if on_epochs is not None:
            on_epochs(epochs)

    def work(chunk: list[int]) -> list[tuple[int, Any]]:
        with threads_for(0):
            chosen = [jobs[job] for job in chunk]
            errors = fit_together(
                [one for one, _ in chosen], [kept[f] for _, f in chosen], tell
            )
            for error in errors:
                if error is not None:
                    raise error
            return [
                (job, look(one, rows_of(data, fold_of == fold)))
                for job, (one, fold) in zip(chunk, chosen, strict=True)
            ]

    threads = n_jobs or torch.get_num_threads()
    chunks = plan_chunks(sizes, jobs[0][0].device)
    try:
        results = Parallel(n_jobs=threads, require="sharedmem")(map(delayed(work), chunks))
    except BaseException:
        stopped.set()  # joblib leaves its threads to themselves
        raise
    found = dict(result for chunk in results for result in chunk)
    return [found[job] for job in range(len(jobs))]


def _width(estimator: BaseMixup, data: TrainingData) -> int:
    """Number of inputs of an estimator's net."""
    fit_layer = input_layer_fitter(estimator.module)
    return data.X[0].size if fit_layer is None else data.input_layer(fit_layer).width
