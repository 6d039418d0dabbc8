"""``mixup-tab speech listen``: recognise words in a stream of sound."""

from __future__ import annotations

import csv
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import Any, BinaryIO, NamedTuple, TextIO

import numpy as np

from mixup_tab._plain import shown
from mixup_tab._terminal import print_note
from mixup_tab.audio.answers import UNKNOWN, best_words, check_threshold
from mixup_tab.audio.recogniser import load_recogniser
from mixup_tab.audio.streams import (
    Sound,
    as_clip,
    open_microphone,
    open_sound,
    read_pipe,
    windows,
)
from mixup_tab.audio.waveforms import FULL_SCALE, check_count, samples_in
from mixup_tab.persistence.model_file import SIZE_LIMIT, finite, predicting
from mixup_tab.training.device import threads_for

# For models without their own threshold.
THRESHOLD = 0.6


class Heard(NamedTuple):
    """A word heard in a stream.

    Attributes
    ----------
    seconds : float
        Time since the beginning of the stream: the middle of the averaged clips, which is about
        where the word begins.
    word : str
        The word.
    probability : float
        Its mean probability over these clips.
    """

    seconds: float
    word: str
    probability: float


def listen(
    pipeline: Sequence[Any],
    blocks: Iterable[np.ndarray],
    *,
    sample_rate: int | None = None,
    threshold: float | None = None,
    step: float | None = None,
    smoothing: int = 5,
    refractory: float = 1.0,
) -> Iterator[Heard]:
    """Yield the words in a stream of sound as they are said.

    Every ``step`` seconds, the net predicts for the latest clip of sound; its probabilities are
    averaged over the last ``smoothing`` clips. A word is heard when its margin, the mean
    probability minus that of "unknown", reaches the threshold. The same word is then heard
    again only after its margin was below the threshold, and any word only after ``refractory``
    seconds.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted, from :func:`~mixup_tab.audio.speech_classifier` or
        :func:`~mixup_tab.persistence.load_model`.
    blocks : iterable of ndarray of int16 or float, shape (samples,)
        The stream, one channel, cut into blocks of any size; floats in [−1, 1]. May be endless.
    sample_rate : int or None, default=None
        Samples per second of the stream; None is the rate of the pipeline.
    threshold : float or None, default=None
        Minimum margin of a word, in [−1, 1]; None is the model's own, or 0.6.
    step : float or None, default=None
        Seconds between predictions, at most the length of a clip. None is a tenth of a clip,
        but at most 0.1.
    smoothing : int, default=5
        Number of clips to average.
    refractory : float, default=1.0
        Minimum seconds between words.

    Yields
    ------
    Heard
        Seconds, word and probability.

    Raises
    ------
    TypeError, ValueError
        If a parameter is wrong, or the model cannot predict.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.audio import listen, speech_classifier
    >>> rng = np.random.default_rng(0)
    >>> clips = {"beep": np.sin(np.arange(2000)), "hiss": rng.uniform(-1, 1, 2000)}
    >>> pipeline = speech_classifier("lenet", seconds=0.25, sample_rate=8000, max_epochs=30)
    >>> X = np.array([clip * 20_000 for clip in clips.values()] * 8, dtype="int16")
    >>> _ = pipeline[-1].set_params(random_state=0, alpha=0).fit(X, ["beep", "hiss"] * 8)
    >>> stream = [*X[:1], *np.zeros((4, 2000), "int16"), *X[1:2]]
    >>> [heard.word for heard in listen(pipeline, stream, threshold=0.9)]
    ['beep', 'hiss']
    """
    reader, net = pipeline[0], pipeline[-1]
    rate = reader.sample_rate if sample_rate is None else sample_rate
    check_count("sample_rate", rate)
    step = min(0.1, reader.seconds / 10) if step is None else step
    every = samples_in("step", step, rate)
    check_count("smoothing", smoothing)
    threshold = getattr(net, "threshold", THRESHOLD) if threshold is None else threshold
    check_threshold(threshold)
    pause = samples_in("refractory", refractory, rate, least=0)
    length = ceil(reader.seconds * rate)
    if every > length:
        raise ValueError(
            f"step={shown(step)} must be at most the {reader.seconds:g} seconds of a clip."
        )
    recent: deque[np.ndarray] = deque(maxlen=smoothing)
    quiet_until, held = -float("inf"), None
    for start, window in windows(map(_as_floats, blocks), length, every):
        clip = as_clip(window, rate, reader)
        with predicting("the model"), threads_for(0):  # more threads would mostly wait
            recent.append(finite(net.predict_proba(clip[np.newaxis]))[0])
        mean = np.mean(recent, axis=0)[None]
        position = start + length / 2 - (len(recent) - 1) * every / 2
        best, margin = best_words(mean, net.classes_, getattr(net, "unknown", UNKNOWN))
        word = net.classes_[best[0]]
        if margin[0] < threshold:
            held = None
        elif word != held and start >= quiet_until:
            held, quiet_until = word, start + pause
            yield Heard(max(position, 0) / rate, str(word), float(mean[0, best[0]]))


def _as_floats(block: Any) -> np.ndarray:
    """Return a block of a stream as float32, full scale 1."""
    block = np.asarray(block)
    if block.ndim != 1 or (block.dtype != np.int16 and block.dtype.kind != "f"):
        raise TypeError(
            f"blocks must hold one channel of int16 or floats, shape (samples,), got "
            f"{block.dtype} of shape {block.shape}."
        )
    samples = block.astype(np.float32, copy=False)
    return samples / FULL_SCALE if block.dtype == np.int16 else samples


# ------------------------------------------------------------------------------- command


def listen_to(
    model: str | os.PathLike,
    source: str | None = None,
    *,
    sample_rate: int | None = None,
    microphone: str | None = None,
    device: str = "auto",
    size_limit: float = SIZE_LIMIT,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
    **options: Any,
) -> None:
    """Write a line of CSV as soon as a word is heard: seconds, word, probability.

    ``source`` is a sound file, "-" for raw 16-bit samples or a WAV file on standard input, or
    None for a microphone. ``sample_rate`` is that of raw samples; ``options`` are those of
    :func:`listen`. Ctrl-C ends it without an error.

    Raises ValueError if model or source are unusable, and OSError without a microphone.
    """
    pipeline, _ = load_recogniser(model, device=device, size_limit=size_limit)
    rate = pipeline[0].sample_rate if sample_rate is None else sample_rate
    check_count("sample_rate", rate)
    target = stdout or sys.stdout
    if hasattr(target, "reconfigure"):  # as in a file
        target.reconfigure(encoding="utf-8")
    try:
        with _open(source, rate, microphone, stdin) as sound:
            writer = csv.writer(target, lineterminator="\n")
            writer.writerow(Heard._fields)
            target.flush()
            words = listen(pipeline, sound.blocks, sample_rate=sound.sample_rate, **options)
            for seconds, word, probability in words:
                writer.writerow([f"{seconds:.2f}", word, f"{probability:.6f}"])
                target.flush()
    except KeyboardInterrupt:
        print_note("", sys.stderr)  # behind the terminal's ^C


def _open(
    source: str | None, sample_rate: int, microphone: str | None, stdin: BinaryIO | None
) -> AbstractContextManager[Sound]:
    if source == "-":
        return nullcontext(read_pipe(stdin or sys.stdin.buffer, sample_rate))
    if source is not None:
        return open_sound(source)
    print_note("Listening to the microphone. Press Ctrl-C to stop.", sys.stderr)
    return open_microphone(sample_rate, microphone)
