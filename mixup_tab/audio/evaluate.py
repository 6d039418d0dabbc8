"""``mixup-tab speech evaluate``: how good a saved model is on a folder of clips."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.audio.answers import best_words
from mixup_tab.audio.evaluation import Evaluation
from mixup_tab.audio.folders import SPECIAL, load_audio_folder
from mixup_tab.audio.negatives import read_windows, with_unknown
from mixup_tab.audio.predict import predict_files
from mixup_tab.audio.saving import load_speech_model
from mixup_tab.persistence.model_file import SIZE_LIMIT

PARTS = ("auto", "all", "train", "validation", "test")


def evaluate_model(
    model: str | os.PathLike,
    root: str | os.PathLike,
    *,
    part: str = "auto",
    folder_options: Mapping[str, Any] | None = None,
    on_error: str = "raise",
    device: str = "auto",
    n_jobs: int | None = None,
    size_limit: float = SIZE_LIMIT,
    console: Console | None = None,
    rescue: Callable[[pd.DataFrame], None] | None = None,
) -> tuple[Evaluation, list[str]]:
    """Predict for the clips of a folder; return the evaluation, and remarks on the clips.

    ``part`` chooses clips by the folder's own parts; "auto" is "test" for a folder with parts
    and "all" otherwise. ``folder_options`` are parameters of
    :func:`~mixup_tab.audio.load_audio_folder`. If the model can answer "unknown", it is also
    tested on sounds that are none of its words: clips of other words and of the folder
    ``unknown``, and all windows of the recordings in the folder ``noise``. ``rescue`` gets the
    predictions so far if an unreadable file or Ctrl-C ends the evaluation. ``size_limit`` is
    the largest size of the model's file in bytes. Raises ValueError if the model is unusable,
    there are no clips of its words, or files cannot be read.
    """
    pipeline, card = load_speech_model(model, device=device, size_limit=size_limit)
    unknown = getattr(pipeline[-1], "unknown", None)
    words = [word for word in card.words if word != unknown]
    options: dict[str, Any] = {"speaker": None, "min_labels": 1, **SPECIAL}
    options |= folder_options or {}
    folder = load_audio_folder(root, on_error=on_error, **options)
    folder = with_unknown(folder, options["unknown"])
    rows, notes = choose_clips(folder, part, words, unknown)
    notes += folder.notes
    noise = [] if unknown is None else folder.noise
    skipped, done = list(folder.skipped), []
    batches = predict_files(pipeline, folder.data[rows], on_error=on_error, n_jobs=n_jobs)
    try:
        with ProgressBar(
            "clip", len(rows) + len(noise), console=console or make_console()
        ) as bar:
            for batch in batches:
                where = rows[batch.positions]
                sounds = {"path": folder.data[where], "label": folder.target[where]}
                done.append(_predictions(sounds, batch.proba, pipeline[-1]))
                skipped += batch.skipped
                bar.advance(len(batch.paths) + len(batch.skipped))
            for path in noise:
                done.append(_predict_noise(path, options["noise"], pipeline, on_error))
                bar.advance()
    except (ValueError, OSError, KeyboardInterrupt):
        if done and rescue is not None:
            rescue(pd.concat(done))
        raise
    if not sum(map(len, done)):
        raise ValueError(f"root={str(root)!r} has no clip that can be read.")
    table = pd.concat(done, ignore_index=True)
    return _evaluation(table, words, skipped, pipeline), notes


def _predictions(sounds: dict[str, Any], proba: np.ndarray, net: Any) -> pd.DataFrame:
    """Return the columns of an :class:`Evaluation` for some sounds."""
    unknown, classes = getattr(net, "unknown", None), net.classes_
    predicted = classes[proba.argmax(axis=1)] if unknown is None else net.decide(proba)
    table = pd.DataFrame(sounds | {"predicted": predicted, "probability": proba.max(axis=1)})
    if unknown is not None:
        best, table["margin"] = best_words(proba, classes, unknown)
        table["word"] = classes[best]
    return table


def _predict_noise(path: str, label: str, pipeline: Pipeline, on_error: str) -> pd.DataFrame:
    """Return predictions for a recording, one window after the other."""
    windows = read_windows(path, pipeline[0])
    start = np.arange(len(windows)) * pipeline[0].seconds
    sounds = {"path": np.full(len(windows), path), "label": label, "start": start}
    return _predictions(sounds, pipeline[-1].predict_proba(windows), pipeline[-1])


def _evaluation(
    table: pd.DataFrame, words: list[str], skipped: list[tuple[str, str]], pipeline: Pipeline
) -> Evaluation:
    """Tell the clips of words from other sounds."""
    net = pipeline[-1]
    unknown = getattr(net, "unknown", None)
    if unknown is None:
        return Evaluation(table, words, skipped, reader=pipeline[0])
    known = table["label"].isin(words)
    own, other = (table[part].reset_index(drop=True) for part in (known, ~known))
    seconds = len(other) * pipeline[0].seconds
    return Evaluation(
        own.drop(columns="start", errors="ignore"),
        words,
        skipped,
        other,
        unknown,
        net.threshold,
        seconds,
        pipeline[0],
    )


def choose_clips(
    folder: Bunch, part: str, words: Sequence[str], unknown: str | None = None
) -> tuple[np.ndarray, list[str]]:
    """Return the positions of the clips of a part that a model can be tested on, and remarks.

    These are clips of its words and, if it can answer ``unknown``, all others. Raises
    ValueError if there is no such part, or no clip of a word in it.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}.")
    listed = folder.subset is not None
    if part == "auto":
        part = "test" if listed and (folder.subset == "test").any() else "all"
    if part != "all" and not listed:
        raise ValueError(
            f"part={part!r} needs a folder with parts, such as validation_list.txt and "
            "testing_list.txt in it, and there are none. Use part='all'."
        )
    chosen = np.ones(len(folder.target), bool) if part == "all" else folder.subset == part
    notes = [f"Clips: {'all' if part == 'all' else f'the {part} part of the folder'}."]
    known = np.isin(folder.target, words)
    others = chosen & ~known
    if others.any():
        left = "Left out, because the model does not know these words"
        heard = "Other sounds, which the model should not take for a word"
        names = np.unique(folder.target[others]).tolist()
        what = left if unknown is None else heard
        notes.append(f"{what}: {_shown(names)} ({others.sum():,} clips).")
    if not (chosen & known).any():
        raise ValueError(
            f"root has no clip {'' if part == 'all' else f'of the {part} part '}with a word "
            f"that the model knows ({_shown(words)}). Give a folder with these words."
        )
    return np.flatnonzero(chosen if unknown is not None else chosen & known), notes


def _shown(words: Sequence[str]) -> str:
    return ", ".join(words[:10]) + (", …" if len(words) > 10 else "")
