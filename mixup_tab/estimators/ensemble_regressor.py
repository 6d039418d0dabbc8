"""MixupEnsembleRegressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from mixup_tab.estimators.data import (
    TrainingData,
    check_weight,
    check_X,
    input_types,
    make_training_data,
)
from mixup_tab.estimators.pack import BasePack
from mixup_tab.estimators.regressor import MixupRegressor, mean_and_scale, standardised


class MixupEnsembleRegressor(RegressorMixin, BasePack):
    """Ensemble of mixup nets with random parameters, weighted by held-out squared error.

    Like :class:`~mixup_tab.MixupEnsembleClassifier`, with the squared error of standardised
    targets instead of the log-loss, and without a temperature.

    Parameters
    ----------
    n_candidates : int or "auto", default="auto"
        Number of nets to draw. "auto" is 4 for fewer than 50 rows, 8 for fewer than 5,000, 6
        for more, plus a :class:`~sklearn.ensemble.HistGradientBoostingRegressor` from 2,000
        rows on; no nets are drawn if ``candidates`` contains dicts.
    candidates : list of dict and regressors, default=None
        More candidates: dicts of parameters of :class:`~mixup_tab.MixupRegressor`, and
        scikit-learn regressors, which are fitted to standardised targets. A candidate that
        fails is skipped with a warning.
    cv : int, default=5
        Number of folds for tables of 50 to 5,000 rows, at least 2.
    max_time : float, default=None
        Seconds after which training ends with the finished candidates. The result then depends
        on the speed of the machine.
    n_jobs : int, default=None
        Stacks of nets trained at a time, by threads or by the workers of a joblib backend; the
        result does not depend on it.
    categorical_features : array-like of bool, int or str, or None, default="from_dtype"
        Categorical columns, as in :class:`~mixup_tab.MixupRegressor`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of parameters, folds and nets.
    verbose : int, default=0
        1 shows a progress bar on standard error (needs ``mixup-tab[cli]``).

    Attributes
    ----------
    candidates_ : list of dict and regressors
        The nets that were drawn, then ``candidates`` as given.
    weights_ : ndarray of shape (n_candidates,)
        Their weights in the ensemble, which sum to 1.
    losses_ : ndarray of shape (n_candidates,)
        Mean squared error of each candidate alone, of standardised targets, on its held-out
        rows; NaN if it has none, failed, or did not finish in time.
    loss_ : float
        The same for the ensemble; slightly too low, because it was used to choose the weights.
        NaN for fewer than 50 rows.
    estimators_ : list of list of estimators
        The fitted candidates with a positive weight, one for each fold. Prediction calls all of
        them.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and scale that standardise the targets.
    is_categorical_ : ndarray of bool of shape (n_features,), or None
        Mask of the categorical columns.
    categories_ : list of ndarray, or None
        Their levels.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Notes
    -----
    Nets are drawn from the distribution of :class:`~mixup_tab.MixupEnsembleClassifier`, except
    that ``mixing`` is "mixup" or "cmixup", and ``alpha`` is 0, 0.1, 0.2 or 0.5.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from mixup_tab import MixupEnsembleRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MixupEnsembleRegressor(3, cv=3, random_state=0).fit(X, y)
    >>> bool(reg.score(X, y) > 0.4)
    True
    """

    _member = MixupRegressor
    _drawn: ClassVar[Mapping[str, Any]] = {
        "mixing": ("mixup", "cmixup"),
        "alpha": (0.0, 0.1, 0.2, 0.5),
    }

    def __init__(
        self,
        n_candidates: int | str = "auto",
        *,
        candidates: Sequence[Mapping[str, Any] | BaseEstimator] | None = None,
        cv: int = 5,
        max_time: float | None = None,
        n_jobs: int | None = None,
        categorical_features: Any = "from_dtype",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_candidates = n_candidates
        self.candidates = candidates
        self.cv = cv
        self.max_time = max_time
        self.n_jobs = n_jobs
        self.categorical_features = categorical_features
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: several outputs are supported."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def _check_training_data(
        self, X: Any, y: Any, sample_weight: Any, *, resume: bool
    ) -> TrainingData:
        options = {"dtype": input_types(None), "y_numeric": True, "multi_output": True}
        X, y = check_X(self, X, y=y, reset=True, **options)
        self._one_column = y.ndim == 1
        weight = check_weight(sample_weight, X)
        values = y.reshape(len(y), -1).astype(np.float64)
        self.target_mean_, self.target_scale_ = mean_and_scale(values, weight)
        values = standardised(values, self.target_mean_, self.target_scale_)
        return make_training_data(self, X, values.astype(np.float32), weight, values.shape[1])

    @staticmethod
    def _boosting(**params: Any) -> BaseEstimator:
        from sklearn.ensemble import HistGradientBoostingRegressor  # not needed to predict

        return HistGradientBoostingRegressor(**params)

    @staticmethod
    def _evidence(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the errors, which are linear in the predictions."""
        return predictions - y

    @staticmethod
    def _losses(evidence: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        return np.average((evidence**2).mean(-1), axis=-1, weights=weight)

    def _calibrate(self, mean: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        if not len(y):
            return float("nan")
        return float(self._losses(self._evidence(mean[None], y), weight)[0])

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted values: the weighted mean over the members.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        values = self._mean(X) * self.target_scale_ + self.target_mean_
        return values[:, 0] if self._one_column else values
