"""MixupEnsembleClassifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from mixup_tab._plain import PythonParams
from mixup_tab._terminal import ProgressBar
from mixup_tab.estimators.base import restore_on_error
from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.cross_fit import assign_folds, check_finite, cross_fit
from mixup_tab.estimators.data import TrainingData, check_X, input_types
from mixup_tab.estimators.fitting import batch_size, integer_seed, n_epochs
from mixup_tab.estimators.labels import LabelsMixin
from mixup_tab.estimators.selection import (
    fit_temperature,
    log_losses,
    select_greedily,
    temper,
)

# Nets whose errors differ. Chosen on splits of training rows of UCI tables.
_SWAPPED = {"mixing": "cutmix", "learning_rate_init": 0.002}
_MIXED = {"mixing": "mixup", "learning_rate_init": 0.002}
_LONG_SWAPPED = {"mixing": "cutmix", "learning_rate_init": 0.004, "max_epochs": "long"}
_SCALED = {"embedding": "none"}
_BINS = {"embedding": "quantile"}
_LINEAR = {"hidden_layer_sizes": ()}
PORTFOLIO: tuple[dict[str, Any], ...] = (
    {**_SCALED, **_LONG_SWAPPED, "alpha": 0.2},
    {**_SCALED, **_SWAPPED, "alpha": 0.5, "dropout": 0.2},
    {**_SCALED, **_MIXED, "alpha": 0.3, "weight_decay": 1.0},
    {**_BINS, **_LONG_SWAPPED, "alpha": 0.2},
    {**_BINS, **_SWAPPED, "alpha": 0.5, "weight_decay": 1.0},
    {**_BINS, **_MIXED, "alpha": 0.3, "dropout": 0.3},
    {**_BINS, **_LINEAR, **_MIXED, "alpha": 0.3},
    {**_BINS, **_LINEAR, **_SWAPPED, "alpha": 0.5, "weight_decay": 1.0},
)
_LONG = 2.5  # "long" in terms of "auto"
_SHARED = ("class_weight", "device", "random_state", "verbose", "warm_start")


class MixupEnsembleClassifier(PythonParams, LabelsMixin, BaseEstimator):
    """Ensemble of different mixup nets, weighted by cross-validation.

    For the last point of accuracy and for calibrated probabilities, at the price of some 40
    nets. The nets differ in how they see columns (scaled or in bins), in mixing (mixup or
    swapped columns) and in regularisation. Each kind is trained on every training fold, all
    side by side. The kinds whose weighted mean predicts the rows left out best are kept
    (Caruana et al. 2004), and one temperature is fitted to that mean (Guo et al. 2017). All
    nets of these kinds predict together, without a refit.

    Parameters
    ----------
    candidates : "auto" or list of dict, default="auto"
        Parameters of :class:`~mixup_tab.MixupClassifier` for each kind of net. "auto" is a
        portfolio of eight. ``n_estimators`` is 1 unless a dict gives it; ``max_epochs`` may
        also be "long", 2.5 times as many as "auto".
    cv : int, default=5
        Number of folds, at least 2.
    n_jobs : int, default=None
        Stacks of nets trained at a time, by threads; None is the number of threads of torch.
        The result does not depend on it.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in :class:`~mixup_tab.MixupClassifier`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of folds and nets.
    verbose : int, default=0
        With 1, a progress bar on standard error (needs ``mixup-tab[cli]``).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    candidates_ : list of dict
        Parameters of each kind of net, as given.
    weights_ : ndarray of shape (n_candidates,)
        Their weights in the ensemble, which sum to 1.
    log_losses_ : ndarray of shape (n_candidates,)
        Log-loss of each kind alone, on the rows left out.
    log_loss_ : float
        Log-loss of the weighted and tempered mean on these rows. Weights and temperature were
        chosen by it, so it is a little too low.
    temperature_ : float
        What log-probabilities are divided by, between ¼ and 4.
    estimators_ : list of list of MixupClassifier
        The nets of every fold, for the kinds whose weight is not 0.
    is_categorical_ : ndarray of bool, shape (n_features,), or None
        The columns of categories; None if there are none.
    categories_ : list of ndarray, or None
        The levels of each of them.
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

    module = None  # the inputs are tables, nothing else
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "candidates": [list, tuple, StrOptions({"auto"})],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        candidates: Sequence[Mapping[str, Any]] | str = "auto",
        *,
        cv: int = 5,
        n_jobs: int | None = None,
        class_weight: dict | str | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.candidates = candidates
        self.cv = cv
        self.n_jobs = n_jobs
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @restore_on_error
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train all nets, then weight them.

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
        self._validate_params()
        candidates = PORTFOLIO if isinstance(self.candidates, str) else self.candidates
        self.candidates_ = [_check_candidate(params) for params in candidates]
        if not self.candidates_:
            raise ValueError("candidates is empty. Give at least one dict, or 'auto'.")
        self.__dict__.pop("feature_names_in_", None)
        data = self._check_training_data(X, y, sample_weight, resume=False)
        seed = integer_seed(self.random_state)
        fold_of = assign_folds(data.y, min(self.cv, len(data.X)), seed)
        folds = range(fold_of.max() + 1)
        _check_folds(data.y, fold_of)
        rows = len(fold_of) - np.bincount(fold_of)
        jobs = [
            (self._make_member(params, int(rows[fold]), seed + fold), fold)
            for params in self.candidates_
            for fold in folds
        ]
        total = sum(int(net.max_epochs) for net, _ in jobs)
        with ProgressBar("epochs of nets", total, show=bool(self.verbose)) as bar:
            parts = cross_fit(
                jobs,
                data,
                fold_of,
                lambda net, rows: check_finite(self._member_proba(net, rows.X)),
                n_jobs=self.n_jobs,
                on_epochs=bar.advance,
            )
        proba = np.empty((len(self.candidates_), len(data.y), len(self.classes_)))
        for number, ((_, fold), part) in enumerate(zip(jobs, parts, strict=True)):
            proba[number // len(folds), fold_of == fold] = part
        self._set_weights(proba, data)
        nets = np.reshape([net for net, _ in jobs], (len(self.candidates_), -1)).tolist()
        self.estimators_ = [nets[kind] for kind in np.flatnonzero(self.weights_)]
        return self

    def _set_weights(self, proba: np.ndarray, data: TrainingData) -> None:
        """Weight the kinds of nets by their probabilities for rows that they have not seen."""
        rows = np.arange(len(data.y))
        self.log_losses_ = log_losses(proba[:, rows, data.y], data.weight)
        self.weights_ = select_greedily(proba[:, rows, data.y], data.weight)
        mean = np.tensordot(self.weights_, proba, 1)
        self.temperature_ = fit_temperature(mean, data.y, data.weight)
        tempered = temper(mean, self.temperature_)
        self.log_loss_ = float(log_losses(tempered[rows, data.y], data.weight))

    def _make_member(self, params: dict, rows: int, seed: int) -> MixupClassifier:
        """Make an untrained net; the weights of its rows will hold those of the classes."""
        params = {"n_estimators": 1, **params}
        long = params.get("max_epochs") == "long"
        if long:
            params["max_epochs"] = "auto"
        if "batch_size" in params and params["batch_size"] != "auto":
            params["batch_size"] = min(params["batch_size"], rows)
        net = MixupClassifier(**params, device=self.device, random_state=seed % 2**32)
        net = clone(net)  # nets must not share callbacks
        epochs = n_epochs(net, rows, batch_size(net, rows))
        return net.set_params(max_epochs=round(_LONG * epochs) if long else epochs)

    def _member_proba(self, net: MixupClassifier, X: np.ndarray) -> np.ndarray:
        """Return probabilities of all classes, 0 for those that a net has not seen."""
        proba = np.zeros((len(X), len(self.classes_)))
        proba[:, net.classes_] = net.predict_proba(X)
        return proba

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class: the weighted and tempered mean over the nets.

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
        X = check_X(self, X, reset=False, dtype=input_types(None))
        weights = self.weights_[self.weights_ > 0]
        mean = np.zeros((len(X), len(self.classes_)))
        for weight, nets in zip(weights, self.estimators_, strict=True):
            for net in nets:
                mean += weight / len(nets) * self._member_proba(net, X)
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


def _check_candidate(params: Any) -> dict[str, Any]:
    if not isinstance(params, Mapping):
        raise TypeError(f"Every entry of candidates must be a dict, got {params!r}.")
    known = set(MixupClassifier().get_params(deep=False)) - set(_SHARED)
    unknown = [name for name in params if name not in known]
    if unknown:
        raise ValueError(
            f"candidates has the parameter {unknown[0]!r}, which is not one of "
            f"{sorted(known)}. {', '.join(_SHARED)} are the same for all nets."
        )
    if isinstance(params.get("alpha"), str):
        raise ValueError(
            f"candidates has alpha={params['alpha']!r}; give numbers, one candidate for each."
        )
    epochs = {"max_epochs": "auto"} if params.get("max_epochs") == "long" else {}
    MixupClassifier(**{**params, **epochs})._validate_params()
    return dict(params)


def _check_folds(y: np.ndarray, fold_of: np.ndarray) -> None:
    for fold in range(fold_of.max() + 1):
        if len(np.unique(y[fold_of != fold])) < 2:
            raise ValueError(
                "y holds a single row of all but one class, so a net that does not see that "
                "row has nothing to tell apart. Give more rows, or use MixupClassifier."
            )
