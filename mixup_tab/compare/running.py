"""``mixup-tab compare``: progress, the answer, the files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mixup_tab._files import check_writable, write_whole
from mixup_tab.compare.comparing import Comparison, Job, plan
from mixup_tab.compare.nested import Outcome
from mixup_tab.compare.pages import make_page, terminal_table
from mixup_tab.compare.question import Roles
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.saving import Card, save_model

_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skrub", "pandas", "numpy")


def run(
    file: str | os.PathLike,
    roles: Roles,
    *,
    output: Path | None = None,
    save: Path | None = None,
    n_jobs: int = 1,
    console: Console | None = None,
    **settings: Any,
) -> bool:
    """Answer for a file, show it, and write ``report.html`` and ``results.csv``.

    Ctrl-C ends it early; the splits that are done by then are kept in ``results.csv``.

    Parameters
    ----------
    file : str or path-like
        The table; see :func:`~.reading.read_table`.
    roles : Roles
        Which column is what.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    save : Path, default=None
        Where to write the model that is fitted on all rows.
    n_jobs : int, default=1
        Number of processes.
    console : rich Console, default=None
        Where to print.
    **settings
        As in :func:`~.comparing.compare_table`.

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
    frame = read_table(file, text=[name for name in (roles.id, roles.groups) if name])
    job = plan(frame, roles, **settings)
    del frame
    if save is not None:
        check_writable(save)
    folder = output or Path(time.strftime("mixup-tab-compare-%Y%m%d-%H%M%S"))
    check_writable(folder / "results.csv")
    outcomes = _collect(job, n_jobs, console)
    if not outcomes:
        console.print("Stopped before the first split was done.")
        return False
    comparison = job.conclude(outcomes)
    write_whole(folder / "results.csv", comparison.results.to_csv(index=False).encode())
    if len(outcomes) < len(job.splits):
        console.print(
            f"Stopped after {len(outcomes)} of {len(job.splits)} splits; they are in "
            f"{folder / 'results.csv'}.",
            soft_wrap=True,
        )
        return False
    _show(comparison, console)
    page = make_page(comparison, f"Does mixup help on {Path(file).name}?", _facts(job, roles))
    console.print(f"Report: {page.write(folder)}", soft_wrap=True, highlight=False)
    return save is None or _save(job, save, n_jobs, console)


def _collect(job: Job, n_jobs: int, console: Console) -> list[Outcome]:
    """Run the splits; Ctrl-C ends the waiting."""
    outcomes: list[Outcome] = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        waiting = bar.add_task("Splits", total=len(job.splits))
        results = job.outcomes(n_jobs)
        try:
            for outcome in results:
                outcomes.append(outcome)
                bar.advance(waiting)
        except KeyboardInterrupt:
            results.close()
    return outcomes


def _show(comparison: Comparison, console: Console) -> None:
    console.print(comparison.verdict.sentence, style="bold", highlight=False)
    console.print(terminal_table(comparison))
    for note in comparison.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)


def _save(job: Job, path: Path, n_jobs: int, console: Console) -> bool:
    try:
        with console.status(f"Fitting on all {len(job.whole.y):,} rows …"):
            pipeline, alpha = job.refit(n_jobs)
            save_model(path, pipeline, Card.of(job.whole, alpha))
    except KeyboardInterrupt:
        console.print(f"Stopped; {path} was not written.", soft_wrap=True, markup=False)
        return False
    what = f"α = {alpha:g}" if alpha else "plain training (α = 0)"
    console.print(
        f"Model with {what}, fitted on all {len(job.whole.y):,} rows: {path}",
        soft_wrap=True,
        highlight=False,
    )
    return True


def _facts(job: Job, roles: Roles) -> dict[str, str]:
    question, splits = job.question, job.splits
    repeats, folds = splits[-1].repeat + 1, splits[-1].fold + 1
    shape = f"{len(question.y):,} rows, {question.X.shape[1]:,} columns"
    facts = {"table": shape, "target": roles.target}
    if question.classifies:
        facts["task"] = f"classification, {len(question.classes)} classes"
        facts["mixing"] = "half of the examples by mixup, half by swapped columns (CutMix)"
    else:
        facts["task"] = "regression"
        facts["mixing"] = "mixup"
    facts["folds"] = f"{folds} × {repeats} repeat{'s' * (repeats > 1)}"
    for role in ("id", "groups", "time"):
        if getattr(roles, role) is not None:
            facts[role] = getattr(roles, role)
    if roles.drop:
        facts["left out"] = ", ".join(roles.drop)
    facts |= {"seed": str(job.setting.seed), "device": job.setting.device}
    return facts | {"versions": _versions(_PACKAGES)}


def _versions(packages: Sequence[str]) -> str:
    return ", ".join(f"{name} {metadata.version(name)}" for name in packages)
