"""MixupSearchCV."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import sklearn
import torch
from sklearn.base import clone, is_classifier
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection import GridSearchCV, ParameterGrid, check_cv
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import get_tags, indexable
from sklearn.utils.validation import _check_method_params

from mixup_tab._plain import PythonParams, shown
from mixup_tab._resumable import Journal
from mixup_tab.estimators.labels import labels_in
from mixup_tab.estimators.sklearn_callbacks import open_task, subtask, with_callbacks
from mixup_tab.search.chunks import Candidate, Scoring, net_of
from mixup_tab.search.folds import SearchFold
from mixup_tab.search.run import SearchRun
from mixup_tab.training.fingerprint import fingerprint
from mixup_tab.training.stopping import propagate_interrupt


class MixupSearchCV(PythonParams, GridSearchCV):
    """Grid search with cross-validation that trains all nets side by side.

    It gives the results of ``GridSearchCV`` several times faster: candidates and folds become
    stacks of nets, every step of which is one batched matrix product per layer. Each net of a
    stack keeps its own rows, seed, α, learning rate, weight decay, dropout and epochs; its
    result is that of training it alone, up to rounding.

    Parameters that change the sizes of layers or batches (``hidden_layer_sizes``,
    ``n_estimators``, ``batch_size``) split the grid into several stacks. Nets with your own
    ``module``, or with callbacks that watch batches, are trained one by one. The steps of a
    pipeline before the net are fitted once per fold for each combination of their parameters.

    All other estimators are fitted and scored as in ``GridSearchCV``, at the same speed:
    pipelines of imbalanced-learn, meta-estimators such as ``CalibratedClassifierCV``, and
    subclasses of these estimators.

    Parameters
    ----------
    estimator : estimator
        Estimator to fit. MixupClassifier and MixupRegressor, alone or at the end of a
        scikit-learn ``Pipeline``, are trained side by side.
    param_grid : dict or list of dict
        Values to try, by name of the parameter.
    scoring : str, callable, list, tuple or dict, default=None
        As in ``GridSearchCV``.
    n_jobs : int, default=None
        Number of chunks trained at a time, by threads. None uses ``joblib.parallel_config`` if
        set, else torch's number of threads.
    refit : bool, str or callable, default=True
        As in ``GridSearchCV``.
    cv : int, cross-validation generator or iterable, default=None
        As in ``GridSearchCV``.
    verbose : int, default=0
        1 shows a progress bar on standard error (needs ``mixup-tab[cli]``).
    pre_dispatch : int or str, default="2*n_jobs"
        As in ``GridSearchCV``.
    error_score : "raise" or float, default=nan
        Score of a fit that fails, for example because its loss becomes infinite. ``fit`` raises
        an error if all fits fail. It also does if the score of every candidate is NaN, unless
        ``refit=False``.
    return_train_score : bool, default=False
        Whether to score training rows too.
    checkpoint : str or path-like, default=None
        File that records finished fits. If a search was killed, call ``fit`` again to resume
        it; results are the same as without the break if the ``random_state`` of estimator and
        folds are integers. ``fit`` raises an error if the file was changed, is in use, or is
        from other data, parameters, code or versions.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in ``GridSearchCV``. The time of a fit is its share of its stack's time.
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

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: targets as for the estimator."""
        tags = super().__sklearn_tags__()
        tags.target_tags = get_tags(self.estimator).target_tags
        return tags

    @with_callbacks
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, then fit the best combination on all rows.

        Ctrl-C ends the search without a result; with ``checkpoint`` it can be resumed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values.
        **params
            Arguments for the estimator's ``fit``, the scorers and the splitter, as in
            ``GridSearchCV``: ``sample_weight``, ``groups``, routed metadata.

        Returns
        -------
        MixupSearchCV
            The fitted search.
        """
        self._validate_params()
        scorers, refit_metric = self._get_scorers()
        self._check_scorers(scorers)
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        candidates = self._candidates()
        folds = self._folds(X, y, routed)
        scoring = Scoring(scorers, self.return_train_score, self.error_score)
        run = SearchRun(X, y, candidates, folds, scoring, self.n_jobs, self.pre_dispatch)
        with self._open_checkpoint(run, params) as checkpoint:
            root = open_task(self, 1 + (self.refit is not False), X, y)
            with subtask(root, "search", self, X, y):
                out = run.results(checkpoint, bool(self.verbose))
        learned = self._select_best(candidates, out, refit_metric, len(folds))
        learned["scorer_"] = (
            scorers._scorers if isinstance(scorers, _MultimetricScorer) else scorers
        )
        if self.refit is not False:
            best = clone(self.estimator)
            best.set_params(**clone(learned["best_params_"], safe=False))
            with (
                propagate_interrupt(),
                subtask(root, "refit-with-best-params", self, X, y, best),
            ):
                learned |= _refit(best, X, y, routed.estimator.fit)
        self.__dict__.update(learned)
        if root is not None:
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    # ---------------------------------------------------------------------- the fits

    def _candidates(self) -> list[Candidate]:
        grid = list(ParameterGrid(self.param_grid))
        if not grid:
            raise ValueError(
                f"param_grid={shown(self.param_grid)} is empty. Pass a dict of parameter names "
                'to lists of values, such as {"alpha": [0, 0.2, 1]}.'
            )
        base = clone(self.estimator)
        return [Candidate(base, params) for params in grid]

    def _folds(self, X: Any, y: Any, routed: Any) -> list[SearchFold]:
        if net_of(self.estimator) and is_classifier(self.estimator) and y is not None:
            labels_in(y)
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(cv.split(X, y, **routed.splitter.split))
        if not splits:
            raise ValueError(
                f"cv={shown(self.cv)} makes no folds. Use a whole number of at least 2."
            )
        return [
            SearchFold(number, train, test, routed.estimator.fit, routed.scorer.score)
            for number, (train, test) in enumerate(splits)
        ]

    def _check_scorers(self, scorers: Any) -> None:
        """Raise ValueError for a metric of probabilities if the estimator has none."""
        net = net_of(self.estimator)
        each = scorers._scorers if isinstance(scorers, _MultimetricScorer) else {"": scorers}
        for name, scorer in each.items() if net else ():
            wanted = getattr(scorer, "_response_method", "predict")
            wanted = [wanted] if isinstance(wanted, str) else wanted
            if not any(hasattr(net, method) for method in wanted):
                raise ValueError(
                    f"scoring={name or self.scoring!r} needs {' or '.join(wanted)}, which "
                    f"{type(net).__name__} does not have. Use a metric of predicted values, "
                    "such as 'r2'."
                )

    def _open_checkpoint(self, run: SearchRun, params: dict[str, Any]) -> Any:
        """Return a context with the checkpoint, or with None."""
        if self.checkpoint is None:
            return nullcontext()
        settings = ("enable_metadata_routing", "transform_output")
        scored = self.scoring, self.return_train_score, str(self.error_score)
        identity = {
            "data": fingerprint(run.X, run.y, params),
            "estimator": fingerprint(_blank(self.estimator)),
            "param_grid": fingerprint(*(candidate.params for candidate in run.candidates)),
            "folds": fingerprint(*((fold.train, fold.test) for fold in run.folds)),
            "scoring": fingerprint(*scored),
            "configuration": fingerprint(*map(sklearn.get_config().get, settings)),
            "device": run.devices(),
            "versions": _versions(),
        }
        path = Path(self.checkpoint)
        return Journal(path, identity, f"checkpoint={str(path)!r}", run.accepts)

    # --------------------------------------------------------------- the result

    def _select_best(
        self, candidates: list[Candidate], out: list[dict], refit_metric: str, n_splits: int
    ) -> dict[str, Any]:
        _warn_or_raise_about_fit_failures(out, self.error_score)
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
        if not multimetric and not self.refit and _no_score(results, "score"):
            return learned
        if self.refit or not multimetric:
            if not callable(self.refit) and _no_score(results, refit_metric):
                raise ValueError(
                    "No candidate has a score: for each of them, a fit or the scorer failed on "
                    "a fold, or the score is NaN. Use error_score='raise' to see the first "
                    "error."
                )
            best = self._select_best_index(self.refit, refit_metric, results)
            learned |= {"best_index_": best, "best_params_": results["params"][best]}
            if not callable(self.refit):
                learned["best_score_"] = results[f"mean_test_{refit_metric}"][best]
        return learned


def _no_score(results: dict[str, Any], metric: str) -> bool:
    """Whether all scores are NaN; scikit-learn would then choose the first candidate."""
    return bool(np.isnan(results[f"mean_test_{metric}"]).all())


def _refit(estimator: Any, X: Any, y: Any, fit_params: dict) -> dict[str, Any]:
    start = time.time()
    estimator.fit(X, *([] if y is None else [y]), **fit_params)
    learned = {"best_estimator_": estimator, "refit_time_": time.time() - start}
    if hasattr(estimator, "feature_names_in_"):
        learned["feature_names_in_"] = estimator.feature_names_in_
    return learned


def _versions() -> str:
    """Return the versions that scores may depend on."""
    from mixup_tab import __version__

    others = [f"{package.__name__} {package.__version__}" for package in (np, sklearn, torch)]
    return f"mixup_tab {__version__}, {', '.join(others)}"


def _blank(estimator: Any) -> Any:
    """Return a copy of an estimator without scikit-learn's callbacks."""
    blank = clone(estimator)
    for part in (blank, *blank.get_params().values()):
        if hasattr(part, "_skl_callbacks"):
            del part._skl_callbacks
    return blank
