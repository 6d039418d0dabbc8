"""``mixup-tab benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.robustness import robustness
from mixup_tab.cli.values import listed, number

benchmark_app = typer.Typer(invoke_without_command=True)
benchmark_app.command()(robustness)


@benchmark_app.callback()
def benchmark(
    context: typer.Context,
    datasets: Annotated[
        list[str] | None,
        typer.Option(help="Tables to use, separated by commas or given several times \\[all]."),
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(help="Values of α beside 0, separated by commas or given several times."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random splits per table.")] = 10,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="'paper' (the paper's setting) or 'default' (our defaults) \\[both]."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="'cpu', 'cuda', 'mps' or 'auto'. Nets this small like the CPU.")
    ] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of splits and methods.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for results.csv and results.png \\[a new one].")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
) -> None:
    """Compare plain training (ERM), mixup and scikit-learn's MLPClassifier on UCI tables."""
    if context.invoked_subcommand is not None:
        return
    from mixup_tab.evaluation import report
    from mixup_tab.evaluation.tables import BUNDLED

    with errors_in_plain_words():
        finished = report.run(
            listed(datasets) or list(BUNDLED),
            alphas=[number(text) for text in listed(alpha) or ["0.2"]],
            protocols=listed(protocol) or ["paper", "default"],
            repeats=repeats,
            seed=seed,
            device=device,
            n_jobs=jobs,
            output=output,
        )
    if not finished:
        raise typer.Exit(130)


@benchmark_app.command()
def speed(
    device: Annotated[str, typer.Option(help="Where our nets run.")] = "cpu",
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of every fit.")] = 3,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each side.")] = 5,
) -> None:
    """Measure how fast we are beside what you could take instead, on this machine."""
    from mixup_tab.evaluation import report

    with errors_in_plain_words():
        report.run_speed(device, epochs, pairs)


@benchmark_app.command()
def uci(
    protocol: Annotated[
        str,
        typer.Option(
            help="'paper', 'delgado', 'raw', 'ablation', 'variants' or 'calibration'; see the "
            "README."
        ),
    ],
    data_home: Annotated[
        Path | None, typer.Option(help="Folder of data sets \\[downloads, kept for next time].")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option(help="Names with commas between, or a file of names \\[all there are]."),
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Names with commas between; not paper.")
    ] = None,
    alpha: Annotated[
        list[str] | None, typer.Option(help="Values of α beside 0; paper [0.1,0.2,0.4,1].")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Random splits; paper [20], ablation and variants [3].")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Stratified folds; raw, calibration, variants [4].")
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(help="Leave larger tables out; raw, calibration [20000].")
    ] = None,
    device: Annotated[str, typer.Option(help="Where our nets run.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of splits and methods.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; an unfinished one is gone on with.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
) -> None:
    """Run a published protocol, or our own, on UCI data sets, and write a report page."""
    from mixup_tab.evaluation.protocols import command

    with errors_in_plain_words():
        session = command.run(
            protocol,
            datasets=listed(datasets) or None,
            methods=listed(methods) or None,
            alphas=[number(text) for text in listed(alpha)] or None,
            repeats=repeats,
            folds=folds,
            max_rows=max_rows,
            device=device,
            seed=seed,
            data_home=data_home,
            output=output,
            n_jobs=jobs,
        )
    if not session.finished:
        raise typer.Exit(130)
