"""MixupEnsembleClassifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.labels import LabelsMixin
from mixup_tab.estimators.pack import BasePack
from mixup_tab.estimators.selection import fit_temperature, log_losses, temper


class MixupEnsembleClassifier(LabelsMixin, BasePack):
    """Ensemble of mixup nets with random parameters, weighted by held-out log-loss.

    More accurate and better calibrated than a single net, at the cost of some 28 small nets.
    ``n_candidates`` nets are drawn from the distribution below and trained side by side
    (TabPack, arXiv 2607.05380). Their weights are chosen so that the weighted mean predicts
    held-out rows best (Caruana et al. 2004), and one temperature is fitted to that mean on the
    same rows (Guo et al. 2017). Nothing is refitted.

    Parameters
    ----------
    n_candidates : int or "auto", default="auto"
        Number of nets to draw. "auto" is 4 for fewer than 50 rows, 8 for fewer than 5,000, 6
        for more, plus a :class:`~sklearn.ensemble.HistGradientBoostingClassifier` from 2,000
        rows on; no nets are drawn if ``candidates`` contains dicts.
    candidates : list of dict and classifiers, default=None
        More candidates: dicts of parameters of :class:`~mixup_tab.MixupClassifier` (one net
        each, unless ``n_estimators`` is given), and scikit-learn classifiers with
        ``predict_proba``, which get pandas categories and labels as integer codes. A candidate
        that fails is skipped with a warning.
    cv : int, default=5
        Number of folds for tables of 50 to 5,000 rows, at least 2; see Notes.
    max_time : float, default=None
        Seconds after which training ends with the finished candidates. The result then depends
        on the speed of the machine. A scikit-learn classifier is not interrupted in its fit.
    n_jobs : int, default=None
        Stacks of nets trained at a time, by threads or by the workers of a joblib backend such
        as dask or Ray; None is torch's number of threads. The result does not depend on it.
    categorical_features : array-like of bool, int or str, or None, default="from_dtype"
        Categorical columns, as in :class:`~mixup_tab.MixupClassifier`.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in :class:`~mixup_tab.MixupClassifier`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of parameters, folds and nets.
    verbose : int, default=0
        1 shows a progress bar on standard error (needs ``mixup-tab[cli]``).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    candidates_ : list of dict and classifiers
        The nets that were drawn, then ``candidates`` as given.
    weights_ : ndarray of shape (n_candidates,)
        Their weights in the ensemble, which sum to 1.
    losses_ : ndarray of shape (n_candidates,)
        Log-loss of each candidate alone, on its held-out rows; NaN if it has none, failed, or
        did not finish in time.
    loss_ : float
        Log-loss of the ensemble on these rows; slightly too low, because it was used to choose
        the weights. NaN for fewer than 50 rows.
    temperature_ : float
        Divisor of log-probabilities, between ¼ and 4.
    estimators_ : list of list of estimators
        The fitted candidates with a positive weight, one for each fold. Prediction calls all of
        them.
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
    The parameters of the nets are drawn from the values or ranges below, as a Latin hypercube,
    so that few nets cover them evenly. A value listed twice is drawn twice as often:

    ==================  =============================  ==================================
    rows                fewer than 5,000               more
    ==================  =============================  ==================================
    embedding           "target", "target",            "target", "target", "target",
                        "periodic", "quantile"         "periodic"
    hidden_layer_sizes  (), (64,), (64, 64),           (256,), (128, 128), (256, 256),
                        (128, 128)                     (128, 128, 128)
    mixing              "mixup", "cutmix",             the same
                        "mixup+cutmix" twice
    alpha               0.1, 0.2, 0.5, 1               0, 0.1, 0.2, 0.5
    dropout             0, 0.15, 0.3                   the same
    learning_rate_init  log-uniform, 0.002 to 0.008    log-uniform, 0.002 to 0.006
    weight_decay        log-uniform, 0.3 to 3          log-uniform, 0.1 to 3
    ==================  =============================  ==================================

    On tables of fewer than 5,000 rows, nets are trained for 400 steps, in at least 4 epochs.

    - Fewer than 50 rows: all nets are trained on all rows and have the same weight.
    - Fewer than 5,000: ``cv`` folds. If there are more than four candidates, all are trained on
      the first two fifths of the folds, and the better half (at least four) on the others.
    - More: a seventh of the rows, at most 10,000, is held out. Every net stops early by its
      loss on these rows, as with ``early_stopping`` in :class:`~mixup_tab.MixupClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from mixup_tab import MixupEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> forest = RandomForestClassifier(20)
    >>> clf = MixupEnsembleClassifier(3, candidates=[forest], cv=3, random_state=0).fit(X, y)
    >>> len(clf.weights_), clf.predict_proba(X).shape
    (4, (150, 3))
    """

    _member = MixupClassifier
    _shared = (*BasePack._shared, "class_weight")
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BasePack._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
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
        class_weight: dict | str | None = None,
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
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @staticmethod
    def _boosting(**params: Any) -> BaseEstimator:
        from sklearn.ensemble import HistGradientBoostingClassifier  # not needed to predict

        return HistGradientBoostingClassifier(**params)

    @staticmethod
    def _evidence(predictions: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the probabilities of the true classes."""
        return predictions[:, np.arange(len(y)), y]

    @staticmethod
    def _losses(evidence: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        return log_losses(evidence, weight)

    def _calibrate(self, mean: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        self.temperature_ = fit_temperature(mean, y, weight) if len(y) else 1.0
        if not len(y):
            return float("nan")
        tempered = temper(mean, self.temperature_)
        return float(self._losses(self._evidence(tempered[None], y), weight)[0])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities: the weighted mean over the nets, with the temperature.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        return temper(self._mean(X), self.temperature_)

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
