"""The command line: parses, calls the package, prints. Heavy imports wait until needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Small nets trained with mixup: see on real tables whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
benchmark_app = typer.Typer(invoke_without_command=True)
app.add_typer(benchmark_app, name="benchmark")


@app.callback()
def main() -> None:
    """Small nets trained with mixup: see on real tables whether it helps."""


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
        typer.Option(help="Tables to use, separated by commas or given several times [all]."),
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(help="Values of α beside 0, separated by commas or given several times."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random splits per table.")] = 10,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="'paper' (the paper's setting) or 'default' (our defaults) [both]."),
    ] = None,
    device: Annotated[
        str, typer.Option(help="'cpu', 'cuda', 'mps' or 'auto'. Nets this small like the CPU.")
    ] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of splits and methods.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Folder for results.csv and results.png [a new one].")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes; -1 is one per core.")] = -1,
) -> None:
    """Compare plain training (ERM), mixup and scikit-learn's MLPClassifier on UCI tables."""
    if context.invoked_subcommand is not None:
        return
    from mixup_tab.evaluation import report
    from mixup_tab.evaluation.tables import BUNDLED

    with _errors_in_plain_words():
        finished = report.run(
            _listed(datasets) or list(BUNDLED),
            alphas=[_number(text) for text in _listed(alpha) or ["0.2"]],
            protocols=_listed(protocol) or ["paper", "default"],
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

    with _errors_in_plain_words():
        report.run_speed(device, epochs, pairs)


def _listed(values: list[str] | None) -> list[str]:
    """Split options that were given several times, or with commas, or both."""
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"alpha must be a number, got {text!r}.") from None


class _errors_in_plain_words:
    """Turn the package's own errors into one line and exit code 2."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (ValueError, TypeError, OSError)):
            typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(2) from error


if __name__ == "__main__":
    app()
