"""Errors as the command line shows them."""

from __future__ import annotations

import traceback
from importlib import metadata
from types import TracebackType

import typer

from mixup_tab._terminal import VERBOSITY

_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skorch", "skrub", "pandas", "numpy")
# Remedies in the words of Python, and in those of the command line.
_OPTIONS = {"on_error='skip'": "--on-error skip"}


class errors_in_plain_words:
    """Turn the package's own errors into one line and exit code 1."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return  # the reader of a pipe has gone, which is no error of ours
        if isinstance(error, typer.Exit):
            return
        if VERBOSITY.get() > 0 and isinstance(error, Exception):
            traceback.print_exception(error)
            typer.echo(", ".join(f"{name} {_version(name)}" for name in _PACKAGES), err=True)
        if isinstance(error, MemoryError) or _of_memory(error):
            error = MemoryError(f"not enough memory. {error}")
        if isinstance(error, (ValueError, TypeError, OSError, ImportError, MemoryError)):
            message = " ".join(str(error).splitlines())
            for argument, option in _OPTIONS.items():
                message = message.replace(argument, option)
            typer.secho(f"Error: {message}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error
        if isinstance(error, KeyboardInterrupt):
            typer.secho("Stopped.", err=True)
            raise typer.Exit(130) from error


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _of_memory(error: BaseException | None) -> bool:
    """Whether torch has found too little memory, on a GPU or not."""
    return isinstance(error, RuntimeError) and "memory" in str(error)
