"""One task of a search: fits that are trained as one stack, and then scored."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

from sklearn.base import clone
from sklearn.metrics._scorer import _BaseScorer, _MultimetricScorer, _PassthroughScorer
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.together import fit_together
from mixup_tab.search.folds import Fold
from mixup_tab.search.watch import Watch
from mixup_tab.training.device import threads_for


class Fit(NamedTuple):
    """A candidate on a fold.

    Attributes
    ----------
    number : int
        Its place in the results: candidates one after the other, folds within.
    name : str
        For messages.
    step : str
        Name of the net in its pipeline.
    estimator : MixupClassifier or MixupRegressor
        Not fitted.
    fold : int
        Its fold.
    """

    number: int
    name: str
    step: str
    estimator: BaseMixup
    fold: int


class Judge(NamedTuple):
    """How fits are scored.

    Attributes
    ----------
    scorer : callable
        A scorer of scikit-learn's, one of many metrics, or the user's function.
    return_train_score : bool
        Whether training rows are scored too.
    error_score : "raise" or float
        What a fit or a scorer that fails gets.
    """

    scorer: Callable
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
    chunk: int,
    fits: list[Fit],
    folds: dict[int, Fold],
    judge: Judge,
    token: int,
    one_thread: bool,
) -> tuple[int, list[tuple[int, dict]]]:
    """Train and score the fits of a chunk.

    Parameters
    ----------
    X, y : array-like
        All rows.
    chunk : int
        Number of the chunk.
    fits : list of Fit
        What to do.
    folds : dict of int to Fold
        The folds that they use.
    judge : Judge
        How to score.
    token : int
        Of the search's watch.
    one_thread : bool
        Whether other chunks run beside this one.

    Returns
    -------
    chunk : int
        Its number.
    results : list of (int, dict)
        For each fit its number and what scikit-learn's searches note of a fit.
    """
    # Copies, so that fitted nets are gone with the chunk.
    fits = [fit._replace(estimator=clone(fit.estimator)) for fit in fits]
    sharing = {number: sum(fit.fold == number for fit in fits) for number in folds}
    start = time.perf_counter()
    with Watch.task(token), threads_for(0) if one_thread else nullcontext():
        errors = _fit(fits, folds, X, y, lambda epochs: Watch.report(token, chunk, epochs))
        seconds = (time.perf_counter() - start) / len(fits)
        results = []
        for fit, error in zip(fits, errors, strict=True):
            fold = folds[fit.fold]
            result = _scores(fit, error, fold, X, y, judge)
            result["fit_time"] = seconds + fold.seconds / sharing[fit.fold]
            results.append((fit.number, result))
    return chunk, results


def _fit(
    fits: list[Fit],
    folds: dict[int, Fold],
    X: Any,
    y: Any,
    on_epochs: Callable[[int], None],
) -> list[Exception | None]:
    """Fit those whose steps in front of the net could be fitted."""
    fine = [fit for fit in fits if folds[fit.fold].error is None]
    used = {fit.fold for fit in fine}
    rows = {number: folds[number].training(fits[0].estimator, X, y) for number in used}
    estimators = [fit.estimator for fit in fine]
    own = iter(fit_together(estimators, [rows[fit.fold] for fit in fine], on_epochs))
    return [next(own) if fit in fine else folds[fit.fold].error for fit in fits]


def _scores(
    fit: Fit,
    error: Exception | None,
    fold: Fold,
    X: Any,
    y: Any,
    judge: Judge,
) -> dict[str, Any]:
    if error is not None and judge.error_score == "raise":
        error.add_note(f"In the fit of {fit.name} on fold {fold.number}.")
        raise error
    start = time.perf_counter()
    told = None if error is None else f"{type(error).__name__}: {error}"
    result: dict[str, Any] = {"fit_error": told}
    for part in judge.parts:
        if error is not None:
            result[f"{part}_scores"] = judge.failed()
            continue
        X_part, y_part, params = fold.held_out(fit.estimator, X, y, part)
        scored: Any = fit.estimator
        if fold.ready is not None and part in fold.made and not judge.needs_pipeline():
            X_part = fold.made[part]
        elif fold.ready is not None:
            scored = Pipeline([*fold.steps, (fit.step, fit.estimator)])
        result[f"{part}_scores"] = _score(
            scored, X_part, y_part, judge.scorer, params, judge.error_score
        )
        if part == "test":
            result["score_time"] = time.perf_counter() - start
    result.setdefault("score_time", 0.0)
    result["n_test_samples"] = len(fold.test)
    return result
