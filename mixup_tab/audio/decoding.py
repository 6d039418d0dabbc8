"""Sound files as samples of one channel: what can be read, and what is wrong with the rest."""

from __future__ import annotations

import io
import os
import re
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab.audio.where import Levels, find_sound

ALIGNMENTS = ("sound", "center", "start")
# Streamed WAV files carry such sizes or larger ones, because the real one was not known yet.
_UNKNOWN_SIZE = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**40  # libsndfile gives a larger number
# What libsndfile notes about the sizes of WAV and AIFF, and about the last page of OGG.
_SIZES = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_LAST_PAGE = re.compile("Last page lacks|File ended unexpectedly")
_FASTEST = 1_000_000  # samples per second; files of a damaged or hostile header state more
_BLOCK = 2**18  # samples of all channels that are read at once
_MISSING = "is truncated: some of its {} samples are missing"


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


def decode(
    source: Any, new_rate: int, seconds: float | None, align: str, size_limit: float
) -> tuple[np.ndarray, int]:
    """Return the needed part of a sound file as one channel, and its sample rate.

    Parameters as in :func:`~mixup_tab.audio.read_clip`; ``new_rate`` is that of the result.
    """
    soundfile = import_extra("soundfile", "speech")
    name, file = _open(source)
    # Names of files need not be UTF-8.
    encoded = os.fsencode(file) if isinstance(file, str) and os.name == "posix" else file
    try:
        with soundfile.SoundFile(encoded) as sound:
            _check_complete(name, sound)
            needed = sound.frames
            if seconds is not None:
                needed = min(ceil(seconds * sound.samplerate), needed)
            _check_size(name, needed, align, sound, new_rate, size_limit)
            start = _start(name, sound, needed, align)
            if start or sound.tell():
                sound.seek(start)
            samples = sound.read(needed, dtype="float32", always_2d=True)
            frames, rate = sound.frames, sound.samplerate
    except (soundfile.SoundFileError, TypeError, OSError, UnicodeError) as error:
        raise ClipError(name, _why_not(file, error)) from error
    if len(samples) < needed:
        raise ClipError(name, _MISSING.format(frames))
    return _one_channel(name, samples), rate


def _start(name: str, sound: Any, needed: int, align: str) -> int:
    """Return the first frame of the needed part."""
    spare = sound.frames - needed
    if align == "start" or not spare:
        return 0
    if align == "center":
        return spare // 2
    levels, found = Levels(sound.samplerate), 0
    while len(block := sound.read(_BLOCK // sound.channels, dtype="float32", always_2d=True)):
        levels.add(_one_channel(name, block))
        found += len(block)
    if found < sound.frames:
        raise ClipError(name, _MISSING.format(sound.frames))
    first, _ = find_sound(levels.in_decibels(), needed // levels.frame)
    return min(first * levels.frame, spare)


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


def _check_size(
    name: str, needed: int, align: str, sound: Any, new_rate: int, size_limit: float
) -> None:
    """Raise ClipError if reading or converting so many frames takes too much memory or time."""
    if sound.samplerate > _FASTEST:
        raise ClipError(name, f"states {sound.samplerate:,} samples per second: it is damaged")
    read = sound.frames if align == "sound" else needed
    size = 4 * max(read * sound.channels, needed * new_rate // sound.samplerate)
    if size > size_limit:
        less = "Use align='center'" if read > needed else "Read fewer seconds"
        raise ClipError(
            name,
            f"takes {size:,} bytes in memory, and the limit is size_limit={size_limit:,}. "
            f"{less}, or raise the limit if you trust the file",
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
