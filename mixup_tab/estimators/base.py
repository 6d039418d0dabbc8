"""Base class of classifier and regressor: parameters, fitting and prediction."""

from __future__ import annotations

import copy
import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import nn

from mixup_tab._plain import PythonParams, as_python, shown
from mixup_tab.estimators.cross_fit import score_alphas
from mixup_tab.estimators.data import (
    TrainingData,
    check_X,
    follow_rows,
    input_types,
    takes_any_shape,
)
from mixup_tab.estimators.fitting import (
    OPTIMIZERS,
    choose_embedding,
    integer_seed,
    is_auto,
    make_net,
    mixing_rule,
    use_python_numbers,
)
from mixup_tab.estimators.sklearn_callbacks import (
    CallbackSupportMixin,
    Method,
    epoch_tasks,
    with_callbacks,
)
from mixup_tab.mixing import MixingRule
from mixup_tab.nets.columns import EMBEDDINGS
from mixup_tab.training import MixupNet
from mixup_tab.training.callbacks import EpochProgress
from mixup_tab.training.state import check_mixing_span
from mixup_tab.training.torch_state import with_torch_defaults

_AUTO = StrOptions({"auto"})
_FROM_0 = Interval(Real, 0, np.inf, closed="left")
_FROM_1 = Interval(Integral, 1, None, closed="left")


def restore_on_error(fit: Method) -> Method:
    """Decorate a fit to restore the estimator after an error or Ctrl-C.

    Inside, NumPy numbers among the parameters are Python numbers, and torch has its default
    settings.
    """

    @functools.wraps(fit)
    @with_torch_defaults
    def all_or_nothing(self: Any, *args: Any, **kwargs: Any) -> Any:
        before, given = dict(vars(self)), use_python_numbers(self)
        try:
            fitted = fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise
        vars(self).update(given)
        return fitted

    return all_or_nothing  # type: ignore[return-value]


class BaseMixup(PythonParams, CallbackSupportMixin, BaseEstimator):
    """Fitting and prediction, as far as they do not depend on the type of target."""

    _criterion: Callable[..., nn.Module]
    # True for copies that are fitted without a fold; these do not cross-fit again.
    _in_folds = False
    # Task of the rules that are allowed, and an alternative to propose in messages.
    _task: str
    _proposal: str

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "alpha": [_FROM_0, _AUTO],
        "mixing": [str, MixingRule],
        "hidden_layer_sizes": ["array-like", _FROM_1],
        "module": [callable, None],
        "embedding": [StrOptions({"auto", *EMBEDDINGS})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "n_estimators": [_FROM_1],
        "learning_rate_init": [Interval(Real, 0, np.inf, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS))],
        "weight_decay": [_FROM_0, _AUTO],
        "dropout": [Interval(Real, 0, 1, closed="left"), _AUTO],
        "batch_size": [_FROM_1, _AUTO],
        "max_epochs": [_FROM_1, _AUTO],
        "early_stopping": ["boolean", _AUTO],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [_FROM_1],
        "warm_start": ["boolean"],
        "callbacks": [list, tuple, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _check_training_data(self, *args: Any, **kwargs: Any) -> TrainingData:
        """Validate X, y and weights, and set attributes such as ``classes_``."""

    @abstractmethod
    def _row_losses(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the loss of every row, for targets as in ``TrainingData``."""

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: inputs may have more axes with a ``module``."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = takes_any_shape(self.module)
        return tags

    def _validate_params(self) -> None:
        """Check every parameter that can be checked without data."""
        super()._validate_params()
        if not is_auto(self.mixing_span):
            check_mixing_span(as_python(self.mixing_span))
        _check_layers(self.hidden_layer_sizes)
        _check_module(self.module)
        _check_callbacks(self.callbacks)
        if mixing_rule(self).task not in ("any", self._task):
            raise ValueError(
                f"mixing={shown(self.mixing)} does not work with {type(self).__name__}. Use "
                f"'mixup', or {self._proposal}."
            )

    @restore_on_error
    @with_callbacks
    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        partial: bool = False,
        on_epochs: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Any:
        self._validate_params()
        resume = hasattr(self, "net_") and (partial or self.warm_start)
        options["least"] = 1 if partial else 2
        data = self._check_training_data(X, y, sample_weight, resume=resume, **options)
        if takes_any_shape(self.module):
            self._blank_row = np.zeros_like(data.X[:1])  # shape and dtype, for export
        if not (resume and is_auto(self.alpha)):
            self._set_alpha(data, partial, on_epochs)
        self._learn_from_folds(data, partial, on_epochs)
        if resume:
            self._keep_input_layer(data)
        else:
            self.embedding_ = choose_embedding(self, len(data.X), partial=partial)
        net = make_net(self, data, partial=partial)
        if resume:
            self._continue_training(net)
        if partial:
            follow_rows(net.module_, data, first=not resume)
        with epoch_tasks(self, net, X, y):
            own = net.callbacks_
            if on_epochs is not None:
                net.callbacks_ = [*own, ("progress", EpochProgress(on_epochs))]
            net.partial_fit(data.X, data.y, sample_weight=data.weight)
            net.callbacks_ = own
        self.__dict__.pop("validation_loss_curve_", None)
        self.__dict__.update(self._learned(net))
        return self

    def _set_alpha(
        self, data: TrainingData, partial: bool, on_epochs: Callable[[int], None] | None
    ) -> None:
        self.__dict__.pop("alpha_scores_", None)
        if not is_auto(self.alpha):
            self.alpha_ = float(self.alpha)
            return
        if partial:
            raise ValueError(
                "alpha='auto' does not work with partial_fit, because it needs all training "
                "rows at once. Use fit, or set alpha to a number."
            )
        seed = integer_seed(self.random_state)
        self.alpha_scores_ = score_alphas(self, data, seed, on_epochs)
        self.alpha_ = max(self.alpha_scores_, key=lambda a: self.alpha_scores_[a].mean())

    def _keep_input_layer(self, data: TrainingData) -> None:
        """Keep the fitted input layer when training continues."""
        if self.module is not None:
            return
        if self.embedding not in ("auto", self.embedding_):
            raise ValueError(
                f"embedding={self.embedding!r} cannot continue a net that was fitted with "
                f"{self.embedding_!r}. Use that, or fit a new net with warm_start=False."
            )
        layer = getattr(self.net_.module_, "input_layer", None)
        data.kept_layer = copy.deepcopy(layer)

    def _cross_fits(self) -> bool:
        """Whether ``fit`` also trains nets on folds."""
        return is_auto(self.alpha)

    def _learn_from_folds(
        self, data: TrainingData, partial: bool, on_epochs: Callable[[int], None] | None
    ) -> None:
        """Fit anything that needs out-of-fold predictions, before the net is trained."""

    def _continue_training(self, net: MixupNet) -> None:
        try:
            net.continue_from(self.net_)
        except ValueError as error:
            raise ValueError(
                f"hidden_layer_sizes={shown(self.hidden_layer_sizes)}, n_estimators="
                f"{shown(self.n_estimators)} or module={self.module!r} do not match the fitted "
                "net, which warm_start continues. Use warm_start=False."
            ) from error

    def _learned(self, net: MixupNet) -> dict[str, Any]:
        """Return the attributes that training sets."""
        losses = {"loss_curve_": "train_loss"}
        if net.train_split is not None:
            losses["validation_loss_curve_"] = "valid_loss"
        curves = {
            name: [row[key] for row in net.history if key in row]
            for name, key in losses.items()
        }
        return {"net_": net, "n_iter_": len(curves["loss_curve_"]), **curves}

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the outputs of every member, shape (members, rows, outputs).

        On the CPU they are computed in double precision, so that a prediction does not depend
        on the rest of the batch; except for users' modules, and for rows in single precision
        without an input layer.
        """
        if "net_" not in vars(self):  # check_is_fitted takes 4 µs
            check_is_fitted(self)
        X = check_X(self, X, reset=False, dtype=input_types(self.module, self.net_))
        return self.net_.raw_outputs(X)


def _check_layers(value: Any) -> None:
    sizes = np.atleast_1d(value)
    if sizes.ndim > 1 or (sizes.size and not (sizes.dtype.kind in "iu" and sizes.min() >= 1)):
        raise ValueError(
            "hidden_layer_sizes must hold integers of at least 1, such as (128, 128), got "
            f"{shown(value)}."
        )


def _check_module(value: Any) -> None:
    if isinstance(value, nn.Module):
        raise TypeError(
            "module must be None, an nn.Module class or a function that returns a new "
            f"nn.Module, got {value!r}. An instance would keep its weights between fits: pass "
            "its class, or functools.partial(Class, ...) to fix arguments."
        )


def _check_callbacks(value: Sequence | None) -> None:
    instances = [each[-1] if isinstance(each, tuple) else each for each in value or ()]
    if not all(isinstance(instance, Callback) for instance in instances):
        raise TypeError(
            "callbacks must be None or a list of skorch callbacks (instances, or pairs of a "
            f"name and an instance), got {value!r}."
        )
