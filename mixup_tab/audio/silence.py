"""Clips of background noise, cut from a few long recordings: the class that is no speech."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixup_tab.audio.clips import read_clip

SAMPLE_RATE = 16_000
# Each recording is cut in three, so that no noise of one subset is in another.
STRETCHES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
# In seconds: one for the shortest stretch, and one to spare.
SHORTEST = 11
# Multiples of it, modulo 1, are spread evenly over (0, 1): the volumes.
GOLDEN = (5**0.5 - 1) / 2


class Cut(NamedTuple):
    """One clip: the ``index``-th of ``count`` from one recording's stretch for a subset."""

    noise: str
    subset: str
    index: int
    count: int
    volume: float

    @property
    def file(self) -> str:
        """Where it lies in the folder of all cuts."""
        return f"{self.subset}/{self.noise}_{self.index:05d}.wav"

    @property
    def source(self) -> str:
        """What it shares sound with; stands where a speaker would."""
        return f"{self.noise}-{self.subset}"


def plan_cuts(noises: Sequence[str], counts: dict[str, int]) -> list[Cut]:
    """Say which clips to cut; the same for everybody.

    Parameters
    ----------
    noises : sequence of str
        Names of the recordings. They take turns.
    counts : dict of {"train", "validation", "test"} to int
        Number of clips.

    Returns
    -------
    list of Cut

    Examples
    --------
    >>> [cut.file for cut in plan_cuts(["hum", "tap"], {"test": 3})]
    ['test/hum_00000.wav', 'test/tap_00000.wav', 'test/hum_00001.wav']
    """
    turns = len(noises)
    return [
        Cut(
            noise=noises[number % turns],
            subset=subset,
            index=number // turns,
            count=(count - 1 - number % turns) // turns + 1,
            volume=(number + 1) * GOLDEN % 1,
        )
        for subset, count in counts.items()
        for number in range(count)
    ]


def write_cuts(recordings: Path, folder: Path, counts: dict[str, int]) -> list[Cut]:
    """Cut clips of one second from recordings and write them, unless they are there.

    Parameters
    ----------
    recordings : Path
        Folder of long WAV files.
    folder : Path
        Gets ``<subset>/<recording>_<number>.wav``, 16 bits, 16 kHz; all or nothing.
    counts : dict of {"train", "validation", "test"} to int
        Number of clips. Their beginnings are spread evenly over the subset's part of each
        recording (the first 80 %, the next and the last 10 %), their volumes over (0, 1).

    Returns
    -------
    list of Cut

    Raises
    ------
    ValueError
        If there are no recordings, or one is too short.
    OSError
        If ``folder`` cannot be written.
    """
    paths = {path.stem: path for path in sorted(recordings.glob("*.wav"))}
    if not paths:
        raise ValueError(
            f"{recordings} holds no recordings (*.wav) to cut silence from. Put those of the "
            "archive there, or choose a task without silence."
        )
    cuts = plan_cuts(list(paths), counts)
    if all((folder / cut.file).is_file() for cut in cuts):
        return cuts
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        new = Path(partial, folder.name)
        for subset in counts:
            (new / subset).mkdir(parents=True)
        for noise, path in paths.items():
            _write_all(path, new, [cut for cut in cuts if cut.noise == noise])
        shutil.rmtree(folder, ignore_errors=True)  # of other numbers
        os.replace(new, folder)
    return cuts


def _write_all(path: Path, folder: Path, cuts: list[Cut]) -> None:
    sound = read_clip(path, sample_rate=SAMPLE_RATE, seconds=None)
    if len(sound) < SHORTEST * SAMPLE_RATE:
        raise ValueError(
            f"{path} lasts {len(sound) / SAMPLE_RATE:.1f} s, and silence needs recordings of "
            f"at least {SHORTEST} s. Remove it, or put a longer one there."
        )
    for cut in cuts:
        first, last = (math.floor(part * len(sound)) for part in STRETCHES[cut.subset])
        start = first + round((last - first - SAMPLE_RATE) * cut.index / max(cut.count - 1, 1))
        _write(folder / cut.file, sound[start : start + SAMPLE_RATE] * cut.volume)


def _write(path: Path, sound: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(
            np.clip(np.round(sound * 32768), -32768, 32767).astype("<i2").tobytes()
        )
