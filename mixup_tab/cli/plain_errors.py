"""Errors in one line, with options named as they are typed."""

from __future__ import annotations

import re
import traceback
from collections.abc import Collection
from importlib import metadata
from types import TracebackType

import typer

from mixup_tab._terminal import VERBOSITY

_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skorch", "skrub", "pandas", "numpy")


# Options whose names differ from the arguments of the functions behind them.
_RENAMED = {
    "alphas": "alpha",
    "max_epochs": "epochs",
    "n_estimators": "members",
    "n_jobs": "jobs",
    "noise": "noise_folder",
    "overwrite": "force",
    "random_state": "seed",
    "unknown": "unknown_folder",
}
# Such as "on_error='skip'"; "(overwrite=True)" after the option itself; "folds must be". Quoted
# text, paths and addresses are the user's own, and stay as they are.
_ARGUMENT = re.compile(
    r"(?<![\w=])(?P<text>'[^']*'|\"[^\"]*\")"
    r"| \((?P<again>\w+)=\w+\)"
    r"|(?<![\w/&?.-])(?P<name>\w+)=(?:'(?P<word>[\w./+-]+)')?(?P<rest>'[^']*'|\"[^\"]*\")?"
    r"|\A(?P<first>\w+)(?= must )"
)


class errors_in_plain_words:
    """Turn the package's own errors into one line and exit code 1.

    Parameters
    ----------
    options : collection of str
        Names of the command's options, such as "on_error". In a message, ``on_error='skip'``
        becomes ``--on-error skip``.
    """

    def __init__(self, options: Collection[str] = ()) -> None:
        self._options = options

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return  # the reader of a pipe has gone: not an error
        if isinstance(error, typer.Exit):
            return
        if VERBOSITY.get() > 0 and isinstance(error, Exception):
            traceback.print_exception(error)
            typer.echo(", ".join(f"{name} {_version(name)}" for name in _PACKAGES), err=True)
        if isinstance(error, MemoryError) or _of_memory(error):
            error = MemoryError(f"not enough memory. {error}")
        if isinstance(error, (ValueError, TypeError, OSError, ImportError, MemoryError)):
            message = _ARGUMENT.sub(self._as_option, " ".join(str(error).splitlines()))
            typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error
        if isinstance(error, KeyboardInterrupt):
            typer.secho("Stopped.", err=True)
            raise typer.Exit(130) from error

    def _as_option(self, found: re.Match[str]) -> str:
        """Return an argument of a Python function as the option that the user typed."""
        if found["text"]:
            return found[0]
        name = found["again"] or found["name"] or found["first"]
        name = _RENAMED.get(name, name)
        if name not in self._options:
            return found[0]
        if found["again"]:
            return ""
        option = f"--{name.replace('_', '-')}"
        return option if found["first"] else f"{option} {found['word'] or found['rest'] or ''}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _of_memory(error: BaseException | None) -> bool:
    """Whether torch ran out of memory, on a GPU or not."""
    return isinstance(error, RuntimeError) and "memory" in str(error)
