"""``mixup-tab compare``: progress, the answer, the files."""

from __future__ import annotations

import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from mixup_tab._files import check_writable, write_whole
from mixup_tab._terminal import ProgressBar
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.comparison import Comparison, Experiment, set_up
from mixup_tab.compare.fitting import SplitResult
from mixup_tab.compare.reading import SIZE_LIMIT, read_table
from mixup_tab.compare.report import summary_table, write_report
from mixup_tab.compare.saving import save_model

_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skrub", "pandas", "numpy")


def run(
    file: str | os.PathLike,
    columns: Columns,
    *,
    output: Path | None = None,
    save: Path | None = None,
    n_jobs: int = 1,
    size_limit: float = SIZE_LIMIT,
    console: Console | None = None,
    **settings: Any,
) -> bool:
    """Answer for a file, show it, and write ``report.html`` and ``results.csv``.

    Ctrl-C ends it early and keeps the finished splits in ``results.csv``.

    Parameters
    ----------
    file : str or path-like
        The table; see :func:`~.reading.read_table`.
    columns : Columns
        What its columns are for.
    output : Path, default=None
        Folder for the files; None makes a new one in the current folder.
    save : Path, default=None
        Where to write the model, fitted on all rows.
    n_jobs : int, default=1
        Number of processes.
    size_limit : float, default=4e9
        Of the file; see :func:`~.reading.read_table`.
    console : rich Console, default=None
        Where to print.
    **settings
        As in :func:`~.comparison.compare_table`.

    Returns
    -------
    bool
        Whether everything was done.

    Raises
    ------
    ValueError
        If there can be no sensible answer; nothing is written then.
    """
    console = console or Console()
    as_written = [name for name in (columns.target, columns.id, columns.groups) if name]
    text = "all" if settings.get("decimal") else as_written
    frame = read_table(file, text=text, size_limit=size_limit)
    experiment = set_up(frame, columns, **settings)
    del frame
    if save is not None:
        check_writable(save)
    folder = output or Path(time.strftime("mixup-tab-compare-%Y%m%d-%H%M%S"))
    check_writable(folder / "results.csv")
    parts = _collect(experiment, n_jobs, console)
    if not parts:
        console.print("Stopped before the first split was done.")
        return False
    comparison = experiment.conclude(parts)
    write_whole(folder / "results.csv", comparison.results.to_csv(index=False).encode())
    if len(parts) < len(experiment.splits):
        console.print(
            f"Stopped after {len(parts)} of {len(experiment.splits)} splits; they are in "
            f"{folder / 'results.csv'}.",
            soft_wrap=True,
        )
        return False
    _show(comparison, console)
    title = f"Does mixup help on {Path(file).name}?"
    page = write_report(comparison, folder, title, _facts(experiment))
    console.print(f"Report: {page}", soft_wrap=True, highlight=False)
    return save is None or _save(experiment, save, n_jobs, console)


def _collect(experiment: Experiment, n_jobs: int, console: Console) -> list[SplitResult]:
    """Run the splits; Ctrl-C ends the waiting."""
    parts: list[SplitResult] = []
    with ProgressBar("Splits", len(experiment.splits), console=console) as bar:
        results = experiment.run(n_jobs)
        try:
            for part in results:
                parts.append(part)
                bar.advance()
        except KeyboardInterrupt:
            results.close()
    return parts


def _show(comparison: Comparison, console: Console) -> None:
    console.print(comparison.verdict.sentence, style="bold", highlight=False)
    console.print(summary_table(comparison))
    for note in comparison.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)


def _save(experiment: Experiment, path: Path, n_jobs: int, console: Console) -> bool:
    whole = experiment.whole
    try:
        with console.status(f"Fitting on all {len(whole.y):,} rows …"):
            pipeline, alpha = experiment.refit(n_jobs)
            save_model(path, pipeline, whole, alpha)
    except KeyboardInterrupt:
        console.print(f"Stopped; {path} was not written.", soft_wrap=True, markup=False)
        return False
    what = f"α = {alpha:g}" if alpha else "plain training (α = 0)"
    console.print(
        f"Model with {what}, fitted on all {len(whole.y):,} rows: {path}",
        soft_wrap=True,
        highlight=False,
    )
    return True


def _facts(experiment: Experiment) -> dict[str, str]:
    task, last, setting = experiment.task, experiment.splits[-1], experiment.setting
    shape = f"{len(task.y):,} rows, {task.X.shape[1]:,} columns"
    facts = {"table": shape, "target": task.columns.target}
    if task.is_classification:
        facts["task"] = f"classification, {len(task.classes)} classes"
        facts["mixing"] = "half of the examples by mixup, half by swapped columns (CutMix)"
    else:
        facts |= {"task": "regression", "mixing": "mixup"}
    facts["folds"] = f"{last.fold + 1} × {last.repeat + 1} repeat{'s' * (last.repeat > 0)}"
    for role in ("id", "groups", "time"):
        if getattr(task.columns, role) is not None:
            facts[role] = getattr(task.columns, role)
    if task.columns.drop:
        facts["left out"] = ", ".join(task.columns.drop)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    return facts | {"seed": str(setting.seed), "device": setting.device, "versions": versions}
