"""Chunks of a search: fits that are planned, trained as one stack, and scored together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.fitting import count_weights, is_auto
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.estimators.together import fit_together, plan_chunks
from mixup_tab.search.checkpoint import fingerprint
from mixup_tab.search.folds import SearchFold
from mixup_tab.training.device import threads_for

# ------------------------------------------------------------------------------ the plan


def net_of(estimator: Any) -> BaseMixup:
    """Return the net of an estimator: itself, or the last step of a pipeline."""
    final = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(final, BaseMixup):
        raise TypeError(
            "estimator must be a MixupClassifier or MixupRegressor, or a Pipeline that ends in "
            f"one, got {estimator!r}. Use scikit-learn's GridSearchCV for other estimators."
        )
    return final


class Candidate:
    """One setting of the parameters.

    Attributes
    ----------
    params : dict
        The parameters.
    estimator : estimator
        An unfitted copy of the base with these parameters.
    steps_key : str
        Equal for candidates that share the steps before the net.
    step : str
        Name of the net in its pipeline.
    """

    def __init__(self, base: BaseEstimator, params: dict[str, Any]) -> None:
        self.params = params
        self.estimator = clone(base).set_params(**clone(params, safe=False))
        net_of(self.estimator)._validate_params()
        self.steps_key = self.step = ""
        if isinstance(base, Pipeline):
            self.step = base.steps[-1][0]
            others = {k: v for k, v in params.items() if k.split("__")[0] != self.step}
            self.steps_key = fingerprint(others) if others else ""


class CandidateFit(NamedTuple):
    """A candidate on a fold.

    Attributes
    ----------
    number : int
        Position in the results: candidate by candidate, and fold by fold within one.
    name : str
        The candidate's parameters, for messages.
    step : str
        Name of the net in its pipeline.
    net : MixupClassifier or MixupRegressor
        Not fitted.
    fold : int
    """

    number: int
    name: str
    step: str
    net: BaseMixup
    fold: int


def make_chunks(
    candidates: Sequence[Candidate], n_folds: int, n_features: int, n_outputs: int
) -> Iterator[list[CandidateFit]]:
    """Cut all fits into chunks of nets that can be one stack.

    The fits of a chunk have the steps before the net in common, and layers and batches of the
    same sizes. The plan does not depend on the number of workers, so neither do the results.
    """
    groups: dict[str, dict[Any, list[CandidateFit]]] = {}
    for position, candidate in enumerate(candidates):
        alike = groups.setdefault(candidate.steps_key, {})
        net = net_of(candidate.estimator)
        same = alike.setdefault(_stack_key(net), [])
        for fold in range(n_folds):
            number = position * n_folds + fold
            same.append(CandidateFit(number, str(candidate.params), candidate.step, net, fold))
    for alike in groups.values():
        for same in alike.values():
            same.sort(key=_order)
            net = same[0].net
            sizes = [count_weights(net, n_features, n_outputs)] * len(same)
            for chunk in plan_chunks(sizes, net.device):
                yield [same[position] for position in chunk]


def _stack_key(net: BaseMixup) -> Any:
    """Equal for nets that can be one stack."""
    names = ("hidden_layer_sizes", "n_estimators", "batch_size", "module", "device")
    return tuple(repr(getattr(net, name)) for name in names), is_auto(net.alpha)


def _order(fit: CandidateFit) -> tuple:
    """Longest first, so that the nets of a chunk end together; then fold by fold."""
    epochs = fit.net.max_epochs
    return -np.inf if isinstance(epochs, str) else -epochs, fit.fold, fit.number


# --------------------------------------------------------------------- running one chunk


class Scoring(NamedTuple):
    """How fits are scored.

    Attributes
    ----------
    scorer : callable
        One of scikit-learn's scorers, for one metric or many, or the user's function.
    return_train_score : bool
        Whether training rows are scored too.
    error_score : "raise" or float
        Score where a fit or a scorer fails.
    """

    scorer: Any
    return_train_score: bool
    error_score: Any

    @property
    def parts(self) -> list[str]:
        """Rows that are scored."""
        return ["test", "train"] if self.return_train_score else ["test"]

    def failed(self) -> Any:
        """Return the score of a fit that failed."""
        if isinstance(self.scorer, _MultimetricScorer):
            return dict.fromkeys(self.scorer._scorers, self.error_score)
        return self.error_score

    def needs_pipeline(self) -> bool:
        """Whether a scorer is the user's function, which may look at the steps."""
        several = isinstance(self.scorer, _MultimetricScorer)
        each = self.scorer._scorers.values() if several else [self.scorer]
        return not all(isinstance(s, (_BaseScorer, _PassthroughScorer)) for s in each)


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


def _fit(
    nets: list[BaseMixup],
    fits: list[CandidateFit],
    folds: dict[int, SearchFold],
    X: Any,
    y: Any,
    monitor: Monitor,
) -> list[Exception | None]:
    """Fit the nets whose steps could be fitted; return every net's error."""
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
    message = None if error is None else f"{type(error).__name__}: {error}"
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
