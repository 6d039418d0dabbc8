"""Predictions of mixup nets, rescaled for the average effect of mixing."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from scipy.special import betainc
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from mixup_tab._plain import shown
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.data import TrainingData, check_X, input_types
from mixup_tab.estimators.fitting import is_auto, mixing_rule
from mixup_tab.estimators.labels import LabelsMixin
from mixup_tab.estimators.regressor import MixupRegressor
from mixup_tab.mixing import Mixup
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training import MixupNet
from mixup_tab.training.torch_state import with_torch_defaults


def mean_larger_weight(alpha: float) -> float:
    """Return θ = E[λ | λ > ½] for λ ~ Beta(α, α): the mean weight of the heavier example.

    θ = 1 − I_½(α + 1, α) with the regularised incomplete beta function I.

    Parameters
    ----------
    alpha : float
        Parameter of the Beta distribution, 0 ≤ α < ∞; 0 mixes nothing.

    Returns
    -------
    float
        In (½, 1].

    Examples
    --------
    >>> from mixup_tab.estimators.rescaled import mean_larger_weight
    >>> mean_larger_weight(0), round(mean_larger_weight(1), 6)
    (1.0, 0.75)
    """
    alpha = check_alpha(alpha)
    return 1 - float(betainc(alpha + 1, alpha, 0.5)) if alpha else 1.0


@with_torch_defaults
@torch.inference_mode()
def mean_prepared(net: MixupNet, X: np.ndarray) -> np.ndarray:
    """Return the mean of the prepared training inputs."""
    prepare, _ = as_stack(net.module_).halves()[0]
    sums = [prepare(part).sum(0).cpu().double() for part in net.input_chunks(X)]
    return torch.stack(sums).sum(0).numpy() / len(X)


@with_torch_defaults
@torch.inference_mode()
def shrunk_outputs(net: MixupNet, X: np.ndarray, mean: np.ndarray, theta: float) -> np.ndarray:
    """Return outputs for θ x + (1 − θ) x̄ with prepared inputs x."""
    if theta == 1:
        return net.raw_outputs(X).astype(np.float64)
    parts = []
    for part in net.input_chunks(X):
        outputs = []
        for prepare, body in as_stack(net.module_).halves():
            x = prepare(part)
            moved = torch.lerp(torch.as_tensor(mean).to(x), x, theta)
            outputs.append(body(moved).reshape(-1, len(x), net.n_outputs_))
        parts.append(torch.cat(outputs).cpu().double())
    return torch.cat(parts, 1).numpy()


class BaseRescaled(MetaEstimatorMixin, BaseEstimator):
    """Rescaling, as far as it does not depend on the type of target."""

    _kind: type[BaseMixup]

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    @abstractmethod
    def _mean_target(self, estimator: BaseMixup, data: TrainingData) -> np.ndarray:
        """Return the mean of the targets, as encoded for training."""

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: inputs and targets as for the inner estimator."""
        tags, inner = super().__sklearn_tags__(), get_tags(self._unfitted())
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        return tags

    def _unfitted(self) -> Any:
        return self._kind(mixing="mixup") if self.estimator is None else self.estimator

    def _checked(self) -> BaseMixup:
        """Return a clone of the estimator; raise an error unless the formula applies to it."""
        estimator = self._unfitted()
        if type(estimator) is not self._kind:  # a subclass may override fit and predict
            raise TypeError(
                f"estimator must be a {self._kind.__name__}, not a subclass, got "
                f"{estimator!r}. Put preprocessing steps in front: "
                f"make_pipeline(StandardScaler(), {type(self).__name__}(...))."
            )
        rule = mixing_rule(estimator)
        if type(rule) is not Mixup or rule.partners != "any":
            raise ValueError(
                f"estimator has mixing={estimator.mixing!r}, but rescaling works only for "
                "mixup. Use mixing='mixup'."
            )
        if getattr(estimator, "quantiles", None) is not None:
            raise ValueError(
                f"estimator has quantiles={shown(estimator.quantiles)}, but rescaling works "
                "only for the mean. Use quantiles=None."
            )
        whole = {"mixing_span": (0.0, 1.0)} if is_auto(estimator.mixing_span) else {}
        return clone(estimator).set_params(
            **whole
        )  # the formula assumes that all epochs are mixed

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> Any:
        estimator = self._checked().fit(X, y, sample_weight)
        data = estimator._check_training_data(X, y, sample_weight, resume=True)
        self.estimator_ = estimator
        self.theta_ = mean_larger_weight(estimator.alpha_)
        self.x_mean_ = mean_prepared(estimator.net_, data.X)
        self.y_mean_ = self._mean_target(estimator, data)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the rescaled outputs of every member, shape (members, rows, outputs)."""
        check_is_fitted(self)
        dtype = input_types(self.estimator_.module, self.estimator_.net_)
        X = check_X(self.estimator_, X, reset=False, dtype=dtype)
        outputs = shrunk_outputs(self.estimator_.net_, X, self.x_mean_, self.theta_)
        return outputs / self.theta_ + (1 - 1 / self.theta_) * self.y_mean_


class RescaledClassifier(LabelsMixin, BaseRescaled):
    r"""Classifier trained with mixup, with rescaled predictions.

    Mixed training inputs are closer to the mean input :math:`\bar x` than the rows to predict,
    and mixed labels closer to the mean label :math:`\bar y`, both by the factor
    θ = E[λ | λ > ½] on average. So the net f predicts a row that is shrunk in the same way, and
    its output is expanded again (Carratino et al. 2020, arXiv 2006.06049, eq. 15):

    .. math::
        \tilde f(x) = \frac{f(\theta x + (1 - \theta) \bar x)}{\theta}
            + \Bigl(1 - \frac1\theta\Bigr) \bar y.

    Nothing is trained again or fitted to held-out rows, so predictions need not be better
    calibrated afterwards: check it on held-out rows. With ``alpha=0`` θ is 1 and nothing
    changes. To fit the confidence to data, use
    :class:`~sklearn.calibration.CalibratedClassifierCV` with ``method="temperature"``.

    Parameters
    ----------
    estimator : MixupClassifier, default=None
        Estimator to fit; its ``mixing`` must be "mixup", "folded" or a ``Mixup`` with
        ``partners="any"``. None is ``MixupClassifier(mixing="mixup")``.

    Attributes
    ----------
    estimator_ : MixupClassifier
        The fitted estimator.
    theta_ : float
        Mean weight θ of the heavier example, in (½, 1].
    x_mean_ : ndarray of float64
        Mean of the training inputs as mixed: for a table after the net's input layer, for a
        :class:`~mixup_tab.nets.PreparedNet` after its ``prepare``.
    y_mean_ : ndarray of shape (n_classes,)
        Share of each class in the training rows, by weight.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Notes
    -----
    f are the logits of a net, and :math:`\bar y` is the mean one-hot label although it is
    added to logits, as in the authors' code (google/uncertainty-baselines, ImageNet). If
    classes are equally frequent, it changes all logits equally and has no effect; otherwise it
    lowers a logit by at most 1/θ − 1 < 1. The members of an ensemble are rescaled one by one,
    then their probabilities are averaged.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.estimators import RescaledClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MixupClassifier(alpha=1, mixing="mixup", max_epochs=20, random_state=0)
    >>> model = RescaledClassifier(net).fit(X, y)
    >>> model.theta_, model.predict_proba(X).shape
    (0.75, (150, 3))
    """

    _kind = MixupClassifier

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RescaledClassifier:
        """Fit the estimator and store the means of its training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, as for the estimator.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0. They apply to the mean label, but not to the mean input, because
            mixing partners are drawn without weights.

        Returns
        -------
        RescaledClassifier
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If the estimator is not a MixupClassifier with plain mixup, or its ``fit`` fails.
        """
        return self._fit(X, y, sample_weight)

    def _mean_target(self, estimator: BaseMixup, data: TrainingData) -> np.ndarray:
        weights = np.bincount(data.y, data.weight, minlength=len(estimator.classes_))
        return weights / weights.sum()

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
        log_proba = torch.from_numpy(self._outputs(X)).log_softmax(-1)
        return (log_proba.logsumexp(0) - np.log(len(log_proba))).numpy()

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
        return torch.from_numpy(self._outputs(X)).softmax(-1).mean(0).numpy()


class RescaledRegressor(RegressorMixin, BaseRescaled):
    """Regressor trained with mixup, with rescaled predictions.

    Like :class:`RescaledClassifier`, for standardised values.

    Parameters
    ----------
    estimator : MixupRegressor, default=None
        Estimator to fit; its ``mixing`` must be "mixup", "folded" or a ``Mixup`` with
        ``partners="any"``. None is ``MixupRegressor(mixing="mixup")``.

    Attributes
    ----------
    estimator_ : MixupRegressor
        The fitted estimator.
    theta_ : float
        Mean weight θ of the heavier example, in (½, 1].
    x_mean_ : ndarray of float64
        Mean of the training inputs as mixed.
    y_mean_ : ndarray of shape (n_outputs,)
        Weighted mean of the standardised values: zero up to rounding.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab import MixupRegressor
    >>> from mixup_tab.estimators import RescaledRegressor
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> net = MixupRegressor(alpha=1, mixing="mixup", max_epochs=30, random_state=0)
    >>> RescaledRegressor(net).fit(X, X[:, 0]).theta_
    0.75
    """

    _kind = MixupRegressor

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RescaledRegressor:
        """Fit the estimator and store the means of its training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, as for the estimator.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        RescaledRegressor
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If the estimator is not a MixupRegressor with plain mixup, or its ``fit`` fails.
        """
        return self._fit(X, y, sample_weight)

    def _mean_target(self, estimator: BaseMixup, data: TrainingData) -> np.ndarray:
        return np.average(data.y.astype(np.float64), axis=0, weights=data.weight)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        values = self._outputs(X).mean(axis=0)
        inner = self.estimator_
        values = values * inner.target_scale_ + inner.target_mean_
        return values[:, 0] if inner._one_column else values
