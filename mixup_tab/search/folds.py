"""One cross-validation fold of a search, with the fitted steps of a pipeline."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from mixup_tab.estimators.together import Rows


@dataclass
class SearchFold:
    """One split of the data.

    Attributes
    ----------
    number : int
        Number of the fold.
    train, test : ndarray of int
        Rows.
    fit_params, score_params : dict
        Arguments for ``fit`` and the scorers, for all rows.
    steps : list of (str, transformer)
        Fitted steps before the net; empty without a pipeline.
    transformed_train : Rows or None
        The transformed training rows; None without a pipeline.
    transformed : dict of str to array-like
        The transformed rows to score, by part, if the steps can transform them.
    seconds : float
        Time for fitting the steps.
    error : Exception or None
        Error in fitting the steps.
    """

    number: int
    train: np.ndarray
    test: np.ndarray
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    steps: Sequence[tuple[str, Any]] = ()
    transformed_train: Rows | None = None
    transformed: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None

    def training_rows(self, estimator: BaseEstimator, X: Any, y: Any) -> Rows:
        """Return the rows that the net is fitted on."""
        if self.transformed_train is not None:
            return self.transformed_train
        X_train, y_train = _safe_split(estimator, X, y, self.train)
        params = _check_method_params(X, params=self.fit_params, indices=self.train)
        return _as_rows(estimator, X_train, y_train, params)

    def scored_rows(self, estimator: BaseEstimator, X: Any, y: Any, part: str) -> tuple:
        """Return raw inputs, targets and scorer arguments for "train" or "test"."""
        indices = getattr(self, part)
        X_part, y_part = _safe_split(estimator, X, y, indices)
        params = _check_method_params(X, params=self.score_params, indices=indices)
        return X_part, y_part, params


class _KeepRows(BaseEstimator):
    """Stands in for the net of a pipeline and stores the rows passed to ``fit``."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def fit(self, X: Any, y: Any = None, **params: Any) -> _KeepRows:
        """Store the arguments."""
        self.rows_ = _as_rows(self.net, X, y, params)
        return self

    def get_metadata_routing(self) -> Any:
        """Return the metadata requests of the net."""
        return self.net.get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.net)


def _as_rows(net: Any, X: Any, y: Any, params: dict[str, Any]) -> Rows:
    """Return the arguments of the net's ``fit``; raise TypeError if they do not match."""
    try:
        inspect.signature(net.fit).bind(X, y, **params)
    except TypeError as error:
        raise TypeError(f"{type(net).__name__}.fit: {error}") from error
    return Rows(X, y, **params)


def fit_steps(
    pipeline: Pipeline, X: Any, y: Any, fold: SearchFold, parts: Sequence[str], strict: bool
) -> SearchFold:
    """Return a fold with the steps of a pipeline, fitted on its training rows.

    An error of a step is stored in the fold, or raised if ``strict``.
    """
    start = time.perf_counter()
    pipeline = clone(pipeline)
    name, net = pipeline.steps[-1]
    pipeline.steps[-1] = (name, _KeepRows(net))
    X_train, y_train = _safe_split(pipeline, X, y, fold.train)
    params = _check_method_params(X, params=fold.fit_params, indices=fold.train)
    try:
        pipeline.fit(X_train, y_train, **params)
    except Exception as error:  # a user's step may raise anything
        if strict:
            raise
        return replace(fold, error=error, fit_params={})
    steps = pipeline[:-1]
    transformed = {}
    for part in parts:
        rows, _ = _safe_split(pipeline, X, y, getattr(fold, part))
        try:
            transformed[part] = steps.transform(rows) if len(steps) else rows
        except Exception:  # raised again when the rows are scored
            continue
    return replace(
        fold,
        fit_params={},
        steps=steps.steps,
        transformed_train=pipeline.steps[-1][1].rows_,
        transformed=transformed,
        seconds=time.perf_counter() - start,
    )
