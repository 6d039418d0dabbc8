"""All commands of ``mixup-tab``."""

from __future__ import annotations

import typer

from mixup_tab.cli.benchmark import benchmark
from mixup_tab.cli.compare import compare
from mixup_tab.cli.playground import playground
from mixup_tab.cli.speech import speech_app
from mixup_tab.cli.tables import predict

app = typer.Typer(
    help="Small nets trained with mixup: see on real data whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(speech_app, name="speech")
for command in (benchmark, compare, predict, playground):
    app.command()(command)


@app.callback()
def main() -> None:
    """Small nets trained with mixup: see on real data whether it helps."""


@app.command()
def version() -> None:
    """Print the version."""
    from mixup_tab import __version__

    typer.echo(__version__)
