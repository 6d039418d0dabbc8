"""MixupEnsembleClassifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from mixup_tab.estimators.checks import TrainingData, check_params, check_X
from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.cross_fit import cross_fit, deal_folds
from mixup_tab.estimators.labels import LabelsMixin
from mixup_tab.estimators.selection import (
    fit_temperature,
    log_losses,
    select_greedily,
    temper,
)
from mixup_tab.estimators.together import Rows
from mixup_tab.nets import BinnedMLP

# Nets that are wrong in different places. Chosen on splits of training rows; the benchmark's
# ablation protocol measures what each is worth.
_SWAPPED = {"mixing": "cutmix", "learning_rate_init": 0.002}
_MIXED = {"mixing": "mixup", "learning_rate_init": 0.002}
_LONG_SWAPPED = {"mixing": "cutmix", "learning_rate_init": 0.004, "max_epochs": "long"}
_BINS = {"module": BinnedMLP}
_LINEAR = {"hidden_layer_sizes": ()}
PORTFOLIO: tuple[dict[str, Any], ...] = (
    {**_LONG_SWAPPED, "alpha": 0.2},
    {**_SWAPPED, "alpha": 0.5, "dropout": 0.2},
    {**_MIXED, "alpha": 0.3, "weight_decay": 1.0},
    {**_BINS, **_LONG_SWAPPED, "alpha": 0.2},
    {**_BINS, **_SWAPPED, "alpha": 0.5, "weight_decay": 1.0},
    {**_BINS, **_MIXED, "alpha": 0.3, "dropout": 0.3},
    {**_BINS, **_LINEAR, **_MIXED, "alpha": 0.3},
    {**_BINS, **_LINEAR, **_SWAPPED, "alpha": 0.5, "weight_decay": 1.0},
)
_LONG = 2.5  # "long" in terms of "auto"
_SHARED = ("class_weight", "device", "random_state", "verbose", "warm_start")


class MixupEnsembleClassifier(LabelsMixin, BaseEstimator):
    """Ensemble of mixup nets, chosen and weighed by cross-validation.

    For the last point of accuracy, and for calibrated probabilities: nets that differ in
    how they see columns (scaled or in bins), mix (mixup or swapped columns) and are
    regularised are trained on the folds of the training rows, all side by side. Those whose
    mean predicts the rows left out best are kept (Caruana et al. 2004), and one temperature
    is fitted to their mean (Guo et al. 2017). The nets of all folds predict together;
    nothing is trained again. Only training rows decide.

    Parameters
    ----------
    candidates : "auto" or list of dict, default="auto"
        Parameters of :class:`~mixup_tab.MixupClassifier` for each kind of net. "auto" is a
        portfolio of eight. ``n_estimators`` is 1 where a dict does not say otherwise;
        ``max_epochs`` may also be "long", 2.5 times as many as "auto".
    cv : int, default=5
        Number of folds, at least 2.
    n_jobs : int, default=None
        Stacks of nets trained at a time, by threads. None takes as many as torch may use.
        Makes no difference to the result.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in :class:`~mixup_tab.MixupClassifier`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of folds and nets.
    verbose : int, default=0
        With 1, a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    candidates_ : list of dict
        Parameters of each kind of net.
    weights_ : ndarray of shape (n_candidates,)
        Their weights in the ensemble, which sum to 1.
    log_losses_ : ndarray of shape (n_candidates,)
        Log-loss of each kind alone, on rows that its nets had not seen.
    log_loss_ : float
        Log-loss of the weighted and tempered mean on these rows. As weights and temperature
        were chosen by it, it is a little too low.
    temperature_ : float
        What log-probabilities are divided by.
    estimators_ : list of list of MixupClassifier
        The nets of every fold, for the kinds whose weight is not 0.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> small = [{"alpha": 0.2, "max_epochs": 20}, {"alpha": 0, "max_epochs": 20}]
    >>> clf = MixupEnsembleClassifier(small, cv=3, random_state=0).fit(X, y)
    >>> clf.weights_.sum(), clf.predict_proba(X).shape
    (np.float64(1.0), (150, 3))
    """

    module = None  # rows of tables, nothing else

    def __init__(
        self,
        candidates: Any = "auto",
        *,
        cv: int = 5,
        n_jobs: int | None = None,
        class_weight: Any = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.candidates = candidates
        self.cv = cv
        self.n_jobs = n_jobs
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MixupEnsembleClassifier:
        """Train all nets, then weigh them.

        Ctrl-C ends training without a result.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, numeric and without missing values.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0.

        Returns
        -------
        MixupEnsembleClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            That name a parameter or what is wrong with the data.
        """
        candidates = self._check_candidates()
        fitted = type(self)(**self.get_params(deep=False))  # self stays whole until the end
        data = fitted._check_training_data(X, y, sample_weight, goes_on=False)
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        fitted._learn(data, candidates, int(seed))
        learned = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)
        vars(self).update(learned)
        return self

    def _learn(self, data: TrainingData, candidates: list[dict], seed: int) -> None:
        fold_of = deal_folds(data.y, min(self.cv, len(data.X)), seed)
        _check_folds(data.y, fold_of)
        jobs = [
            (self._make(params, int((fold_of != fold).sum()), seed + fold), fold)
            for params in candidates
            for fold in range(fold_of.max() + 1)
        ]
        with self._progress(jobs) as on_epochs:
            parts = cross_fit(
                jobs,
                data,
                fold_of,
                self._predicted,
                n_outputs=len(self.classes_),
                n_jobs=self.n_jobs,
                on_epochs=on_epochs,
            )
        proba = np.empty((len(candidates), len(data.y), len(self.classes_)))
        for number, ((_, fold), part) in enumerate(zip(jobs, parts, strict=True)):
            proba[number * len(candidates) // len(jobs), fold_of == fold] = part
        true = proba[:, np.arange(len(data.y)), data.y]
        self.candidates_ = candidates
        self.log_losses_ = log_losses(true, data.weight)
        self.weights_ = select_greedily(true, data.weight)
        mean = np.tensordot(self.weights_, proba, 1)
        self.temperature_ = fit_temperature(mean, data.y, data.weight)
        tempered = temper(mean, self.temperature_)[np.arange(len(data.y)), data.y]
        self.log_loss_ = float(log_losses(tempered, data.weight))
        nets = np.reshape([one for one, _ in jobs], (len(candidates), -1)).tolist()
        self.estimators_ = [nets[k] for k in np.flatnonzero(self.weights_)]

    def _check_candidates(self) -> list[dict]:
        """Check all parameters that can be checked without data."""
        candidates = self.candidates
        if isinstance(candidates, str) and candidates == "auto":
            candidates = PORTFOLIO
        if not isinstance(candidates, Sequence) or isinstance(candidates, str):
            raise TypeError(
                f"candidates must be 'auto' or a list of dicts, got {self.candidates!r}."
            )
        if not candidates:
            raise ValueError("candidates is empty. Give at least one dict, or 'auto'.")
        if isinstance(self.cv, bool) or not isinstance(self.cv, Integral):
            raise TypeError(f"cv must be a whole number of folds, got {self.cv!r}.")
        if self.cv < 2:
            raise ValueError(f"cv must be at least 2, got {self.cv!r}.")
        check_params(MixupClassifier(device=self.device, random_state=self.random_state))
        return [_check_candidate(params) for params in candidates]

    def _make(self, params: dict, rows: int, seed: int) -> MixupClassifier:
        """Make a net for so many rows, whose weights will hold those of the classes."""
        params = {"n_estimators": 1, **params}
        one = MixupClassifier(**params, device=self.device, random_state=seed)
        one = clone(one)  # callbacks are not to be shared
        if one.batch_size != "auto":
            one.batch_size = min(one.batch_size, rows)
        if one.max_epochs == "long":
            one.max_epochs = "auto"
            auto = one._n_epochs(rows, one._rows_per_batch(rows))
            one.max_epochs = round(_LONG * auto)
        return one

    @contextmanager
    def _progress(self, jobs: Sequence[tuple[MixupClassifier, int]]) -> Iterator[Any]:
        columns = (TextColumn("nets, epochs"), BarColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), disable=not self.verbose)
        with bar:
            task = bar.add_task("", total=sum(_epochs(one) for one, _ in jobs))
            yield lambda epochs: bar.advance(task, epochs)

    def _predicted(self, estimator: MixupClassifier, rows: Rows) -> np.ndarray:
        """Probabilities of all classes, 0 for those that a net has not seen."""
        proba = np.zeros((len(rows.X), len(self.classes_)))
        proba[:, estimator.classes_] = estimator.predict_proba(rows.X)
        return proba

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class: the tempered mean over the nets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        X = check_X(self, X, reset=False, dtype=(np.float64, np.float32))
        rows = Rows(X, None)
        weights = self.weights_[self.weights_ > 0]
        mean = np.zeros((len(X), len(self.classes_)))
        for weight, nets in zip(weights, self.estimators_, strict=True):
            for net in nets:
                mean += weight / len(nets) * self._predicted(net, rows)
        return temper(mean, self.temperature_)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return np.log(self.predict_proba(X))


def _check_candidate(params: Any) -> dict:
    if not isinstance(params, Mapping):
        raise TypeError(f"Every entry of candidates must be a dict, got {params!r}.")
    known = set(MixupClassifier().get_params(deep=False)) - set(_SHARED)
    unknown = [name for name in params if name not in known]
    if unknown:
        raise ValueError(
            f"candidates has the parameter {unknown[0]!r}, which is not one of "
            f"{sorted(known)}. {', '.join(_SHARED)} are the same for all nets."
        )
    params = dict(params)
    epochs = params.get("max_epochs")
    plain = {**params, "max_epochs": "auto"} if epochs == "long" else params
    if isinstance(params.get("alpha"), str):
        raise ValueError(
            f"candidates has alpha={params['alpha']!r}; give numbers, one candidate for each."
        )
    check_params(MixupClassifier(**plain))
    return params


def _check_folds(y: np.ndarray, fold_of: np.ndarray) -> None:
    for fold in range(fold_of.max() + 1):
        if len(np.unique(y[fold_of != fold])) < 2:
            raise ValueError(
                "y holds a single row of all but one class, and nets that are not to see "
                "that row have nothing to tell apart. Give more rows, or use "
                "MixupClassifier."
            )


def _epochs(estimator: MixupClassifier) -> int:
    epochs = estimator.max_epochs
    return 1 if epochs == "auto" else epochs
