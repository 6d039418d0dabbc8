"""What the fits of one fold are trained and judged on."""

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
class Fold:
    """One split of the data, before or after the steps of a pipeline.

    Attributes
    ----------
    number : int
        Which one.
    train, test : ndarray of int
        Rows.
    fit_params, score_params : dict
        Arguments for ``fit`` and the scorers, for all rows.
    steps : list of (str, transformer)
        Fitted steps in front of the net; empty without a pipeline.
    ready : Rows or None
        What the steps have made of the training rows; None without a pipeline.
    made : dict of str to array-like
        What the fitted steps make of the rows to score, by part, where they can.
    seconds : float
        What fitting the steps took.
    error : Exception or None
        Why the steps could not be fitted.
    """

    number: int
    train: np.ndarray
    test: np.ndarray
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    steps: Sequence[tuple[str, Any]] = ()
    ready: Rows | None = None
    made: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None

    def training(self, estimator: BaseEstimator, X: Any, y: Any) -> Rows:
        """Return what the net is fitted on."""
        if self.ready is not None:
            return self.ready
        X_train, y_train = _safe_split(estimator, X, y, self.train)
        params = _check_method_params(X, params=self.fit_params, indices=self.train)
        return _rows(estimator, X_train, y_train, params)

    def held_out(self, estimator: BaseEstimator, X: Any, y: Any, part: str) -> tuple:
        """Return inputs, targets and arguments of a scorer for raw rows.

        Parameters
        ----------
        estimator : estimator
            What is to be scored.
        X, y : array-like
            All rows.
        part : {"train", "test"}
            Which of them.

        Returns
        -------
        tuple (X, y, dict)
        """
        indices = getattr(self, part)
        X_part, y_part = _safe_split(estimator, X, y, indices)
        params = _check_method_params(X, params=self.score_params, indices=indices)
        return X_part, y_part, params


class _Catch(BaseEstimator):
    """Stands for the net at the end of a pipeline and keeps what it would be fitted on."""

    def __init__(self, final: Any) -> None:
        self.final = final

    def fit(self, X: Any, y: Any = None, **params: Any) -> _Catch:
        """Keep the arguments."""
        self.caught_ = _rows(self.final, X, y, params)
        return self

    def get_metadata_routing(self) -> Any:
        """Ask for what the net asks for."""
        return self.final.get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.final)


def _rows(net: Any, X: Any, y: Any, params: dict[str, Any]) -> Rows:
    """Return the arguments of the net's ``fit``, if it takes them."""
    try:
        inspect.signature(net.fit).bind(X, y, **params)
    except TypeError as error:
        raise TypeError(f"{type(net).__name__}.fit: {error}") from error
    return Rows(X, y, **params)


def run_steps(
    pipeline: Pipeline, X: Any, y: Any, fold: Fold, parts: Sequence[str], strict: bool
) -> Fold:
    """Fit the steps in front of the net on the training rows of a fold.

    Parameters
    ----------
    pipeline : Pipeline
        Ends in one of our estimators; stays as it is.
    X, y : array-like
        All rows.
    fold : Fold
        Which of them to use.
    parts : sequence of {"test", "train"}
        Rows that will be scored.
    strict : bool
        Whether to raise what a step raises, instead of noting it.

    Returns
    -------
    Fold
        With ``steps``, ``ready``, ``made`` and ``seconds``, or with ``error``.
    """
    start = time.perf_counter()
    pipeline = clone(pipeline)
    name, final = pipeline.steps[-1]
    pipeline.steps[-1] = (name, _Catch(final))
    X_train, y_train = _safe_split(pipeline, X, y, fold.train)
    params = _check_method_params(X, params=fold.fit_params, indices=fold.train)
    try:
        pipeline.fit(X_train, y_train, **params)
    except Exception as error:  # a step of the user's may raise anything
        if strict:
            raise
        return replace(fold, error=error, fit_params={})
    steps = pipeline[:-1]
    made = {}
    for part in parts:
        rows, _ = _safe_split(pipeline, X, y, getattr(fold, part))
        try:
            made[part] = steps.transform(rows) if len(steps) else rows
        except Exception:  # will come again, and be told, when the rows are scored
            continue
    return replace(
        fold,
        fit_params={},
        steps=steps.steps,
        ready=pipeline.steps[-1][1].caught_,
        made=made,
        seconds=time.perf_counter() - start,
    )
