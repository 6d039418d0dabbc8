"""``mixup-tab compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import listed, number, size


def compare(
    file: Annotated[
        Path, typer.Argument(help="A table: CSV, TSV, Parquet, Feather or JSON lines.")
    ],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    id: Annotated[
        str | None, typer.Option(help="Column that names the rows; not a feature.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; give it once for each.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="'classification' or 'regression'; 'auto' looks at the target.")
    ] = "auto",
    decimal: Annotated[
        str | None,
        typer.Option(help="Decimal mark, '.' or ',', where numbers like 1,234 leave it open."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Column whose equal values stay together in a fold.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates: test rows come after training rows.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[
        int | None,
        typer.Option(help="Times that the folds are drawn anew [2; 1 beyond 10,000 rows]."),
    ] = None,
    alphas: Annotated[
        list[str] | None,
        typer.Option(help="Values of α to choose from, separated by commas [0.3,1]."),
    ] = None,
    max_rows: Annotated[
        int,
        typer.Option(help="Larger tables are sampled down to this number of rows."),
    ] = 20_000,
    save: Annotated[
        Path | None, typer.Option(help="File for the model, fitted on all rows.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the nets run.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of folds and nets.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html and results.csv [named after the table]; an "
            "unfinished run in it is resumed."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
    size_limit: Annotated[
        str, typer.Option(help="What a packed file may unpack to, such as 500MB or 2GB.")
    ] = "4GB",
) -> None:
    """Say in a sentence whether mixup helps on your own table, and write a report page.

    If stopped or killed, the same command resumes.
    """
    with errors_in_plain_words():
        values = [number(text) for text in listed(alphas)]
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
            output=output,
            save=save,
            n_jobs=jobs,
            size_limit=size(size_limit),
        )
    if not finished:
        raise typer.Exit(130)
