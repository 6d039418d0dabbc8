"""Early ends of training: early stopping, Ctrl-C and aborts.

- Early stopping (:class:`StopTraining`, or skorch's ``EarlyStopping``) ends training silently.
- Ctrl-C ends the training of a single net with a warning; the net keeps its best weights.
  Code that trains many nets (a stack, a search, a comparison) uses
  :func:`propagate_interrupt`, so that Ctrl-C ends everything.
- :class:`TrainingAborted` ends everything, wherever it is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from skorch.callbacks import EarlyStopping as SkorchEarlyStopping


class StopTraining(Exception):
    """Raised by a callback to end the training of its net normally."""


class TrainingAborted(BaseException):
    """Raised to abort training whose result is not needed, as when its search was stopped.

    Not an ``Exception``, so that code that catches errors of users' modules lets it pass.
    """


_PROPAGATES: ContextVar[bool] = ContextVar("interrupts_propagate", default=False)


@contextmanager
def propagate_interrupt() -> Iterator[None]:
    """Let Ctrl-C end everything inside, not only the training of one net.

    Examples
    --------
    >>> from mixup_tab.training.stopping import propagate_interrupt
    >>> with propagate_interrupt():
    ...     pass  # fit many nets
    """
    token = _PROPAGATES.set(True)
    try:
        yield
    finally:
        _PROPAGATES.reset(token)


@contextmanager
def ends_early(net: Any) -> Iterator[None]:
    """Suppress StopTraining, and Ctrl-C unless it propagates.

    Ctrl-C sets ``net.interrupted_``.
    """
    try:
        yield
    except StopTraining:
        pass
    except KeyboardInterrupt:
        if _PROPAGATES.get():
            raise
        net.interrupted_ = True


def call_hook(callback: Any, name: str, net: Any, **kwargs: Any) -> None:
    """Call a hook of a callback.

    skorch's ``EarlyStopping`` raises KeyboardInterrupt, as if the user had pressed Ctrl-C. This
    is turned into StopTraining.
    """
    try:
        getattr(callback, name)(net, **kwargs)
    except KeyboardInterrupt as stop:
        if isinstance(callback, SkorchEarlyStopping):
            raise StopTraining from stop
        raise
