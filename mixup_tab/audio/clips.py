"""Short sounds from audio files: one channel, one sample rate, one length."""

from __future__ import annotations

import io
import os
import re
from functools import lru_cache
from math import ceil, gcd
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mixup_tab.audio.durations import check_count, samples_in
from mixup_tab.audio.speech_extra import import_soundfile, import_torchaudio

# Streamed WAV files carry such sizes or larger ones, because nobody knew the real one.
_UNKNOWN_SIZE = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**40  # libsndfile gives a larger number
# What libsndfile notes about the sizes of WAV and AIFF, and about the last page of OGG.
_SIZES = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_LAST_PAGE = re.compile("Last page lacks|File ended unexpectedly")
# Products of the two (reduced) rates up to which a resampling kernel fits in memory.
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
    >>> from mixup_tab.audio.clips import ClipError
    >>> print(ClipError("yes.wav", "is empty"))
    yes.wav is empty.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"{self.source} {self.reason}."


def read_clip(
    source: str | Path | bytes | BinaryIO,
    *,
    sample_rate: int = 16_000,
    seconds: float | None = 1.0,
    align: str = "center",
) -> np.ndarray:
    """Read an audio file as a waveform of one channel.

    Channels are averaged, other sample rates are converted by a windowed sinc filter
    (``torchaudio.transforms.Resample``), and the clip is cut or padded with zeros to a
    length. Of a longer file only what is needed is read.

    Parameters
    ----------
    source : str, Path, bytes or binary file object
        The file, or its content: WAV, FLAC, OGG, MP3 and what else libsndfile reads.
    sample_rate : int, default=16_000
        Samples per second of the result.
    seconds : float or None, default=1.0
        Length of the result; None keeps the whole clip.
    align : {"center", "start"}, default="center"
        Which part of a longer clip is kept, and where in the result a shorter one lies.

    Returns
    -------
    ndarray of float32, shape (samples,)
        Full scale is [−1, 1].

    Raises
    ------
    ClipError
        If the file is missing, unreadable, empty, no audio, truncated, without samples, or
        holds values that are not finite.
    TypeError, ValueError
        If a parameter is of no use.
    ImportError
        If soundfile, or torchaudio where it is needed, is not there.

    Examples
    --------
    >>> import io, numpy as np, soundfile
    >>> from mixup_tab.audio.clips import read_clip
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.full((8_000, 2), 0.5), 16_000, format="WAV")
    >>> clip = read_clip(file.getvalue(), seconds=1.0)
    >>> clip.shape, clip[0].item(), clip[8_000].item()
    ((16000,), 0.0, 0.5)
    """
    check_clip_params(sample_rate, seconds, align)
    name, file = _open(source)
    native, rate = _read(name, file, seconds, align)
    samples = _one_channel(name, native)
    if rate != sample_rate:
        samples = _resample(samples, rate, sample_rate)
    if seconds is None:
        return samples
    return _fit(samples, samples_in("seconds", seconds, sample_rate), align)


def check_clip_params(sample_rate: int, seconds: float | None, align: str) -> None:
    """Refuse values that :func:`read_clip` cannot use.

    Raises
    ------
    TypeError, ValueError
        That name the parameter.
    """
    check_count("sample_rate", sample_rate)
    if seconds is not None:
        samples_in("seconds", seconds, sample_rate)
    if align not in ("center", "start"):
        raise ValueError(f"align={align!r} is not known. Choose 'center' or 'start'.")


def _open(source: Any) -> tuple[str, str | BinaryIO]:
    """Return a name for messages, and what soundfile can open."""
    if isinstance(source, (str, Path)):
        return str(source), str(source)
    if isinstance(source, bytes):
        return "The clip", io.BytesIO(source)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise TypeError(
            f"source={source!r} is neither a path nor bytes nor a file that is open in binary "
            "mode. Give one of these."
        )
    name = str(getattr(source, "name", "The clip"))
    return name, source if source.seekable() else io.BytesIO(source.read())


def _read(
    name: str, file: str | BinaryIO, seconds: float | None, align: str
) -> tuple[np.ndarray, int]:
    """Return the needed part of a file, shape (frames, channels), and its sample rate."""
    soundfile = import_soundfile()
    try:
        with soundfile.SoundFile(_encoded(file)) as sound:
            _check_whole(name, sound)
            rate, frames = sound.samplerate, sound.frames
            wanted = frames if seconds is None else min(ceil(seconds * rate), frames)
            start = (frames - wanted) // 2 if align == "center" else 0
            if start:
                sound.seek(start)
            samples = sound.read(wanted, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, OSError, UnicodeError) as error:
        raise ClipError(name, _why_not(file, error)) from error
    if len(samples) < wanted:
        raise ClipError(name, f"is truncated: of {frames} samples it promises some are missing")
    return samples, rate


def _encoded(file: str | BinaryIO) -> bytes | str | BinaryIO:
    """Return the name of a file as the system has it: it need not be UTF-8."""
    return os.fsencode(file) if isinstance(file, str) and os.name == "posix" else file


def _check_whole(name: str, sound: Any) -> None:
    """Refuse a file that has no samples, or fewer than its header promises."""
    notes = sound.extra_info
    sizes = _SIZES.search(notes)
    promised, there = map(int, sizes.groups()) if sizes else (0, 0)
    if there < promised < _UNKNOWN_SIZE:
        raise ClipError(
            name, f"is truncated: it holds {there} bytes of sound of {promised} it promises"
        )
    if _NO_LAST_PAGE.search(notes):
        raise ClipError(name, "is truncated: its last page is missing")
    if sound.frames == 0:
        raise ClipError(name, "holds no samples")
    if sound.frames > _UNKNOWN_FRAMES:
        raise ClipError(name, "is a stream that does not say how long it is: save it anew")


def _why_not(file: str | BinaryIO, error: Exception) -> str:
    """Say in plain words why libsndfile did not read a file."""
    if not isinstance(file, str):
        return f"is no audio file, or a broken one ({_last_words(error)})"
    try:
        os.stat(file)
    except PermissionError:
        return "may not be read: the permissions of its folder forbid it"
    except (OSError, ValueError):  # ValueError: no file has such a name
        return "does not exist"
    if not os.path.isfile(file):
        return "is not a file"
    if not os.access(file, os.R_OK):
        return "may not be read: its permissions forbid it"
    if os.path.getsize(file) == 0:
        return "is empty"
    return f"is no audio file, or a broken one ({_last_words(error)})"


def _last_words(error: Exception) -> str:
    """Return libsndfile's reason without its prefix and full stop."""
    words = str(error).rsplit(": ", 1)[-1].rstrip(".")
    # Said of the beginning of an MP3 file, which does exist.
    return "Format not recognised" if words.startswith("File does not exist") else words


def _one_channel(name: str, samples: np.ndarray) -> np.ndarray:
    """Average the channels, and refuse values that are not finite."""
    channels = samples.shape[1]
    # A product, because NumPy's mean is 30 times slower along an axis of two.
    mono = samples[:, 0] if channels == 1 else samples @ np.full(channels, 1 / channels, "f4")
    if not np.isfinite(mono).all():
        raise ClipError(name, "holds samples that are NaN or infinite")
    return mono


def _resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Convert from one sample rate to another."""
    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    if up * down > _LARGEST_KERNEL:
        from scipy.signal import resample_poly

        return resample_poly(samples, up, down)
    import torch  # only here: a list of data sets should not wait for it

    with torch.inference_mode():
        return _resampler(down, up)(torch.from_numpy(samples)).numpy()


@lru_cache(maxsize=32)
def _resampler(rate: int, new_rate: int) -> Any:
    """Return a converter, whose filter takes longer to make than to apply."""
    return import_torchaudio("transforms").Resample(rate, new_rate)


def _fit(samples: np.ndarray, length: int, align: str) -> np.ndarray:
    """Cut or pad with zeros to a length."""
    spare = length - len(samples)
    before = spare // 2 if align == "center" else 0
    if spare <= 0:
        return samples[-before : length - before]
    out = np.zeros(length, np.float32)
    out[before : before + len(samples)] = samples
    return out
