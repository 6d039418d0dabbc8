"""What a running search shares with its tasks: progress, and the wish to stop."""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import ClassVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)


class Stopped(Exception):
    """Ends a task whose search has been stopped."""


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

    _open: ClassVar[dict[int, Watch]] = {}
    _tokens = itertools.count()

    def __init__(self, fits: int, epochs: int, chunks: int, visible: bool) -> None:
        self.token = next(self._tokens)
        self.fits, self.fits_done = fits, 0
        self.stopped = False
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not visible,
        )
        self._chunks = self._bars.add_task("chunks", total=chunks)
        self._epochs = self._bars.add_task("epochs", total=epochs)
        self._counted: dict[int, int] = {}

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
        self.stopped = kind is not None
        self._bars.stop()
        if not self.stopped:
            del self._open[self.token]

    def chunk_done(self, chunk: int, fits: int, epochs: int) -> None:
        """Count a finished chunk, and those of its epochs that were not reported."""
        self.fits_done += fits
        self._bars.advance(self._chunks)
        self._bars.advance(self._epochs, epochs - self._counted.pop(chunk, 0))

    @classmethod
    def report(cls, token: int, chunk: int, epochs: int) -> None:
        """Count epochs of a chunk that is being trained.

        Raises
        ------
        Stopped
            If the search has been stopped.
        """
        watch = cls._open.get(token)
        if watch is None:
            return
        if watch.stopped:
            raise Stopped
        watch._counted[chunk] = watch._counted.get(chunk, 0) + epochs
        watch._bars.advance(watch._epochs, epochs)
