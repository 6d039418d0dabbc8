"""``mixup-tab predict``: a saved model on a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import size


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
        from mixup_tab.compare.predict import predict_file

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
