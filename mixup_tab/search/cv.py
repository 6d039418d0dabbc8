"""MixupSearchCV."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import torch
from joblib.parallel import get_active_backend
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.model_selection._validation import _insert_error_scores
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from mixup_tab.estimators.progress import open_task, with_callbacks
from mixup_tab.search.checkpoint import Checkpoint, fingerprint
from mixup_tab.search.chunk import Fit, Judge, run_chunk
from mixup_tab.search.folds import Fold, run_steps
from mixup_tab.search.plan import Candidate, make_chunks, net_of
from mixup_tab.search.watch import Watch


class MixupSearchCV(GridSearchCV):
    """Grid search with cross-validation that trains all nets side by side.

    It gives what ``GridSearchCV`` gives, several times faster: candidates and folds
    become stacks of nets, every step of which is one batched matrix product per layer.
    Each net of a stack keeps its own rows, seed, α, learning rate, weight decay, dropout
    and epochs, and ends where training it alone would take it, up to rounding.

    Parameters that change the sizes of layers or batches (``hidden_layer_sizes``,
    ``n_estimators``, ``batch_size``) split the grid into several stacks. Candidates that
    differ in ``max_epochs`` alone share one run if the learning rate is constant. Own
    modules and callbacks that look at batches are trained one by one. The steps of a
    pipeline in front of the net are fitted once per fold and setting of theirs.

    Parameters
    ----------
    estimator : MixupClassifier, MixupRegressor or Pipeline
        What to fit; a pipeline must end in one of ours.
    param_grid : dict or list of dict
        Values to try, by name of the parameter.
    scoring : str, callable, list, tuple or dict, default=None
        As in ``GridSearchCV``.
    n_jobs : int, default=None
        Number of chunks trained at a time, by threads. None takes what
        ``joblib.parallel_config`` says, and else as many as torch may use threads.
    refit : bool, str or callable, default=True
        As in ``GridSearchCV``.
    cv : int, cross-validation generator or iterable, default=None
        As in ``GridSearchCV``.
    verbose : int, default=0
        With 1, progress bars.
    pre_dispatch : int or str, default="2*n_jobs"
        As in ``GridSearchCV``.
    error_score : "raise" or float, default=nan
        Score of a fit that fails, for example because its loss becomes infinite.
    return_train_score : bool, default=False
        Whether training rows are scored too.
    checkpoint : str or path-like, default=None
        A file in which finished chunks are written down. A search that was killed goes
        on from there, and ends as if nothing had happened, if ``random_state`` of
        estimator and folds are integers.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in ``GridSearchCV``. A fit's time is its share of its stack's.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_
        As in ``GridSearchCV``.
    refit_time_ : float
        Seconds for the last fit, on all rows.
    multimetric_ : bool
        Whether there are several metrics.
    classes_ : ndarray of shape (n_classes,)
        The labels, of a classifier.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from mixup_tab import MixupClassifier, MixupSearchCV
    >>> X, y = load_wine(return_X_y=True)
    >>> net = MixupClassifier(max_epochs=20, random_state=0)
    >>> search = MixupSearchCV(net, {"alpha": [0, 0.2, 1]}, cv=3).fit(X, y)
    >>> sorted(search.best_params_)
    ['alpha']
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        checkpoint: Any = None,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X: Any, y: Any = None, **params: Any) -> MixupSearchCV:
        """Search, then fit the best setting on all rows.

        Ctrl-C ends the search without a result; with ``checkpoint`` it can be taken up
        again.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values.
        **params
            Arguments for the estimator's ``fit``, the scorers and the splitter, as in
            ``GridSearchCV``: ``sample_weight``, ``groups``, what is routed.

        Returns
        -------
        MixupSearchCV
            The fitted search.
        """
        net_of(self.estimator)
        self._validate_params()
        scorers, refit_metric = self._get_scorers()
        self._check_scorers(scorers)
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        candidates = self._candidates()
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        folds = [
            Fold(number, train, test, routed.estimator.fit, routed.scorer.score)
            for number, (train, test) in enumerate(splits)
        ]
        judge = Judge(scorers, self.return_train_score, self.error_score)
        root = open_task(self, 1 + (self.refit is not False), X, y)
        out = self._run(X, y, candidates, folds, judge, params)
        learned = self._judge(candidates, out, refit_metric, len(folds))
        learned["scorer_"] = (
            scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers
        )
        if self.refit is not False:
            learned |= self._refit(X, y, learned["best_params_"], routed.estimator.fit)
        vars(self).update(learned)
        if root is not None:
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    # -------------------------------------------------------------------- what to do

    def _candidates(self) -> list[Candidate]:
        grid = list(ParameterGrid(self.param_grid))
        base = clone(self.estimator)
        return [Candidate(base, params) for params in grid]

    def _check_scorers(self, scorers: Any) -> None:
        """Refuse a metric of probabilities for an estimator that has none."""
        each = scorers._scorers if isinstance(scorers, _MultimetricScorer) else {"": scorers}
        for name, scorer in each.items():
            wanted = getattr(scorer, "_response_method", "predict")
            wanted = [wanted] if isinstance(wanted, str) else wanted
            if not any(hasattr(net_of(self.estimator), method) for method in wanted):
                raise ValueError(
                    f"scoring={name or self.scoring!r} needs {' or '.join(wanted)}, which "
                    f"{type(net_of(self.estimator)).__name__} does not have. Use a metric of "
                    "predicted values, such as 'r2'."
                )

    def _chunks(
        self, X: Any, y: Any, candidates: list[Candidate], folds: list[Fold]
    ) -> Iterator[tuple[str, list[Fit]]]:
        """Yield chunks with what decides the steps in front of their nets."""
        n_features = np.shape(X)[1] if len(np.shape(X)) > 1 else 1
        n_outputs = len(np.unique(y)) if is_classifier(self.estimator) else 1
        waves: dict[str, list[int]] = {}
        for number, candidate in enumerate(candidates):
            waves.setdefault(candidate.steps, []).append(number)
        for steps, members in waves.items():
            for fits in make_chunks(candidates, members, folds, n_features, n_outputs):
                yield steps, fits

    # ---------------------------------------------------------------------- doing it

    def _run(
        self,
        X: Any,
        y: Any,
        candidates: list[Candidate],
        folds: list[Fold],
        judge: Judge,
        params: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """Return what scikit-learn notes of every fit, candidate by candidate."""
        chunks = list(self._chunks(X, y, candidates, folds))
        fits = [fit for _, chunk in chunks for fit in chunk]
        book = self._open_checkpoint(X, y, candidates, folds, params)
        done: dict[int, dict] = {}
        watch = Watch(len(fits), sum(map(_epochs, fits)), len(chunks), bool(self.verbose))
        try:
            with watch:
                for number, results in self._results(
                    X, y, candidates, folds, chunks, judge, watch, book
                ):
                    done |= {int(fit): result for fit, result in results}
                    watch.chunk_done(number, len(results), sum(map(_epochs, chunks[number][1])))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted(watch)) from None
        return [done[number] for number in sorted(done)]

    def _results(
        self,
        X: Any,
        y: Any,
        candidates: list[Candidate],
        folds: list[Fold],
        chunks: list[tuple[str, list[Fit]]],
        judge: Judge,
        watch: Watch,
        book: Checkpoint | None,
    ) -> Iterator[tuple[int, list]]:
        """Yield the results of chunks as they are finished."""
        finished = {} if book is None else book.finished
        yield from finished.items()
        left = [number for number in range(len(chunks)) if number not in finished]
        workers = _n_workers(self.n_jobs)
        backend, _ = get_active_backend(prefer="threads")
        as_they_come = getattr(backend, "supports_return_generator", False)  # not Ray's
        parallel = Parallel(
            n_jobs=workers,
            pre_dispatch=self.pre_dispatch,
            prefer="threads",
            return_as="generator_unordered" if as_they_come else "list",
        )
        alone = joblib.effective_n_jobs(workers) == 1
        for steps in dict.fromkeys(chunks[number][0] for number in left):
            wave = [number for number in left if chunks[number][0] == steps]
            prepared = self._prepared(X, y, candidates, folds, steps, workers)
            tasks = (
                delayed(run_chunk)(
                    X,
                    y,
                    number,
                    chunks[number][1],
                    {fit.fold: prepared[fit.fold] for fit in chunks[number][1]},
                    judge,
                    watch.token,
                    not alone,
                )
                for number in wave
            )
            for number, results in parallel(tasks):
                if book is not None:
                    book.add(number, results)
                yield number, results

    def _prepared(
        self,
        X: Any,
        y: Any,
        candidates: list[Candidate],
        folds: list[Fold],
        steps: str,
        workers: int,
    ) -> list[Fold]:
        """Fit the steps in front of the net, on every fold."""
        pipeline = next(c.estimator for c in candidates if c.steps == steps)
        if not isinstance(pipeline, Pipeline) or len(pipeline) == 1:
            return folds
        tasks = (delayed(run_steps)(pipeline, X, y, fold) for fold in folds)
        return Parallel(n_jobs=workers, prefer="threads")(tasks)

    def _open_checkpoint(
        self,
        X: Any,
        y: Any,
        candidates: list[Candidate],
        folds: list[Fold],
        params: dict[str, Any],
    ) -> Checkpoint | None:
        if self.checkpoint is None:
            return None
        from mixup_tab import __version__

        scored = [self.scoring, self.return_train_score, str(self.error_score)]
        identity = {
            "data": fingerprint([X, y, params]),
            "estimator": fingerprint(self.estimator),
            "param_grid": fingerprint([candidate.params for candidate in candidates]),
            "folds": fingerprint([(fold.train, fold.test) for fold in folds]),
            "scoring": fingerprint(scored),
            "version": __version__,
        }
        return Checkpoint(self.checkpoint, identity)

    def _interrupted(self, watch: Watch) -> str:
        kept = (
            "Give checkpoint=PATH to be able to go on."
            if self.checkpoint is None
            else f"Finished chunks are in {str(self.checkpoint)!r}: fit again to go on."
        )
        return (
            f"The search was stopped when {watch.fits_done} of {watch.fits} fits were done. "
            f"{kept}"
        )

    # --------------------------------------------------------------- what came of it

    def _judge(
        self, candidates: list[Candidate], out: list[dict], refit_metric: str, n_splits: int
    ) -> dict[str, Any]:
        self._tell_failures(candidates, out, n_splits)
        if callable(self.scoring):
            _insert_error_scores(out, self.error_score)
        grid = [candidate.params for candidate in candidates]
        results = self._format_results(grid, n_splits, out)
        first = out[0]["test_scores"]
        multimetric = isinstance(first, dict)
        if callable(self.scoring) and multimetric:
            self._check_refit_for_multimetric(first)
            refit_metric = self.refit
        learned = {
            "cv_results_": results,
            "n_splits_": n_splits,
            "multimetric_": multimetric,
        }
        if self.refit or not multimetric:
            best = self._select_best_index(self.refit, refit_metric, results)
            learned |= {"best_index_": best, "best_params_": results["params"][best]}
            if not callable(self.refit):
                learned["best_score_"] = results[f"mean_test_{refit_metric}"][best]
        return learned

    def _tell_failures(
        self, candidates: list[Candidate], out: list[dict], n_splits: int
    ) -> None:
        failed = [number for number, result in enumerate(out) if result["fit_error"]]
        if not failed:
            return
        named = "\n".join(
            f"{candidates[number // n_splits].params}, fold {number % n_splits}: "
            f"{out[number]['fit_error']}"
            for number in failed[:10]
        )
        more = f"\nand {len(failed) - 10} more" if len(failed) > 10 else ""
        if len(failed) == len(out):
            raise ValueError(f"All the {len(out)} fits failed:\n{named}{more}")
        warnings.warn(
            f"{len(failed)} of {len(out)} fits failed and are scored "
            f"error_score={self.error_score}:\n{named}{more}",
            FitFailedWarning,
            stacklevel=4,
        )

    def _refit(self, X: Any, y: Any, best: dict[str, Any], fit_params: dict) -> dict[str, Any]:
        estimator = clone(self.estimator).set_params(**clone(best, safe=False))
        start = time.time()
        estimator.fit(X, y, **fit_params)
        learned = {"best_estimator_": estimator, "refit_time_": time.time() - start}
        if hasattr(estimator, "feature_names_in_"):
            learned["feature_names_in_"] = estimator.feature_names_in_
        return learned


def _epochs(fit: Fit) -> int:
    epochs = fit.estimator.max_epochs
    return 1 if epochs == "auto" else epochs


def _n_workers(n_jobs: int | None) -> int:
    """Resolve None: joblib's configuration, else the threads that torch may use."""
    if n_jobs is not None:
        return n_jobs
    backend, n_jobs = get_active_backend(prefer="threads")
    if n_jobs is None and backend.nesting_level == 0:
        usual = getattr(backend, "default_n_jobs", 1)
        return torch.get_num_threads() if usual == 1 else usual
    return 1 if n_jobs is None else n_jobs
