"""``mixup-tab predict``: a saved model on a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import size

OnError = Annotated[
    Literal["raise", "skip"],
    typer.Option(
        help="Cells and rows that cannot be read: end with an error, or list them, take "
        "such cells as empty and leave such rows out."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
SizeLimit = Annotated[
    str, typer.Option(help="Largest size of the model's file, such as 500MB or 2GB.")
]


def predict(
    model: Annotated[Path, typer.Argument(help="A file that train or compare --save wrote.")],
    file: Annotated[
        str, typer.Argument(help="A table with the model's columns; - reads CSV from a pipe.")
    ],
    output: Annotated[
        str | None,
        typer.Option(help="CSV to write; - is standard output \\[FILE-predictions.csv]."),
    ] = None,
    on_error: OnError = "raise",
    force: Force = False,
    size_limit: SizeLimit = "1GB",
) -> None:
    """Write a saved model's predictions for a table, with probabilities.

    Files may be larger than memory.
    """
    with errors_in_plain_words():
        from mixup_tab.compare.predict import predict_to

        predict_to(
            model,
            file,
            output,
            overwrite=force,
            on_error=on_error,
            size_limit=size(size_limit),
        )
