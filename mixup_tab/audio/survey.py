"""Facts about a decoded sound file: length, loudness, faults."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from mixup_tab.audio.where import Levels

# One row per file: its sample rate and length; ``peak`` and ``offset`` relative to full scale;
# number of clipped samples; share of the sound outside of the clip; a digest, equal for equal
# samples; and remarks on how it was read.
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
QUIET = 2.0**-10  # quieter sounds are distorted in 16 bits
INAUDIBLE = 2.0**-20
_LOUD = 8.0  # float files may exceed full scale up to this
_OTHER = 2.0**9  # louder float files hold integers, perhaps filtered ones
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
        Whether to measure levels, too.
    """

    def __init__(self, rate: int, search: bool) -> None:
        self.levels = Levels(rate) if search else None
        self.peak, self.whole, self.clipped, self.cancels = 0.0, True, 0, False
        self._sum, self._count = 0.0, 0
        self._digest = blake2b(digest_size=8)

    def add(self, samples: np.ndarray, cancels: bool) -> None:
        """Add samples, shape (samples,); ``cancels``: whether their channels cancel out."""
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
        """Return a row of FACTS."""
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
    """Count the samples at full scale whose two neighbours are at full scale, too."""
    full = sizes >= _FULL
    return int((full[2:] & full[1:-1] & full[:-2]).sum()) if full.any() else 0


def find_scale(subtype: str, peak: float, whole: bool) -> float:
    """Return the power of two that scales samples to full scale 1.

    Float files may hold integers, of 16 bits for example. ``subtype`` is libsndfile's name of
    the sample format, ``peak`` the largest absolute value, ``whole`` says whether all values
    are whole numbers. Raises ValueError with a reason if the full scale is unclear.
    """
    if subtype not in _FLOAT or peak <= (2.0 if whole else _LOUD):
        return 1.0
    fitting = [scale for scale in _SCALES if scale >= peak]
    if not fitting or not (whole or peak >= _OTHER):
        raise ValueError(
            f"holds float samples of up to {peak:.3g}, but full scale is 1: save it again with "
            "values in [-1, 1]"
        )
    return 1 / fitting[0]


def find_boost(subtype: str, peak: float) -> float:
    """Return the power of two that makes a sound loud enough for 16 bits; usually 1."""
    if subtype not in FINE or not INAUDIBLE <= peak < QUIET:
        return 1.0
    return float(2.0 ** -(np.floor(np.log2(peak)) + 2))  # moves the peak into [1/4, 1/2)
