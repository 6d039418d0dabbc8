"""Sound files as waveforms: one channel, one sample rate, one length."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from math import ceil, gcd
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.signal import resample_poly

from mixup_tab._extras import import_extra
from mixup_tab._plain import shown
from mixup_tab.audio.waveforms import allocate, check_count, samples_in, to_int16
from mixup_tab.datasets.download import check_limit

_FILES_PER_TASK = 64
# Streamed WAV files carry such sizes or larger ones, because the real one was not known yet.
_UNKNOWN_SIZE = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**40  # libsndfile gives a larger number
# What libsndfile notes about the sizes of WAV and AIFF, and about the last page of OGG.
_SIZES = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_LAST_PAGE = re.compile("Last page lacks|File ended unexpectedly")
_FASTEST = 1_000_000  # samples per second; files of a damaged or hostile header state more
# Largest product of the two (reduced) rates whose resampling kernel fits in memory.
_LARGEST_KERNEL = 10_000_000


class ClipError(ValueError):
    """A file that cannot be used as a clip.

    Parameters
    ----------
    source : str
        Name of the file.
    reason : str
        What is wrong with it.

    Examples
    --------
    >>> from mixup_tab.audio import ClipError
    >>> print(ClipError("yes.wav", "is empty"))
    yes.wav is empty.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source} {self.reason}."


class Clips(NamedTuple):
    """Waveforms of the files that could be read.

    Attributes
    ----------
    waveforms : ndarray of shape (clips, samples)
        The waveforms.
    kept : ndarray of int, shape (clips,)
        Positions of their files in the list of paths.
    skipped : list of (path, reason)
        The other files, and what is wrong with each.
    """

    waveforms: np.ndarray
    kept: np.ndarray
    skipped: list[tuple[str, str]]


def read_clip(
    source: str | Path | bytes | BinaryIO,
    *,
    sample_rate: int = 16_000,
    seconds: float | None = 1.0,
    align: str = "center",
    size_limit: float = 2**30,
) -> np.ndarray:
    """Read an audio file as a waveform of one channel.

    Channels are averaged, other sample rates are converted by a windowed sinc filter
    (``torchaudio.transforms.Resample``), and the clip is cropped or padded with zeros. Only
    the needed part of a longer file is read.

    Parameters
    ----------
    source : str, Path, bytes or binary file object
        The file or its content: WAV, FLAC, OGG, MP3 or another format of libsndfile.
    sample_rate : int, default=16_000
        Samples per second of the result.
    seconds : float or None, default=1.0
        Length of the result; None keeps the whole clip.
    align : {"center", "start"}, default="center"
        Which part of a longer clip is kept, and where a shorter one lies in the padding.
    size_limit : float, default=2**30
        Largest size in bytes of the sound in memory, four for each sample of each channel.
        What would take more is refused before it is read: a small file may hold hours of
        silence. The default is enough for 90 minutes of stereo sound at 48,000 Hz.

    Returns
    -------
    ndarray of float32, shape (samples,)
        Full scale is [−1, 1].

    Raises
    ------
    ClipError
        If the file is missing, unreadable, empty, not audio, truncated, without samples, larger
        than ``size_limit``, states more than a million samples per second, or holds values
        that are not finite.
    TypeError, ValueError
        If a parameter is wrong.
    ImportError
        If soundfile, or torchaudio for another sample rate, is missing.

    Examples
    --------
    >>> import io, numpy as np, soundfile
    >>> from mixup_tab.audio import read_clip
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.full((8_000, 2), 0.5), 16_000, format="WAV")
    >>> clip = read_clip(file.getvalue(), seconds=1.0)
    >>> clip.shape, clip[0].item(), clip[8_000].item()
    ((16000,), 0.0, 0.5)
    """
    _check_clip_params(sample_rate, seconds, align)
    check_limit("size_limit", size_limit)
    name, file = _open(source)
    channels, rate = _read(name, file, sample_rate, seconds, align, size_limit)
    samples = _one_channel(name, channels)
    if rate != sample_rate:
        samples = _resample(samples, rate, sample_rate)
    if seconds is None:
        return samples
    return _fit_length(samples, samples_in("seconds", seconds, sample_rate), align)


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
    size_limit: float = 2**30,
) -> Clips:
    """Read audio files into one array.

    Parameters
    ----------
    paths : array-like of str or Path, shape (clips,) or (clips, 1)
        The files.
    sample_rate, seconds, align
        As in :func:`~mixup_tab.audio.read_clip`.
    dtype : {"int16", "float32"}, default="int16"
        Type of the result, with full scale 32768 or 1.
    on_error : {"raise", "skip"}, default="raise"
        Whether unreadable files raise an error or are left out.
    n_jobs : int or None, default=None
        Threads that read; None means 1, −1 means one per core.
    progress : callable or None, default=None
        Called with the number of files read since the last call.
    size_limit : float, default=2**30
        Largest size in bytes of one clip in memory, as in
        :func:`~mixup_tab.audio.read_clip`.

    Returns
    -------
    Clips
        Its array is kept in a temporary file if it would take more than half of the free
        memory.

    Raises
    ------
    ValueError
        If files cannot be read and ``on_error="raise"``; it lists the first ten.
    TypeError, ValueError
        If a parameter is wrong.
    ImportError
        If soundfile, or torchaudio for other sample rates, is missing.

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
    options["size_limit"] = size_limit
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


# ------------------------------------------------------------------------- one file


def _check_clip_params(sample_rate: int, seconds: float | None, align: str) -> None:
    check_count("sample_rate", sample_rate)
    if seconds is not None:
        samples_in("seconds", seconds, sample_rate)
    if align not in ("center", "start"):
        raise ValueError(f"align={align!r} must be 'center' or 'start'.")


def _open(source: Any) -> tuple[str, str | BinaryIO]:
    """Return a name for messages, and what soundfile can open."""
    if isinstance(source, (str, Path)):
        return str(source), str(source)
    if isinstance(source, bytes):
        return "The clip", io.BytesIO(source)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise TypeError(f"source={source!r} must be a path, bytes or a file in binary mode.")
    name = str(getattr(source, "name", "The clip"))
    return name, source if source.seekable() else io.BytesIO(source.read())


def _read(
    name: str,
    file: str | BinaryIO,
    new_rate: int,
    seconds: float | None,
    align: str,
    size_limit: float,
) -> tuple[np.ndarray, int]:
    """Return the needed part of a file, shape (frames, channels), and its sample rate."""
    soundfile = import_extra("soundfile", "speech")
    # Names of files need not be UTF-8.
    encoded = os.fsencode(file) if isinstance(file, str) and os.name == "posix" else file
    try:
        with soundfile.SoundFile(encoded) as sound:
            _check_complete(name, sound)
            rate, frames = sound.samplerate, sound.frames
            needed = frames if seconds is None else min(ceil(seconds * rate), frames)
            _check_size(name, needed, sound, new_rate, size_limit)
            start = (frames - needed) // 2 if align == "center" else 0
            if start:
                sound.seek(start)
            samples = sound.read(needed, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, OSError, UnicodeError) as error:
        raise ClipError(name, _why_not(file, error)) from error
    if len(samples) < needed:
        raise ClipError(name, f"is truncated: some of its {frames} samples are missing")
    return samples, rate


def _check_complete(name: str, sound: Any) -> None:
    """Raise ClipError for a file without samples, or with fewer than its header says."""
    notes = sound.extra_info
    sizes = _SIZES.search(notes)
    stated, found = map(int, sizes.groups()) if sizes else (0, 0)
    if found < stated < _UNKNOWN_SIZE:
        raise ClipError(name, f"is truncated: it holds {found} of {stated} bytes of sound")
    if _NO_LAST_PAGE.search(notes):
        raise ClipError(name, "is truncated: its last page is missing")
    if sound.frames == 0:
        raise ClipError(name, "holds no samples")
    if sound.frames > _UNKNOWN_FRAMES:
        raise ClipError(name, "is a stream that does not state its length: save it again")


def _check_size(name: str, frames: int, sound: Any, new_rate: int, size_limit: float) -> None:
    """Raise ClipError if reading or converting so many frames takes too much memory."""
    if sound.samplerate > _FASTEST:
        raise ClipError(name, f"states {sound.samplerate:,} samples per second: it is damaged")
    size = 4 * max(frames * sound.channels, frames * new_rate // sound.samplerate)
    if size > size_limit:
        raise ClipError(
            name,
            f"takes {size:,} bytes in memory, and the limit is size_limit={size_limit:,}. Read "
            "fewer seconds, or raise the limit if you trust the file",
        )


def _why_not(file: str | BinaryIO, error: Exception) -> str:
    """Explain in plain words why libsndfile could not read a file."""
    if isinstance(file, str):
        try:
            size = os.stat(file).st_size
        except PermissionError:
            return "is in a folder without read permission"
        except (OSError, ValueError):  # ValueError: an impossible name
            return "does not exist"
        if not os.path.isfile(file):
            return "is not a file"
        if not os.access(file, os.R_OK):
            return "has no read permission"
        if size == 0:
            return "is empty"
    reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
    if reason.startswith("File does not exist"):  # said of the beginning of an MP3 file
        reason = "Format not recognised"
    return f"is not an audio file, or is damaged ({reason})"


def _one_channel(name: str, samples: np.ndarray) -> np.ndarray:
    """Average the channels; raise ClipError for values that are not finite."""
    channels = samples.shape[1]
    # A product, because NumPy's mean is 30 times slower along an axis of two.
    weights = np.full(channels, 1 / channels, "f4")
    with np.errstate(invalid="ignore", over="ignore"):  # is seen below
        mono = samples[:, 0] if channels == 1 else samples @ weights
    if not np.isfinite(mono).all():
        raise ClipError(name, "holds samples that are NaN or infinite")
    return mono


def _resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    if up * down > _LARGEST_KERNEL:
        return resample_poly(samples, up, down)
    with torch.inference_mode():
        return _resampler(down, up)(torch.from_numpy(samples)).numpy()


@lru_cache(maxsize=32)
def _resampler(rate: int, new_rate: int) -> Any:
    """Return a converter; its filter takes longer to make than to apply."""
    return import_extra("torchaudio.transforms", "speech").Resample(rate, new_rate)


def _fit_length(samples: np.ndarray, length: int, align: str) -> np.ndarray:
    """Crop, or pad with zeros."""
    spare = length - len(samples)
    before = spare // 2 if align == "center" else 0
    if spare <= 0:
        return samples[-before : length - before]
    out = np.zeros(length, np.float32)
    out[before : before + len(samples)] = samples
    return out


# ------------------------------------------------------------------------ many files


def check_reading_params(
    sample_rate: int, seconds: float, align: str, dtype: str, on_error: str
) -> None:
    """Raise TypeError or ValueError for parameters that :func:`read_clips` cannot use."""
    _check_clip_params(sample_rate, seconds, align)
    samples_in("seconds", seconds, sample_rate)  # None is not allowed here
    if dtype not in ("int16", "float32"):
        raise ValueError(f"dtype={dtype!r} must be 'int16' or 'float32'.")
    check_on_error(on_error)


def check_on_error(on_error: str) -> None:
    """Raise ValueError unless it is "raise" or "skip"."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'.")


def check_paths(paths: Any) -> list[str]:
    """Return paths, shape (clips,) or (clips, 1), as a list of strings."""
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
            raise TypeError(f"Path {position} is {path!r}. Give every path as a str or Path.")
    return [str(path) for path in array]


def read_all(
    paths: Sequence[str],
    options: dict[str, Any],
    dtype: str,
    n_jobs: int | None,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read files with options of :func:`read_clip`; rows of unreadable files are zeros.

    Also returns the positions of unreadable files, in order, and what is wrong with each.
    """
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        kind = ValueError if n_jobs == 0 else TypeError
        raise kind(f"n_jobs={shown(n_jobs)} must be a number of threads, or -1 for all cores.")
    import_extra("soundfile", "speech")  # if missing, one error and not one per file
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
    """Fill some rows; yield those whose files cannot be read."""
    for i in positions:
        try:
            clip = read_clip(paths[i], **options)
        except ClipError as error:
            yield i, error.reason
        else:
            out[i] = to_int16(clip) if out.dtype == np.int16 else clip


def describe_bad(paths: Sequence[str], bad: dict[int, str], remedy: str, most: int = 10) -> str:
    """Return a message that lists up to ``most`` unreadable files and ends with a remedy."""
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    lines = [f"{files} of {len(paths)} cannot be read:"]
    lines += [f"  {paths[i]} {reason}" for i, reason in islice(bad.items(), most)]
    if len(bad) > most:
        lines.append(f"  ... and {len(bad) - most} more")
    return "\n".join([*lines, remedy])
