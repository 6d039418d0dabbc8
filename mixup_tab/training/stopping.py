"""How training ends before its last epoch: one rule for early stops, Ctrl-C and aborts.

- An early stop (:class:`StopTraining`, or skorch's ``EarlyStopping``) is a quiet end.
- Ctrl-C ends the training of a single net gently: the net keeps what it has learned, and a
  warning says so. Where the net is one of many (a stack, a search, a comparison), whoever
  trains them opens :func:`propagate_interrupt`, and Ctrl-C ends everything.
- :class:`TrainingAborted` ends everything, wherever it is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from skorch.callbacks import EarlyStopping as SkorchEarlyStopping


class StopTraining(Exception):
    """Raised by a callback: the training of this net ends here, as planned."""


class TrainingAborted(BaseException):
    """Nothing of this training is wanted any more, such as when its search was stopped.

    No ``Exception``, so that it passes where errors of users' modules are caught.
    """


_PROPAGATES: ContextVar[bool] = ContextVar("interrupts_propagate", default=False)


@contextmanager
def propagate_interrupt() -> Iterator[None]:
    """Let Ctrl-C end everything inside, not just the training of one net.

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
    """Leave the block quietly at an early stop, and at a Ctrl-C that does not propagate.

    The second sets ``net.interrupted_``.
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

    skorch's ``EarlyStopping`` ends training by a KeyboardInterrupt, as if the user had
    pressed Ctrl-C. It becomes the early stop that it is.
    """
    try:
        getattr(callback, name)(net, **kwargs)
    except KeyboardInterrupt as stop:
        if isinstance(callback, SkorchEarlyStopping):
            raise StopTraining from stop
        raise
