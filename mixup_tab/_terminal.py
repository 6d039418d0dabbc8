"""What a long run shows in the terminal: one progress bar, one kind of table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import pandas as pd

from mixup_tab._extras import import_extra


class ProgressBar:
    """A progress bar with a remark, removed when it is left.

    Where there is no terminal, such as in a log file, remarks become lines instead. Without
    rich (extra ``cli``) nothing is shown.

    Parameters
    ----------
    what : str
        What is being done.
    total : int, default=None
        How many steps there are, if that is known.
    show : bool, default=True
        Whether to show anything.
    console : rich Console, default=None
        Where; None is standard error.
    """

    def __init__(
        self, what: str, total: int | None = None, *, show: bool = True, console: Any = None
    ) -> None:
        self._what, self._progress = what, None
        try:
            progress = import_extra("rich.progress", "cli") if show else None
        except ImportError:
            return
        if progress is None:
            return
        console = console or import_extra("rich.console", "cli").Console(file=sys.stderr)
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[remark]}"),
            console=console,
            transient=True,
            redirect_stdout=False,  # what is printed meanwhile may belong in a file
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=total, remark="")

    def __enter__(self) -> ProgressBar:
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

    def advance(self, steps: int = 1) -> None:
        """Count more finished steps."""
        if self._progress is not None:
            self._progress.advance(self._task, steps)

    def update(self, done: int, total: int, remark: str = "") -> None:
        """Set how many steps of how many are done, with a remark."""
        if self._progress is None:
            return
        self._progress.update(self._task, completed=done, total=total, remark=remark)
        if self._progress.disable and remark:
            line = f"{self._what} {done}/{total}: {remark}"
            self._progress.console.print(line, soft_wrap=True, highlight=False, markup=False)


def list_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """List on standard error the files that were left out, as pairs of path and reason."""
    if not skipped:
        return
    files = "1 file" if len(skipped) == 1 else f"{len(skipped):,} files"
    print(f"Left out {files} that cannot be read:", file=sys.stderr)
    for path, reason in skipped:
        print(f"  {path}: {reason}", file=sys.stderr)


def terminal_table(
    frame: pd.DataFrame, formats: Mapping[str, str], title: str = "", note: str = ""
) -> Any:
    """Return a rich table; numbers to the right, "–" for missing values.

    Parameters
    ----------
    frame : DataFrame
        Its cells; an index with a name becomes the first column.
    formats : mapping of str to str
        How to format the cells of a column, such as ``{"error": "{:.1f}"}``.
    title, note : str, default=""
        Above and below the table.

    Returns
    -------
    rich Table
    """
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
    return "–" if pd.isna(value) else form.format(value)
