"""Writing files and folders atomically: they appear complete or not at all."""

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
    """Return text as UTF-8, without a byte-order mark.

    The input is UTF-8, or UTF-16 with a byte-order mark. Raises UnicodeDecodeError if the mark
    says UTF-16 and the rest is not.
    """
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return text.decode("utf-16").encode()
    return text.removeprefix(codecs.BOM_UTF8)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises OSError if it cannot be written."""
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that appears at ``path``, or replaces an old one, when the block ends.

    A block that raises changes nothing. Links are followed, and devices and pipes are written
    to directly. Raises OSError that says what to do if the file cannot be written.
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
    """Yield an empty folder that is moved into place when the block succeeds.

    If another process has created the folder by then, its version stays. Raises OSError that
    says what to do if the folder cannot be written.
    """
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        discard_old(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            new = Path(partial, folder.name)
            new.mkdir()
            yield new
            if hasattr(os, "sync"):  # as fsync in open_whole, but once for all files
                os.sync()
            try:
                os.replace(new, folder)
            except OSError:
                if not folder.is_dir():
                    raise


def discard_old(folder: Path) -> None:
    """Remove temporary folders of killed processes; younger ones may still be in use."""
    for partial in folder.glob(".partial-*"):
        if time.time() - partial.stat().st_mtime > DAY:
            shutil.rmtree(partial, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Raise OSError if a file cannot be written; creates its folder if there is none."""
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.is_file():
            probe = path.with_name(f".mixup-tab.{os.getpid()}.writable")
            probe.touch()
            probe.unlink()


def check_new(path: Path, overwrite: bool) -> None:
    """Check, before any work, that a file can be written.

    Raises ValueError if it exists and ``overwrite`` is False, and OSError if it cannot be
    written.
    """
    if path.is_file() and not overwrite:
        raise ValueError(
            f"{str(path)!r} exists. Choose another path, or replace it with --force "
            "(overwrite=True)."
        )
    check_writable(path)


def check_new_beside(path: Path, overwrite: bool, *given: str | os.PathLike) -> None:
    """Check as :func:`check_new`, and that the file is not one of the inputs ``given``."""
    for other in map(Path, given):
        if other.exists() and path.exists() and path.samefile(other):
            raise ValueError(
                f"output={str(path)!r} would replace an input file. Choose another path."
            )
    check_new(path, overwrite)


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Lock a file while the block runs; a killed process leaves no lock.

    Raises ValueError if another run has locked it; the message calls the file ``name``.
    """
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(filelock.FileLock(lock, timeout=0))
        except filelock.Timeout:
            raise ValueError(
                f"{name} is in use by another run. Wait until that run ends, or choose another "
                "path."
            ) from None
        except NotImplementedError:  # a file system without locks
            pass
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes it when it is released
                lock.unlink()


def is_full(error: OSError) -> bool:
    """Whether the disk, the quota or the limit on file sizes is exhausted."""
    return error.errno in _FULL


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError into one that names the file, the reason and a remedy."""
    try:
        yield
    except OSError as error:
        # Explained already, or the reader of a pipe is gone: the caller handles that.
        if error.errno in (None, errno.EPIPE):
            raise
        remedy = "Free some space, or choose" if is_full(error) else "Choose"
        raise OSError(
            f"{str(path)!r} cannot be written ({error.strerror}). {remedy} another path."
        ) from error
