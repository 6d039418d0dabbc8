"""The command line: parses, calls the package, prints. Heavy imports wait until needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mixup_tab.cli.plain_errors import errors_in_plain_words
from mixup_tab.cli.playground import playground
from mixup_tab.cli.robustness import robustness
from mixup_tab.cli.speech import speech_app
from mixup_tab.cli.values import listed, number

app = typer.Typer(
    help="Small nets trained with mixup: see on real data whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
benchmark_app = typer.Typer(invoke_without_command=True)
app.add_typer(benchmark_app, name="benchmark")
app.add_typer(speech_app, name="speech")
app.command()(playground)
benchmark_app.command()(robustness)


@app.callback()
def main() -> None:
    """Small nets trained with mixup: see on real data whether it helps."""


@app.command()
def version() -> None:
    """Print the version."""
    from mixup_tab import __version__

    typer.echo(__version__)


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


@app.command()
def compare(
    file: Annotated[
        Path, typer.Argument(help="A table: CSV, TSV, Parquet, Feather or JSON lines.")
    ],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    id: Annotated[
        str | None, typer.Option(help="Column that names the rows; takes no part.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; give it once for each.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="'classification' or 'regression'; 'auto' looks at the target.")
    ] = "auto",
    groups: Annotated[
        str | None, typer.Option(help="Column whose equal values stay together in a fold.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of dates: test rows come after training rows.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[
        int | None, typer.Option(help="How often it is done [4, 2 or 1, by the rows].")
    ] = None,
    alphas: Annotated[
        list[str] | None,
        typer.Option(help="Values of α to choose from, with commas between [0.1,0.3,1]."),
    ] = None,
    max_rows: Annotated[
        int, typer.Option(help="From larger tables so many rows are drawn for the comparison.")
    ] = 20_000,
    save: Annotated[
        Path | None, typer.Option(help="File for the model, fitted on all rows.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where our nets run.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of folds and nets.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for report.html and results.csv \\[a new one].")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
) -> None:
    """Say in a sentence whether mixup helps on your own table, and write a report page."""
    values = [number(text) for text in listed(alphas)]
    with errors_in_plain_words():
        from mixup_tab.evaluation.comparison.question import Roles
        from mixup_tab.evaluation.comparison.running import run

        finished = run(
            file,
            Roles(target, id, tuple(drop or ()), groups, time),
            task=task,
            folds=folds,
            repeats=repeats,
            **({"alphas": values} if values else {}),
            max_rows=max_rows,
            seed=seed,
            device=device,
            output=output,
            save=save,
            n_jobs=jobs,
        )
    if not finished:
        raise typer.Exit(130)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="What compare --save has written.")],
    file: Annotated[
        Path, typer.Argument(help="A table with the columns that the model was fitted on.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="CSV to write [<FILE>-predictions.csv, here].")
    ] = None,
) -> None:
    """Write a saved model's predictions for a table, with probabilities."""
    with errors_in_plain_words():
        from mixup_tab.evaluation.comparison.predicting import predict_file, write_predictions

        predictions = predict_file(model, file)
        output = output or Path(f"{file.name.partition('.')[0]}-predictions.csv")
        write_predictions(predictions, output)
    for note in predictions.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{len(predictions.frame):,} predictions: {output}")
