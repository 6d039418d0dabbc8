"""Choosing α on the training data (``alpha="auto"``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from mixup_tab.estimators.checks import TrainingData
from mixup_tab.estimators.cross_fit import cross_fit, deal_folds
from mixup_tab.estimators.together import Rows

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
    fold_of = deal_folds(data.y, min(FOLDS, len(data.X)), seed)
    folds = range(fold_of.max() + 1)
    params = {"random_state": seed, "verbose": 0, "warm_start": False}
    if hasattr(estimator, "class_weight"):
        params["class_weight"] = None  # it is in the weights already
    if estimator.batch_size != "auto":
        most = len(data.X) - np.bincount(fold_of).max()
        params["batch_size"] = min(estimator.batch_size, int(most))
    jobs = [
        (_quiet_clone(estimator).set_params(alpha=alpha, **params), fold)
        for alpha in ALPHAS
        for fold in folds
    ]
    n_outputs = estimator._n_outputs(data.y)
    try:
        scores = cross_fit(
            jobs, data, fold_of, _score, n_outputs=n_outputs, on_epochs=on_epochs
        )
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(
            "alpha='auto' cross-validates on the training rows, and a fit of that failed "
            f"(below). Give alpha as a number instead, such as 0.2.\n{error}"
        ) from error
    return dict(zip(ALPHAS, np.reshape(scores, (len(ALPHAS), -1)), strict=True))


def _quiet_clone(estimator: BaseMixup) -> BaseMixup:
    """Return a clone without scikit-learn's callbacks, which are for the final fit."""
    copy = clone(estimator)
    vars(copy).pop("_skl_callbacks", None)
    return copy


def _score(estimator: BaseMixup, left_out: Rows) -> float:
    losses = estimator._row_losses(left_out.X, left_out.y)
    return -float(np.average(losses, weights=left_out.sample_weight))
