"""``mixup-tab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import listed, number, size


def compare(
    file: options.TableFile,
    target: options.Target,
    id: options.Id = None,
    drop: options.Drop = None,
    task: options.Task = "auto",
    decimal: options.Decimal = None,
    groups: Annotated[
        str | None, typer.Option(help="Column; rows of equal value stay in the same fold.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates: test rows come after training rows.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[
        int | None,
        typer.Option(help="Times that the folds are redrawn [2; 1 beyond 10,000 rows]."),
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(help="α to choose from, one or more with commas [0.3,1]."),
    ] = None,
    best: Annotated[
        bool,
        typer.Option("--best", help="Compare the ensemble too, and save it with --save."),
    ] = False,
    max_rows: Annotated[
        int,
        typer.Option(help="Larger tables are sampled down to this number of rows."),
    ] = 20_000,
    save: Annotated[
        Path | None, typer.Option(help="File for the model, fitted on all rows.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --save replace a model.")] = False,
    device: options.Device = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of folds and nets.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html and results.csv [named after the table]; an "
            "unfinished run in it is resumed."
        ),
    ] = None,
    jobs: options.Jobs = -1,
    size_limit: options.TableSize = "4GB",
) -> None:
    """Does mixup help on your table, and is boosting better? In words, and as a report page.

    If stopped or killed, the same command resumes.
    """
    values = [number(text) for text in listed(alpha)]
    chosen: dict[str, Any] = {"alphas": values} if values else {}
    from mixup_tab.compare.columns import Columns
    from mixup_tab.compare.run import run

    finished = run(
        file,
        Columns(target, id, tuple(drop or ()), groups, time),
        task=task,
        decimal=decimal,
        folds=folds,
        repeats=repeats,
        **chosen,
        max_rows=max_rows,
        seed=seed,
        device=device,
        best=best,
        output=output,
        save=save,
        overwrite=force,
        n_jobs=jobs,
        size_limit=size(size_limit),
    )
    if not finished:
        raise typer.Exit(130)
