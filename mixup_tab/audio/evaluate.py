"""``mixup-tab speech evaluate``: how good a saved model is on a folder of clips."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.utils import Bunch

from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.audio.folders import load_audio_folder
from mixup_tab.audio.predict import predict_files
from mixup_tab.audio.saving import load_speech_model
from mixup_tab.persistence.model_file import SIZE_LIMIT

PARTS = ("auto", "all", "train", "validation", "test")


@dataclass
class Evaluation:
    """Predictions of a model for labelled clips.

    ``predictions`` has one row per clip: path, label, predicted, and the probability of the
    predicted word. ``words`` are those that the model knows; ``skipped`` are unreadable files,
    with reasons.
    """

    predictions: pd.DataFrame
    words: list[str]
    skipped: list[tuple[str, str]]

    @property
    def accuracy(self) -> float:
        """Share of clips that are right."""
        return float((self.predictions["label"] == self.predictions["predicted"]).mean())

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the accuracy (Wilson), as if clips were independent."""
        clips = len(self.predictions)
        test = binomtest(round(self.accuracy * clips), clips)
        low, high = test.proportion_ci(method="wilson")
        return float(low), float(high)

    def confusion(self) -> pd.DataFrame:
        """Return counts of clips: true words as rows, predicted words as columns."""
        counts = confusion_matrix(
            self.predictions["label"], self.predictions["predicted"], labels=self.words
        )
        return pd.DataFrame(counts, index=pd.Index(self.words, name="word"), columns=self.words)

    def by_word(self) -> pd.DataFrame:
        """Return one row per word: clips, recall, precision, F1, the most common mistake."""
        label, predicted = self.predictions["label"], self.predictions["predicted"]
        precision, recall, f1, clips = precision_recall_fscore_support(
            label, predicted, labels=self.words, zero_division=np.nan
        )
        return pd.DataFrame(
            {
                "clips": clips,
                "right %": 100 * recall,
                "precision %": 100 * precision,
                "F1 %": 100 * f1,
                "most often taken for": self._mistakes(),
            },
            index=pd.Index(self.words, name="word"),
        )

    def _mistakes(self) -> list[str]:
        counts = self.confusion().to_numpy(copy=True)
        np.fill_diagonal(counts, 0)
        most = counts.argmax(axis=1)
        return [
            f"{self.words[most[k]]} ({row[most[k]]})" if row.any() else "–"
            for k, row in enumerate(counts)
        ]


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
    :func:`~mixup_tab.audio.load_audio_folder`. ``rescue`` gets the predictions so far if an
    unreadable file or Ctrl-C ends the evaluation. ``size_limit`` is the largest size of the
    model's file in bytes. Raises ValueError if the model is unusable, there are no clips of its
    words, or files cannot be read.
    """
    pipeline, card = load_speech_model(model, device=device, size_limit=size_limit)
    options = {"speaker": None, "min_labels": 1} | dict(folder_options or {})
    folder = load_audio_folder(root, on_error=on_error, **options)
    rows, notes = choose_clips(folder, part, card.words)
    notes += folder.notes
    skipped, done = list(folder.skipped), []
    batches = predict_files(pipeline, folder.data[rows], on_error=on_error, n_jobs=n_jobs)
    try:
        with ProgressBar("clip", len(rows), console=console or make_console()) as bar:
            for batch in batches:
                positions = rows[batch.positions]
                done.append(_predictions(folder, positions, batch.proba, card.words))
                skipped += batch.skipped
                bar.advance(len(batch.paths) + len(batch.skipped))
    except (ValueError, OSError, KeyboardInterrupt):
        if done and rescue is not None:
            rescue(pd.concat(done))
        raise
    if not sum(map(len, done)):
        raise ValueError(f"root={str(root)!r} has no clip that can be read.")
    return Evaluation(pd.concat(done, ignore_index=True), card.words, skipped), notes


def _predictions(
    folder: Bunch, rows: np.ndarray, proba: np.ndarray, words: Sequence[str]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": folder.data[rows],
            "label": folder.target[rows],
            "predicted": np.array(words)[proba.argmax(axis=1)],
            "probability": proba.max(axis=1),
        }
    )


def choose_clips(
    folder: Bunch, part: str, words: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Return the positions of the clips of a part whose words a model knows, and remarks.

    Raises ValueError if there is no such part, or no clip in it.
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
    unknown = np.unique(folder.target[chosen & ~known]).tolist()
    if unknown:
        notes.append(
            f"Left out, because the model does not know these words: {_shown(unknown)} "
            f"({(chosen & ~known).sum():,} clips)."
        )
    rows = np.flatnonzero(chosen & known)
    if not len(rows):
        raise ValueError(
            f"root has no clip {'' if part == 'all' else f'of the {part} part '}with a word "
            f"that the model knows ({_shown(words)}). Give a folder with these words."
        )
    return rows, notes


def _shown(words: Sequence[str]) -> str:
    return ", ".join(words[:10]) + (", …" if len(words) > 10 else "")
