"""Choosing α on training rows, and the pipeline that it is chosen for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import skrub
from sklearn.base import BaseEstimator
from sklearn.metrics import log_loss, make_scorer
from sklearn.pipeline import Pipeline

from mixup_tab.compare.folds import splitter
from mixup_tab.compare.question import Question
from mixup_tab.estimators import MixupClassifier, MixupRegressor
from mixup_tab.search import MixupSearchCV

_INNER_FOLDS = 5


class Setting(NamedTuple):
    """What is the same for all splits: values of α without 0, seed and device of the nets."""

    alphas: tuple[float, ...]
    seed: int = 0
    device: str = "cpu"


def make_net(question: Question, setting: Setting, repeat: int = 0) -> Pipeline:
    """Return skrub's pipeline for a table with one of our nets at the end.

    Parameters
    ----------
    question : Question
        The table.
    setting : Setting
        Seed and device.
    repeat : int, default=0
        Added to the seed.

    Returns
    -------
    Pipeline
    """
    kind = MixupClassifier if question.classifies else MixupRegressor
    final = kind(device=setting.device)
    return seeded_pipeline(final, question.kinds.values(), setting.seed + repeat)


def seeded_pipeline(final: BaseEstimator, kinds: Iterable[str], seed: int) -> Pipeline:
    """Return skrub's pipeline with a final step, every random state in it set.

    Parameters
    ----------
    final : estimator
        The final step.
    kinds : iterable of str
        Kinds of the columns. Numbers alone need no TableVectorizer, which takes a minute for
        thousands of columns.
    seed : int
        Value of every random state.

    Returns
    -------
    Pipeline
    """
    pipeline = skrub.tabular_pipeline(final)
    if set(kinds) == {"number"}:
        pipeline = Pipeline(pipeline.steps[1:])
        if "simpleimputer" in pipeline.named_steps:
            pipeline.set_params(simpleimputer__keep_empty_features=True)
    names = [name for name in pipeline.get_params() if name.endswith("random_state")]
    return pipeline.set_params(**dict.fromkeys(names, seed))


def search_alpha(
    question: Question, net: Pipeline, alphas: Sequence[float], seed: int, n_jobs: int = 1
) -> dict[float, float]:
    """Cross-validate values of α, steps in front of the net and all.

    Parameters
    ----------
    question : Question
        Training rows.
    net : Pipeline
        From :func:`make_net`.
    alphas : sequence of float
        Values to try.
    seed : int
        Of the folds.
    n_jobs : int, default=1
        As in :class:`~mixup_tab.MixupSearchCV`.

    Returns
    -------
    dict of float to float
        Mean over the folds of minus the log-loss, or of minus the squared error.
    """
    folds = _INNER_FOLDS
    if question.classifies and not question.in_order:
        counts = np.bincount(question.y)
        folds = int(np.clip(counts[counts > 0].min(), 2, folds))
    if question.groups is not None:
        folds = min(folds, len(np.unique(question.groups)))
    name = f"{net.steps[-1][0]}__alpha"
    search = MixupSearchCV(
        net,
        {name: list(alphas)},
        scoring=_scoring(question),
        cv=splitter(question, folds, seed),
        refit=False,
        n_jobs=n_jobs,
    )
    search.fit(question.X, question.y, groups=question.groups)
    results = search.cv_results_
    parts = [results[f"split{fold}_test_score"] for fold in range(search.n_splits_)]
    # A fold whose training rows lack a class is left out, for all values alike.
    means = np.ma.masked_invalid(parts).mean(axis=0).filled(-np.inf)
    return dict(zip(alphas, means.tolist(), strict=True))


def _scoring(question: Question) -> Any:
    if not question.classifies:
        return "neg_mean_squared_error"
    n_classes = len(question.classes)
    if question.in_order or question.groups is not None:  # training may lack a class
        return partial(_padded_log_likelihood, n_classes=n_classes)
    # Need not make the rows ready again for every net.
    return make_scorer(_log_likelihood, response_method="predict_proba", n_classes=n_classes)


def _log_likelihood(y: np.ndarray, proba: np.ndarray, n_classes: int) -> float:
    seen = 2 if proba.ndim == 1 else proba.shape[1]  # of two classes the second comes alone
    if seen != n_classes:
        return np.nan
    return -log_loss(y, proba, labels=np.arange(n_classes))


def _padded_log_likelihood(model: Any, X: Any, y: np.ndarray, n_classes: int) -> float:
    return _log_likelihood(y, probabilities(model, X, n_classes), n_classes)


def best_alpha(curve: dict[float, float], *, mixed: bool) -> float:
    """Return the α with the highest score.

    Parameters
    ----------
    curve : dict of float to float
        Score by α.
    mixed : bool
        Whether α must be larger than 0.

    Returns
    -------
    float
    """
    return max((alpha for alpha in curve if alpha > 0 or not mixed), key=curve.__getitem__)


def probabilities(model: BaseEstimator, X: Any, n_classes: int) -> np.ndarray:
    """Return probabilities of all classes, 0 for those that training did not see.

    Parameters
    ----------
    model : classifier
        Fitted on codes.
    X : array-like of shape (rows, features)
        Rows.
    n_classes : int
        How many there are.

    Returns
    -------
    ndarray of shape (rows, n_classes)
    """
    proba = np.zeros((len(X), n_classes))
    proba[:, model.classes_] = model.predict_proba(X)
    return proba
