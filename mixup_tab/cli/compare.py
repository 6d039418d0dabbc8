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
        str | None, typer.Option(help="Column of groups; a group stays in one fold.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates; test rows come after training rows.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Cross-validation folds.")] = 5,
    repeats: Annotated[
        int | None,
        typer.Option(help="Repeats of the cross-validation [2; 1 above 10,000 rows]."),
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBERS", help="Values of α to choose from [0.3,1]."),
    ] = None,
    best: Annotated[
        bool,
        typer.Option("--best", help="Compare an ensemble too; --save saves it."),
    ] = False,
    max_rows: Annotated[
        int,
        typer.Option(help="Larger tables are subsampled to this many rows."),
    ] = 20_000,
    save: Annotated[
        Path | None, typer.Option(help="Fit a model on all rows and save it here.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --save overwrite a model.")
    ] = False,
    device: options.Device = "cpu",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
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
    """Compare mixup, plain training and boosting on your table.

    Prints which is better and by how much, and writes a report page. If it is stopped, run the
    same command to resume.
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
