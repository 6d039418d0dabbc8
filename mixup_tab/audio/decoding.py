"""Decode sound files to one channel, and explain why others cannot be read."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab.audio.survey import Survey, find_boost, find_scale
from mixup_tab.audio.where import find_sound

ALIGNMENTS = ("sound", "center", "start")
# Streamed WAV files state this size or more, because the real one was not known yet.
UNKNOWN_SIZE = 0x7FFF_0000
_UNKNOWN_FRAMES = 2**40  # libsndfile reports more if the length is unknown
# Messages of libsndfile about sizes in WAV and AIFF, and about the last page of OGG.
_SIZES = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
_NO_LAST_PAGE = re.compile("Last page lacks|File ended unexpectedly")
_LENGTH = re.compile(r"^Length : (\d+)", re.MULTILINE)
_LARGEST_HEADER = 4096  # bytes
_JUNK = re.compile("Junk after the last page")
FASTEST = 1_000_000  # samples per second; more means a damaged or hostile header
_BLOCK = 2**18  # samples, over all channels, to read at once
# Channels cancel if their average has less than this share of the power that uncorrelated
# channels would leave.
_CANCELLED = 0.05
# libsndfile's message for anything that is not a sound: it tries an old Mac format last.
_GUESSES = re.compile("File does not exist|bad (data|map|resource)")

# First bytes of files that libsndfile cannot read, and what these files are.
_CONVERT = "convert it, for example with ffmpeg -i OLD NEW.wav"
_BEGINNINGS = (
    (rb".{4}ftyp", f"is MPEG-4 (m4a, AAC), which libsndfile cannot read: {_CONVERT}"),
    (rb"\x1aE\xdf\xa3", f"is WebM or Matroska, which libsndfile cannot read: {_CONVERT}"),
    (rb"\x30\x26\xb2\x75\x8e\x66", f"is WMA, which libsndfile cannot read: {_CONVERT}"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", f"is AAC, which libsndfile cannot read: {_CONVERT}"),
    (rb"#!AMR", f"is AMR, which libsndfile cannot read: {_CONVERT}"),
    (rb"DSD |FRM8.{8}DSD ", f"is DSD, which libsndfile cannot read: {_CONVERT}"),
    (rb"MAC ", f"is Monkey's Audio, which libsndfile cannot read: {_CONVERT}"),
    (rb"wvpk", f"is WavPack, which libsndfile cannot read: {_CONVERT}"),
    (rb"TTA1", f"is True Audio, which libsndfile cannot read: {_CONVERT}"),
    (rb"BW64", f"is BW64, which libsndfile cannot read: {_CONVERT}"),
    (rb"MThd", "is MIDI, which holds notes, not sound"),
    (rb"version https://git-lfs", "is a pointer of Git LFS: fetch the sound with git lfs pull"),
    (rb"\0\x05\x16\x07", "holds macOS metadata of another file: delete it"),
    (rb"\s*<(!DOCTYPE|!doctype|html|HTML|\?xml)", "is a web page, not a sound"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "is an archive: unpack it"),
)
_KNOWN = [(re.compile(start, re.DOTALL), reason) for start, reason in _BEGINNINGS]
_FIRST_PAGE = b"OggS\0\2"
_PIECE = 2**20


class ClipError(ValueError):
    """A file that cannot be used as a clip.

    Parameters
    ----------
    source : str
        Name of the file.
    reason : str
        What is wrong with it; follows the name in the message.

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
        return str(source), _without_fork(str(source))
    if isinstance(source, bytes):
        return "The clip", io.BytesIO(source)
    if not hasattr(source, "read") or isinstance(source, io.TextIOBase):
        raise TypeError(f"source={source!r} must be a path, bytes or a file in binary mode.")
    name = str(getattr(source, "name", "The clip"))
    return name, source if source.seekable() else io.BytesIO(source.read())


def _without_fork(path: str) -> str | BinaryIO:
    """Return a path, or an open file if macOS left a ``._`` file beside it.

    libsndfile would take that for the header of a sound in an old format.
    """
    folder, name = os.path.split(path)
    if not os.path.exists(os.path.join(folder, f"._{name}")):
        return path
    try:
        return io.BytesIO(Path(path).read_bytes()) if os.path.getsize(path) < 2**30 else path
    except OSError:  # explained when the file is opened again
        return path


class Decoded(NamedTuple):
    """Samples of one channel, their sample rate, and a row of FACTS about the file."""

    samples: np.ndarray
    rate: int
    facts: tuple


def decode(
    source: Any, new_rate: int, seconds: float | None, align: str, size_limit: float
) -> Decoded:
    """Decode as much of a sound file as is needed.

    Parameters as in :func:`~mixup_tab.audio.read_clip`; ``new_rate`` is that of the result.
    """
    with open_file(source) as (name, sound):
        needed = sound.frames
        if seconds is not None:
            needed = min(ceil(seconds * sound.samplerate), needed)
        _check_size(name, needed, align, sound, new_rate, size_limit)
        return _read(name, sound, needed, align)


@contextmanager
def open_file(source: Any) -> Iterator[tuple[str, Any]]:
    """Yield a name for messages and a ``SoundFile``; errors become ClipError."""
    soundfile = import_extra("soundfile", "speech")
    name, file = _open(source)
    # Names of files need not be UTF-8.
    encoded = os.fsencode(file) if isinstance(file, str) and os.name == "posix" else file
    try:
        with soundfile.SoundFile(encoded) as sound:
            _check_complete(name, sound, file)
            if sound.samplerate > FASTEST:
                reason = f"states {sound.samplerate:,} samples per second: it is damaged"
                raise ClipError(name, reason)
            yield name, sound
    except (soundfile.SoundFileError, TypeError, OSError, UnicodeError) as error:
        raise ClipError(name, _why_not(file, error)) from error


def _read(name: str, sound: Any, needed: int, align: str) -> Decoded:
    frames, search = sound.frames, align == "sound" and needed < sound.frames
    survey = Survey(sound.samplerate, search)
    if needed == frames or not sound.seekable():
        samples = read_block(name, sound, frames, survey)
        start, lost = _place(survey, frames, needed, align)
        samples = samples[start : start + needed]
    else:
        step = _BLOCK // sound.channels + 1
        for done in range(0, frames if search else 0, step):
            read_block(name, sound, min(step, frames - done), survey)
        start, lost = _place(survey, frames, needed, align)
        sound.seek(start)
        samples = read_block(name, sound, needed, None if search else survey)
    try:
        scale = find_scale(sound.subtype, survey.peak, survey.whole)
    except ValueError as error:
        raise ClipError(name, str(error)) from error
    boost = find_boost(sound.subtype, survey.peak * scale)
    if scale * boost != 1:
        samples = samples * np.float32(scale * boost)
    return Decoded(samples, sound.samplerate, survey.facts(sound, scale, boost, lost))


def read_block(name: str, sound: Any, count: int, survey: Survey | None) -> np.ndarray:
    """Read the next samples as one channel, and survey them."""
    block = sound.read(count, dtype="float32", always_2d=True)
    if len(block) < count:
        raise ClipError(name, f"is truncated: some of its {sound.frames} samples are missing")
    samples, cancels = one_channel(name, block)
    if survey is not None:
        survey.add(samples, cancels)
    return samples


def _place(survey: Survey, frames: int, needed: int, align: str) -> tuple[int, float]:
    """Return the first frame of the needed part, and the share of the sound outside of it."""
    if survey.levels is None:
        return ((frames - needed) // 2 if align == "center" else 0), 0.0
    frame = survey.levels.frame
    start, lost = find_sound(survey.levels.in_decibels(), max(needed // frame, 1))
    return min(start * frame, frames - needed), lost


def _check_complete(name: str, sound: Any, file: str | BinaryIO) -> None:
    """Raise ClipError for a file without samples, or with fewer than its header says."""
    notes = sound.extra_info
    sizes = _SIZES.search(notes)
    stated, found = map(int, sizes.groups()) if sizes else (0, 0)
    if found < stated < UNKNOWN_SIZE:
        raise ClipError(name, f"is truncated: it holds {found} of {stated} bytes of sound")
    if _NO_LAST_PAGE.search(notes):
        raise ClipError(name, "is truncated: its last page is missing")
    if sound.frames == 0:
        length = _LENGTH.search(notes)
        if length and int(length[1]) > _LARGEST_HEADER:
            raise ClipError(
                name,
                f"has {int(length[1]):,} bytes, but no samples according to its header: the "
                "recording was not finished",
            )
        raise ClipError(name, "holds no samples")
    if _JUNK.search(notes) and _count_streams(file) > 1:
        raise ClipError(
            name,
            "holds several OGG streams, and libsndfile reads only the first: save it again",
        )
    if sound.frames > _UNKNOWN_FRAMES:
        raise ClipError(name, "is a stream that does not state its length: save it again")


def _check_size(
    name: str, needed: int, align: str, sound: Any, new_rate: int, size_limit: float
) -> None:
    """Raise ClipError if reading or converting a file takes too much memory or time."""
    read = sound.frames if align == "sound" or not sound.seekable() else needed
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
        except (OSError, ValueError):  # ValueError: an invalid name
            return "does not exist"
        if not os.path.isfile(file):
            return "is not a file"
        if not os.access(file, os.R_OK):
            return "has no read permission"
        if size == 0:
            return "is empty"
    if found := _foreign_format(file):
        return found
    reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
    if _GUESSES.match(reason):
        reason = "Format not recognised"
    return f"is not an audio file, or is damaged ({reason})"


def one_channel(name: str, samples: np.ndarray) -> tuple[np.ndarray, bool]:
    """Average channels, or use the loudest if they cancel out; also return whether they do.

    Raises ClipError for values that are not finite.
    """
    channels = samples.shape[1]
    # A product, because NumPy's mean is 30 times slower along an axis of two.
    weights = np.full(channels, 1 / channels, "f4")
    with np.errstate(invalid="ignore", over="ignore"):  # checked below
        mono = samples[:, 0] if channels == 1 else samples @ weights
    if not np.isfinite(mono).all():
        raise ClipError(name, "holds samples that are NaN or infinite")
    if channels == 1 or not len(mono):
        return mono, False
    with np.errstate(over="ignore", invalid="ignore"):
        power = [samples[:, each].var() for each in range(channels)]
        cancels = bool(mono.var() < _CANCELLED * sum(power) / channels**2)
    return (samples[:, np.argmax(power)] if cancels else mono), cancels


def _foreign_format(file: str | BinaryIO) -> str | None:
    """Return what a file is that libsndfile could not open; None if unknown."""
    with _from_start(file) as content:
        head = content.read(64)
    return next((reason for start, reason in _KNOWN if start.match(head)), None)


def _count_streams(file: str | BinaryIO) -> int:
    """Return how many streams an OGG file holds."""
    count, rest = 0, b""
    with _from_start(file) as content:
        while piece := content.read(_PIECE):
            count += (rest + piece).count(_FIRST_PAGE)
            rest = piece[1 - len(_FIRST_PAGE) :]
    return count


@contextmanager
def _from_start(file: str | BinaryIO) -> Iterator[BinaryIO]:
    """Open a path, or rewind an open file and restore its position."""
    if isinstance(file, str):
        with open(file, "rb") as content:
            yield content
        return
    place = file.tell()
    file.seek(0)
    yield file
    file.seek(place)
