"""``mixup-tab speech evaluate``: scores of a saved model on a folder of clips."""

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
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.audio.answers import best_words
from mixup_tab.audio.folders import SPECIAL, load_audio_folder
from mixup_tab.audio.negatives import read_windows, with_unknown
from mixup_tab.audio.predict import predict_files
from mixup_tab.audio.saving import load_speech_model
from mixup_tab.audio.transformers import AudioReader
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
    tested on other sounds: clips of other words and of the folder ``unknown``, and all windows
    of the recordings in the folder ``noise``. ``rescue`` gets the predictions so far if an
    unreadable file or Ctrl-C ends the evaluation. ``size_limit`` is the maximum size of the
    model file in bytes. Raises ValueError if the model is unusable,
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
    """Return predictions for the consecutive windows of a recording."""
    windows = read_windows(path, pipeline[0])
    start = np.arange(len(windows)) * pipeline[0].seconds
    sounds = {"path": np.full(len(windows), path), "label": label, "start": start}
    return _predictions(sounds, pipeline[-1].predict_proba(windows), pipeline[-1])


def _evaluation(
    table: pd.DataFrame, words: list[str], skipped: list[tuple[str, str]], pipeline: Pipeline
) -> Evaluation:
    """Separate the clips of words from other sounds."""
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
    """Return the positions of the clips of a part on which to test a model, and remarks.

    These are clips of its words and, if it can answer ``unknown``, all others. Raises
    ValueError if the part does not exist or has no clip of a word.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}.")
    listed = folder.subset is not None
    if part == "auto":
        part = "test" if listed and (folder.subset == "test").any() else "all"
    if part != "all" and not listed:
        raise ValueError(
            f"part={part!r} needs a folder with parts, for example by validation_list.txt and "
            "testing_list.txt. Use part='all'."
        )
    chosen = np.ones(len(folder.target), bool) if part == "all" else folder.subset == part
    notes = [f"Clips: {'all' if part == 'all' else f'the {part} part of the folder'}."]
    known = np.isin(folder.target, words)
    others = chosen & ~known
    if others.any():
        left = "Left out, because the model does not know these words"
        heard = "Other sounds, not to be taken for a word"
        names = np.unique(folder.target[others]).tolist()
        what = left if unknown is None else heard
        notes.append(f"{what}: {_first_ten(names)} ({others.sum():,} clips).")
    if not (chosen & known).any():
        raise ValueError(
            f"root has no clip {'' if part == 'all' else f'of the {part} part '}with a word "
            f"that the model knows ({_first_ten(words)}). Use a folder with these words."
        )
    return np.flatnonzero(chosen if unknown is not None else chosen & known), notes


def _first_ten(words: Sequence[str]) -> str:
    return ", ".join(words[:10]) + (", …" if len(words) > 10 else "")


# ---------------------------------------------------------------------------------- scores


@dataclass
class Evaluation:
    """Predictions of a model for labelled clips, and for other sounds than its words.

    Attributes
    ----------
    predictions : DataFrame
        One row per clip of a word: path, label, predicted, the largest probability, and, if the
        model may answer ``unknown``, word and margin: the most probable word, answered or not,
        and its probability minus that of ``unknown``.
    words : list of str
        Words that the model knows, without ``unknown``.
    skipped : list of (path, reason)
        Unreadable files.
    negatives : DataFrame or None, default=None
        The same columns for other sounds: label is the folder, and start the second at which
        a window of a long recording begins. None if the model always answers a word.
    unknown : str or None, default=None
        The model's answer to other sounds.
    threshold : float or None, default=None
        Margin below which it gives that answer.
    seconds : float, default=0.0
        Total length of the negatives, each one window of the model's length.
    reader : AudioReader or None, default=None
        Reads files as the model does, so that they can be played.
    """

    predictions: pd.DataFrame
    words: list[str]
    skipped: list[tuple[str, str]]
    negatives: pd.DataFrame | None = None
    unknown: str | None = None
    threshold: float | None = None
    seconds: float = 0.0
    reader: AudioReader | None = None

    @property
    def accuracy(self) -> float:
        """Share of the clips of words that are right; rejected ones count as wrong."""
        return float((self.predictions["label"] == self.predictions["predicted"]).mean())

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the accuracy (Wilson), as if clips were independent."""
        clips = len(self.predictions)
        return _wilson(round(self.accuracy * clips), clips)

    @property
    def lost(self) -> float:
        """Share of the clips of words that are rejected."""
        return float((self.predictions["predicted"] == self.unknown).mean())

    @property
    def false_alarms(self) -> int:
        """Number of negatives taken for a word."""
        if self.negatives is None:
            return 0
        return int((self.negatives["predicted"] != self.unknown).sum())

    def false_alarms_per_hour(self) -> tuple[float, float, float]:
        """Return false alarms per hour of negatives, and their 95 % interval (Wilson).

        As if the model heard one window after another. NaN without negatives.
        """
        count = 0 if self.negatives is None else len(self.negatives)
        if not count:
            return (np.nan,) * 3
        hourly = 3600 * count / self.seconds
        low, high = _wilson(self.false_alarms, count)
        return hourly * self.false_alarms / count, hourly * low, hourly * high

    def by_kind(self) -> pd.DataFrame:
        """Return one row per kind of negatives: sounds, false alarms, most often taken for."""
        assert self.negatives is not None
        rows = {}
        for kind, group in self.negatives.groupby("label", sort=True):
            alarms = group.loc[group["predicted"] != self.unknown, "predicted"]
            most = alarms.value_counts()
            rows[kind] = {
                "sounds": len(group),
                "false alarms": len(alarms),
                "false alarms %": 100 * len(alarms) / len(group),
                "most often taken for": f"{most.index[0]} ({most.iloc[0]})"
                if len(most)
                else "–",
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("other sounds")

    def tradeoff(self) -> pd.DataFrame:
        """Return the effect of every threshold, from −1 to one that rejects all.

        Columns: threshold, ascending; missed: share of the clips of words that would be
        rejected or taken for another word; false_alarms: share of the negatives that would be
        taken for a word; false_alarms_per_hour. Empty if the model always answers a word, or
        there are no negatives.
        """
        if self.negatives is None or not len(self.negatives):
            names = ["threshold", "missed", "false_alarms", "false_alarms_per_hour"]
            return pd.DataFrame(columns=names, dtype=float)
        known, other = (
            table["margin"].to_numpy() for table in (self.predictions, self.negatives)
        )
        right = known[(self.predictions["word"] == self.predictions["label"]).to_numpy()]
        margins = np.concatenate([known, other])  # where an answer changes
        rejects_all = np.nextafter(margins.max(), 2)
        thresholds = np.unique(np.concatenate([[-1.0], margins, [rejects_all]]))
        alarms = _share_above(other, thresholds, len(other))
        return pd.DataFrame(
            {
                "threshold": thresholds,
                "missed": 1 - _share_above(right, thresholds, len(known)),
                "false_alarms": alarms,
                "false_alarms_per_hour": alarms * 3600 * len(other) / self.seconds,
            }
        )

    def confusion(self) -> pd.DataFrame:
        """Return counts of clips: true words as rows, predicted words as columns.

        The last of both is ``unknown``, if the model may answer that; its row counts the
        negatives.
        """
        label, predicted = self.predictions["label"], self.predictions["predicted"]
        names = list(self.words)
        if self.negatives is not None:
            names.append(str(self.unknown))
            label = pd.concat([label, self.negatives["label"].map(lambda kind: self.unknown)])
            predicted = pd.concat([predicted, self.negatives["predicted"]])
        counts = confusion_matrix(label, predicted, labels=names)
        return pd.DataFrame(counts, index=pd.Index(names, name="word"), columns=names)

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
        names = [*self.words, self.unknown]
        most = counts.argmax(axis=1)
        return [
            f"{names[most[k]]} ({row[most[k]]})" if row.any() else "–"
            for k, row in enumerate(counts[: len(self.words)])
        ]


def _wilson(count: int, total: int) -> tuple[float, float]:
    low, high = binomtest(count, total).proportion_ci(method="wilson")
    return float(low), float(high)


def _share_above(scores: np.ndarray, thresholds: np.ndarray, total: int) -> np.ndarray:
    """Return the number of scores that reach each threshold, relative to a total."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return (len(scores) - below) / total
