"""scikit-learn's callbacks (1.9 and later): one task per epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from skorch.callbacks import Callback

from mixup_tab.training.stopping import StopTraining

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn 1.8

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Callable) -> Callable:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "ReportEpochs", "open_task", "subtask", "with_callbacks"]


def open_task(estimator: Any, epochs: int, X: Any, y: Any) -> Any:
    """Begin the root task of a fit, if anybody has set callbacks.

    Returns
    -------
    CallbackContext or None
    """
    if not hasattr(estimator, "_init_callback_context"):
        return None
    context = estimator._init_callback_context(max_subtasks=epochs)
    if not hasattr(estimator, "_skl_callbacks"):
        return None
    return context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)


@contextmanager
def subtask(
    root: Any, name: str, estimator: Any, X: Any, y: Any, inner: Any = None
) -> Iterator[None]:
    """Open a part of a fit for scikit-learn's callbacks, if there are any.

    Parameters
    ----------
    root : CallbackContext or None
        The task of the whole fit.
    name : str
        Name of the part.
    estimator : estimator
        What is being fitted.
    X, y : array-like
        What the user passed to ``fit``.
    inner : estimator, default=None
        An estimator that is fitted inside and reports to the same callbacks.
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


class ReportEpochs(Callback):
    """Tells scikit-learn's callbacks of every epoch, and stops if one of them says so.

    Parameters
    ----------
    context : CallbackContext
        The root task of the fit.
    estimator : estimator
        What is being fitted.
    X, y : array-like
        What the user passed to ``fit``.
    attributes : callable
        Returns what a fitted estimator would have at this point.
    """

    def __init__(
        self, context: Any, estimator: Any, X: Any, y: Any, attributes: Callable[[], dict]
    ) -> None:
        self.context = context
        self.estimator = estimator
        self.X = X
        self.y = y
        self.attributes = attributes

    def _settings(self) -> dict[str, Any]:
        return {
            "estimator": self.estimator,
            "X": self.X,
            "y": self.y,
            "reconstruction_attributes": self.attributes(),
        }

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the task of an epoch."""
        task = self.context.subcontext(task_name="epoch")
        self.epoch_ = task.call_on_fit_task_begin(**self._settings())

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Close the task of an epoch."""
        if self.epoch_.call_on_fit_task_end(**self._settings()):
            raise StopTraining
