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
    """Random pack of mixup nets, weighted by how well they predict rows not seen in training.

    For the last point of accuracy and for calibrated probabilities, at the price of some 28
    small nets. ``n_candidates`` nets are drawn from one distribution, written out below, and
    trained side by side (TabPack, arXiv 2607.05380). Those whose weighted mean predicts rows
    left out best are kept (Caruana et al. 2004), and one temperature is fitted to that mean on
    the same rows (Guo et al. 2017). Nothing is refitted.

    Parameters
    ----------
    n_candidates : int or "auto", default="auto"
        Number of nets to draw. "auto" is 4 for fewer than 50 rows, 8 for fewer than 5,000, 6
        for more, with a :class:`~sklearn.ensemble.HistGradientBoostingClassifier` beside them
        from 2,000 rows on; and none where ``candidates`` holds dicts.
    candidates : list of dict and classifiers, default=None
        What competes with these nets: dicts of parameters of
        :class:`~mixup_tab.MixupClassifier` (one net each, unless ``n_estimators`` is given),
        and scikit-learn classifiers with ``predict_proba``, which see pandas categories and
        labels as integer codes. A candidate that fails is left out with a warning.
    cv : int, default=5
        Number of folds for tables of 50 to 5,000 rows, at least 2; see Notes.
    max_time : float, default=None
        Seconds after which training ends with the candidates that are finished. The result
        then depends on the speed of the machine. A scikit-learn classifier that has begun to
        fit is not interrupted.
    n_jobs : int, default=None
        Stacks of nets trained at a time, by threads or by the workers of a joblib backend such
        as dask or Ray; None is the number of threads of torch. The result does not depend on
        it.
    categorical_features : array-like of bool, int or str, or None, default="from_dtype"
        Columns that hold categories, as in :class:`~mixup_tab.MixupClassifier`.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in :class:`~mixup_tab.MixupClassifier`.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of parameters, folds and nets.
    verbose : int, default=0
        With 1, a progress bar on standard error (needs ``mixup-tab[cli]``).

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    candidates_ : list of dict and classifiers
        The nets that were drawn, then ``candidates`` as given.
    weights_ : ndarray of shape (n_candidates,)
        Their weights in the ensemble, which sum to 1.
    losses_ : ndarray of shape (n_candidates,)
        Log-loss of each candidate alone, on the rows that it left out; NaN where it left out
        none, failed, or was not finished in time.
    loss_ : float
        Log-loss of the ensemble on these rows. The ensemble was chosen by it, so it is a little
        too low. NaN for fewer than 50 rows.
    temperature_ : float
        What log-probabilities are divided by, between ¼ and 4.
    estimators_ : list of list of estimators
        The fitted candidates whose weight is not 0, one for each fold. Predicting a row costs
        as much as predicting it with each of them.
    is_categorical_ : ndarray of bool of shape (n_features,), or None
        The columns that hold categories.
    categories_ : list of ndarray, or None
        Their levels.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Notes
    -----
    Every parameter of a net is drawn from the values or the range below, as a Latin hypercube,
    so that few nets cover all of it. A value listed twice is drawn twice as often:

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
    - Fewer than 5,000: ``cv`` folds. More than four candidates race: all are trained on the
      first two fifths of the folds, but only the better half, at least four, on the others.
    - More: a seventh of the rows, at most 10,000, is held out. Every net is trained in cycles
      until one does not lower its loss on these, as ``early_stopping`` of
      :class:`~mixup_tab.MixupClassifier` does, and keeps its best weights.

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
