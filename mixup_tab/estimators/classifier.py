"""MixupClassifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions
from skorch.callbacks import Callback
from torch import nn

from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.labels import LabelsMixin
from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.mixing import MixingRule
from mixup_tab.nets import MLP
from mixup_tab.nets.prediction import probabilities
from mixup_tab.training import LearningRate


class MixupClassifier(LabelsMixin, BaseMixup):
    r"""Neural net classifier trained with mixup.

    Every training example is a random convex combination of two examples and of their
    labels (Zhang et al. 2017, arXiv 1710.09412):

    .. math::
        \tilde x = \lambda x_i + (1-\lambda) x_j, \quad
        \tilde y = \lambda y_i + (1-\lambda) y_j, \quad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha).

    The net is trained with Adam; its learning rate falls from ``learning_rate_init``
    towards zero along a cosine, over ``max_epochs`` or over each cycle of
    ``early_stopping``. The net scales and embeds the columns itself (``embedding``).

    Parameters
    ----------
    alpha : float or "auto", default=0.5
        Parameter of Beta(α, α), 0 ≤ α < ∞. 0 is plain training, without mixing; larger
        values mix more. "auto" chooses 0, 0.3 or 1 by the log-loss in 3-fold cross-validation
        on the training rows. Not the ``alpha`` of ``MLPClassifier``, an L2 penalty; use
        ``weight_decay`` for that.
    mixing : str or MixingRule, default="auto"
        How examples are mixed:

        - "mixup", "folded" (λ ≥ ½), "same_class" (partners of the same class);
        - "cutmix" (columns of a table, or boxes of images, are swapped), "mixup+cutmix" (each
          for half of the examples), "featmix" (columns weighted by their information);
        - "cutout" (columns or boxes are set to zero, labels do not change);
        - "dirichlet" (three examples), "manifold" (a hidden layer), "regmixup" (mixed and
          unmixed batch), "remix" (labels favour rare classes);
        - or a rule such as ``Mixup(folded=True)``; see :mod:`mixup_tab.mixing`.

        "auto" is "mixup+cutmix", or "mixup" with your own ``module``.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Width of each hidden layer.
    module : class or callable, default=None
        Your own net. It is called with those of the keyword arguments ``in_features``,
        ``out_features``, ``input_shape``, ``hidden_layer_sizes`` and ``dropout`` that are in
        its signature, and must return an ``nn.Module`` that maps a batch to one column per
        class. Inputs may then have more than two axes and are not scaled. None is
        :class:`~mixup_tab.MLP` behind an input layer (see ``embedding``).
    embedding : {"auto", "none", "quantile", "target", "periodic"}, default="auto"
        Encoding of numbers; not used with your own ``module``.

        - "none": only scaled (:class:`~mixup_tab.nets.RobustScale`);
        - "quantile" and "target": scaled, plus piecewise-linear bins, whose edges are quantiles
          or the thresholds of a small decision tree per column, fitted to the target; for
          targets that depend on thresholds (:class:`~mixup_tab.nets.PiecewiseLinear`);
        - "periodic": scaled, plus cosines with random frequencies
          (:class:`~mixup_tab.nets.Periodic`).

        "auto" is "target", or "none" in ``partial_fit`` and in regression below 300 rows.
    categorical_features : array-like of bool, int or str, or None, default="from_dtype"
        Categorical columns: those with a categorical dtype in a DataFrame, a mask, indices,
        names of columns, or none, as in
        :class:`~sklearn.ensemble.HistGradientBoostingClassifier`. They are one-hot encoded,
        with at most 255 levels; missing values, negative numbers and unknown levels have no
        level. Not used with your own ``module``.
    n_estimators : int, default=1
        Number of independent nets trained side by side; their probabilities are
        averaged.
    learning_rate_init : float, default=0.004
        Learning rate at the start, > 0.
    optimizer : {"adam", "muon"}, default="adam"
        AdamW, or :class:`~mixup_tab.training.Muon` for a convolutional ``module`` with
        normalisation, which then learns in far fewer epochs; use a ``learning_rate_init`` of
        about 0.1.
    weight_decay : float or "auto", default="auto"
        Decoupled weight decay (AdamW), ≥ 0: a step shrinks weights by the learning rate
        times this. "auto" is 0.3, or 0.1 with your own ``module``.
    dropout : float or "auto", default="auto"
        Share of hidden units set to zero in training, in [0, 1). "auto" is 0.1 from 2,000
        rows on, else 0; always 0 with your own ``module``.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" is 1/16 of the rows, between 16 and 256. With "muon" it is 1/32,
        between 16 and 32, or 1/100, up to 256, if that is more.
    max_epochs : int or "auto", default="auto"
        Passes over the data; the maximum with early stopping. "auto" is about 1000 steps on
        small tables, and four cycles with early stopping; without it, 40 passes over larger
        tables and at least 10 over huge ones. With "muon" it is 45,000 rows in total, within
        15 to 200 passes.
    mixing_span : (float, float) or "auto", default="auto"
        Share of the training during which examples are mixed: start and end, with
        0 ≤ start < end ≤ 1. ``(0.1, 1)`` starts mixing after the first tenth of the epochs;
        ``(0, 0.9)`` does not mix in the last tenth. With early stopping it is a share of each
        cycle. "auto" is ``(0, 0.75)`` with early stopping, else ``(0, 1)``. ``partial_fit``
        always mixes.
    early_stopping : bool or "auto", default="auto"
        Hold out ``validation_fraction`` of the rows, and train in cycles, each twice as long
        as the one before, in which the learning rate falls towards zero. Stop when
        ``n_iter_no_change`` cycles have not lowered the validation loss by 0.5 %, and keep the
        best weights of every net. "auto" does so from 2,000 rows on, except with your own
        ``module``.
    validation_fraction : float, default=0.1
        Share of rows held out, in (0, 1); only with ``early_stopping``.
    n_iter_no_change : int, default=1
        Patience in cycles; only with ``early_stopping``.
    class_weight : dict, "balanced" or None, default=None
        Weight :math:`c_y` of each class; see Notes.
    warm_start : bool, default=False
        If True, ``fit`` continues training the existing network.
    callbacks : list of skorch callbacks, default=None
        Called during training. A learning rate schedule among them replaces the default one.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, batches, mixing and dropout. With an integer, results
        are reproducible bit by bit, and the global random state is not used.
    verbose : int, default=0
        1 prints a line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    alpha_ : float
        The α that was used.
    alpha_scores_ : dict of float to ndarray of shape (3,)
        Minus the log-loss of each fold for every α that was tried; only with
        ``alpha="auto"``.
    embedding_ : str or None
        The embedding that was used; None with your own ``module``.
    is_categorical_ : ndarray of bool, shape (n_features,), or None
        Mask of the categorical columns; None without any.
    categories_ : list of ndarray, or None
        Their levels.
    net_ : MixupNet
        The fitted skorch net.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.
    n_iter_ : int
        Number of epochs that were run.
    loss_curve_ : list of float
        Mean loss on the mixed training examples, by epoch.
    validation_loss_curve_ : list of float
        Mean loss on the held-out rows, by epoch; only with ``early_stopping``.

    Notes
    -----
    With sample weights :math:`s_i` and class weights :math:`c_{y_i}`, a row has the weight
    :math:`w_i = n\,s_i c_{y_i} / \sum_k s_k c_{y_k}`, and a step minimises

    .. math::
        \frac1B \sum_i \lambda_i w_i\,\mathrm{CE}(f(\tilde x_i), y_i)
            + (1 - \lambda_i) w_j\,\mathrm{CE}(f(\tilde x_i), y_j),

    so only relative weights matter. Rows of weight zero are dropped.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from mixup_tab import MixupClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = cross_val_score(MixupClassifier(alpha=0.2, random_state=0), X, y)
    >>> bool(scores.mean() > 0.9)
    True
    """

    _criterion = MixedCrossEntropy
    _task = "classification"
    _proposal = "'same_class' for partners of the same class"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMixup._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        alpha: float | str = 0.5,
        *,
        mixing: str | MixingRule = "auto",
        hidden_layer_sizes: Sequence[int] | int = (128, 128),
        module: Callable[..., nn.Module] | None = None,
        embedding: str = "auto",
        categorical_features: Any = "from_dtype",
        n_estimators: int = 1,
        learning_rate_init: float = 0.004,
        optimizer: str = "adam",
        weight_decay: float | str = "auto",
        dropout: float | str = "auto",
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        mixing_span: tuple[float, float] | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 1,
        class_weight: dict | str | None = None,
        warm_start: bool = False,
        callbacks: Sequence[Callback | tuple[str, Callback]] | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.alpha = alpha
        self.mixing = mixing
        self.hidden_layer_sizes = hidden_layer_sizes
        self.module = module
        self.embedding = embedding
        self.categorical_features = categorical_features
        self.n_estimators = n_estimators
        self.learning_rate_init = learning_rate_init
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.mixing_span = mixing_span
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_paper(cls, alpha: float = 0.2, **params: Any) -> Self:
        """Return a classifier with the settings of the mixup paper's UCI experiment.

        Two hidden layers of 128 ReLU units, Adam with its defaults at a constant rate,
        10 epochs, batches of 16 (Zhang et al. 2017, section 3.6). Inputs are not scaled; put
        a ``StandardScaler`` in front to scale them.

        Parameters
        ----------
        alpha : float, default=0.2
            The paper does not state its value; 0 is plain training.
        **params
            Other parameters of the classifier, which override these settings.

        Returns
        -------
        MixupClassifier

        Examples
        --------
        >>> from mixup_tab import MixupClassifier
        >>> MixupClassifier.from_paper(alpha=0).max_epochs
        10
        """
        setting = {
            "alpha": alpha,
            "mixing": "mixup",
            "module": MLP,
            "hidden_layer_sizes": (128, 128),
            "n_estimators": 1,
            "learning_rate_init": 0.001,
            "weight_decay": 0.0,
            "dropout": 0.0,
            "batch_size": 16,
            "max_epochs": 10,
            "callbacks": [LearningRate("constant")],
        }
        return cls(**{**setting, **params})

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train the net.

        Ctrl-C ends training early and keeps the best weights so far, with a warning.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows: numbers without missing values, and categories. With ``module``,
            more axes are allowed.
        y : array-like of shape (n_samples,)
            Labels of any kind.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        MixupClassifier
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch, continuing from the fitted net.

        The learning rate is ``learning_rate_init`` throughout, and ``early_stopping`` has no
        effect. Columns are scaled by all rows passed to ``partial_fit``; after ``fit`` the
        scaling is fixed. Embeddings and levels of categories are fitted to the first batch,
        which then needs at least 256 rows. A batch of one row is mixed with itself.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,), default=None
            All labels; needed in the first call if its ``y`` does not contain all of them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        MixupClassifier
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, partial=True, classes=classes)

    def _row_losses(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        # Classes without training rows get the log of the smallest float.
        log_proba = np.full((len(X), max(int(y.max()), int(self.classes_.max())) + 1), -708.0)
        # Not predict_log_proba, because a subclass may transform X in it again.
        log_proba[:, self.classes_] = self._log_proba(X).numpy()
        return -log_proba[np.arange(len(y)), y]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return logarithms of class probabilities, without underflow.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._log_proba(X).numpy()

    def _log_proba(self, X: Any) -> torch.Tensor:
        log_proba = torch.from_numpy(self._outputs(X)).double().log_softmax(-1)
        if len(log_proba) == 1:
            return log_proba[0]
        return log_proba.logsumexp(0) - np.log(len(log_proba))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return class probabilities, averaged over the members of the ensemble.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        proba = probabilities(self._outputs(X).astype(np.float64, copy=False))
        return proba[0] if len(proba) == 1 else proba.mean(0)
