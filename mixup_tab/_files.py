"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, which appears or is replaced when it is complete.

    Parameters
    ----------
    path : Path
        Where.
    content : bytes
        What.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise OSError(
            f"{str(path)!r} cannot be written ({error.strerror}). Give another place."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Find out whether a file can be written, before there is anything to write.

    Its folder is made where there is none.

    Parameters
    ----------
    path : Path
        Where.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.writable")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"{str(path)!r} cannot be written ({error.strerror}). Give another place."
        ) from error
