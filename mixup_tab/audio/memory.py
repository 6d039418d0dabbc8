"""Large arrays: in memory where they fit, else in a temporary file."""

from __future__ import annotations

import os
import tempfile
from math import prod

import numpy as np

_UNKNOWN_MEMORY = 4 * 2**30  # assumed where the system does not say


def allocate(
    shape: tuple[int, ...], dtype: np.typing.DTypeLike, *, limit: int | None = None
) -> np.ndarray:
    """Return an array of zeros, in memory or in a file that goes when the array goes.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its type.
    limit : int or None, default=None
        Bytes up to which it is held in memory; None for half of the memory that is free.

    Returns
    -------
    ndarray or memmap

    Raises
    ------
    OSError
        If the folder for temporary files has no room for it either.

    Examples
    --------
    >>> from mixup_tab.audio.memory import allocate
    >>> type(allocate((2, 3), "int16", limit=10)).__name__
    'memmap'
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= (free_memory() // 2 if limit is None else limit):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:  # nameless: its room is freed with the last user
        _reserve(file.fileno(), size)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def _reserve(file: int, size: int) -> None:
    """Take room on the disk now: a full disk would otherwise end the process later."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.truncate(file, size)
    except OSError as error:
        raise OSError(
            f"{size / 1e9:.1f} GB of sound fit neither into memory nor into the folder for "
            f"temporary files, {tempfile.gettempdir()} ({error.strerror}). Point the "
            "environment variable TMPDIR at a folder with more room."
        ) from error


def free_memory() -> int:
    """Return the bytes of memory that are free, or a guess."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY
