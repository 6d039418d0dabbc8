"""``mixup-tab benchmark robustness``: train, attack, sum up, show."""

from __future__ import annotations

import os
import platform
import signal
import time
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mixup_tab._terminal import terminal_table
from mixup_tab.evaluation.protocols.options import check_jobs
from mixup_tab.evaluation.robustness.plan import Job, RobustnessPlan
from mixup_tab.evaluation.robustness.report import (
    ATTACK_NOTE,
    CORRUPTION_FORMATS,
    CORRUPTION_NOTE,
    attack_formats,
    attack_table,
    corruption_table,
    make_page,
    summarize_attacks,
    summarize_corruption,
    verdict,
)
from mixup_tab.training.stopping import propagate_interrupt

PARTS = ("corruption", "curves", "adversarial")


def run(
    *,
    output: Path | None = None,
    n_jobs: int = -1,
    console: Console | None = None,
    **options: Any,
) -> bool:
    """Run the benchmark, show it, and write a report page with the rows as CSV beside it.

    Ctrl-C ends it early; of what is done by then the rows are written, and splits that all
    methods have are shown.

    Parameters
    ----------
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=-1
        Number of processes; -1 is one per core.
    console : rich Console, default=None
        Where to print.
    **options
        As in :meth:`~mixup_tab.evaluation.robustness.plan.RobustnessPlan.make`.

    Returns
    -------
    bool
        Whether everything was done.

    Raises
    ------
    ValueError
        For options that are not right, or a folder with the results of another run.
    OSError
        If the folder cannot be written to.
    """
    console = console or Console()
    check_jobs(n_jobs)
    with console.status("Reading tables …"):
        plan = RobustnessPlan.make(**options)
    folder = _new_folder(output)
    started = time.time()
    finished = _carry_out(plan, n_jobs, folder, console)
    frames = read_rows(folder)
    if not finished:
        frames = whole_splits(frames)
    if set(frames) == set(PARTS):
        _show(plan, frames, folder, time.time() - started, console)
    if not finished:
        console.print("[yellow]Stopped before the end; what was done by then is written.[/]")
    console.print(f"Results: {folder}", soft_wrap=True, highlight=False, markup=False)
    return finished


def _new_folder(output: Path | None) -> Path:
    name = time.strftime("mixup-tab-benchmark-robustness-%Y%m%d-%H%M%S")
    folder = Path(name) if output is None else Path(output)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output={str(folder)!r} is a file. Give a folder.")
    if any((folder / f"{part}.csv").exists() for part in PARTS):
        raise ValueError(
            f"output={str(folder)!r} holds the results of another run. Give another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _carry_out(plan: RobustnessPlan, n_jobs: int, folder: Path, console: Console) -> bool:
    """Do all jobs and write down their rows as they come; return whether all was done."""
    jobs = plan.jobs()
    columns = (TextColumn("Training"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator", batch_size=1)
    outcomes = pool(joblib.delayed(_perform)(plan, job, os.getpid()) for job in jobs)
    with bar:
        progress = bar.add_task("", total=len(jobs))
        try:
            for outcome in outcomes:
                for name, frame in outcome.items():
                    _append(folder / f"{name}.csv", frame)
                bar.advance(progress)
        except KeyboardInterrupt:
            outcomes.close()
            return False
    return True


def _perform(plan: RobustnessPlan, job: Job, parent: int) -> dict[str, pd.DataFrame]:
    """Do a job; in a process of its own leave Ctrl-C to the parent, who ends it."""
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with warnings.catch_warnings(), propagate_interrupt():
        warnings.simplefilter("ignore")  # it would tear the progress bar
        return plan.perform(job)


def _append(path: Path, frame: pd.DataFrame) -> None:
    text = frame.to_csv(index=False, header=not path.exists(), lineterminator="\n")
    with path.open("ab") as file:
        file.write(text.encode())


def read_rows(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the rows that a run has written.

    Parameters
    ----------
    folder : Path
        Its folder.

    Returns
    -------
    dict of str to DataFrame
        Of "corruption", "curves" and "adversarial" those that are there.
    """
    paths = {name: folder / f"{name}.csv" for name in PARTS}
    return {name: pd.read_csv(path) for name, path in paths.items() if path.exists()}


def whole_splits(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the rows without the last split, which some methods lack, if there are others.

    Parameters
    ----------
    frames : dict of str to DataFrame
        Rows of a run that was stopped, by part.

    Returns
    -------
    dict of str to DataFrame
        Means over splits are of the same splits for every method.
    """
    last = max((frame["repeat"].max() for frame in frames.values()), default=0)
    if last == 0:
        return frames
    return {name: frame[frame["repeat"] < last] for name, frame in frames.items()}


def _show(
    plan: RobustnessPlan,
    frames: dict[str, pd.DataFrame],
    folder: Path,
    seconds: float,
    console: Console,
) -> None:
    corruption = summarize_corruption(frames["corruption"])
    attacks = summarize_attacks(frames["adversarial"])
    facts = _facts(plan, frames["corruption"]["repeat"].nunique(), seconds)
    written = make_page(frames, corruption, attacks, facts).write(folder)
    wrong, attacked = corruption_table(corruption), attack_table(attacks)
    for title, table, formats, note in (
        ("Wrong labels", wrong, CORRUPTION_FORMATS, CORRUPTION_NOTE),
        ("Adversarial examples", attacked, attack_formats(attacked), ATTACK_NOTE),
    ):
        for dataset, part in table.groupby("dataset", sort=False):  # eighty columns must do
            part = part.drop(columns="dataset")
            console.print(terminal_table(part, formats, f"{title}: {dataset}"))
        console.print(note, highlight=False, markup=False)
    for sentence in verdict(corruption, attacks):
        console.print(sentence, highlight=False, markup=False)
    console.print(f"Report: {written}", soft_wrap=True, highlight=False, markup=False)


def _facts(plan: RobustnessPlan, repeats: int, seconds: float) -> dict[str, Any]:
    packages = ("mixup-tab", "torch", "numpy", "scikit-learn", "skorch")
    return {
        "tables": ", ".join(plan.datasets),
        "repeats": repeats,
        "epochs": plan.epochs,
        "seed": plan.seed,
        "device": plan.device,
        "machine": platform.platform(),
        "minutes": f"{seconds / 60:.1f}",
        "versions": ", ".join(f"{name} {metadata.version(name)}" for name in packages),
    }
