"""``mixup-tab compare``: progress, verdicts, report."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from mixup_tab._files import write_whole
from mixup_tab._resumable import Journal, check_n_jobs, digest, open_journal, plain
from mixup_tab._terminal import VERBOSITY, ProgressBar, make_console
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.comparison import Comparison, Experiment, set_up
from mixup_tab.compare.fitting import LIGHTGBM, MIXUP, PLAIN, SplitResult
from mixup_tab.compare.progress import watched
from mixup_tab.compare.reading import SIZE_LIMIT, read_table
from mixup_tab.compare.report import summary_table, write_report
from mixup_tab.compare.saving import save_model
from mixup_tab.persistence.model_file import check_output

_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skrub", "pandas", "numpy")


def run(
    file: str | os.PathLike,
    columns: Columns,
    *,
    output: Path | None = None,
    save: Path | None = None,
    overwrite: bool = False,
    n_jobs: int = 1,
    size_limit: float = SIZE_LIMIT,
    console: Console | None = None,
    **settings: Any,
) -> bool:
    """Compare methods on a file, print verdicts, write ``report.html`` and ``results.csv``.

    Finished splits are kept in the folder's ``finished.jsonl``. After Ctrl-C or a kill, the
    same call resumes and ends with the same results.

    Parameters
    ----------
    file : str or path-like
        The table; see :func:`~.reading.read_table`.
    columns : Columns
        Roles of its columns.
    output : Path, default=None
        Folder for the files; None is one below the current folder, named after the table and a
        hash of its contents and all settings.
    save : Path, default=None
        File for a model fitted on all rows: a net, or an ensemble with ``best=True``.
    overwrite : bool, default=False
        Whether ``save`` may replace an existing model.
    n_jobs : int, default=1
        Number of processes.
    size_limit : float, default=4e9
        Maximum size of the table; see :func:`~.reading.read_table`.
    console : rich Console, default=None
        Where to print; None is standard output.
    **settings
        As in :func:`~.comparison.compare_table`.

    Returns
    -------
    bool
        False if it was stopped by Ctrl-C.

    Raises
    ------
    ValueError
        As :func:`~.comparison.compare_table`; or if ``save`` exists, or the folder holds the
        results of another comparison or is in use.
    """
    console = console or make_console()
    check_n_jobs(n_jobs)
    if save is not None:
        check_output(save, overwrite)
    as_written = [name for name in (columns.target, columns.id, columns.groups) if name]
    text = "all" if settings.get("decimal") else as_written
    frame = read_table(file, text=text, size_limit=size_limit)
    experiment = set_up(frame, columns, **settings)
    del frame
    identity = _identity(experiment, Path(file), settings)
    folder = output or _usual_folder(Path(file), identity)
    with open_journal(folder, identity) as journal:
        parts = _collect(experiment, journal, n_jobs, console)
        if not parts:
            console.print("Stopped before the first split was finished.")
            return False
        comparison = experiment.conclude(parts)
        write_whole(folder / "results.csv", comparison.results.to_csv(index=False).encode())
        if len(parts) < len(experiment.splits):
            console.print(
                f"Stopped after {len(parts)} of {len(experiment.splits)} splits; they are in "
                f"{folder / 'results.csv'}. Run the same command to resume.",
                soft_wrap=True,
            )
            return False
        title = f"Does mixup help on {Path(file).name}?"
        page = write_report(comparison, folder, title, _facts(experiment))
        _show(comparison, console)
        console.print(f"Report: {page}", soft_wrap=True)
        return save is None or _save(experiment, save, n_jobs, console)


def _identity(experiment: Experiment, file: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same for a comparison to be resumed."""
    task, last = experiment.task, experiment.splits[-1]
    with file.open("rb") as content:
        table = hashlib.file_digest(content, "sha256").hexdigest()
    kind = "classification" if task.is_classification else "regression"
    shape = {"folds": last.fold + 1, "repeats": last.repeat + 1, "rows": len(task.y)}
    used = {**task.columns._asdict(), "task": kind, **shape, **experiment.setting._asdict()}
    versions = _versions(experiment.setting.boosting)
    return plain({"table": table, **given, **used, "versions": versions})


def _usual_folder(file: Path, identity: dict[str, Any]) -> Path:
    """Return the default folder, the same for the same comparison."""
    return Path(f"mixup-tab-compare-{file.name.partition('.')[0]}-{digest(identity)[:8]}")


def _collect(
    experiment: Experiment, journal: Journal, n_jobs: int, console: Console
) -> list[SplitResult]:
    """Run the splits that are not in the journal, until done or Ctrl-C."""
    splits = experiment.splits
    left = [split for split in splits if _key(split.repeat, split.fold) not in journal.finished]
    done = len(splits) - len(left)
    if done and VERBOSITY.get() >= 0:
        console.print(f"Resuming: {done} of {len(splits)} splits are done.")
    progress = journal.path.with_name(f".mixup-tab.{os.getpid()}.progress")
    with (
        suppress(KeyboardInterrupt),
        ProgressBar("split", len(splits), done=done, console=console) as bar,
        watched(progress, lambda counted: bar.update(done + counted)),
        closing(experiment.run(n_jobs, left, progress)) as results,
    ):
        for part in results:
            first = part.rows[0]
            journal.add(_key(first["repeat"], first["fold"]), _to_json(part))
            place = f"split {len(journal.finished)} of {len(splits)}"
            bar.update(len(journal.finished), remark=f"{place}: {_remark(part)}")
    return [_from_json(kept) for kept in journal.finished.values()]


def _key(repeat: int, fold: int) -> str:
    return f"repeat {repeat}, fold {fold}"


def _to_json(part: SplitResult) -> dict[str, Any]:
    bins = {method: frame.to_dict("list") for method, frame in part.bins.items()}
    curve, warnings = list(part.curve.items()), sorted(part.warnings)
    return {"rows": part.rows, "curve": curve, "bins": bins, "warnings": warnings}


def _from_json(kept: dict[str, Any]) -> SplitResult:
    bins = {method: pd.DataFrame(columns) for method, columns in kept["bins"].items()}
    return SplitResult(kept["rows"], dict(kept["curve"]), bins, set(kept["warnings"]))


def _remark(part: SplitResult) -> str:
    """Return the main scores of a split."""
    rows = {row["method"]: row for row in part.rows}
    plain, mixup = rows[PLAIN], rows[MIXUP]
    if "rmse" in plain:
        return f"RMSE {plain['rmse']:.4g}, with mixup {mixup['rmse']:.4g}"
    return (
        f"log-loss {plain['log_loss']:.3f}, with mixup {mixup['log_loss']:.3f}; "
        f"error {100 * plain['error']:.1f} %, {100 * mixup['error']:.1f} %"
    )


def _show(comparison: Comparison, console: Console) -> None:
    for sentence in comparison.sentences:
        console.print(sentence, style="bold")
    if VERBOSITY.get() < 0:
        return
    console.print(summary_table(comparison))
    for note in comparison.notes:
        console.print(f"Note: {note}")


def _save(experiment: Experiment, path: Path, n_jobs: int, console: Console) -> bool:
    whole = experiment.whole
    try:
        with console.status(f"Fitting on all {len(whole.y):,} rows …"):
            pipeline, alpha = experiment.refit(n_jobs)
            save_model(path, pipeline, whole, alpha or 0.0)
    except KeyboardInterrupt:
        console.print(f"Stopped; {path} was not written.", soft_wrap=True)
        return False
    what = f"Net with α = {alpha:g}" if alpha else "Net with plain training (α = 0)"
    what = "Ensemble" if alpha is None else what
    console.print(f"{what}, fitted on all {len(whole.y):,} rows: {path}", soft_wrap=True)
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
    return facts | {
        "seed": str(setting.seed),
        "device": setting.device,
        "versions": _versions(setting.boosting),
    }


def _versions(boosting: str) -> str:
    packages = [*_PACKAGES, "lightgbm"] if boosting == LIGHTGBM else _PACKAGES
    return ", ".join(f"{name} {metadata.version(name)}" for name in packages)
