"""``mixup-tab train``, ``predict``, ``evaluate`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import listed, number, size

ModelFile = Annotated[Path, typer.Argument(help="Model saved by train or compare --save.")]


def train(
    file: options.TableFile,
    target: options.Target,
    output: Annotated[
        Path, typer.Option(help="File for the model; a model card is written beside it.")
    ],
    id: options.Id = None,
    drop: options.Drop = None,
    groups: Annotated[
        str | None, typer.Option(help="Column of groups; a group is held out as a whole.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates; the latest rows are held out.")
    ] = None,
    task: options.Task = "auto",
    decimal: options.Decimal = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBERS",
            help="α of mixup; 0 is plain training. Several (0,0.3,1) or auto: chosen by "
            "cross-validation [the estimator's default].",
        ),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Fit an ensemble: more accurate, but slower.")
    ] = False,
    quantiles: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBERS", help="Predict quantiles instead of the mean: 0.1,0.5,0.9."
        ),
    ] = None,
    validation_fraction: Annotated[
        float,
        typer.Option(help="Fraction of rows held out to evaluate the model; 0 skips this."),
    ] = 0.2,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    jobs: options.Jobs = 1,
    force: options.Force = False,
    size_limit: options.TableSize = "4GB",
) -> None:
    """Fit a model to a table, evaluate it and save it.

    A first model is evaluated on held-out rows; the saved one is fitted on all rows.
    """
    from mixup_tab.compare.columns import Columns
    from mixup_tab.compare.train import train

    train(
        file,
        Columns(target, id, tuple(drop or ()), groups, time),
        output,
        task=task,
        decimal=decimal,
        alpha="auto" if listed(alpha) == ["auto"] else [*map(number, listed(alpha))],
        best=best,
        quantiles=[number(text, "quantiles") for text in listed(quantiles)],
        validation_fraction=validation_fraction,
        device=device,
        seed=seed,
        n_jobs=jobs,
        overwrite=force,
        size_limit=size(size_limit),
    )


def predict(
    model: ModelFile,
    file: Annotated[
        str, typer.Argument(help="Table with the model's columns; - is CSV on standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(help="CSV file to write; - is standard output [FILE-predictions.csv]."),
    ] = None,
    on_error: options.OnError = "raise",
    device: options.Device = "cpu",
    force: options.Force = False,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write predictions and probabilities for a table as CSV.

    The table may be larger than memory.
    """
    from mixup_tab.compare.predict import predict_to

    predict_to(
        model,
        file,
        output,
        overwrite=force,
        on_error=on_error,
        device=device,
        size_limit=size(size_limit),
    )


def evaluate(
    model: ModelFile,
    file: Annotated[
        str, typer.Argument(help="Table with the target; - is CSV on standard input.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write the scores to this .csv or .json file.")
    ] = None,
    decimal: options.Decimal = None,
    on_error: options.OnError = "raise",
    device: options.Device = "cpu",
    force: options.Force = False,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Score a model on a table that has the target."""
    from mixup_tab.compare.evaluate import evaluate

    evaluate(
        model,
        file,
        output=output,
        overwrite=force,
        decimal=decimal,
        on_error=on_error,
        device=device,
        size_limit=size(size_limit),
    )


def export(
    model: Annotated[
        Path, typer.Argument(help="Model saved by train, compare --save or speech train.")
    ],
    file: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    force: options.Force = False,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Export a model to ONNX, which runs without Python."""
    from mixup_tab._files import check_new_beside
    from mixup_tab._terminal import print_note
    from mixup_tab.persistence import read_model

    check_new_beside(file, force, model)
    stored = read_model(model, size_limit=size(size_limit))
    from mixup_tab.persistence import export_onnx

    export_onnx(
        stored.load(), file, labels=stored.about.get("classes") or None, overwrite=force
    )
    print_note(f"Wrote {file}")
