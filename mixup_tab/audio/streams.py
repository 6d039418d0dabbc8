"""Streams of sound, block by block: from long files, pipes and microphones."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab.audio.decoding import (
    FASTEST,
    UNKNOWN_SIZE,
    ClipError,
    one_channel,
    open_file,
    read_block,
)
from mixup_tab.audio.files import fit_length
from mixup_tab.audio.survey import FINE, Survey, find_boost, find_scale
from mixup_tab.audio.waveforms import FULL_SCALE, resample, samples_in, to_int16

# First bytes of WAV, FLAC, OGG, AIFF and MP3 with tags, which no file name or samples have.
SOUND = re.compile(rb"(RIFF|RF64).{4}WAVE|fLaC\0|OggS\0|ID3[\2-\4]|FORM.{4}AIF", re.DOTALL)
_BYTES = 8192  # maximum to read from a pipe at once
_SAMPLES = 2**15  # over all channels, to read from a file at once
_MOST_CHANNELS = 1000
_LONGEST_HEAD = 2**24  # bytes of a WAV before its samples
_PCM, _EXTENSIBLE = 1, 0xFFFE  # kinds of WAV


class Sound(NamedTuple):
    """Samples of one channel, full scale 1, and their sample rate.

    ``frames`` is their number, None if unknown.
    """

    sample_rate: int
    blocks: Iterable[np.ndarray]
    frames: int | None = None


def windows(
    blocks: Iterable[np.ndarray], length: int, step: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield overlapping windows of a stream, with the position of their first sample.

    The stream is padded with half a window of silence on both sides, so that every sound is
    once in the middle; positions start at −length / 2. ``length`` is that of a window in
    samples, and ``step`` the distance between windows. Memory does not grow with the stream,
    and ``blocks`` may be of any size. A window is only valid until the next one.
    """
    half = length // 2
    buffer, filled, start = np.zeros(length, np.float32), half, -half
    silence = np.zeros(half, np.float32)
    for block in (part for source in (blocks, [silence]) for part in source):
        while len(block):
            taken = block[: length - filled]
            buffer[filled : filled + len(taken)] = taken
            filled, block = filled + len(taken), block[len(taken) :]
            if filled == length:
                yield start, buffer
                buffer[:-step] = buffer[step:]
                filled, start = length - step, start + step


def as_clip(window: np.ndarray, rate: int, reader: Any) -> np.ndarray:
    """Return a window of sound as the clip that a reader would return."""
    length = samples_in("seconds", reader.seconds, reader.sample_rate)
    if rate != reader.sample_rate:
        window = resample(window, rate, reader.sample_rate)
    clip = fit_length(window, length, "center")
    return to_int16(clip) if reader.dtype == "int16" else clip


# ---------------------------------------------------------------------------------- files


def duration(source: str | bytes) -> float:
    """Return the length of a sound file in seconds, 0 if it cannot be opened."""
    try:
        with open_sound(source) as sound:
            return (sound.frames or 0) / sound.sample_rate
    except ClipError:
        return 0.0


@contextmanager
def open_sound(source: str | bytes) -> Iterator[Sound]:
    """Open a sound file, or its content, to read it block by block.

    Raises ClipError, also while reading, where :func:`~mixup_tab.audio.read_clip` does.
    """
    with open_file(source) as (name, sound):
        yield Sound(sound.samplerate, _file_blocks(name, sound), sound.frames)


def _file_blocks(name: str, sound: Any) -> Iterator[np.ndarray]:
    """Yield a file, scaled as if it were read whole."""
    step, scale = _SAMPLES // sound.channels + 1, 1.0
    starts = range(0, sound.frames, step)
    if sound.subtype in FINE and sound.seekable():
        survey = Survey(sound.samplerate, False)
        for start in starts:
            read_block(name, sound, min(step, sound.frames - start), survey)
        sound.seek(0)
        try:
            scale = find_scale(sound.subtype, survey.peak, survey.whole)
        except ValueError as error:
            raise ClipError(name, str(error)) from error
        scale *= find_boost(sound.subtype, survey.peak * scale)
    for start in starts:
        block = read_block(name, sound, min(step, sound.frames - start), None)
        yield block if scale == 1 else block * np.float32(scale)


# ---------------------------------------------------------------------------------- pipes


def read_pipe(stdin: BinaryIO, sample_rate: int) -> Sound:
    """Return 16-bit samples from a pipe: raw samples of a known rate, or a WAV file.

    Raises ValueError for other formats.
    """
    head = stdin.read(12)
    if not SOUND.match(head):
        return Sound(sample_rate, _pipe_blocks(head, stdin, 1, None))
    layout = _wav_layout(stdin) if head[8:] == b"WAVE" else None
    if layout is None:
        raise ValueError(
            "source: - is neither raw 16-bit samples nor a 16-bit WAV file. Name the file "
            "instead, or convert it: ffmpeg -i FILE -f s16le -ac 1 -ar "
            f"{sample_rate} - | mixup-tab speech listen MODEL -"
        )
    channels, rate, size = layout
    return Sound(rate, _pipe_blocks(b"", stdin, channels, size))


def _wav_layout(stdin: BinaryIO) -> tuple[int, int, int | None] | None:
    """Read the header of a WAV file: channels, rate, and bytes of samples if known.

    Returns None if its samples are not integers of 16 bits.
    """
    layout, left = None, _LONGEST_HEAD
    while len(head := stdin.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data":
            known = 0 < size < UNKNOWN_SIZE
            return layout and (*layout, size if known else None)
        left -= size + 8
        if left < 0:
            return None
        body = stdin.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if kind == _EXTENSIBLE and len(body) >= 26:
                kind = int.from_bytes(body[24:26], "little")
            fine = kind == _PCM and bits == 16 and 1 <= channels <= _MOST_CHANNELS
            layout = (channels, rate) if fine and 1 <= rate <= FASTEST else None
    return None


def _pipe_blocks(
    first: bytes, stdin: Any, channels: int, size: int | None
) -> Iterator[np.ndarray]:
    """Yield the samples of a pipe as they come in, up to ``size`` bytes."""
    left = float("inf") if size is None else size
    rest = first
    while left > 0:
        read = stdin.read1(int(min(left, _BYTES)))
        left -= len(read)
        rest += read
        whole = len(rest) - len(rest) % (2 * channels)
        samples = np.frombuffer(rest[:whole], "<i2").reshape(-1, channels)
        rest = rest[whole:]
        yield one_channel("-", samples / np.float32(FULL_SCALE))[0]
        if not read:
            break
    if rest:
        print("The sound ended in the middle of a sample, which was left out.", file=sys.stderr)


# ---------------------------------------------------------------------------- microphones


@contextmanager
def open_microphone(sample_rate: int, device: str | None = None) -> Iterator[Sound]:
    """Open a microphone, at its default rate if it does not support this one.

    Raises ImportError without sounddevice, and OSError without PortAudio or a microphone.
    """
    try:
        sounddevice = import_extra("sounddevice", "live")
    except ImportError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise OSError(  # PortAudio, which pip does not install everywhere
            f"{error.__cause__}. Install PortAudio (Debian: apt install libportaudio2), "
            f"or listen to a pipe: {_recording(sample_rate)}"
        ) from error
    number = int(device) if device and device.isdigit() else device
    try:
        try:
            sounddevice.check_input_settings(number, 1, "int16", samplerate=sample_rate)
        except sounddevice.PortAudioError:
            found = sounddevice.query_devices(number, "input")
            sample_rate = int(found["default_samplerate"])
        with sounddevice.RawInputStream(
            sample_rate, device=number, channels=1, dtype="int16"
        ) as stream:
            yield Sound(sample_rate, _microphone_blocks(stream, sample_rate // 20))
    except (sounddevice.PortAudioError, ValueError) as error:
        which = "the microphone" if device is None else f"microphone={device!r}"
        raise OSError(
            f"{which} cannot be opened ({error}). python -m sounddevice lists the devices. Or "
            f"listen to a pipe: {_recording(sample_rate)}"
        ) from error


def _recording(sample_rate: int) -> str:
    return f"arecord -t raw -f S16_LE -c 1 -r {sample_rate} | mixup-tab speech listen MODEL -"


def _microphone_blocks(stream: Any, frames: int) -> Iterator[np.ndarray]:
    warned = False
    while True:
        content, lost = stream.read(frames)
        if lost and not warned:
            print("Sound was lost: this machine predicts too slowly.", file=sys.stderr)
            warned = True
        yield np.frombuffer(content, np.int16).astype(np.float32) / FULL_SCALE
