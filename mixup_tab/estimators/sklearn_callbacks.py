"""Support for scikit-learn's callbacks (1.9 and later): one task per epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from skorch.callbacks import Callback

from mixup_tab.training import MixupNet
from mixup_tab.training.stopping import StopTraining

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn 1.8

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty stand-in."""

    def _with_callbacks(method: Callable) -> Callable:
        """Wrap a method in one frame, as scikit-learn's decorator does."""

        @functools.wraps(method)
        def same(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return same


__all__ = ["CallbackSupportMixin", "epoch_tasks", "open_task", "subtask", "with_callbacks"]

Method = TypeVar("Method", bound=Callable)


def with_callbacks(method: Method) -> Method:
    """Apply scikit-learn's decorator, keeping the type of the method."""
    return _with_callbacks(method)


def open_task(estimator: Any, n_subtasks: int, X: Any, y: Any) -> Any:
    """Begin the root task of a fit; None without callbacks."""
    if not hasattr(estimator, "_init_callback_context"):
        return None
    context = estimator._init_callback_context(max_subtasks=n_subtasks)
    if not hasattr(estimator, "_skl_callbacks"):
        return None
    return context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)


@contextmanager
def subtask(
    root: Any, name: str, estimator: Any, X: Any, y: Any, inner: Any = None
) -> Iterator[None]:
    """Open a subtask of a fit for scikit-learn's callbacks, if there are any.

    ``inner`` is an estimator fitted inside, which reports to the same callbacks.
    """
    if root is None:
        yield
        return
    part = root.subcontext(task_name=name)
    passed_on = nullcontext() if inner is None else part.propagate_callback_context(inner)
    with passed_on:
        part.call_on_fit_task_begin(estimator=estimator, X=X, y=y)
        yield
    part.call_on_fit_task_end(estimator=estimator, X=X, y=y)


@contextmanager
def epoch_tasks(estimator: Any, net: MixupNet, X: Any, y: Any) -> Iterator[None]:
    """Report the epochs of an estimator's net to scikit-learn's callbacks, if there are any."""
    root = open_task(estimator, net.max_epochs, X, y)
    if root is None:
        yield
        return
    own = net.callbacks_
    net.callbacks_ = [*own, ("report", _ReportEpochs(root, estimator, X, y))]
    yield
    net.callbacks_ = own
    root.call_on_fit_task_end(estimator=estimator, X=X, y=y)


class _ReportEpochs(Callback):
    """Opens and closes a task per epoch, and stops training if a callback asks for it."""

    def __init__(self, root: Any, estimator: Any, X: Any, y: Any) -> None:
        self.root = root
        self.estimator = estimator
        self.data = {"X": X, "y": y}

    def _settings(self, net: MixupNet) -> dict[str, Any]:
        learned = self.estimator._learned(net)
        return {"estimator": self.estimator, "reconstruction_attributes": learned, **self.data}

    def on_epoch_begin(self, net: MixupNet, **kwargs: Any) -> None:
        """Open the task of an epoch."""
        task = self.root.subcontext(task_name="epoch")
        self.epoch_ = task.call_on_fit_task_begin(**self._settings(net))

    def on_epoch_end(self, net: MixupNet, **kwargs: Any) -> None:
        """Close the task of an epoch."""
        if self.epoch_.call_on_fit_task_end(**self._settings(net)):
            raise StopTraining
