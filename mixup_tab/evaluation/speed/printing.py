"""Measured ratios as a table in the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from mixup_tab.evaluation.speed.measuring import Row


def print_rows(rows: Iterable[Row], title: str, console: Console) -> None:
    """Print rows as soon as the last of them is measured.

    Parameters
    ----------
    rows : iterable of Row
        What is measured while it is iterated over.
    title : str
        What they have in common.
    console : rich Console
        Where to print.
    """
    table = Table(title=title, title_justify="left")
    for name in ("ours", "against"):
        table.add_column(name)
    for name in ("ratio", "least – most", "goal"):
        table.add_column(name, justify="right")
    table.add_column("on this machine")
    with console.status("Measuring …"):
        for row in rows:
            ratio = f"{row.ratio:.2f}"
            table.add_row(
                row.what,
                row.against,
                f"[green]{ratio}[/]" if row.ratio <= row.goal else f"[yellow]{ratio}[/]",
                f"{row.low:.2f} – {row.high:.2f}",
                f"≤ {row.goal:.2f}",
                row.detail,
            )
    console.print(table)
