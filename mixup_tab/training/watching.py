"""Report epochs to a listener, however deeply nested the training is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_LISTENER: ContextVar[Callable[[Any], None]] = ContextVar("listener", default=lambda net: None)


@contextmanager
def each_epoch(listener: Callable[[Any], None]) -> Iterator[None]:
    """Call ``listener(net)`` after every epoch of all nets trained in this thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report_epoch(net: Any) -> None:
    """Call the listener for a net that has finished an epoch."""
    _LISTENER.get()(net)
