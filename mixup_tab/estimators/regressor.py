"""MixupRegressor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import nn

from mixup_tab._plain import shown
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.cross_fit import predict_left_out
from mixup_tab.estimators.data import (
    TrainingData,
    check_weight,
    check_X,
    input_types,
    make_training_data,
)
from mixup_tab.estimators.fitting import integer_seed
from mixup_tab.losses import MixedPinballLoss, MixedSquaredError, check_quantiles
from mixup_tab.mixing import MixingRule


class MixupRegressor(RegressorMixin, BaseMixup):
    """Neural net regressor trained with mixup, for the mean or for quantiles.

    The loss is the squared error against mixed values, ỹ = λ y_i + (1 − λ) y_j, at mixed
    inputs (Zhang et al. 2017, arXiv 1710.09412). Targets are standardised for training.
    Otherwise it works like :class:`~mixup_tab.MixupClassifier`.

    Parameters
    ----------
    alpha : float or "auto", default=0.2
        Parameter of Beta(α, α), 0 ≤ α < ∞; 0 is plain training. "auto" chooses 0, 0.3 or 1 by
        3-fold cross-validation on the training rows.
    mixing : str or MixingRule, default="mixup"
        How examples are mixed; see :class:`~mixup_tab.MixupClassifier`. "cmixup" draws
        partners with similar values. Rules that need classes are not allowed.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Width of each hidden layer.
    module : class or callable, default=None
        Your own net; see :class:`~mixup_tab.MixupClassifier`.
    embedding : {"auto", "none", "quantile", "target", "periodic"}, default="auto"
        Encoding of numbers; see :class:`~mixup_tab.MixupClassifier`.
    categorical_features : array-like of bool, int or str, or None, default="from_dtype"
        Categorical columns; see :class:`~mixup_tab.MixupClassifier`.
    n_estimators : int, default=1
        Number of independent nets trained side by side; predictions are averaged.
    learning_rate_init : float, default=0.002
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
    quantiles : sequence of float, default=None
        Predict these quantiles instead of the mean, such as ``(0.1, 0.5, 0.9)``: numbers in
        (0, 1), ascending. The loss is the pinball loss. Then each quantile is shifted by a
        constant so that the right share of held-out rows lies below it in 10-fold
        cross-validation, as in conformalised quantile regression (Romano et al. 2019, arXiv
        1905.03222). This takes 10 more fits; ``partial_fit`` does not shift. See
        :meth:`predict`.
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
    warm_start : bool, default=False
        If True, ``fit`` continues training the existing network.
    callbacks : list of skorch callbacks, default=None
        Called during training. A learning rate schedule among them replaces the default one.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, batches, mixing and dropout.
    verbose : int, default=0
        1 prints a line per epoch.

    Attributes
    ----------
    alpha_ : float
        The α that was used.
    alpha_scores_ : dict of float to ndarray of shape (3,)
        Minus the mean squared error (or pinball loss) of each fold, of standardised targets,
        for every α that was tried; only with ``alpha="auto"``.
    embedding_ : str or None
        The embedding that was used; None with your own ``module``.
    is_categorical_ : ndarray of bool, shape (n_features,), or None
        Mask of the categorical columns; None without any.
    categories_ : list of ndarray, or None
        Their levels.
    net_ : MixupNet
        The fitted skorch net; its outputs are standardised targets.
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        Mean and scale that standardise the targets.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.
    n_iter_ : int
        Number of epochs that were run.
    quantile_shift_ : ndarray of shape (n_outputs, n_quantiles)
        Added to the net's standardised outputs; only with ``quantiles``.
    loss_curve_ : list of float
        Mean squared error (or pinball loss) on the mixed, standardised training examples, by
        epoch.
    validation_loss_curve_ : list of float
        The same on the held-out rows; only with ``early_stopping``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from mixup_tab import MixupRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> bool(MixupRegressor(random_state=0).fit(X, y).score(X, y) > 0.4)
    True

    An interval that covers about 80 % of new values:

    >>> reg = MixupRegressor(quantiles=(0.1, 0.5, 0.9), max_epochs=20, random_state=0)
    >>> low, high = reg.fit(X, y).predict(X, quantiles=(0.1, 0.9)).T
    >>> bool((low < high).all())
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMixup._parameter_constraints,
        "quantiles": ["array-like", None],
    }
    _task = "regression"
    _proposal = "'cmixup' for partners with similar values"

    def __init__(
        self,
        alpha: float | str = 0.2,
        *,
        mixing: str | MixingRule = "mixup",
        hidden_layer_sizes: Sequence[int] | int = (128, 128),
        module: Callable[..., nn.Module] | None = None,
        embedding: str = "auto",
        categorical_features: Any = "from_dtype",
        n_estimators: int = 1,
        learning_rate_init: float = 0.002,
        optimizer: str = "adam",
        weight_decay: float | str = "auto",
        dropout: float | str = "auto",
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        quantiles: Sequence[float] | None = None,
        mixing_span: tuple[float, float] | str = "auto",
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 1,
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
        self.quantiles = quantiles
        self.mixing_span = mixing_span
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train the net.

        Ctrl-C ends training early and keeps the best weights so far, with a warning.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows: numbers without missing values, and categories.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        MixupRegressor
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight)

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch, continuing from the fitted net.

        Targets are standardised by the first batch, so its values must differ. Columns of ``X``
        are scaled by all rows passed to ``partial_fit``; after ``fit`` the scaling is fixed.
        Embeddings and levels of categories are fitted to the first batch, which then needs at
        least 256 rows. A batch of one row is mixed with itself.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, ≥ 0.

        Returns
        -------
        MixupRegressor
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, partial=True)

    @property
    def _criterion(self) -> Callable[..., nn.Module]:  # type: ignore[override]
        if self.quantiles is None:
            return MixedSquaredError
        return partial(MixedPinballLoss, quantiles=self.quantiles)

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.quantiles is not None:
            check_quantiles(self.quantiles)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: several outputs are supported."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    def _check_training_data(
        self, X: Any, y: Any, sample_weight: Any, *, resume: bool, least: int = 2
    ) -> TrainingData:
        X, y = check_X(
            self,
            X,
            y=y,
            reset=not resume,
            dtype=input_types(self.module),
            y_numeric=True,
            multi_output=True,
        )
        self._one_column = y.ndim == 1
        weight = check_weight(sample_weight, X)
        values = y.reshape(len(y), -1).astype(np.float64)
        levels = () if self.quantiles is None else check_quantiles(self.quantiles)
        if not resume:
            self.__dict__.pop("quantile_shift_", None)
            if levels:
                self.quantile_shift_ = np.zeros((values.shape[1], len(levels)))
            self.target_mean_, self.target_scale_ = mean_and_scale(values, weight)
            if least == 1 and not np.ptp(values, axis=0).all():
                raise ValueError(
                    "partial_fit standardises targets by its first batch, but y "
                    f"(n_samples={len(y)}) holds a single value. Start with a batch of "
                    "different values."
                )
        elif values.shape[1] != len(self.target_mean_):
            raise ValueError(
                f"y has {values.shape[1]} columns, but the net was fitted with "
                f"{len(self.target_mean_)}. Use the same columns, or fit a new net."
            )
        elif hasattr(self, "net_") and levels != self._fitted_quantiles():
            raise ValueError(
                f"quantiles={shown(self.quantiles)}, but the net was fitted for "
                f"{shown(self._fitted_quantiles() or None)}. Use these, or fit a new net."
            )
        values = standardised(values, self.target_mean_, self.target_scale_)
        n_outputs = values.shape[1] * max(len(levels), 1)
        values = values.astype(np.float32)
        return make_training_data(self, X, values, weight, n_outputs, least)

    def _fitted_quantiles(self) -> tuple[float, ...]:
        return getattr(self.net_.criterion_, "quantiles", ())

    def _cross_fits(self) -> bool:
        return super()._cross_fits() or (self.quantiles is not None and not self._in_folds)

    def _learn_from_folds(
        self, data: TrainingData, partial: bool, on_epochs: Callable[[int], None] | None
    ) -> None:
        # Two rows would leave one to train on, and partial_fit has no folds.
        if self.quantiles is not None and not partial and len(data.X) > 2:
            seed, predict = integer_seed(self.random_state), MixupRegressor._all_quantiles
            predicted = predict_left_out(self, data, seed, predict, on_epochs)
            self.quantile_shift_ = held_out_shift(
                data.y[..., None] - predicted, self.quantiles, data.weight
            )

    def _row_losses(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self.quantiles is not None:
            below = y[..., None] - MixupRegressor._all_quantiles(self, X)
            levels = np.asarray(self.quantiles)
            return np.maximum(levels * below, (levels - 1) * below).mean(axis=(1, 2))
        predicted = MixupRegressor.predict(self, X)  # a subclass may transform X again
        return ((predicted.reshape(len(y), -1) - y) ** 2).mean(axis=1)

    def predict(self, X: Any, quantiles: Sequence[float] | None = None) -> np.ndarray:
        """Return the predicted values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        quantiles : sequence of float, default=None
            Some of the quantiles that the regressor was fitted for, ascending. Quantiles of a
            row are sorted, so they never cross.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The mean; for a regressor fitted for quantiles, the one nearest to the median. With
            ``quantiles``, there is one more axis of length n_quantiles.

        Raises
        ------
        ValueError
            If the regressor was not fitted for these quantiles.
        """
        if quantiles is None and not hasattr(self, "quantile_shift_"):
            values = self._outputs(X).mean(axis=0, dtype=np.float64)
            values = values * self.target_scale_ + self.target_mean_
        else:
            check_is_fitted(self)
            known = self._fitted_quantiles()
            middle = int(np.abs(np.subtract(known or 0.5, 0.5)).argmin())
            place = middle if quantiles is None else _positions(quantiles, known)
            values = self._all_quantiles(X)[..., place]
        return values[:, 0] if self._one_column else values

    def _all_quantiles(self, X: Any) -> np.ndarray:
        """Return all quantiles in ascending order, shape (rows, outputs, quantiles)."""
        outputs = self._outputs(X).mean(axis=0, dtype=np.float64)
        outputs = outputs.reshape(-1, *self.quantile_shift_.shape) + self.quantile_shift_
        outputs.sort(axis=-1)
        return outputs * self.target_scale_[:, None] + self.target_mean_[:, None]


def _positions(quantiles: Sequence[float], known: tuple[float, ...]) -> list[int]:
    """Return the positions of quantiles among those of the fit."""
    asked = check_quantiles(quantiles)
    if set(asked) <= set(known):
        return [known.index(level) for level in asked]
    fitted = f"fitted for {shown(known)}" if known else "fitted without quantiles"
    raise ValueError(
        f"quantiles={shown(quantiles)} cannot be predicted, because the regressor was "
        f"{fitted}. Fit MixupRegressor(quantiles=...) with all that you need."
    )


def held_out_shift(
    excess: np.ndarray, levels: Sequence[float], weight: np.ndarray | None
) -> np.ndarray:
    """Return the shift that calibrates quantiles on held-out rows.

    For every output and level, it is the smallest excess such that the right share of the
    rows, by weight, is not above it.

    Parameters
    ----------
    excess : ndarray of shape (rows, outputs, quantiles)
        Values minus predictions.
    levels : sequence of float
        The quantiles.
    weight : ndarray of shape (rows,) or None
        Weights of the rows.

    Returns
    -------
    ndarray of shape (outputs, quantiles)
    """
    order = np.argsort(excess, axis=0)
    weight = np.ones(len(excess)) if weight is None else weight
    share = np.cumsum(weight[order], axis=0, dtype=np.float64) / weight.sum(dtype=np.float64)
    # Rounding must not select the next row.
    place = (share < np.asarray(levels) * (1 - 1e-12)).sum(axis=0, keepdims=True)
    return np.take_along_axis(np.take_along_axis(excess, order, 0), place, 0)[0]


def mean_and_scale(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted mean and standard deviation of columns; 1 for constant ones."""
    # Powers of two are exact, and squares of the rest neither overflow nor underflow.
    _, power = np.frexp(np.abs(values).max(axis=0))
    values = np.ldexp(values, -power)
    mean = np.average(values, axis=0, weights=weight)
    spread = np.average((values - mean) ** 2, axis=0, weights=weight) ** 0.5
    scale = np.where(np.ptp(values, axis=0) > 0, np.ldexp(spread, power), 0)
    return np.ldexp(mean, power), np.where(scale > 0, scale, 1.0)


def standardised(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (values − mean) / scale, even if differences exceed float64."""
    _, power = np.frexp(np.maximum(np.abs(values).max(axis=0), np.abs(mean)))
    values, mean, scale = (np.ldexp(part, -power) for part in (values, mean, scale))
    return (values - mean) / scale
