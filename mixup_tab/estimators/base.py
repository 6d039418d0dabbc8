"""What classifier and regressor share: building, training and asking a MixupNet."""

from __future__ import annotations

import inspect
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import LRScheduler
from torch.utils.data import Subset

from mixup_tab.estimators.alpha import score_alphas
from mixup_tab.estimators.checks import (
    TrainingData,
    check_params,
    check_X,
    input_layer_fitter,
    input_types,
    is_auto,
    takes_any_shape,
)
from mixup_tab.estimators.progress import (
    CallbackSupportMixin,
    ReportEpochs,
    open_task,
    with_callbacks,
)
from mixup_tab.nets import MLP
from mixup_tab.training import KeepBestWeights, LearningRate, MixupNet
from mixup_tab.training.callbacks import EpochProgress


class RowSplit:
    """A skorch ``train_split`` that uses rows chosen beforehand.

    Parameters
    ----------
    train, valid : ndarray of int
        Positions of the rows.
    """

    def __init__(self, train: np.ndarray, valid: np.ndarray) -> None:
        self.train, self.valid = train, valid

    def __call__(self, dataset: Any, y: Any = None, **kwargs: Any) -> tuple[Subset, Subset]:
        """Return the two parts of a dataset."""
        return Subset(dataset, self.train), Subset(dataset, self.valid)


class BaseMixup(CallbackSupportMixin, BaseEstimator):
    """Everything about fitting that does not depend on the kind of target."""

    _criterion: type

    @abstractmethod
    def _check_training_data(
        self, X: Any, y: Any, sample_weight: Any, *, goes_on: bool, **options: Any
    ) -> TrainingData:
        """Validate data and set the attributes that describe it."""

    @abstractmethod
    def _choose_rows(
        self, y: np.ndarray, n_valid: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose training and validation rows."""

    @abstractmethod
    def _n_outputs(self, y: np.ndarray) -> int:
        """Return the width of the last layer."""

    @abstractmethod
    def _row_losses(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the loss of every row, for targets as they are in ``TrainingData``."""

    def _check_params(self) -> None:
        """Check every parameter that can be checked without data."""
        check_params(self)

    def n_members(self) -> int:
        """Number of nets that are trained side by side.

        Returns
        -------
        int
        """
        if is_auto(self.n_estimators):
            return 1 if takes_any_shape(self.module) else 4
        return self.n_estimators

    def chooses_alpha(self) -> bool:
        """Whether α is to be chosen by cross-validation.

        Returns
        -------
        bool
        """
        return isinstance(self.alpha, str)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a trained net."""
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        """Say what input is accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = takes_any_shape(self.module)
        return tags

    # ---------------------------------------------------------------------- training

    def _fit(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> Any:
        """Train, or leave the estimator exactly as it was."""
        with self._all_or_nothing():
            self._check_params()
            return self._train(X, y, sample_weight, **options)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    @with_callbacks
    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        partial: bool = False,
        on_epochs: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Any:
        goes_on = hasattr(self, "net_") and (partial or self.warm_start)
        data = self._check_training_data(X, y, sample_weight, goes_on=goes_on, **options)
        if not (goes_on and self.chooses_alpha()):
            self._set_alpha(data, partial, on_epochs)
        net = self._make_net(data, partial)
        if goes_on:
            self._go_on(net)
        own = net.callbacks_
        root = open_task(self, net.max_epochs, X, y)
        if root is not None:
            report = ReportEpochs(root, self, X, y, lambda: self._learned(net))
            net.callbacks_ = [*net.callbacks_, ("report", report)]
        if on_epochs is not None:
            net.callbacks_ = [*net.callbacks_, ("progress", EpochProgress(on_epochs))]
        net.partial_fit(data.X, data.y, sample_weight=data.weight)
        net.callbacks_ = own
        if root is not None:
            root.call_on_fit_task_end(estimator=self, X=X, y=y)
        vars(self).update(self._learned(net))
        return self

    def _set_alpha(
        self, data: TrainingData, partial: bool, on_epochs: Callable[[int], None] | None
    ) -> None:
        vars(self).pop("alpha_scores_", None)
        if not self.chooses_alpha():
            self.alpha_ = float(self.alpha)
            return
        if partial:
            raise ValueError(
                "alpha='auto' needs all training rows at once, which partial_fit does not "
                "have. Use fit, or give alpha as a number."
            )
        self.alpha_scores_ = score_alphas(self, data, self._seed(), on_epochs)
        self.alpha_ = max(self.alpha_scores_, key=lambda a: self.alpha_scores_[a].mean())

    def _learned(self, net: MixupNet) -> dict[str, Any]:
        """Return the attributes that training sets."""
        losses = {
            "loss_curve_": "train_loss",
            "validation_loss_curve_": "valid_loss",
        }
        curves = {
            name: [row[key] for row in net.history if key in row]
            for name, key in losses.items()
        }
        if not self.early_stopping:
            del curves["validation_loss_curve_"]
        return {"net_": net, "n_iter_": len(curves["loss_curve_"]), **curves}

    def _rows_per_batch(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(max(rows // 16, 16), 256)
        if self.batch_size > rows:
            warnings.warn(
                f"batch_size={self.batch_size} is larger than the {rows} training rows; every "
                "batch holds all of them. Lower batch_size, or leave it at 'auto'.",
                UserWarning,
                stacklevel=2,
            )
        return min(self.batch_size, rows)

    def _n_epochs(self, rows: int, batch_size: int) -> int:
        if self.max_epochs != "auto":
            return self.max_epochs
        steps = -(-rows // batch_size)
        return min(max(1000 // steps, min(40, 8000 // steps), 10), 200)

    def _split(self, y: np.ndarray, seed: int) -> RowSplit:
        n_valid = max(int(np.ceil(self.validation_fraction * len(y))), 1)
        if n_valid >= len(y):
            raise ValueError(
                f"validation_fraction={self.validation_fraction!r} leaves no training rows "
                f"out of {len(y)}. Lower it, or use early_stopping=False."
            )
        return RowSplit(*self._choose_rows(y, n_valid, seed % 2**32))

    # --------------------------------------------------------------------- the net

    def _go_on(self, net: MixupNet) -> None:
        try:
            net.continue_from(self.net_)
        except ValueError as error:
            raise ValueError(
                "warm_start goes on from the net that is there, which has another shape than "
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}, n_estimators="
                f"{self.n_estimators!r} and module={self.module!r} ask for. Use "
                "warm_start=False."
            ) from error

    def _make_net(self, data: TrainingData, partial: bool) -> MixupNet:
        seed = self._seed()
        rows = len(data.X)
        batch_size = self._rows_per_batch(rows)
        holds_out = self.early_stopping and not partial
        n_outputs = self._n_outputs(data.y)
        return MixupNet(
            criterion=self._criterion,
            alpha=self.alpha_,
            mixing=self._rule(),
            mixing_span=(0.0, 1.0) if partial else self.mixing_span,
            n_outputs=n_outputs,
            n_members=self.n_members(),
            random_state=seed,
            max_epochs=1 if partial else self._n_epochs(rows, batch_size),
            train_split=self._split(data.y, seed) if holds_out else None,
            lr=self.learning_rate_init,
            optimizer__weight_decay=self.weight_decay,
            batch_size=batch_size,
            verbose=self.verbose,
            device=self.device,
            **self._callback_params(holds_out),
            **self._module_params(data, n_outputs),
        ).initialize()

    def _rule(self) -> Any:
        """Return how examples are mixed."""
        if not is_auto(self.mixing):
            return self.mixing
        return "mixup" if takes_any_shape(self.module) else "mixup+cutmix"

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _callback_params(self, holds_out: bool) -> dict[str, Any]:
        callbacks = list(self.callbacks or ())
        params: dict[str, Any] = {}
        if not self.verbose:  # it would make its table all the same
            params["callbacks__print_log"] = None
        if any(isinstance(_unnamed(cb), (LearningRate, LRScheduler)) for cb in callbacks):
            params["callbacks__learning_rate"] = None
        if holds_out:
            callbacks.append(KeepBestWeights(patience=self.n_iter_no_change))
        return {"callbacks": callbacks or None, **params}

    def _module_params(self, data: TrainingData, n_outputs: int) -> dict[str, Any]:
        shape = data.X.shape[1:]
        offered = {
            "in_features": shape[0] if len(shape) == 1 else None,
            "out_features": n_outputs,
            "input_shape": shape,
            "hidden_layer_sizes": tuple(np.atleast_1d(self.hidden_layer_sizes).tolist()),
            "dropout": self.dropout,
        }
        module = MLP if self.module is None else self.module
        fit_layer = input_layer_fitter(self.module)
        if fit_layer is not None:
            layer = data.input_layer(fit_layer)
            offered |= {"in_features": layer.width, "input_layer": layer}
        accepted = inspect.signature(module).parameters
        fixed = getattr(module, "keywords", {})  # of a functools.partial
        params = {
            f"module__{name}": value
            for name, value in offered.items()
            if name in accepted and name not in fixed
        }
        return {"module": module, **params}

    # ------------------------------------------------------------------- prediction

    def _outputs(self, X: Any) -> np.ndarray:
        """Return the outputs of every member, shape (members, rows, outputs).

        Rows in double precision are computed in double precision, so that a row's
        prediction does not depend on what else is in the batch.
        """
        check_is_fitted(self)
        dtype = input_types(self.module, np.float64, np.float32)
        X = check_X(self, X, reset=False, dtype=dtype)
        return self.net_.raw_outputs(X)


def _unnamed(callback: Any) -> Any:
    """Return the callback of a skorch ``(name, callback)`` pair."""
    return callback[1] if isinstance(callback, tuple) else callback
