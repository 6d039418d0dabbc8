"""Progress of a comparison, counted in epochs across its processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mixup_tab.training.watching import each_epoch

# Bytes that a split writes until it is finished.
_WHOLE = 200


@contextmanager
def counted(path: Path, fits: int) -> Iterator[None]:
    """Record in a file the epochs of all nets trained in the block, which is one split.

    Parameters
    ----------
    path : Path
        The file, which the parent process watches; it grows by one byte per half percent.
    fits : int
        Number of fits in a split; those that train no net are counted at the end.
    """
    done, written = 0.0, 0

    def write(net: Any = None) -> None:
        nonlocal done, written
        done = _WHOLE if net is None else done + _WHOLE / (fits * net.max_epochs)
        new = min(int(done), _WHOLE) - written
        if new > 0:
            written += new
            with suppress(OSError):  # a process that outlives its parent has no file
                file = os.open(path, os.O_WRONLY | os.O_APPEND)
                os.write(file, b"." * new)
                os.close(file)

    with each_epoch(write):
        yield
    write()


@contextmanager
def watched(path: Path, on_progress: Callable[[float], None]) -> Iterator[None]:
    """Call a function, several times a second, with the splits done according to a file."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            with suppress(OSError):
                on_progress(path.stat().st_size / _WHOLE)

    path.write_bytes(b"")
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        path.unlink(missing_ok=True)
