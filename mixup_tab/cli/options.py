"""Options shared by commands, and what all commands have: -q, -v, errors in one line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer
from typer.models import OptionInfo

from mixup_tab._terminal import VERBOSITY
from mixup_tab.cli.plain_errors import errors_in_plain_words

TableFile = Annotated[
    Path, typer.Argument(help="Table: CSV, TSV, Parquet, Feather or JSON lines.")
]
Target = Annotated[str, typer.Option(help="Column to predict.")]
Id = Annotated[str | None, typer.Option(help="Column that identifies the rows; not a feature.")]
Drop = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Column to leave out; repeat for more."),
]
Task = Annotated[
    Literal["auto", "classification", "regression"],
    typer.Option(help="Type of target; auto infers it from the values."),
]
Decimal = Annotated[
    Literal[".", ","] | None,
    typer.Option(help="Decimal mark, where numbers like 1,234 are ambiguous."),
]
OnError = Annotated[
    Literal["raise", "skip"],
    typer.Option(help="Unreadable input: stop with an error, or list and skip it."),
]
Device = Annotated[str, typer.Option(help="Device for the nets: cpu, cuda, mps or auto.")]
Jobs = Annotated[int, typer.Option(help="Parallel processes; -1 uses all cores.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
ModelSize = Annotated[
    str, typer.Option(help="Maximum size of the model file, such as 500MB or 2GB.")
]
TableSize = Annotated[
    str, typer.Option(help="Maximum size of the table, unpacked, such as 2GB.")
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only results.")]
_Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show tracebacks and versions with errors.")
]


def as_command(function: Callable[..., None], example: str) -> Callable[..., None]:
    """Add -q, -v and an example to a function, and turn its errors into one line."""
    own = inspect.signature(function).parameters
    hints = get_type_hints(function, include_extras=True)
    options = {name for name, hint in hints.items() if _is_option(hint)}

    @wraps(function)
    def command(**given: Any) -> None:
        before = VERBOSITY.set(given["verbose"] - given["quiet"])
        try:
            with errors_in_plain_words(options):
                function(**{name: value for name, value in given.items() if name in own})
        finally:
            VERBOSITY.reset(before)

    # typer reads these instead of the wrapper's own.
    parameters = [each.replace(annotation=hints[name]) for name, each in own.items()]
    for name, hint in {"quiet": _Quiet, "verbose": _Verbose}.items():
        if name not in own:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, kind, default=False, annotation=hint))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__doc__ = f"{inspect.getdoc(function)}\n\nExample: mixup-tab {example}"
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _is_option(hint: Any) -> bool:
    return any(isinstance(part, OptionInfo) for part in getattr(hint, "__metadata__", ()))
