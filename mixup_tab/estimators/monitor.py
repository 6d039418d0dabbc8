"""Progress and cancellation of fits in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from mixup_tab.training.stopping import TrainingAborted

# Seconds to wait for stopped tasks, which check the monitor after every block of steps.
_PATIENCE = 60.0


class Monitor:
    """Counts the finished epochs of tasks, and stops all tasks after an error.

    joblib leaves its threads running when one fails or Ctrl-C is pressed. If the ``with`` block
    ends with an exception, the tasks of this process raise :class:`TrainingAborted` at their
    next report, and the monitor waits for them: Python must not exit while threads are inside
    torch. A copy in another process does nothing.

    Parameters
    ----------
    on_epochs : callable, default=no action
        Called with the number of epochs finished since the last call; may raise.
    """

    def __init__(self, on_epochs: Callable[[int], None] | None = None) -> None:
        self._on_epochs = on_epochs
        self._stopped = False
        self._running = 0
        self._ended = threading.Condition()

    def __reduce__(self) -> tuple[type, tuple]:
        return Monitor, ()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stopped = True
            with self._ended:
                self._ended.wait_for(lambda: not self._running, _PATIENCE)

    @contextmanager
    def task(self) -> Iterator[Monitor]:
        """Mark a task as running; it reports with :meth:`report`."""
        with self._ended:
            self._running += 1
        try:
            self.report(0)
            yield self
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()

    def report(self, epochs: int) -> None:
        """Count finished epochs; raise TrainingAborted after an error elsewhere."""
        if self._stopped:
            raise TrainingAborted
        if epochs and self._on_epochs is not None:
            self._on_epochs(epochs)
