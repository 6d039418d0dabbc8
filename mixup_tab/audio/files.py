"""Sound files as waveforms: one channel, one sample rate, one length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab._plain import check_limit, shown
from mixup_tab.audio.decoding import ALIGNMENTS, ClipError, decode
from mixup_tab.audio.survey import FACTS
from mixup_tab.audio.waveforms import allocate, check_count, resample, samples_in, to_int16

_FILES_PER_TASK = 64
SIZE_LIMIT = 2**30  # bytes


class Clips(NamedTuple):
    """Waveforms of the files that could be read.

    Attributes
    ----------
    waveforms : ndarray of shape (clips, samples)
        The waveforms.
    kept : ndarray of int, shape (clips,)
        Positions of their files in the list of paths.
    skipped : list of (path, reason)
        The other files, with what is wrong with each.
    facts : structured ndarray of shape (clips,)
        Facts about each file: sample rate, channels, seconds, peak, offset (mean), clipped
        samples, share of the sound outside of the clip (lost), digest of the samples, and how
        it had to be read (remark). If only a part of a file is read, they are about that part.
    """

    waveforms: np.ndarray
    kept: np.ndarray
    skipped: list[tuple[str, str]]
    facts: np.ndarray


def read_clip(
    source: str | Path | bytes | BinaryIO,
    *,
    sample_rate: int = 16_000,
    seconds: float | None = 1.0,
    align: str = "sound",
    size_limit: float = SIZE_LIMIT,
) -> np.ndarray:
    """Read an audio file as a waveform of one channel.

    Channels are averaged, other sample rates are converted by a windowed sinc filter
    (``torchaudio.transforms.Resample``), and the clip is cropped or padded with zeros.

    Parameters
    ----------
    source : str, Path, bytes or binary file object
        The file or its content: WAV, FLAC, OGG, MP3 or another format of libsndfile.
    sample_rate : int, default=16_000
        Samples per second of the result.
    seconds : float or None, default=1.0
        Length of the result; None keeps the whole clip.
    align : {"sound", "center", "start"}, default="sound"
        Which part of a longer clip is kept: the one with most sound (see Notes), the middle or
        the start. Shorter clips are padded at the end with "start", else on both sides.
    size_limit : float, default=2**30
        Maximum size of the sound in memory in bytes, four per sample and channel; checked
        before reading, because a small file may hold hours of silence. The default is enough
        for 46 minutes of stereo sound at 48,000 Hz. With ``align="sound"`` the whole file
        counts, which is read in blocks; else only the needed part is read and counts.

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

    Notes
    -----
    For ``align="sound"`` the level is measured every 10 ms, without frequencies far below those
    of speech. Sound is what is more than 6 dB above the background (the 20th percentile of the
    levels) and at most 30 dB below the loudest. Each 10 ms of sound counts by its level, up to
    12 dB, so that a word outweighs a louder but shorter bang. The first window with most sound
    is chosen and moved so that the sound is in its centre. Without sound it is the middle.

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
    return read_with_facts(source, sample_rate, seconds, align, size_limit)[0]


def read_clips(
    paths: Any,
    *,
    sample_rate: int = 16_000,
    seconds: float = 1.0,
    align: str = "sound",
    dtype: str = "int16",
    on_error: str = "raise",
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
    size_limit: float = SIZE_LIMIT,
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
        Threads for reading; None means 1, −1 uses all cores.
    progress : callable or None, default=None
        Called with the number of files read since the last call.
    size_limit : float, default=2**30
        Maximum size of one clip in memory in bytes, as in
        :func:`~mixup_tab.audio.read_clip`.

    Returns
    -------
    Clips
        Its array is in a temporary file if it would take more than half of the free memory.

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
    facts = np.zeros(len(paths), FACTS)
    waveforms, bad = read_all(paths, options, dtype, n_jobs, progress, facts)
    if bad and on_error == "raise":
        remedy = "Remove or replace them, or use on_error='skip' to leave them out."
        raise ValueError(describe_bad(paths, bad, remedy))
    kept = np.setdiff1d(np.arange(len(paths)), list(bad))
    if bad:  # in place, because memory may not hold a second array
        for new, old in enumerate(kept):
            waveforms[new] = waveforms[old]
    skipped = [(paths[i], reason) for i, reason in bad.items()]
    return Clips(waveforms[: len(kept)], kept, skipped, facts[kept])


# ------------------------------------------------------------------------- one file


def _check_clip_params(sample_rate: int, seconds: float | None, align: str) -> None:
    check_count("sample_rate", sample_rate)
    if seconds is not None:
        samples_in("seconds", seconds, sample_rate)
    if align not in ALIGNMENTS:
        raise ValueError(f"align={align!r} must be 'sound', 'center' or 'start'.")


def read_with_facts(
    source: Any,
    sample_rate: int,
    seconds: float | None,
    align: str,
    size_limit: float = SIZE_LIMIT,
) -> tuple[np.ndarray, tuple]:
    """Return a clip and a row of FACTS about its file."""
    samples, rate, facts = decode(source, sample_rate, seconds, align, size_limit)
    if rate != sample_rate:
        samples = resample(samples, rate, sample_rate)
    if seconds is None:
        return samples, facts
    length = samples_in("seconds", seconds, sample_rate)
    return fit_length(samples, length, align), facts


def fit_length(samples: np.ndarray, length: int, align: str) -> np.ndarray:
    """Crop, or pad with zeros."""
    spare = length - len(samples)
    before = 0 if align == "start" else spare // 2
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
    facts: np.ndarray | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
    """Read files with options of :func:`read_clip`; rows of unreadable files are zeros.

    Also returns the positions of unreadable files, in order, with reasons. Fills the rows of
    ``facts``.
    """
    length = samples_in("seconds", options["seconds"], options["sample_rate"])
    out = allocate((len(paths), length), dtype)

    def read(position: int) -> None:
        clip, known = read_with_facts(paths[position], **options)
        out[position] = to_int16(clip) if out.dtype == np.int16 else clip
        if facts is not None:
            facts[position] = known

    return out, for_each_file(read, len(paths), n_jobs, progress)


def for_each_file(
    read: Callable[[int], None],
    count: int,
    n_jobs: int | None,
    progress: Callable[[int], None] | None = None,
) -> dict[int, str]:
    """Call a function with 0, 1, ... in threads; return the reasons of ClipErrors by number."""
    if n_jobs is not None and (not isinstance(n_jobs, Integral) or n_jobs == 0):
        kind = ValueError if n_jobs == 0 else TypeError
        raise kind(f"n_jobs={shown(n_jobs)} must be a number of threads, or -1 for all cores.")
    import_extra("soundfile", "speech")  # if missing, one error instead of one per file

    def read_some(start: int) -> tuple[int, dict[int, str]]:
        part, bad = range(start, min(start + _FILES_PER_TASK, count)), {}
        for position in part:
            try:
                read(position)
            except ClipError as error:
                bad[position] = error.reason
        return len(part), bad

    bad: dict[int, str] = {}
    for done, found in _in_threads(read_some, range(0, count, _FILES_PER_TASK), n_jobs):
        bad |= found
        if progress is not None:
            progress(done)
    return bad


def _in_threads(function: Callable, arguments: range, n_jobs: int | None) -> Iterator[Any]:
    """Call a function for every argument; yield the results in order."""
    if len(arguments) < 2:  # importing joblib takes longer than reading 64 files
        return map(function, arguments)
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=n_jobs, backend="threading", return_as="generator")
    return parallel(delayed(function)(argument) for argument in arguments)


def describe_bad(paths: Sequence[str], bad: dict[int, str], remedy: str, most: int = 10) -> str:
    """Return a message that lists up to ``most`` unreadable files and ends with a remedy."""
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    lines = [f"{files} of {len(paths)} cannot be read:"]
    lines += [f"  {paths[i]} {reason}" for i, reason in islice(bad.items(), most)]
    if len(bad) > most:
        lines.append(f"  ... and {len(bad) - most} more")
    return "\n".join([*lines, remedy])
