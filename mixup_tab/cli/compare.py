"""``mixup-tab compare`` and ``mixup-tab predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

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
        Literal["auto", "classification", "regression"],
        typer.Option(help="What the target is; 'auto' looks at it."),
    ] = "auto",
    decimal: Annotated[
        Literal[".", ","] | None,
        typer.Option(help="Decimal mark where numbers like 1,234 leave it open."),
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
    alpha: Annotated[
        list[str] | None,
        typer.Option(help="α to choose from, one or more with commas \\[0.3,1]."),
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
    device: Annotated[str, typer.Option(help="Where the nets run.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of folds and nets.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html and results.csv \\[named after the table]; an "
            "unfinished run in it is resumed."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
    size_limit: Annotated[
        str, typer.Option(help="What a packed file may unpack to, such as 500MB or 2GB.")
    ] = "4GB",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the answer and the places.")
    ] = False,
) -> None:
    """Does mixup help on your table, and is boosting better? In words, and as a report page.

    If stopped or killed, the same command resumes.
    """
    with errors_in_plain_words():
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
            quiet=quiet,
        )
    if not finished:
        raise typer.Exit(130)


def predict(
    model: Annotated[Path, typer.Argument(help="A file that compare --save wrote.")],
    file: Annotated[
        Path, typer.Argument(help="A table with the columns that the model was fitted on.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="CSV to write [<FILE>-predictions.csv, here].")
    ] = None,
    size_limit: Annotated[
        str,
        typer.Option(help="Largest size of the model's file; above 4 GB also of the table."),
    ] = "1GB",
) -> None:
    """Write a saved model's predictions for a table, with probabilities."""
    with errors_in_plain_words():
        from mixup_tab._files import check_writable, write_whole
        from mixup_tab.compare.saving import predict_file

        output = output or Path(f"{file.name.partition('.')[0]}-predictions.csv")
        for given in (model, file):
            if given.exists() and output.exists() and output.samefile(given):
                raise ValueError(f"output={str(output)!r} would replace what is read.")
        check_writable(output)
        predictions = predict_file(model, file, size_limit=size(size_limit))
        text = predictions.frame.to_csv(index=False)
        write_whole(output, text.encode(errors="backslashreplace"))
    for note in predictions.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{len(predictions.frame):,} predictions: {output}")
