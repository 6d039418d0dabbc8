"""Options that several commands have, and what every command has: -q, -v, plain errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer

from mixup_tab._terminal import VERBOSITY
from mixup_tab.cli.plain_errors import errors_in_plain_words

TableFile = Annotated[
    Path, typer.Argument(help="A table: CSV, TSV, Parquet, Feather or JSON lines.")
]
Target = Annotated[str, typer.Option(help="Column to predict.")]
Id = Annotated[str | None, typer.Option(help="Column that names the rows; not a feature.")]
Drop = Annotated[list[str] | None, typer.Option(help="Column to leave out; may be repeated.")]
Task = Annotated[
    Literal["auto", "classification", "regression"],
    typer.Option(help="Kind of target; auto decides by its values."),
]
Decimal = Annotated[
    Literal[".", ","] | None,
    typer.Option(help="Decimal mark of numbers like 1,234, if it is not clear."),
]
OnError = Annotated[
    Literal["raise", "skip"],
    typer.Option(help="Unreadable parts: stop with an error, or list and skip them."),
]
Device = Annotated[str, typer.Option(help="Where nets run: cpu, cuda, mps or auto.")]
Jobs = Annotated[int, typer.Option(help="Processes; -1 is one per core.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
ModelSize = Annotated[
    str, typer.Option(help="Largest size of the model's file, such as 500MB or 2GB.")
]
TableSize = Annotated[
    str, typer.Option(help="Largest size of a file once unpacked, such as 500MB or 2GB.")
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]
_Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show where an error comes from, and versions.")
]


def as_command(function: Callable[..., None], example: str) -> Callable[..., None]:
    """Return a function with -q, -v and an example, whose errors are one line."""
    own = inspect.signature(function).parameters

    @wraps(function)
    def command(**given: Any) -> None:
        VERBOSITY.set(given["verbose"] - given["quiet"])
        with errors_in_plain_words():
            function(**{name: value for name, value in given.items() if name in own})

    # What typer reads instead of the wrapper's own.
    hints = get_type_hints(function, include_extras=True)
    parameters = [each.replace(annotation=hints[name]) for name, each in own.items()]
    for name, hint in {"quiet": _Quiet, "verbose": _Verbose}.items():
        if name not in own:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, kind, default=False, annotation=hint))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = f"{inspect.getdoc(function)}\n\nExample: mixup-tab {example}"
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command
