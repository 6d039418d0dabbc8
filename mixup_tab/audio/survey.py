"""What is known of a sound file once it is decoded: length, loudness, faults."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from mixup_tab.audio.where import Levels

# One row per file: its own sample rate, the seconds of all of it, ``peak`` and ``offset`` where
# full scale is 1, how many samples are cut off there, the share of the sound that is not in the
# clip, a digest that files with the same samples share, and what was done to read it.
FACTS = np.dtype(
    [
        ("rate", "i4"),
        ("channels", "i2"),
        ("seconds", "f4"),
        ("peak", "f4"),
        ("offset", "f4"),
        ("clipped", "i4"),
        ("lost", "f4"),
        ("digest", "u8"),
        ("remark", "O"),
    ]
)
QUIET = 2.0**-10  # what is below it loses its shape in 16 bits
INAUDIBLE = 2.0**-20
_LOUD = 8.0  # float files may go beyond full scale, but by no more than this
_OTHER = 2.0**9  # beyond it the scale is that of integers, also if they were filtered
_SCALES = (2.0**15, 2.0**23, 2.0**31)
_FLOAT = ("FLOAT", "DOUBLE")
FINE = (*_FLOAT, "PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32")
_FULL = 0.999


class Survey:
    """Facts about a sound of one channel, from blocks of it.

    Parameters
    ----------
    rate : int
        Samples per second.
    search : bool
        Whether levels are taken, too.
    """

    def __init__(self, rate: int, search: bool) -> None:
        self.levels = Levels(rate) if search else None
        self.peak, self.whole, self.clipped, self.cancels = 0.0, True, 0, False
        self._sum, self._count = 0.0, 0
        self._digest = blake2b(digest_size=8)

    def add(self, samples: np.ndarray, cancels: bool) -> None:
        """Take the next samples, shape (samples,); ``cancels``: their channels do."""
        sizes = np.abs(samples)
        self.peak = max(self.peak, float(sizes.max(initial=0)))
        self.whole = self.whole and bool((samples == np.rint(samples)).all())
        self.clipped += _cut_off(sizes)
        self.cancels |= cancels
        self._sum += float(samples.sum(dtype=np.float64))
        self._count += len(samples)
        self._digest.update((samples + np.float32(0)).tobytes())  # -0 becomes 0
        if self.levels is not None:
            self.levels.add(samples)

    def facts(self, sound: Any, scale: float, boost: float, lost: float) -> tuple:
        """Return a row of FACTS, with what was done in words."""
        remarks = []
        if self.cancels:
            remarks.append("its channels cancel out: only the loudest is used")
        if scale != 1:
            remarks.append(
                f"its samples are whole numbers as floats: divided by {1 / scale:,.0f}"
            )
        if boost != 1:
            remarks.append(f"it is very quiet: multiplied by {boost:,.0f}")
        return (
            sound.samplerate,
            sound.channels,
            sound.frames / sound.samplerate,
            self.peak * scale,
            self._sum / max(self._count, 1) * scale,
            self.clipped if scale == 1 else 0,
            lost,
            int.from_bytes(self._digest.digest(), "little"),
            "; ".join(remarks),
        )


def _cut_off(sizes: np.ndarray) -> int:
    """Count the samples at full scale that have a neighbour on either side there."""
    full = sizes >= _FULL
    return int((full[2:] & full[1:-1] & full[:-2]).sum()) if full.any() else 0


def find_scale(subtype: str, peak: float, whole: bool) -> float:
    """Return the power of two by which samples are to be multiplied to have full scale 1.

    Float files may hold integers, of 16 bits for example. ``subtype`` is libsndfile's name of
    the kind of samples, ``peak`` the largest absolute value, ``whole`` says whether all values
    are whole numbers. Raises ValueError, whose message is a reason, if the full scale is
    unclear.
    """
    if subtype not in _FLOAT or peak <= (2.0 if whole else _LOUD):
        return 1.0
    fitting = [scale for scale in _SCALES if scale >= peak]
    if not fitting or not (whole or peak >= _OTHER):
        raise ValueError(
            f"holds float samples of up to {peak:.3g}, and full scale is 1: save it again with "
            "values in [-1, 1]"
        )
    return 1 / fitting[0]


def find_boost(subtype: str, peak: float) -> float:
    """Return the power of two that makes a sound loud enough for 16 bits; mostly 1."""
    if subtype not in FINE or not INAUDIBLE <= peak < QUIET:
        return 1.0
    return float(2.0 ** -(np.floor(np.log2(peak)) + 2))  # the peak comes to lie in [1/4, 1/2)
