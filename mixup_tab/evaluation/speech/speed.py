"""How fast spectrograms are computed, against libraries that are called clip by clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from mixup_tab._extras import import_extra
from mixup_tab.audio import SpectrogramLayer
from mixup_tab.evaluation.speed.measuring import Row, ratio_of

WINDOW, HOP = 320, 160  # 20 and 10 milliseconds at 16 kHz
# Times, as shares of the other side's, that this project asks of itself.
TORCHAUDIO_GOAL, LIBROSA_GOAL = 1 / 2, 1 / 5

Transform = Callable[[np.ndarray], np.ndarray]


def rows_of_spectrograms(clips: np.ndarray | None = None, *, pairs: int = 5) -> Iterator[Row]:
    """Time the same spectrograms computed by us in one go and by others clip by clip.

    Parameters
    ----------
    clips : ndarray of int16, shape (clips, samples), or None, default=None
        Waveforms at 16 kHz; None makes 256 seconds of noise.
    pairs : int, default=5
        Runs of each side that count.

    Yields
    ------
    Row
        librosa has rows only where it is installed.

    Raises
    ------
    ImportError
        If torchaudio is not there.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.evaluation.speech.speed import rows_of_spectrograms
    >>> clips = np.arange(32_000, dtype=np.int16).reshape(2, -1)
    >>> next(rows_of_spectrograms(clips, pairs=1)).against
    'torchaudio, clip by clip'
    """
    if clips is None:
        noise = np.random.default_rng(0).normal(0, 3_000, (256, 16_000))
        clips = np.clip(noise, -32768, 32767).astype(np.int16)
    for what, options in (
        ("power spectrograms", {"kind": "power", "normalize": None}),
        ("normalised log spectrograms", {}),
    ):
        ours = partial(SpectrogramLayer(**options), torch.from_numpy(clips))
        for library, goal, transform in peers(log=not options):
            theirs = partial(_one_by_one, transform, clips)
            yield ratio_of(what, f"{library}, clip by clip", ours, theirs, goal, pairs=pairs)


def _one_by_one(transform: Transform, clips: np.ndarray) -> np.ndarray:
    return np.stack([transform(clip) for clip in clips])


def peers(*, log: bool) -> Iterator[tuple[str, float, Transform]]:
    """Yield the libraries that are there, and what makes the spectrogram of a clip with each.

    Parameters
    ----------
    log : bool
        Whether it is the normalised logarithm, as a user would write it, or the power.

    Yields
    ------
    name : str
    goal : float
        The largest ratio of our time to theirs that this project asks of itself.
    transform : callable
        From a clip of int16, shape (samples,), to values of shape (freq, time).
    """
    yield "torchaudio", TORCHAUDIO_GOAL, _with_torchaudio(log)
    try:
        import librosa
    except ImportError:
        return

    def with_librosa(clip: np.ndarray) -> np.ndarray:
        clip = clip / np.float32(32768)
        s = np.abs(librosa.stft(clip, n_fft=WINDOW, hop_length=HOP, window="hamming"))[1:]
        if not log:
            return s**2
        values = np.log1p(s)
        return (values - values.mean()) / values.std()

    yield "librosa", LIBROSA_GOAL, with_librosa


def _with_torchaudio(log: bool) -> Transform:
    transform = import_extra("torchaudio.transforms", "speech").Spectrogram(
        WINDOW,
        hop_length=HOP,
        power=1.0 if log else 2.0,
        window_fn=torch.hamming_window,
        pad_mode="constant",
    )

    def with_torchaudio(clip: np.ndarray) -> np.ndarray:
        s = transform(torch.from_numpy(clip) / 32768)[1:]
        if not log:
            return s.numpy()
        values = torch.log1p(s)
        return ((values - values.mean()) / values.std(correction=0)).numpy()

    return with_torchaudio
