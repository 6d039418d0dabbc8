"""All commands of ``mixup-tab``."""

from __future__ import annotations

from typing import Annotated

import typer

from mixup_tab.cli.benchmark import benchmark
from mixup_tab.cli.compare import compare
from mixup_tab.cli.options import as_command
from mixup_tab.cli.playground import playground
from mixup_tab.cli.speech import speech_app
from mixup_tab.cli.tables import evaluate, export, predict, train

app = typer.Typer(
    help="Small neural nets trained with mixup, for tables and short sounds.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for function, example in (
    (train, "train bought.csv --target bought --output bought.mixup"),
    (predict, "predict bought.mixup new.csv --output predicted.csv"),
    (evaluate, "evaluate bought.mixup last-month.csv"),
    (compare, "compare bought.csv --target bought"),
    (export, "export bought.mixup bought.onnx"),
    (benchmark, "benchmark --datasets iris,wine --alpha 0.2,1"),
    (playground, "playground --output page.html"),
):
    app.command()(as_command(function, example))
app.add_typer(speech_app, name="speech")


def _version(wanted: bool) -> None:
    if wanted:
        from mixup_tab import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Small neural nets trained with mixup, for tables and short sounds."""
