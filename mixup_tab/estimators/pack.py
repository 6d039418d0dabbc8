"""Base class of both ensembles: nets are drawn at random, trained on folds, and weighted."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from mixup_tab._plain import PythonParams, as_python, shown
from mixup_tab.estimators.base import BaseMixup, restore_on_error
from mixup_tab.estimators.data import TrainingData, check_X, input_types
from mixup_tab.estimators.fitting import batch_size, integer_seed, is_auto
from mixup_tab.estimators.race import LARGE, TINY, Race, make_folds, predict
from mixup_tab.estimators.selection import select_greedily

# Parameters of the nets: a tuple of equally frequent values, or a distribution. Chosen on
# training rows: on small tables plain training had the highest loss of all values of alpha, and
# bins from trees with a strong weight decay the lowest; on large tables strong mixing had the
# highest.
DISTRIBUTION: dict[str, Any] = {
    "embedding": ("target", "target", "periodic", "quantile"),
    "hidden_layer_sizes": ((), (64,), (64, 64), (128, 128)),
    "mixing": ("mixup", "cutmix", "mixup+cutmix", "mixup+cutmix"),
    "alpha": (0.1, 0.2, 0.5, 1.0),
    "dropout": (0.0, 0.15, 0.3),
    "learning_rate_init": loguniform(2e-3, 8e-3),
    "weight_decay": loguniform(0.3, 3.0),
}
# For tables of at least LARGE rows.
LARGE_DISTRIBUTION: dict[str, Any] = {
    **DISTRIBUTION,
    "embedding": ("target", "target", "target", "periodic"),
    "hidden_layer_sizes": ((256,), (128, 128), (256, 256), (128, 128, 128)),
    "alpha": (0.0, 0.1, 0.2, 0.5),
    "learning_rate_init": loguniform(2e-3, 6e-3),
    "weight_decay": loguniform(0.1, 3.0),
}
# From this many rows on, a boosting model is a candidate too: some tables suit trees better,
# and it takes less time than a net.
_BOOSTED = 2000
# n_candidates="auto" for fewer than TINY rows, fewer than LARGE, and more.
_CANDIDATES = (4, 8, 6)
# Steps of a net on a table of fewer than LARGE rows; on larger tables nets stop early.
_STEPS, _LEAST_EPOCHS = 400, 4


class BasePack(PythonParams, BaseEstimator):
    """Fitting of both ensembles, as far as it does not depend on the type of target."""

    module = None  # inputs are always tables
    _member: type[BaseMixup]
    # Overrides of the distribution.
    _drawn: ClassVar[Mapping[str, Any]] = {}
    # Parameters that are the same for all members.
    _shared: ClassVar[tuple[str, ...]] = (
        *("categorical_features", "device", "early_stopping", "random_state"),
        *("verbose", "warm_start"),
    )
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_candidates": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "candidates": [list, tuple, None],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "n_jobs": [Integral, None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    n_candidates: int | str
    candidates: Sequence[Mapping[str, Any] | BaseEstimator] | None
    cv: int
    max_time: float | None
    n_jobs: int | None
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    @abstractmethod
    def _check_training_data(self, *args: Any, **kwargs: Any) -> TrainingData:
        """Validate X, y and weights, and set attributes such as ``classes_``."""

    @staticmethod
    @abstractmethod
    def _boosting(**params: Any) -> BaseEstimator:
        """Return the boosting model for larger tables."""

    @staticmethod
    @abstractmethod
    def _evidence(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return what losses are computed from, linear in predictions: (models, rows, ...)."""

    @staticmethod
    @abstractmethod
    def _losses(evidence: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Return the loss of each model."""

    @abstractmethod
    def _calibrate(self, mean: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        """Calibrate the weighted mean on held-out rows; return its loss."""

    @restore_on_error
    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train the candidates, then weight them.

        Ctrl-C ends training without a result.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows: numbers, without missing values, and pandas categories.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for a regressor
            Labels of any kind, or values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For invalid parameters or data, if all candidates fail, or if ``max_time`` is too
            short for one candidate.

        Warns
        -----
        FitFailedWarning
            If candidates fail; these are skipped.
        """
        self._validate_params()
        self.__dict__.pop("feature_names_in_", None)
        data = self._check_training_data(X, y, sample_weight, resume=False)
        seed = integer_seed(self.random_state)
        self.candidates_ = self._choose_candidates(data, seed)
        race = Race(
            [self._prototype(candidate, data) for candidate in self.candidates_],
            data,
            make_folds(data, self.cv, seed),
            lambda found, y, weight: self._losses(self._evidence(found, y), weight),
            seed=seed,
            seconds=self.max_time,
        )
        race.run(self.n_jobs, verbose=bool(self.verbose))
        candidates, folds = self._finished(race)
        self._weigh(race, candidates, folds)
        return self

    def _finished(self, race: Race) -> tuple[list[int], list[int]]:
        """Return the finished candidates and the folds that they were fitted on."""
        total = len(self.candidates_)
        errors = [f"{shown(self.candidates_[k])}: {e}" for k, e in sorted(race.failed.items())]
        if len(errors) == total:
            raise ValueError(f"All candidates failed. {' '.join(errors)}")
        if errors:
            warnings.warn(
                f"{len(errors)} of {total} candidates failed and are skipped. "
                f"{' '.join(errors)}",
                FitFailedWarning,
                stacklevel=5,  # the caller of fit, which is decorated
            )
        for folds in (race.folds.numbers, race.first):  # the second only if time ran out
            if candidates := race.done(folds):
                return candidates, folds
        spent = time.time() - race.start
        needed = max(spent * race.most_epochs / max(race.epochs, 1), spent, 1)
        raise ValueError(
            f"max_time={shown(self.max_time)} seconds is too short to train one candidate, "
            f"which takes about {needed:.0f} seconds. Raise it, or use smaller candidates."
        )

    def _weigh(self, race: Race, candidates: list[int], folds: list[int]) -> None:
        self.losses_ = race.losses_alone()
        predictions, y, weight = race.unseen(candidates, folds)
        weights = np.full(len(candidates), 1 / len(candidates))
        if len(y):
            evidence = self._evidence(predictions, y)
            weights = select_greedily(evidence, self._losses, weight)
        self.weights_ = np.zeros(len(self.candidates_))
        self.weights_[candidates] = weights
        self.loss_ = self._calibrate(np.tensordot(weights, predictions, 1), y, weight)
        self.estimators_ = [
            [race.fits[candidate, fold].job.estimator for fold in folds]
            for candidate in np.flatnonzero(self.weights_).tolist()
        ]

    def _mean(self, X: Any) -> np.ndarray:
        """Return the weighted mean of the predictions, shape (rows, outputs)."""
        check_is_fitted(self)
        X = check_X(self, X, reset=False, dtype=input_types(None))
        weights = self.weights_[self.weights_ > 0]
        parts = [
            weight / len(members) * predict(member, X)
            for weight, members in zip(weights, self.estimators_, strict=True)
            for member in members
        ]
        return np.sum(parts, axis=0)

    # ------------------------------------------------------------------ candidates

    def _choose_candidates(self, data: TrainingData, seed: int) -> list[Any]:
        """Return the parameters of drawn nets, and the user's candidates."""
        rows = len(data.X)
        given = [self._check_candidate(candidate) for candidate in self.candidates or ()]
        count = as_python(self.n_candidates)
        if is_auto(count):
            count = _CANDIDATES[(rows >= TINY) + (rows >= LARGE)]
            count *= not any(isinstance(candidate, dict) for candidate in given)
            if count and rows >= _BOOSTED:
                levels = [column for column, _ in data.categories]
                given.append(
                    self._boosting(early_stopping=False, categorical_features=levels or None)
                )
        distribution = LARGE_DISTRIBUTION if rows >= LARGE else DISTRIBUTION
        drawn = draw({**distribution, **self._drawn}, count, seed)
        per_epoch = -(-rows // batch_size(self._member(), rows))
        for params in drawn if rows < LARGE else ():
            params["max_epochs"] = max(_STEPS // per_epoch, _LEAST_EPOCHS)
        return [*drawn, *given]

    def _check_candidate(self, candidate: Any) -> Any:
        if not isinstance(candidate, Mapping):
            self._check_estimator(candidate)
            return candidate
        known = set(self._member().get_params(deep=False)) - set(self._shared)
        unknown = [name for name in candidate if name not in known]
        if unknown:
            raise ValueError(
                f"candidates has the parameter {unknown[0]!r}, which is not one of "
                f"{sorted(known)}. ({', '.join(self._shared)} cannot be set for single "
                "candidates.)"
            )
        if is_auto(candidate.get("alpha")):
            raise ValueError(
                "alpha='auto' is not allowed in candidates. Use a candidate for each number."
            )
        self._member(**candidate)._validate_params()
        return dict(candidate)

    def _check_estimator(self, candidate: Any) -> None:
        classifies = is_classifier(self)
        method = "predict_proba" if classifies else "predict"
        instance = not isinstance(candidate, type) and hasattr(candidate, "get_params")
        same = instance and is_classifier(candidate) == classifies
        if not (same and hasattr(candidate, method)):
            raise TypeError(
                f"Every entry of candidates must be a dict of {self._member.__name__}'s "
                f"parameters or a {'classifier' if classifies else 'regressor'} with {method}, "
                f"got {candidate!r}."
            )

    def _prototype(self, candidate: Any, data: TrainingData) -> Any:
        """Make the estimator that is cloned for every fold."""
        if not isinstance(candidate, dict):
            return candidate
        own = {"n_estimators": 1, "early_stopping": False}
        params = {**own, **as_python(candidate)}
        if params.get("module") is None and data.categories:  # the rows hold codes already
            params["categorical_features"] = [column for column, _ in data.categories]
        return self._member(**params, device=self.device)


def draw(distribution: Mapping[str, Any], count: int, seed: int) -> list[dict[str, Any]]:
    """Draw parameters of nets as a Latin hypercube, which covers the ranges evenly."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {}
    for name, values in distribution.items():
        shares = (rng.permutation(count) + rng.random(count)) / max(count, 1)
        if isinstance(values, tuple):
            columns[name] = [values[int(share * len(values))] for share in shares]
        else:
            columns[name] = values.ppf(shares).tolist()
    return [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
