"""Find the sound in a recording that is longer than a clip."""

from __future__ import annotations

import numpy as np

# All levels in dB. Sound is at least this much above the background ...
_MARGIN = 6.0
# ... and at most this much below the loudest, in a recording without background.
_RANGE = 30.0
# Louder frames count no more than this, so that a word outweighs a louder but shorter bang.
_ENOUGH = 12.0
_BACKGROUND = 20  # percentile of the levels
_EDGE = 0.02  # share of the sound to ignore at either end when it is centred
_CLICK = 5  # frames; sounds of less than half of this are ignored


class Levels:
    """The level of a recording in frames of 10 ms, computed block by block.

    It is the level of the difference between samples 0.5 ms apart, which removes a DC offset
    and most of mains hum, but not speech.

    Parameters
    ----------
    rate : int
        Samples per second.
    """

    def __init__(self, rate: int) -> None:
        self.frame = max(rate // 100, 8)  # samples
        self._lag = max(rate // 2000, 1)
        self._rest = np.zeros(0, np.float32)
        self._parts: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Add the next samples, shape (samples,)."""
        samples = np.concatenate([self._rest, block])
        whole = max(len(samples) - self._lag, 0) // self.frame * self.frame
        # In float64: samples of a damaged file may be so large that float32 overflows.
        later, now = samples[self._lag : whole + self._lag], samples[:whole]
        change = np.subtract(later, now, dtype=np.float64)
        power = np.square(change, out=change).reshape(-1, self.frame).mean(axis=1)
        self._parts.append(power)
        self._rest = samples[whole:]

    def in_decibels(self) -> np.ndarray:
        """Return the level of every whole frame, in dB."""
        power = np.concatenate(self._parts)
        return 10 * np.log10(np.maximum(power, 1e-20))


def find_sound(levels: np.ndarray, width: int) -> tuple[int, float]:
    """Return where to cut a window, and the share of the sound outside of it.

    Sound is more than 6 dB above the background (the 20th percentile of the levels) and at most
    30 dB below the loudest. A frame counts by its level above that, up to 12 dB, so that a word
    outweighs a louder but shorter bang. Clicks of up to 20 ms do not count. The first window
    with most sound is chosen and moved so that the sound is in its centre. Without sound it is
    the middle.

    Parameters
    ----------
    levels : ndarray of shape (frames,)
        In dB.
    width : int
        Length of the window in frames.

    Returns
    -------
    start : int
        First frame of the window, in [0, frames − width].
    lost : float
        In [0, 1).
    """
    last = len(levels) - width
    if last <= 0:
        return 0, 0.0
    from scipy.ndimage import median_filter  # slow to import, and most clips are not searched

    smooth = median_filter(levels, _CLICK, mode="nearest")
    loudest = np.partition(smooth, -min(_CLICK, len(smooth)))[-min(_CLICK, len(smooth))]
    base = max(np.percentile(smooth, _BACKGROUND) + _MARGIN, loudest - _RANGE)
    total = np.concatenate([[0.0], np.cumsum(np.clip(smooth - base, 0, _ENOUGH))])
    inside = total[width:] - total[:-width]
    if inside.max() <= 0:
        return last // 2, 0.0
    # Tolerance, because sums of the same frames differ in their last bits.
    best = int(np.argmax(inside >= inside.max() - 1e-6))
    found = total[best] + inside[best] * np.array([_EDGE, 1 - _EDGE])
    first, end = np.searchsorted(total, found)
    start = int(np.clip((first - 1 + end - width) // 2, 0, last))
    return start, float(1 - inside[start] / total[-1])
