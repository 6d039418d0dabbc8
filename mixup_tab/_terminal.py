"""Terminal output of commands: console, progress bar and tables."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from mixup_tab._extras import import_extra

if TYPE_CHECKING:  # slow to import, and --help does not need it
    import pandas as pd

# Without a terminal, seconds between two lines of progress that have no remark.
_PAUSE = 30.0
# -1 prints results only, 1 adds tracebacks to errors.
VERBOSITY: ContextVar[int] = ContextVar("verbosity", default=0)


def make_console(file: TextIO | None = None) -> Any:
    """Return a rich Console that prints text verbatim, to standard output by default.

    Names of files, columns and classes are never read as markup. When the reader of a pipe is
    gone (``| head``), output stops and the run continues.
    """
    plain = {"markup": False, "emoji": False, "highlight": False}
    console = import_extra("rich.console", "cli").Console(file=file, **plain)
    console.on_broken_pipe = partial(_show_nothing, console)
    return console


def _show_nothing(console: Any) -> None:
    console.quiet = True
    with open(os.devnull, "w") as nowhere:  # takes what Python flushes at exit
        os.dup2(nowhere.fileno(), console.file.fileno())


class ProgressBar:
    """A progress bar with a remark, removed when it ends.

    In a log file, lines take the place of the bar. Without rich (extra ``cli``) nothing is
    shown.

    Parameters
    ----------
    what : str
        What is counted, such as "fits".
    total : int, default=None
        Number of steps, if known.
    done : int, default=0
        Number of steps that an earlier run has done.
    show : bool, default=True
        Whether to show anything.
    console : rich Console, default=None
        Where to draw; None is standard error.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        done: int = 0,
        show: bool = True,
        console: Any = None,
    ) -> None:
        self._what = what
        self._progress: Any = None
        self._total, self._first, self._done = total, float(done), float(done)
        self._start = self._shown = time.monotonic()
        self._counting = threading.Lock()
        try:
            show = show and VERBOSITY.get() >= 0
            progress = import_extra("rich.progress", "cli") if show else None
        except ImportError:
            return
        if progress is None:
            return
        console = console or make_console(sys.stderr)
        text = partial(progress.TextColumn, markup=False)
        self._progress = progress.Progress(
            text("{task.description}"),
            progress.BarColumn(bar_width=24),
            text("{task.fields[place]}"),
            progress.TimeElapsedColumn(),
            text("{task.fields[remark]}"),
            console=console,
            transient=True,
            redirect_stdout=False,  # other output may go to a file
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        fields = {"place": "", "remark": ""}
        self._task = self._progress.add_task(what, total=total, completed=done, **fields)

    def __enter__(self) -> ProgressBar:
        self._start = self._shown = time.monotonic()
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, steps: float = 1) -> None:
        """Add finished steps."""
        with self._counting:  # threads report here
            self.update(self._done + steps)

    def update(
        self, done: float, total: int | None = None, remark: str = "", *, passing: bool = False
    ) -> None:
        """Set the number of finished steps and their total, with a remark.

        Without a terminal, a remark is printed on its own line at once, unless ``passing``.
        """
        if self._total is None and total:  # steps of an earlier run do not count for the speed
            self._first, self._start = done, time.monotonic()
        self._done, self._total = max(done, self._done), total or self._total
        if self._progress is None:
            return
        place = f"{int(self._done):,}" + (f"/{self._total:,}" if self._total else "")
        if self._progress.disable:
            self._line(remark or f"{self._what} {place}", bool(remark) and not passing)
            return
        fields = {"place": f"{place}{self._left()}", **({"remark": remark} if remark else {})}
        self._progress.update(self._task, completed=self._done, total=self._total, **fields)

    def _line(self, text: str, now: bool) -> None:
        time_now = time.monotonic()
        if now or time_now - self._shown > _PAUSE:
            self._shown = time_now
            text = f"{text}; {_duration(time_now - self._start)}{self._left()}"
            self._progress.console.print(text, soft_wrap=True)

    def _left(self) -> str:
        """Return the estimated time left, in words; empty if unknown."""
        if not self._total or self._done >= self._total:
            return ""
        left, done = self._total - self._done, self._done - self._first
        if done < 0.02 * left:  # too early to estimate
            return ""
        seconds = (time.monotonic() - self._start) * left / done
        return f", about {_duration(seconds)} left"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def print_note(text: str, file: TextIO | None = None) -> None:
    """Print a line that is not a result, unless ``--quiet`` asks for results only."""
    if VERBOSITY.get() >= 0:
        print(text, file=file)


def list_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """List skipped files, pairs of path and reason, on standard error."""
    if not skipped:
        return
    files = "1 file" if len(skipped) == 1 else f"{len(skipped):,} files"
    print(f"Left out {files} that cannot be read:", file=sys.stderr)
    for path, reason in skipped:
        print(f"  {path}: {reason}", file=sys.stderr)


def terminal_table(
    frame: pd.DataFrame, formats: Mapping[str, str], title: str = "", note: str = ""
) -> Any:
    """Return a rich table: numbers right-aligned, "–" for missing values.

    Parameters
    ----------
    frame : DataFrame
        The cells; a named index becomes the first column.
    formats : mapping of str to str
        How to format the cells of a column, such as ``{"error": "{:.1f}"}``.
    title, note : str, default=""
        Above and below the table.

    Returns
    -------
    rich Table
    """
    import pandas as pd

    box = import_extra("rich.box", "cli")
    table = import_extra("rich.table", "cli").Table(
        title=title or None,
        title_justify="left",
        caption=note or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    frame = frame if frame.index.name is None else frame.reset_index()
    for name in frame:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        table.add_column(str(name), justify="right" if numeric else "left")
    for row in frame.itertuples(index=False):
        cells = zip(frame.columns, row, strict=True)
        table.add_row(*(_cell(value, formats.get(name, "{}")) for name, value in cells))
    return table


def _cell(value: Any, form: str) -> str:
    missing = value is None or value != value  # NaN and NaT are not equal to themselves
    return "–" if missing else form.format(value)
