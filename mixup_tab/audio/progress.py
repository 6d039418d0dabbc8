"""What a long run says on the way."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table


class Bar:
    """A progress bar with a remark; it is gone when it is left.

    Where there is no terminal, such as in a log file, remarks are lines instead.

    Parameters
    ----------
    what : str
        What is being done.
    total : int or None
        How many steps there are, if that is known.
    console : rich Console
        Where to show it.
    """

    def __init__(self, what: str, total: int | None, console: Console) -> None:
        self._what = what
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[remark]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._job = self._progress.add_task(what, total=total, remark="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, done: int, remark: str, total: int) -> None:
        """Say how many steps of how many are done."""
        self._progress.update(self._job, completed=done, remark=remark, total=total)
        if self._progress.disable:
            line = f"{self._what} {done}/{total}: {remark}"
            self._progress.console.print(line, soft_wrap=True, highlight=False, markup=False)

    def advance(self, steps: int = 1) -> None:
        """Say that more steps are done."""
        self._progress.advance(self._job, steps)


def tell_skipped(skipped: Sequence[tuple[str, str]]) -> None:
    """List on standard error the files that were left out, and why.

    Parameters
    ----------
    skipped : sequence of (str, str)
        Path and reason.
    """
    if not skipped:
        return
    files = "1 file" if len(skipped) == 1 else f"{len(skipped):,} files"
    print(f"Left out {files} that cannot be read:", file=sys.stderr)
    for path, reason in skipped:
        print(f"  {path}: {reason}", file=sys.stderr)


def terminal_table(
    frame: pd.DataFrame, formats: Mapping[str, str], title: str = "", note: str = ""
) -> Table:
    """Return a table for the terminal; numbers to the right, "–" where there is none.

    Parameters
    ----------
    frame : DataFrame
        Its cells; an index with a name becomes the first column.
    formats : mapping of str to str
        How to show the cells of a column.
    title, note : str, default=""
        Above and below the table.

    Returns
    -------
    rich Table
    """
    table = Table(
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
