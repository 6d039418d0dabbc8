"""Chunks of a search: fits that are trained as one stack and scored together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._validation import _fit_and_score, _score
from sklearn.pipeline import Pipeline

from mixup_tab._plain import shown
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.fitting import count_weights
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.estimators.regressor import MixupRegressor
from mixup_tab.estimators.together import fit_together, plan_chunks
from mixup_tab.search.folds import SearchFold
from mixup_tab.training.device import threads_for
from mixup_tab.training.fingerprint import fingerprint
from mixup_tab.training.stopping import propagate_interrupt

# ------------------------------------------------------------------------------ the plan


def net_of(estimator: Any) -> BaseMixup | None:
    """Return the net that can be stacked: the estimator, or the last step of a pipeline.

    None for all others, which are fitted one by one; among them subclasses, which may override
    ``fit`` and ``predict``.
    """
    final = estimator
    if type(estimator) is Pipeline and estimator.steps and estimator.transform_input is None:
        final = estimator.steps[-1][1]
    return final if type(final) in (MixupClassifier, MixupRegressor) else None


class Candidate:
    """One combination of parameters.

    Attributes
    ----------
    params : dict
        The parameters.
    estimator : estimator
        An unfitted copy of the base with these parameters.
    steps_key : str or None
        Equal for candidates with the same steps before the net; None for estimators that cannot
        be stacked.
    step : str
        Name of the net in its pipeline.
    """

    def __init__(self, base: BaseEstimator, params: dict[str, Any]) -> None:
        self.params = params
        self.estimator = clone(base).set_params(**clone(params, safe=False))
        self.steps_key: str | None = None
        self.step = ""
        net = net_of(self.estimator)
        if net is None:
            return
        net._validate_params()
        self.steps_key = ""
        if net is not self.estimator:
            self.step = self.estimator.steps[-1][0]
            others = {k: v for k, v in params.items() if k.split("__")[0] != self.step}
            try:
                self.steps_key = fingerprint(others) if others else ""
            except TypeError:  # it cannot be pickled
                self.steps_key = str(id(self))  # unique


class CandidateFit(NamedTuple):
    """A candidate on a fold.

    Attributes
    ----------
    number : int
        Position in the results: by candidate, then by fold.
    name : str
        The candidate's parameters, for messages.
    step : str
        Name of the net in its pipeline.
    net : estimator
        Not fitted; the whole estimator if it cannot be stacked.
    fold : int
    """

    number: int
    name: str
    step: str
    net: Any
    fold: int


def make_chunks(
    candidates: Sequence[Candidate], n_folds: int, n_features: int, n_outputs: int
) -> Iterator[list[CandidateFit]]:
    """Cut all fits into chunks of nets that can be stacked.

    The fits of a chunk share the steps before the net, and the sizes of layers and batches. The
    plan does not depend on the number of workers, so neither do the results.
    """
    groups: dict[str | None, dict[Any, list[CandidateFit]]] = {}
    for position, candidate in enumerate(candidates):
        alike = groups.setdefault(candidate.steps_key, {})
        net = net_of(candidate.estimator) or candidate.estimator
        same = alike.setdefault(_stack_key(net), [])
        for fold in range(n_folds):
            number = position * n_folds + fold
            same.append(
                CandidateFit(number, shown(candidate.params), candidate.step, net, fold)
            )
    for alike in groups.values():
        for same in alike.values():
            yield from _cut(same, n_features, n_outputs)


def _cut(
    same: list[CandidateFit], n_features: int, n_outputs: int
) -> Iterator[list[CandidateFit]]:
    """Cut fits that could be stacked into chunks; other estimators are chunks of one."""
    net = same[0].net
    if net_of(net) is None:
        yield from ([fit] for fit in same)
        return
    same.sort(key=_order)
    sizes = [count_weights(net, n_features, n_outputs)] * len(same)
    for chunk in plan_chunks(sizes, net.device):
        yield [same[position] for position in chunk]


def _stack_key(net: Any) -> Any:
    """Return a key that is equal for nets that can be stacked."""
    if net_of(net) is None:
        return None
    names = ("hidden_layer_sizes", "n_estimators", "batch_size", "module", "device")
    return tuple(repr(getattr(net, name)) for name in names), net._cross_fits()


def _order(fit: CandidateFit) -> tuple:
    """Sort key: longest first, so that the nets of a chunk end together; then by fold."""
    epochs = fit.net.max_epochs
    return -np.inf if isinstance(epochs, str) else -epochs, fit.fold, fit.number


# --------------------------------------------------------------------- running one chunk


class Scoring(NamedTuple):
    """Scoring of fits.

    Attributes
    ----------
    scorer : callable
        One of scikit-learn's scorers, for one metric or several, or the user's function.
    return_train_score : bool
        Whether to score training rows too.
    error_score : "raise" or float
        Score if a fit or a scorer fails.
    """

    scorer: Any
    return_train_score: bool
    error_score: Any

    @property
    def parts(self) -> list[str]:
        """Parts of the rows to score."""
        return ["test", "train"] if self.return_train_score else ["test"]

    def failed(self) -> Any:
        """Return the score of a fit that failed."""
        if isinstance(self.scorer, _MultimetricScorer):
            return dict.fromkeys(self.scorer._scorers, self.error_score)
        return self.error_score

    def could_give(self, result: Any) -> bool:
        """Whether a result from a file has a valid form."""
        scores = [f"{part}_scores" for part in self.parts]
        numbers = ["fit_time", "score_time", "n_test_samples"]
        return (
            isinstance(result, dict)
            and result.keys() == {"fit_error", *numbers, *scores}
            and isinstance(result["fit_error"], str | None)
            and all(_is_number(result[key]) and isfinite(result[key]) for key in numbers)
            and all(self._is_score(result[key]) for key in scores)
        )

    def _is_score(self, value: Any) -> bool:
        names = getattr(self.scorer, "_scorers", None)  # of several metrics
        if isinstance(value, dict) and not isinstance(self.scorer, _BaseScorer):
            fits = value.keys() == names.keys() if names else len(value) > 0
            return fits and all(_is_number(score) for score in value.values())
        return names is None and _is_number(value)

    def needs_pipeline(self) -> bool:
        """Whether a scorer is the user's function, which may access the steps."""
        several = isinstance(self.scorer, _MultimetricScorer)
        each = self.scorer._scorers.values() if several else [self.scorer]
        return not all(isinstance(s, (_BaseScorer, _PassthroughScorer)) for s in each)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def run_chunk(
    X: Any,
    y: Any,
    fits: list[CandidateFit],
    folds: dict[int, SearchFold],
    scoring: Scoring,
    monitor: Monitor,
    one_thread: bool,
) -> list[tuple[int, dict]]:
    """Train and score the fits of a chunk."""
    if net_of(fits[0].net) is None:
        with monitor.task(), threads_for(0) if one_thread else nullcontext():
            return [
                (fit.number, _fit_alone(fit, folds[fit.fold], X, y, scoring)) for fit in fits
            ]
    nets = [clone(fit.net) for fit in fits]  # fitted nets must not outlive the chunk
    sharing = {number: sum(fit.fold == number for fit in fits) for number in folds}
    start = time.perf_counter()
    with monitor.task(), threads_for(0) if one_thread else nullcontext():
        errors = _fit(nets, fits, folds, X, y, monitor)
        seconds = (time.perf_counter() - start) / len(fits)
        results = []
        for net, fit, error in zip(nets, fits, errors, strict=True):
            fold = folds[fit.fold]
            result = _scores(net, fit, error, fold, X, y, scoring)
            result["fit_time"] = seconds + fold.seconds / sharing[fit.fold]
            results.append((fit.number, result))
    return results


def _fit_alone(
    fit: CandidateFit, fold: SearchFold, X: Any, y: Any, scoring: Scoring
) -> dict[str, Any]:
    """Fit and score an estimator as scikit-learn's searches do."""
    try:
        with propagate_interrupt():
            result = _fit_and_score(
                clone(fit.net),
                X,
                y,
                scorer=scoring.scorer,
                train=fold.train,
                test=fold.test,
                verbose=0,
                parameters=None,
                fit_params=fold.fit_params,
                score_params=fold.score_params,
                return_train_score=scoring.return_train_score,
                return_n_test_samples=True,
                return_times=True,
                error_score=scoring.error_score,
            )
    except Exception as error:
        error.add_note(f"In the fit of {fit.name} on fold {fold.number}.")
        raise
    if result["fit_error"] is not None:
        result["fit_error"] = f"{fit.name}: {result['fit_error']}"
    return result


def _fit(
    nets: list[BaseMixup],
    fits: list[CandidateFit],
    folds: dict[int, SearchFold],
    X: Any,
    y: Any,
    monitor: Monitor,
) -> list[Exception | None]:
    """Fit the nets whose steps could be fitted; return the error of each net, or None."""
    errors = [folds[fit.fold].error for fit in fits]
    fine = [position for position, error in enumerate(errors) if error is None]
    used = {fits[position].fold for position in fine}
    rows = {fold: folds[fold].training_rows(nets[0], X, y) for fold in used}
    failed = fit_together(
        [nets[position] for position in fine],
        [rows[fits[position].fold] for position in fine],
        monitor.report,
    )
    for position, error in zip(fine, failed, strict=True):
        errors[position] = error
    return errors


def _scores(
    net: BaseMixup,
    fit: CandidateFit,
    error: Exception | None,
    fold: SearchFold,
    X: Any,
    y: Any,
    scoring: Scoring,
) -> dict[str, Any]:
    """Score a net as scikit-learn's ``_fit_and_score`` does."""
    if error is not None and scoring.error_score == "raise":
        error.add_note(f"In the fit of {fit.name} on fold {fold.number}.")
        raise error
    start = time.perf_counter()
    message = None if error is None else f"{fit.name}: {type(error).__name__}: {error}"
    result: dict[str, Any] = {"fit_error": message, "score_time": 0.0}
    for part in scoring.parts:
        if error is not None:
            result[f"{part}_scores"] = scoring.failed()
            continue
        X_part, y_part, params = fold.scored_rows(net, X, y, part)
        scored: Any = net
        if part in fold.transformed and not scoring.needs_pipeline():
            X_part = fold.transformed[part]
        elif fold.transformed_train is not None:
            scored = Pipeline([*fold.steps, (fit.step, net)])
        result[f"{part}_scores"] = _score(
            scored, X_part, y_part, scoring.scorer, params, scoring.error_score
        )
        if part == "test":
            result["score_time"] = time.perf_counter() - start
    result["n_test_samples"] = len(fold.test)
    return result
