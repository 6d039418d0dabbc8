"""Which fits a search makes, and which of them are trained together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.together import count_weights, path_of, plan_chunks
from mixup_tab.search.checkpoint import fingerprint
from mixup_tab.search.chunk import Fit
from mixup_tab.search.folds import Fold


def net_of(estimator: Any) -> BaseMixup:
    """Return the net of an estimator, or of the pipeline that ends in it.

    Raises
    ------
    TypeError
        If there is none.
    """
    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(final, BaseMixup):
        raise TypeError(
            "estimator must be a MixupClassifier or MixupRegressor, or a Pipeline that ends in "
            f"one, got {estimator!r}. Use scikit-learn's GridSearchCV for other estimators."
        )
    return final


class Candidate:
    """One setting of the parameters.

    Parameters
    ----------
    base : estimator
        What it is a setting of.
    params : dict
        The parameters.

    Attributes
    ----------
    estimator : estimator
        The base with these parameters, not fitted.
    steps : str
        Equal for candidates that have the steps in front of the net in common.
    """

    def __init__(self, base: BaseEstimator, params: dict[str, Any]) -> None:
        self.params = params
        self.estimator = clone(base).set_params(**clone(params, safe=False))
        net_of(self.estimator)._check_params()
        self.steps = ""
        if isinstance(base, Pipeline):
            last = base.steps[-1][0]
            others = {k: v for k, v in params.items() if k.split("__")[0] != last}
            self.steps = fingerprint(others) if others else ""

    @property
    def step(self) -> str:
        """Name of the net in its pipeline."""
        return self.estimator.steps[-1][0] if isinstance(self.estimator, Pipeline) else ""

    def fit_on(self, number: int, fold: int) -> Fit:
        """Return the fit on a fold."""
        return Fit(number, str(self.params), self.step, net_of(self.estimator), fold)


def make_chunks(
    candidates: Sequence[Candidate],
    members: Sequence[int],
    folds: Sequence[Fold],
    n_features: int,
    n_outputs: int,
) -> Iterator[list[Fit]]:
    """Cut the fits of some candidates on all folds into chunks.

    Parameters
    ----------
    candidates : sequence of Candidate
        All there are.
    members : sequence of int
        Those that are meant, which share the steps in front of the net.
    folds : sequence of Fold
        The splits.
    n_features, n_outputs : int
        Size of the nets' inputs and outputs.

    Yields
    ------
    list of Fit
    """
    paths: dict[Any, list[Fit]] = {}
    for member in members:
        for fold in folds:
            fit = candidates[member].fit_on(member * len(folds) + fold.number, fold.number)
            path = path_of(fit.estimator)
            key = (fit.number,) if path is None else (path, fold.number)
            paths.setdefault((_shape(fit.estimator), key), []).append(fit)
    shapes: dict[Any, list[list[Fit]]] = {}
    for (shape, _), path in paths.items():
        shapes.setdefault(shape, []).append(path)
    for same in shapes.values():
        same.sort(key=_order)
        size = count_weights(same[0][0].estimator, n_features, n_outputs)
        for chunk in plan_chunks([size] * len(same), same[0][0].estimator.device):
            yield [fit for path in chunk for fit in same[path]]


def _shape(estimator: BaseMixup) -> Any:
    """Equal for nets that can be one stack."""
    own = estimator.get_params(deep=False)
    names = ("hidden_layer_sizes", "n_estimators", "batch_size", "module", "device")
    return tuple(repr(own[name]) for name in names), estimator.chooses_alpha()


def _order(path: list[Fit]) -> tuple:
    """Longest first, so that the nets of a chunk end together; then fold by fold."""
    epochs = [fit.estimator.max_epochs for fit in path]
    longest = max((e for e in epochs if e != "auto"), default=np.inf)
    return -longest, path[0].fold, path[0].number
