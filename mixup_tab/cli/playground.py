"""``mixup-tab playground``: an interactive page that shows what mixup does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import listed, number


def playground(
    output: Annotated[Path, typer.Option(help="Page to write.")] = Path("playground.html"),
    table: Annotated[
        Path | None,
        typer.Option(
            help="A table: CSV, TSV, Parquet, Feather or JSON lines \\[two moons and circles]."
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Column of numbers, horizontal.")] = None,
    y: Annotated[str | None, typer.Option(help="Column of numbers, vertical.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of classes, 2 to 10 of them.")
    ] = None,
    alphas: Annotated[
        list[str] | None,
        typer.Option(help="Values of α on the slider, separated by commas \\[15, up to 32]."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of data, nets and mixed examples.")] = 0,
) -> None:
    """Write a page with a slider for α that shows boundary, mixed examples and calibration."""
    with errors_in_plain_words():
        values = [number(text) for text in listed(alphas)]
        from mixup_tab.playground import write_playground

        page = write_playground(
            output,
            table=table,
            x=x,
            y=y,
            target=target,
            **({"alphas": values} if values else {}),
            random_state=seed,
        )
    typer.echo(f"Written: {page}. Open it in a browser; it works offline.")
