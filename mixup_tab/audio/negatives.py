"""Other sounds than the words, made from the clips of the words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.answers import UNKNOWN
from mixup_tab.audio.files import ClipError, read_clip
from mixup_tab.audio.folders import as_bunch
from mixup_tab.audio.waveforms import FULL_SCALE, samples_in, to_int16

# Samples over which one piece fades into the next, as a share of a clip: 5 ms of a second.
_FADE = 0.005
_STEEPEST = 2.0  # power of noise falls with frequency as 1 / f to this
_SILENT = 0.1  # share of the noise that is digital silence
_MOST_NOISE = 1200.0  # seconds of background noise that are used, in equal parts of recordings
_JOINED = 4  # windows of noise in a row, so that stretches of it begin anywhere
SILENCE = ("silence", "_silence_")  # words that stand for noise


class Negatives(NamedTuple):
    """Clips of other sounds, shape (clips, samples), and what each of them is.

    ``kind`` is "recorded", "background" for stretches of background noise, or a name of
    ``KINDS``.
    """

    X: np.ndarray
    kind: np.ndarray

    def __str__(self) -> str:
        kinds, counts = np.unique(self.kind, return_counts=True)
        return ", ".join(f"{n:,} {kind}" for kind, n in zip(kinds, counts, strict=True))


class Noise(NamedTuple):
    """Windows of background noise, and the recordings that could not be read."""

    training: np.ndarray
    validation: np.ndarray
    skipped: list[tuple[str, str]]


def collect_negatives(
    X: np.ndarray, y: np.ndarray, background: np.ndarray, count: int, random_state: int
) -> Negatives:
    """Return about ``count`` clips of other sounds: recorded ones first.

    Recorded clips are those with the label ``unknown``, all of which are taken; ``background``
    are windows of noise, for up to a quarter of what is missing. The rest is made.
    """
    recorded = X[y == UNKNOWN]
    missing = max(count - len(recorded), 0)
    rng = np.random.default_rng([random_state, len(background)])
    most = min(len(background), max(missing // 4, 1))
    windows = background[np.sort(rng.permutation(len(background))[:most])]
    words = y != UNKNOWN
    # Noise is left to a class of that name, if there is one, and to real noise.
    real = len(background) or np.isin(y, SILENCE).any()
    kinds = [name for name in KINDS if name != "noise" or not real]
    made = make_negatives(
        X[words], y[words], missing - most, kinds=kinds, random_state=random_state
    )
    kind = np.repeat(["recorded", "background"], [len(recorded), most])
    return Negatives(
        np.concatenate([recorded, windows.reshape(-1, X.shape[1]), made.X]),
        np.concatenate([kind, made.kind]),
    )


def make_negatives(
    X: np.ndarray,
    y: np.ndarray,
    count: int,
    *,
    kinds: Sequence[str] | None = None,
    random_state: int = 0,
) -> Negatives:
    """Make clips of other sounds, from clips of the words and from noise.

    ``X`` are clips as int16, shape (clips, samples), and ``y`` their words. ``kinds`` are made
    in turn; None is all of ``KINDS``. ``random_state`` alone decides what is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.audio.negatives import make_negatives
    >>> clips = np.random.default_rng(0).integers(-9000, 9000, (4, 800)).astype("int16")
    >>> made = make_negatives(clips, np.array(["no", "no", "yes", "yes"]), 6)
    >>> made.X.shape, made.kind[:3].tolist()
    ((6, 800), ['noise', 'reversed', 'spliced'])
    """
    rng = np.random.default_rng([random_state, 0x6E6567])  # not the numbers of other seeds
    names = list(KINDS if kinds is None else kinds)
    kind = np.array([names[k % len(names)] for k in range(count)], dtype="<U10")
    made = np.zeros((count, X.shape[1]), np.int16)
    for k, name in enumerate(kind):
        made[k] = _to_int16(KINDS[name](X, y, rng))
    return Negatives(made, kind)


def _to_int16(wave: np.ndarray) -> np.ndarray:
    """Round; what is louder than full scale is turned down, not clipped."""
    peak = np.abs(wave).max(initial=1.0)
    return np.rint(wave * min(1.0, (FULL_SCALE - 1) / peak)).astype(np.int16)


# ------------------------------------------------------------------------------- kinds


def _noise(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return noise between white and brown, of any level down to digital silence."""
    samples = X.shape[1]
    if rng.random() < _SILENT:
        return np.zeros(samples)
    spectrum = np.fft.rfft(rng.normal(size=samples))
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-_STEEPEST / 2 * rng.random())
    noise = np.fft.irfft(spectrum, samples)
    return noise / noise.std() * FULL_SCALE * 10 ** rng.uniform(-4.5, -0.7)


def _reversed(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _any_clip(X, rng)[::-1]


def _spliced(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the half of one word and a half of another; the cut is where half of it is heard.

    Of a single word, halves in the wrong order, or one half twice.
    """
    one, other = _two_words(y, rng)
    a, b = X[one].astype(float), X[other].astype(float)
    ends = [True, False]
    first, second = rng.choice(ends), rng.choice(ends)
    if y[one] == y[other] and first and not second:  # this would be the word
        first, second = False, True
    a, b = _half(a, bool(first)), _half(b, bool(second))
    return _joined(a, b, X.shape[1])


def _mixed(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return two words at once, one of them backwards, equally loud."""
    one, other = _two_words(y, rng)
    a, b = (X[k].astype(float) for k in (one, other))
    loud = max(a.std(), b.std(), 1.0)
    return a * (loud / max(a.std(), 1.0)) + b[::-1] * (loud / max(b.std(), 1.0))


def _piece(X: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the beginning or the end of a word, moved to the edge where it is cut off."""
    clip, first = _any_clip(X, rng).astype(float), rng.random() < 0.5
    half = _half(clip, first)[:: 1 if first else -1]
    half = half[: max(int(len(half) * rng.uniform(0.5, 1.0)), 1)]
    out = np.zeros(len(clip))
    out[len(clip) - len(half) :] = half
    return out[:: 1 if first else -1]


KINDS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "reversed": _reversed,
    "spliced": _spliced,
    "mixed": _mixed,
    "piece": _piece,
}


# ----------------------------------------------------------------------------- helpers


def _any_clip(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return X[rng.integers(len(X))]


def _two_words(y: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Draw two clips, of different words if there are any."""
    one = int(rng.integers(len(y)))
    others = np.flatnonzero(y != y[one])
    return one, int(rng.choice(others) if len(others) else rng.integers(len(y)))


def _half(clip: np.ndarray, first: bool) -> np.ndarray:
    """Return what comes before or after the point where half of a clip's energy has passed."""
    heard = np.cumsum(clip**2)
    cut = int(np.searchsorted(heard, heard[-1] / 2)) if heard[-1] else len(clip) // 2
    cut = min(max(cut, 1), len(clip) - 1)
    return clip[:cut] if first else clip[cut:]


def _joined(a: np.ndarray, b: np.ndarray, samples: int) -> np.ndarray:
    """Return two pieces one after the other, cropped or padded around the joint."""
    fade = max(min(round(_FADE * samples), len(a), len(b)), 1)
    rise = np.linspace(0, 1, fade)
    middle = a[-fade:] * (1 - rise) + b[:fade] * rise
    whole = np.concatenate([np.zeros(samples), a[:-fade], middle, b[fade:], np.zeros(samples)])
    centre = samples + len(a)
    start = centre - samples // 2
    return whole[start : start + samples]


# -------------------------------------------------------------------------- recordings


def with_unknown(folder: Bunch, label: str) -> Bunch:
    """Return a folder of clips with those of its ``unknown`` among them, under a label.

    Where the others have speakers, each clip without one counts as a speaker of its own.
    """
    if not len(folder.unknown):
        return folder
    frame = pd.concat([folder.frame, folder.unknown_frame.assign(label=label)])
    frame = frame.reset_index(drop=True)
    if folder.speakers is not None:
        frame["speaker"] = frame["speaker"].fillna(frame["path"])
    more = {name: folder[name] for name in folder.keys() - as_bunch(frame, []).keys()}
    return as_bunch(frame, folder.skipped, **more)


def read_windows(path: str, reader: Any, *, most: int | None = None) -> np.ndarray:
    """Return a recording as windows of the length of a clip, shape (windows, samples).

    What is left at the end is dropped, unless the recording is shorter than a window, which is
    then padded. ``most`` limits the number of windows, from the start. Raises ClipError if the
    file cannot be read.
    """
    wave = read_clip(path, sample_rate=reader.sample_rate, seconds=None)
    samples = samples_in("seconds", reader.seconds, reader.sample_rate)
    count = max(len(wave) // samples, 1)
    count = count if most is None else min(count, most)
    wave = np.pad(wave, (0, max(samples - len(wave), 0)))[: count * samples]
    windows = wave.reshape(count, samples)
    return to_int16(windows) if reader.dtype == "int16" else windows


def read_noise(
    paths: Sequence[str], reader: Any, validation_share: float, on_error: str
) -> Noise:
    """Read recordings of noise as windows; the end of each recording is for validation."""
    most = max(int(_MOST_NOISE / reader.seconds) // max(len(paths), 1), 1)
    samples = samples_in("seconds", reader.seconds, reader.sample_rate)
    training, validation = [[np.zeros((0, samples), reader.dtype)] for _ in range(2)]
    skipped = []
    for path in paths:
        try:
            windows = read_windows(path, reader, most=most)
        except ClipError as error:
            if on_error == "raise":
                raise ValueError(f"{error} Fix or remove it.") from error
            skipped.append((path, error.reason))
            continue
        kept = len(windows) - round(validation_share * len(windows))
        training.append(windows[:kept])
        validation.append(windows[kept:])
    return Noise(np.concatenate(training), np.concatenate(validation), skipped)


def as_recordings(windows: np.ndarray) -> np.ndarray | None:
    """Join windows of noise for :class:`~mixup_tab.audio.WaveAugment`; None without any."""
    rows = min(len(windows), _JOINED)
    if not rows:
        return None
    return windows[: len(windows) // rows * rows].reshape(-1, rows * windows.shape[1])
