"""``mixup-tab playground``: an interactive page of what mixup does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import listed, number


def playground(
    output: Annotated[Path, typer.Option(help="The page to write.")] = Path("playground.html"),
    table: Annotated[
        Path | None,
        typer.Option(
            help="A table: CSV, TSV, Parquet, Feather or JSON lines \\[two moons and circles]."
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Column of numbers, to the right.")] = None,
    y: Annotated[str | None, typer.Option(help="Column of numbers, upwards.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of classes, 2 to 10 of them.")
    ] = None,
    alphas: Annotated[
        list[str] | None,
        typer.Option(help="Values of α on the slider, with commas between \\[15, up to 32]."),
    ] = None,
    random_state: Annotated[
        int, typer.Option("--random-state", "--seed", help="Seed of data, nets and samples.")
    ] = 0,
) -> None:
    """Write a page on which a slider moves α: boundary, samples and calibration follow."""
    values = [number(text) for text in listed(alphas)]
    with errors_in_plain_words():
        from mixup_tab.playground import write_playground

        page = write_playground(
            output,
            table=table,
            x=x,
            y=y,
            target=target,
            **({"alphas": values} if values else {}),
            random_state=random_state,
        )
    typer.echo(f"Written: {page}. Open it in a browser; it works offline.")
