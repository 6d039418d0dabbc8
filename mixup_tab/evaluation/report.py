"""Benchmarks for the terminal: progress, tables, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from mixup_tab.evaluation import speed
from mixup_tab.evaluation.benchmark import plan, summarize
from mixup_tab.evaluation.displays import BenchmarkDisplay
from mixup_tab.evaluation.session import carry_out, failure_lines
from mixup_tab.evaluation.speed.printing import print_rows

_TITLES = {
    "paper": "The paper's setting: 2 × 128 ReLU, Adam, 10 epochs, batches of 16",
    "default": "Defaults of each method",
}


def run(
    datasets: Sequence[str],
    *,
    output: Path | None = None,
    n_jobs: int = 1,
    console: Console | None = None,
    **settings: Any,
) -> bool:
    """Run the comparison, show it, and write ``results.csv`` and ``results.png``.

    Ctrl-C ends it early; what is done by then is shown and kept, and the same call with the
    same folder goes on.

    Parameters
    ----------
    datasets : sequence of str
        Names of tables.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=1
        Number of processes.
    console : rich Console, default=None
        Where to print.
    **settings
        As in :func:`~mixup_tab.evaluation.benchmark.plan`; ``protocols`` is needed.

    Returns
    -------
    bool
        Whether everything was run.
    """
    console = console or Console()
    planned = plan(datasets, **settings)
    session = carry_out(planned, output=output, n_jobs=n_jobs, console=console)
    for line in failure_lines(session.failures):
        console.print(line, style="yellow", markup=False)
    if session.results.empty:
        console.print("Stopped before the first result.")
        return session.finished
    summary = summarize(session.results)
    for protocol in settings["protocols"]:
        part = summary[summary["protocol"] == protocol]
        if len(part):
            console.print(_table(part, _TITLES[protocol]))
            console.print(_verdict(part))
    folder = session.folder.path
    BenchmarkDisplay(summary).plot().figure_.savefig(folder / "results.png", dpi=120)
    if not session.finished:
        console.print(
            f"[yellow]Stopped after {len(session.results)} results; they are kept.[/]"
        )
    console.print(f"Results and picture: {folder}", soft_wrap=True, highlight=False)
    return session.finished


def _table(summary: pd.DataFrame, title: str) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD
    )
    table.caption = (
        f"Mean ± half the 95 % interval over {summary['repeats'].max()} splits into 75 % "
        "training and 25 % test rows, corrected for splits that share rows (Nadeau and "
        "Bengio 2003)."
    )
    for name in ("table", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("test error %", "minus ERM", "log-loss", "Brier"):
        table.add_column(name, justify="right", no_wrap=True)
    for dataset, group in summary.groupby("dataset", sort=False):
        for k, row in enumerate(group.to_dict("records")):
            table.add_row(
                dataset if k == 0 else "",
                row["method"],
                _with_interval(row, "error", 100),
                "" if row["method"] == "ERM" else _with_interval(row, "error_diff", 100, "+"),
                f"{row['log_loss']:.3f}",
                f"{row['brier']:.3f}",
                end_section=k == len(group) - 1,
            )
    return table


def _with_interval(row: dict[str, Any], name: str, scale: float, sign: str = "") -> str:
    half = scale * (row[f"{name}_high"] - row[name])
    spread = f" ± {half:.1f}" if np.isfinite(half) else ""
    return f"{scale * row[name]:{sign}.1f}{spread}"


def _verdict(summary: pd.DataFrame) -> str:
    """Say in a sentence what the intervals allow to say."""
    if summary["repeats"].max() < 5:
        return "Fewer than 5 repeats are too few to judge by.\n"
    sentences = []
    ours = summary[summary["method"].str.startswith("mixup")]
    for method, part in ours.groupby("method", sort=False):
        better = int((part["error_diff_high"] < 0).sum())
        worse = int((part["error_diff_low"] > 0).sum())
        lower = int((part["error_diff"] < 0).sum())
        sentences.append(
            f"{method} has a lower mean error than ERM on {lower} of {len(part)} tables. The "
            f"interval of the difference lies below 0 on {better} and above 0 on {worse}; on "
            f"the other {len(part) - better - worse} no difference can be shown."
        )
    return "\n".join(sentences) + "\n"


def run_speed(device: str, epochs: int, pairs: int, console: Console | None = None) -> None:
    """Measure the ratios of :mod:`~mixup_tab.evaluation.speed` and print them as they come.

    Parameters
    ----------
    device : str
        Where our nets run.
    epochs : int
        Epochs of every fit.
    pairs : int
        Runs of each side.
    console : rich Console, default=None
        Where to print.
    """
    console = console or Console()
    title = (
        f"{speed.ROWS:,} × {speed.FEATURES} table of float64, two classes, the paper's "
        f"setting, {device}, one thread unless said; both sides in one run"
    )
    print_rows(speed.measure(device, epochs, pairs), title, console)
    for members, microseconds in speed.steps_per_device(device):
        console.print(
            f"{members} net{'s' * (members > 1)} on {device}: {microseconds:.0f} µs per step, "
            f"{microseconds / members:.1f} µs per net and step"
        )
