"""From files to words, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab.audio import read_clips

_BATCH = 256


class Labelled(NamedTuple):
    """A batch of files and what a model makes of them.

    Attributes
    ----------
    paths : list of str
        Files of the batch that could be read, in their order.
    places : ndarray of int
        Their positions among all files.
    proba : ndarray of shape (files, words)
        Probabilities.
    skipped : list of (str, str)
        Files that could not be read, and why.
    """

    paths: list[str]
    places: np.ndarray
    proba: np.ndarray
    skipped: list[tuple[str, str]]


def label_files(
    pipeline: Pipeline,
    paths: Iterable[str],
    *,
    on_error: str = "raise",
    batch_size: int = _BATCH,
    n_jobs: int | None = None,
) -> Iterator[Labelled]:
    """Predict for files, a batch at a time; no more than a batch is in memory.

    Parameters
    ----------
    pipeline : Pipeline
        From :func:`~.saving.load_speech_model`.
    paths : iterable of str
        Files; taken as they are needed.
    on_error : {"raise", "skip"}, default="raise"
        What becomes of files that cannot be read: with "raise" those before the first such
        file come, then an error.
    batch_size : int, default=256
        Files per batch.
    n_jobs : int, default=None
        Threads that read.

    Yields
    ------
    Labelled

    Raises
    ------
    ValueError
        For a file that cannot be read, with ``on_error="raise"``.
    """
    check_on_error(on_error)
    reader, net = pipeline[0], pipeline[-1]
    settings = {
        name: getattr(reader, name) for name in ("sample_rate", "seconds", "align", "dtype")
    }
    files, start = iter(paths), 0
    while batch := list(islice(files, batch_size)):
        clips = read_clips(batch, **settings, on_error="skip", n_jobs=n_jobs)
        kept = np.asarray(clips.kept, dtype=int)
        waveforms, bad = clips.waveforms, clips.skipped
        if bad and on_error == "raise":
            first = int(np.setdiff1d(np.arange(len(batch)), kept)[0])
            waveforms, kept = waveforms[kept < first], kept[kept < first]
        if len(kept):
            proba = net.predict_proba(waveforms)
            skipped = bad if on_error == "skip" else []
            yield Labelled([batch[k] for k in kept], start + kept, proba, skipped)
        elif bad and on_error == "skip":
            yield Labelled([], kept, np.zeros((0, len(net.classes_))), bad)
        if bad and on_error == "raise":
            raise unreadable(*bad[0])
        start += len(batch)


def unreadable(path: str, reason: str) -> ValueError:
    """Return the error for a file that cannot be read."""
    return ValueError(
        f"{path} {reason}. Mend or remove it, or pass over such files with --on-error skip."
    )


def check_on_error(on_error: str) -> None:
    """Raise ValueError unless it is "raise" or "skip"."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
