"""``mixup-tab benchmark robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.values import listed


def robustness(
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            help="Tables of numbers with commas between; 'digits' is scikit-learn's "
            "\\[digits,statlog-image]."
        ),
    ] = None,
    data_home: Annotated[
        Path | None, typer.Option(help="Folder of data sets \\[downloads, kept for next time].")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random splits per table.")] = 5,
    epochs: Annotated[int, typer.Option(help="Epochs of every net.")] = 200,
    device: Annotated[str, typer.Option(help="Where nets run.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of splits, wrong labels and nets.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for report.html and the rows \\[a new one].")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
) -> None:
    """Train on wrong labels and attack with adversarial examples: mixup, ERM and dropout."""
    with errors_in_plain_words():
        from mixup_tab.evaluation.robustness.command import run

        finished = run(
            datasets=listed(datasets) or None,
            data_home=data_home,
            repeats=repeats,
            epochs=epochs,
            device=device,
            seed=seed,
            output=output,
            n_jobs=jobs,
        )
    if not finished:
        raise typer.Exit(130)
