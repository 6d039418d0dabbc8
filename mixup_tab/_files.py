"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import codecs
import errno
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import filelock

DAY = 86_400.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_utf8(text: bytes) -> bytes:
    """Return text from outside in UTF-8, without the byte-order mark that editors put first.

    It is UTF-8, or UTF-16 with a mark; UnicodeDecodeError if only the mark is that of UTF-16.
    """
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16").encode()
    return text.removeprefix(codecs.BOM_UTF8)


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
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that appears at ``path``, or replaces what is there, when the block ends.

    A block that raises leaves everything as it was. A link stays one, and a device or a pipe is
    written to as it is. Raises OSError that says what to do if the file cannot be written.
    """
    with explained(path):
        if path.exists() and not path.is_file():  # replacing /dev/null would harm the system
            with path.open("wb") as file:
                yield file
            return
        real = Path(os.path.realpath(path))
        beside = real.with_name(f".mixup-tab.{os.getpid()}.{threading.get_ident()}")
        try:
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut may leave an empty file
            os.replace(beside, real)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that is moved to its place when the block has succeeded.

    If the folder exists by then, because another process was faster, that one stays. Raises
    OSError that says what to do if the folder cannot be written.
    """
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        discard_old(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            new = Path(partial, folder.name)
            new.mkdir()
            yield new
            if hasattr(os, "sync"):  # as in open_whole, but once for all files
                os.sync()
            try:
                os.replace(new, folder)
            except OSError:
                if not folder.is_dir():
                    raise


def discard_old(folder: Path) -> None:
    """Remove what killed processes left; younger folders may still be in use."""
    for partial in folder.glob(".partial-*"):
        if time.time() - partial.stat().st_mtime > DAY:
            shutil.rmtree(partial, ignore_errors=True)


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
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.is_file():
            probe = path.with_name(f".mixup-tab.{os.getpid()}.writable")
            probe.touch()
            probe.unlink()


def check_new(path: Path, overwrite: bool) -> None:
    """Check, before any work, that a file can be written and replaces none.

    Parameters
    ----------
    path : Path
        File to write.
    overwrite : bool
        Whether it may replace a file.

    Raises
    ------
    ValueError
        If it exists and may not be replaced.
    OSError
        If it cannot be written.
    """
    if path.is_file() and not overwrite:
        raise ValueError(
            f"{str(path)!r} exists. Give another place, or replace it with --force "
            "(overwrite=True)."
        )
    check_writable(path)


def check_new_beside(path: Path, overwrite: bool, *given: str | os.PathLike) -> None:
    """Check as :func:`check_new`, and that the file is none of those given.

    Parameters
    ----------
    path, overwrite
        As in :func:`check_new`.
    *given : str or path-like
        Files that are read.

    Raises
    ------
    ValueError, OSError
        As in :func:`check_new`; or if the file is one that is read.
    """
    for other in map(Path, given):
        if other.exists() and path.exists() and path.samefile(other):
            raise ValueError(
                f"output={str(path)!r} would replace a file that is read. Give another place."
            )
    check_new(path, overwrite)


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Keep other runs from a file while the block runs; a killed process leaves no lock.

    Raises ValueError, which calls the file by ``name``, if another run has locked it.
    """
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(filelock.FileLock(lock, timeout=0))
        except filelock.Timeout:
            raise ValueError(
                f"{name} is in use by another run. Wait until that has ended, or give another "
                "place."
            ) from None
        except NotImplementedError:  # a file system without locks
            pass
        try:
            yield
        finally:
            with suppress(OSError):  # on Windows it goes when it is released
                lock.unlink()


def is_full(error: OSError) -> bool:
    """Say whether a disk, a quota or a limit on the size of files is used up."""
    return error.errno in _FULL


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of the system into one that says which file, why, and what to do."""
    try:
        yield
    except OSError as error:
        # Explained already, or the reader of a pipe has gone, which is for the caller.
        if error.errno in (None, errno.EPIPE):
            raise
        remedy = "Make room, or give" if is_full(error) else "Give"
        raise OSError(
            f"{str(path)!r} cannot be written ({error.strerror}). {remedy} another place."
        ) from error
