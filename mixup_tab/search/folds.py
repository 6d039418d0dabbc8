"""What the fits of one fold are trained and judged on."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
    ready : tuple (Rows, X_test) or None
        What the steps have made of the rows; None without a pipeline.
    seconds : float
        What fitting the steps took.
    """

    number: int
    train: np.ndarray
    test: np.ndarray
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    steps: list = ()
    ready: tuple[Rows, Any] | None = None
    seconds: float = 0.0

    def training(self, estimator: BaseEstimator, X: Any, y: Any) -> Rows:
        """Return what the net is fitted on."""
        if self.ready is not None:
            return self.ready[0]
        X_train, y_train = _safe_split(estimator, X, y, self.train)
        params = _check_method_params(X, params=self.fit_params, indices=self.train)
        return Rows(X_train, y_train, **params)

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
        self.caught_ = Rows(X, y, **params)
        return self

    def get_metadata_routing(self) -> Any:
        """Ask for what the net asks for."""
        return self.final.get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        return get_tags(self.final)


def run_steps(pipeline: Pipeline, X: Any, y: Any, fold: Fold) -> Fold:
    """Fit the steps in front of the net on the training rows of a fold.

    Parameters
    ----------
    pipeline : Pipeline
        Ends in one of our estimators; stays as it is.
    X, y : array-like
        All rows.
    fold : Fold
        Which of them to use.

    Returns
    -------
    Fold
        With ``steps``, ``ready`` and ``seconds``.
    """
    start = time.perf_counter()
    pipeline = clone(pipeline)
    name, final = pipeline.steps[-1]
    pipeline.steps[-1] = (name, _Catch(final))
    X_train, y_train = _safe_split(pipeline, X, y, fold.train)
    params = _check_method_params(X, params=fold.fit_params, indices=fold.train)
    pipeline.fit(X_train, y_train, **params)
    caught = pipeline.steps[-1][1].caught_
    X_test, _ = _safe_split(pipeline, X, y, fold.test)
    return Fold(
        fold.number,
        fold.train,
        fold.test,
        {},
        fold.score_params,
        pipeline.steps[:-1],
        (caught, pipeline[:-1].transform(X_test)),
        time.perf_counter() - start,
    )
