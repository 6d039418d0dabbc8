"""One sitting of a benchmark: what is left to do is done, and shown on a bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from joblib.externals.loky.process_executor import TerminatedWorkerError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mixup_tab.evaluation.run_folder import RunFolder
from mixup_tab.evaluation.runs import Outcome, Plan, Task, execute


@dataclass
class Session:
    """What a run has come to.

    Attributes
    ----------
    folder : RunFolder
        Where it is written down.
    results, reliability : DataFrame
        All rows of the planned tasks, also those of earlier sessions, in the order of the plan.
    finished : bool
        Whether nothing was left to do; a task that failed counts as done.
    failures : list of Outcome
        What failed now.
    """

    folder: RunFolder
    results: pd.DataFrame
    reliability: pd.DataFrame
    finished: bool
    failures: list[Outcome] = field(default_factory=list)


def carry_out(
    plan: Plan,
    *,
    output: Path | None = None,
    n_jobs: int = 1,
    console: Console | None = None,
    **settings: Any,
) -> Session:
    """Do what a plan holds and a folder lacks.

    Ctrl-C ends it early; what is done by then is kept, and the same call goes on.

    Parameters
    ----------
    plan : Plan
        What to do.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=1
        Number of processes; -1 is one per core.
    console : rich Console, default=None
        Where to show progress.
    **settings
        What else ``run.json`` should tell.

    Returns
    -------
    Session

    Raises
    ------
    ValueError
        If the folder holds another run.
    OSError
        If the folder cannot be written to, or a process was killed.
    """
    tasks = plan.tasks()
    folder = RunFolder(output, plan, {**settings, "jobs": n_jobs})
    done = folder.done()
    left = [task for task in tasks if task.key not in done]
    failures: list[Outcome] = []
    finished = False
    try:
        finished = _collect(plan, left, n_jobs, folder, failures, console or Console())
    finally:
        folder.close(finished, tasks, failures)
    return Session(
        folder,
        _planned(folder.results(), tasks),
        _planned(folder.reliability(), tasks),
        finished,
        failures,
    )


def _collect(
    plan: Plan,
    tasks: Sequence[Task],
    n_jobs: int,
    folder: RunFolder,
    failures: list[Outcome],
    console: Console,
) -> bool:
    """Write outcomes to the folder as they come; Ctrl-C ends the waiting."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    outcomes = execute(plan, tasks, n_jobs)
    with bar:
        job = bar.add_task("Training", total=len(tasks))
        try:
            for outcome in outcomes:
                if outcome.error is None:
                    folder.add(outcome)
                else:
                    failures.append(outcome)
                bar.advance(job)
        except KeyboardInterrupt:
            outcomes.close()
            return False
        except TerminatedWorkerError as error:
            raise OSError(
                "A process was killed, most likely for want of memory. What is done is kept: "
                f"run it again with --output {folder.path} and fewer --jobs."
            ) from error
    return True


def _planned(rows: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Put rows in the order of the plan; those of tasks outside of it are left out."""
    place = {task.key: k for k, task in enumerate(tasks)}
    keys = zip(*(rows[name] for name in ("protocol", "dataset", "method", "fold")), strict=True)
    places = pd.Series([place.get(key, -1) for key in keys], index=rows.index, dtype=int)
    order = places[places >= 0].sort_values(kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def failure_lines(failures: Sequence[Outcome]) -> list[str]:
    """Say by name what failed and why, one line per method and table.

    Parameters
    ----------
    failures : sequence of Outcome
        What failed.

    Returns
    -------
    list of str
    """
    counts: dict[tuple[str, str], list[Outcome]] = {}
    for failed in failures:
        counts.setdefault((failed.task.method, failed.task.dataset), []).append(failed)
    return [
        f"{method} failed on {dataset} ({len(failed)} ×): {failed[0].error}"
        for (method, dataset), failed in counts.items()
    ]
