"""``mixup-tab playground``: an interactive page that shows what mixup does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import listed, number


def playground(
    output: Annotated[Path, typer.Option(help="Page to write.")] = Path("playground.html"),
    table: Annotated[
        Path | None,
        typer.Option(
            help="A table: CSV, TSV, Parquet, Feather or JSON lines [two moons and circles]."
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Column of numbers, horizontal.")] = None,
    y: Annotated[str | None, typer.Option(help="Column of numbers, vertical.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of classes, 2 to 10 of them.")
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(help="α on the slider, one or more with commas [7, up to 16]."),
    ] = None,
    seed: options.Seed = 0,
) -> None:
    """Write a page that shows what mixup does.

    It has a slider for α, and switches for mixup or CutMix, noise and the number of rows. It
    shows the boundary, mixed examples and calibration, and says whether mixing helps.
    """
    values = [*map(number, listed(alpha))]
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
