"""``mixup-tab train``, ``predict``, ``evaluate`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import listed, number, size

ModelFile = Annotated[Path, typer.Argument(help="A model from train or compare --save.")]


def train(
    file: options.TableFile,
    target: options.Target,
    output: Annotated[
        Path, typer.Option(help="Where to save the model; a card goes beside it.")
    ],
    id: options.Id = None,
    drop: options.Drop = None,
    groups: Annotated[
        str | None, typer.Option(help="Column; rows of equal value are left out together.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates: the last rows are left out.")
    ] = None,
    task: options.Task = "auto",
    decimal: options.Decimal = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(
            help="α of mixup; 0 is plain training. With auto or several values (with commas), "
            "cross-validation chooses [the estimator's default]."
        ),
    ] = None,
    best: Annotated[
        bool, typer.Option("--best", help="Fit an ensemble: better, and slower.")
    ] = False,
    quantiles: Annotated[
        list[str] | None,
        typer.Option(help="Quantiles to predict, not the mean, with commas: 0.1,0.5,0.9."),
    ] = None,
    validation_fraction: Annotated[
        float,
        typer.Option(help="Share of rows left out to measure the model; 0 skips that."),
    ] = 0.2,
    device: options.Device = "cpu",
    seed: options.Seed = 0,
    jobs: options.Jobs = 1,
    force: options.Force = False,
    size_limit: options.TableSize = "4GB",
) -> None:
    """Fit a model on a table, say how good it is, and save it.

    It is measured on rows left out, then fitted on all of them.
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
        str, typer.Argument(help="A table with the model's columns; - reads CSV from a pipe.")
    ],
    output: Annotated[
        str | None,
        typer.Option(help="CSV to write; - is standard output [FILE-predictions.csv]."),
    ] = None,
    on_error: options.OnError = "raise",
    device: options.Device = "cpu",
    force: options.Force = False,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write a model's predictions for a table, with probabilities.

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
        str, typer.Argument(help="A table with the target; - reads CSV from a pipe.")
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
    """Say how good a model is on a table that has the target."""
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
        Path, typer.Argument(help="A model from train, compare --save or speech train.")
    ],
    file: Annotated[Path, typer.Argument(help="ONNX file to write.")],
    force: options.Force = False,
    size_limit: options.ModelSize = "1GB",
) -> None:
    """Write a model as ONNX, which runs without Python."""
    from mixup_tab._files import check_new_beside
    from mixup_tab._terminal import print_note
    from mixup_tab.persistence import read_model

    check_new_beside(file, force, model)
    stored = read_model(model, size_limit=size(size_limit))
    from mixup_tab.persistence import export_onnx

    export_onnx(
        stored.load(), file, labels=stored.about.get("classes") or None, overwrite=force
    )
    print_note(f"Written: {file}")
