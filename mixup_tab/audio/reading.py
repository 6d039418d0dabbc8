"""Many audio files as one array of waveforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from mixup_tab.audio.clips import ClipError, check_clip_params, read_clip
from mixup_tab.audio.durations import samples_in
from mixup_tab.audio.layers import FULL_SCALE
from mixup_tab.audio.memory import allocate
from mixup_tab.audio.speech_extra import import_soundfile

_FILES_PER_TASK = 64


class Clips(NamedTuple):
    """Waveforms of the files that could be read.

    Attributes
    ----------
    waveforms : ndarray of shape (clips, samples)
        The waveforms.
    kept : ndarray of int, shape (clips,)
        Positions of their files in the list of paths.
    skipped : list of (str, str)
        Path of every other file, and what is wrong with it.
    """

    waveforms: np.ndarray
    kept: np.ndarray
    skipped: list[tuple[str, str]]


def read_clips(
    paths: Any,
    *,
    sample_rate: int = 16_000,
    seconds: float = 1.0,
    align: str = "center",
    dtype: str = "int16",
    on_error: str = "raise",
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Clips:
    """Read audio files of any number into one array.

    Parameters
    ----------
    paths : array-like of str or Path, shape (clips,) or (clips, 1)
        The files.
    sample_rate, seconds, align
        As in :func:`mixup_tab.audio.clips.read_clip`.
    dtype : {"int16", "float32"}, default="int16"
        Type of the result: full scale is 32768 or 1.
    on_error : {"raise", "skip"}, default="raise"
        Whether files that cannot be read are an error or left out.
    n_jobs : int or None, default=None
        Threads that read; None means 1, −1 means one per core.
    progress : callable or None, default=None
        Called now and then with the number of files that were read since.

    Returns
    -------
    Clips
        Its array lies in a temporary file if it would take more than half of the free
        memory.

    Raises
    ------
    ValueError
        If files cannot be read and ``on_error="raise"``; it lists the first ten.
    TypeError, ValueError
        If a parameter is of no use.
    ImportError
        If soundfile is not there.

    Examples
    --------
    >>> from mixup_tab.audio import read_clips
    >>> clips = read_clips(["missing.wav"], on_error="skip")
    >>> clips.waveforms.shape, clips.skipped
    ((0, 16000), [('missing.wav', 'does not exist')])
    """
    check_reading_params(sample_rate, seconds, align, dtype, on_error)
    paths = check_paths(paths)
    options = {"sample_rate": sample_rate, "seconds": seconds, "align": align}
    waveforms, bad = read_all(paths, options, dtype, n_jobs, progress)
    if bad and on_error == "raise":
        remedy = "Remove or replace them, or use on_error='skip' to leave them out."
        raise ValueError(describe_bad(paths, bad, remedy))
    kept = np.setdiff1d(np.arange(len(paths)), list(bad))
    if bad:  # moved up in place: there may be no room for a second array
        for new, old in enumerate(kept):
            waveforms[new] = waveforms[old]
    skipped = [(paths[i], reason) for i, reason in bad.items()]
    return Clips(waveforms[: len(kept)], kept, skipped)


def check_reading_params(
    sample_rate: int, seconds: float, align: str, dtype: str, on_error: str
) -> None:
    """Refuse values that :func:`read_clips` cannot use.

    Raises
    ------
    TypeError, ValueError
        That name the parameter.
    """
    check_clip_params(sample_rate, seconds, align)
    samples_in("seconds", seconds, sample_rate)  # here None is no length
    if dtype not in ("int16", "float32"):
        raise ValueError(f"dtype={dtype!r} is not known. Choose 'int16' or 'float32'.")
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} is not known. Choose 'raise' or 'skip'.")


def check_jobs(n_jobs: int | None) -> None:
    """Refuse a number of threads that is none.

    Raises
    ------
    TypeError, ValueError
        That name it.
    """
    if n_jobs is None:
        return
    if not isinstance(n_jobs, Integral):
        raise TypeError(f"n_jobs={n_jobs!r} is no whole number. Use 1, or -1 for all cores.")
    if n_jobs == 0:
        raise ValueError("n_jobs=0 is no number of threads. Use 1, or -1 for all cores.")


def check_paths(paths: Any) -> list[str]:
    """Return paths as a list of strings.

    Parameters
    ----------
    paths : array-like of str or Path, shape (clips,) or (clips, 1)
        The paths.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError, ValueError
        If these are no paths.
    """
    array = np.asarray(paths, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            f"Paths must be a list or one column, not of shape {array.shape}. Give one path "
            "per clip, such as ['yes/1.wav', 'no/2.wav']."
        )
    for position, path in enumerate(array):
        if not isinstance(path, (str, Path)):
            raise TypeError(
                f"Path {position} is {path!r}. Give every path as a string or Path."
            )
    return [str(path) for path in array]


def read_all(
    paths: Sequence[str],
    options: dict[str, Any],
    dtype: str,
    n_jobs: int | None,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read every file that can be read.

    Parameters
    ----------
    paths : sequence of str
        The files.
    options : dict
        What :func:`mixup_tab.audio.clips.read_clip` is given.
    dtype : {"int16", "float32"}
        Type of the result.
    n_jobs : int or None
        Threads.
    progress : callable or None
        Called with numbers of files.

    Returns
    -------
    waveforms : ndarray of shape (paths, samples)
        Zeros where a file could not be read.
    bad : dict of int to str
        Positions of these files, in order, and what is wrong with each.
    """
    check_jobs(n_jobs)
    import_soundfile()  # missing, it is one error and not one for each file
    length = samples_in("seconds", options["seconds"], options["sample_rate"])
    out = allocate((len(paths), length), dtype)

    def read_some(start: int) -> tuple[int, dict[int, str]]:
        part = range(start, min(start + _FILES_PER_TASK, len(paths)))
        return len(part), dict(_read_into(out, paths, part, options))

    starts = range(0, len(paths), _FILES_PER_TASK)
    parallel = Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")
    bad: dict[int, str] = {}
    for done, found in parallel(delayed(read_some)(start) for start in starts):
        bad |= found
        if progress is not None:
            progress(done)
    return out, bad


def _read_into(
    out: np.ndarray, paths: Sequence[str], positions: range, options: dict[str, Any]
) -> Iterator[tuple[int, str]]:
    """Fill some rows, and yield those whose files cannot be read."""
    for i in positions:
        try:
            clip = read_clip(paths[i], **options)
        except ClipError as error:
            yield i, error.reason
        else:
            out[i] = to_int16(clip) if out.dtype == np.int16 else clip


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Return waveforms of full scale [−1, 1] as 16-bit numbers, louder ones clipped."""
    return np.clip(np.rint(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def describe_bad(paths: Sequence[str], bad: dict[int, str], remedy: str, most: int = 10) -> str:
    """Return a message about files that cannot be read.

    Parameters
    ----------
    paths : sequence of str
        All paths.
    bad : dict of int to str
        Positions of these files, and what is wrong with each.
    remedy : str
        Last line.
    most : int, default=10
        Number of files that are named.

    Returns
    -------
    str
    """
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    lines = [f"{files} of {len(paths)} cannot be read:"]
    lines += [f"  {paths[i]} {reason}" for i, reason in islice(bad.items(), most)]
    if len(bad) > most:
        lines.append(f"  ... and {len(bad) - most} more")
    return "\n".join([*lines, remedy])
