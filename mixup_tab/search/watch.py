"""What a running search shares with its tasks: progress, and the wish to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import ClassVar
from uuid import uuid4

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mixup_tab.training.stopping import TrainingAborted

# Seconds to wait for tasks of a stopped search, which look up after every block of steps.
_PATIENCE = 60.0


class Watch:
    """Counts what is done, shows it, and tells tasks of this process to stop.

    Tasks find it by its token. In another process they find none and go on alone: there
    the bars move when a chunk is finished.

    Parameters
    ----------
    fits, epochs, chunks : int
        How many there will be.
    visible : bool
        Whether to draw progress bars on standard error.
    """

    _open: ClassVar[dict[str, Watch]] = {}
    _stopped: ClassVar[set[str]] = set()

    def __init__(self, fits: int, epochs: int, chunks: int, visible: bool) -> None:
        self.token = uuid4().hex
        self.fits, self.fits_done = fits, 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not visible,
        )
        self._chunks = self._bars.add_task("chunks", total=chunks)
        self._epochs = self._bars.add_task("epochs", total=epochs)
        self._counted: dict[int, int] = {}
        self._running = 0
        self._left = threading.Condition()

    def __enter__(self) -> Watch:
        self._open[self.token] = self
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stopped.add(self.token)
            with self._left:  # Python must not end while threads are inside torch
                self._left.wait_for(lambda: not self._running, _PATIENCE)
        del self._open[self.token]
        self._bars.stop()

    def chunk_done(self, chunk: int, fits: int, epochs: int) -> None:
        """Count a finished chunk, and those of its epochs that were not reported."""
        self.fits_done += fits
        self._bars.advance(self._chunks)
        self._bars.advance(self._epochs, epochs - self._counted.pop(chunk, 0))

    @classmethod
    @contextmanager
    def task(cls, token: str) -> Iterator[None]:
        """Hold the search back while a task of it is running in this process.

        Raises
        ------
        TrainingAborted
            If the search has been stopped before.
        """
        cls._check(token)
        watch = cls._open.get(token)
        if watch is None:
            yield
            return
        with watch._left:
            watch._running += 1
        try:
            yield
        finally:
            with watch._left:
                watch._running -= 1
                watch._left.notify_all()

    @classmethod
    def report(cls, token: str, chunk: int, epochs: int) -> None:
        """Count epochs of a chunk that is being trained.

        Raises
        ------
        TrainingAborted
            If the search has been stopped.
        """
        cls._check(token)
        watch = cls._open.get(token)
        if watch is not None:
            watch._counted[chunk] = watch._counted.get(chunk, 0) + epochs
            watch._bars.advance(watch._epochs, epochs)

    @classmethod
    def _check(cls, token: str) -> None:
        if token in cls._stopped:
            raise TrainingAborted
