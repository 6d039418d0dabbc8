"""``mixup-tab playground``."""

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
            help="Table: CSV, TSV, Parquet, Feather or JSON lines [two moons and circles]."
        ),
    ] = None,
    x: Annotated[str | None, typer.Option(help="Numeric column, horizontal axis.")] = None,
    y: Annotated[str | None, typer.Option(help="Numeric column, vertical axis.")] = None,
    target: Annotated[str | None, typer.Option(help="Column with 2 to 10 classes.")] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBERS", help="Values of α on the slider [7 values up to 16]."),
    ] = None,
    seed: options.Seed = 0,
) -> None:
    """Write an interactive page that shows what mixup does.

    Controls set α, mixup or CutMix, noise and the number of rows; the page shows the decision
    boundary, mixed examples and calibration, and says whether mixing helps.
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
    typer.echo(f"Wrote {page}. Open it in a browser; it works offline.")
