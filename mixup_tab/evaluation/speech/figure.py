"""Figure 4 of the mixup paper: LeNet and VGG-11 on spoken words, ERM and mixup."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.pipeline import Pipeline

from mixup_tab._terminal import ProgressBar
from mixup_tab.audio.train import LabelledClips, fit, read_rows
from mixup_tab.evaluation.run_folder import RunFolder
from mixup_tab.evaluation.runs import Outcome, Task
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.speech.figure_plan import PARTS, FigurePlan, Fit
from mixup_tab.metrics import calibration_bins, classification_scores


def carry_out_figure(
    plan: FigurePlan,
    *,
    output: Path | None = None,
    n_jobs: int | None = None,
    console: Console | None = None,
) -> Session:
    """Train what a plan holds and a folder lacks, one net after the other.

    Every epoch is written down. Stopped by Ctrl-C or killed, the same call with the same
    folder goes on in the middle of a training.

    Parameters
    ----------
    plan : FigurePlan
        What to do.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=None
        Threads that read.
    console : rich Console, default=None
        Where to show progress.

    Returns
    -------
    Session

    Raises
    ------
    ValueError
        If the folder holds another run, or clips cannot be read.
    OSError
        If the folder cannot be written to.
    """
    console = console or Console()
    folder = RunFolder(output, plan, {"jobs": n_jobs})  # its identity is all it asks for
    done, finished = folder.done(), False
    left = [one for one in plan.fits() if any(t.key not in done for t in plan.tasks([one]))]
    try:
        if left:
            clips = _read(plan, left[0], n_jobs, console)
        for count, one in enumerate(left, 1):
            what = f"{one.method}, seed {one.seed} ({count} of {len(left)})"
            _train(plan, one, clips, folder, console, what)
        finished = True
    except KeyboardInterrupt:
        pass
    finally:
        folder.close(finished, plan.tasks(), [])
    return Session(folder, _planned(plan, folder), folder.reliability(), finished)


def _planned(plan: FigurePlan, folder: RunFolder) -> pd.DataFrame:
    results = folder.results()
    return results[results["method"].isin({one.method for one in plan.fits()})]


def _read(
    plan: FigurePlan, one: Fit, n_jobs: int | None, console: Console
) -> dict[str, LabelledClips]:
    pipeline = plan.pipeline(one)
    with ProgressBar("Reading", len(plan.folder.target), console=console) as bar:
        return {
            name: read_rows(
                plan.folder, getattr(plan.parts, name), pipeline, "raise", n_jobs, bar
            )
            for name in ("train", *PARTS)
        }


def _train(
    plan: FigurePlan,
    one: Fit,
    clips: dict[str, LabelledClips],
    folder: RunFolder,
    console: Console,
    what: str,
) -> None:
    """Train a net and write its two scores down."""
    pipeline = plan.pipeline(one)
    name = f"{one.net}-{one.alpha:g}-{one.seed}.checkpoint"
    fit(pipeline, clips["train"], clips["validation"], folder.path / name, console, what)
    done = folder.done()
    for task in plan.tasks([one]):
        if task.key not in done:
            folder.add(_scored(pipeline, task, one, clips))
    (folder.path / name).unlink(missing_ok=True)


def _scored(
    pipeline: Pipeline, task: Task, one: Fit, clips: dict[str, LabelledClips]
) -> Outcome:
    net, part = pipeline[-1], clips[task.protocol]
    started = time.perf_counter()
    proba = net.predict_proba(part.X)
    seconds = time.perf_counter() - started
    codes = np.searchsorted(net.classes_, part.y)
    scores = classification_scores(codes, proba)
    row = {
        **dict(zip(("protocol", "dataset", "method", "fold", "seed"), task, strict=False)),
        "n_train": len(clips["train"].y),
        "n_test": len(codes),
        "n_classes": len(net.classes_),
        "accuracy": 1 - scores["error"],
        **scores,
        "fit_seconds": sum(epoch["dur"] for epoch in net.net_.history),
        "predict_seconds": seconds,
        "alpha": f"{one.alpha:g}",
    }
    return Outcome(task, row, calibration_bins(codes, proba))
