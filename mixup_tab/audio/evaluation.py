"""Scores of a speech model on words, and on sounds that are none of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mixup_tab.audio.transformers import AudioReader


@dataclass
class Evaluation:
    """Predictions of a model for labelled clips, and for sounds that are none of its words.

    Attributes
    ----------
    predictions : DataFrame
        One row per clip of a word: path, label, predicted, the largest probability, and, if the
        model may answer ``unknown``, word and margin: the most probable word, answered or not,
        and its probability less that of ``unknown``.
    words : list of str
        Those that the model knows, without ``unknown``.
    skipped : list of (path, reason)
        Unreadable files.
    negatives : DataFrame or None, default=None
        The same columns for sounds that are none of the words: label is the folder, and start,
        for windows of long recordings, where they begin, in seconds. None if the model always
        answers a word.
    unknown : str or None, default=None
        The model's answer to sounds that are none of the words.
    threshold : float or None, default=None
        Margin below which it gives that answer.
    seconds : float, default=0.0
        How much sound the negatives are, one window of the model's length each.
    reader : AudioReader or None, default=None
        Reads files as the model does, for who wants to listen.
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
        """Share of the clips of words that are right; refused ones are not."""
        return float((self.predictions["label"] == self.predictions["predicted"]).mean())

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the accuracy (Wilson), as if clips were independent."""
        clips = len(self.predictions)
        return _wilson(round(self.accuracy * clips), clips)

    @property
    def lost(self) -> float:
        """Share of the clips of words that are refused."""
        return float((self.predictions["predicted"] == self.unknown).mean())

    @property
    def false_alarms(self) -> int:
        """How many of the negatives are taken for a word."""
        if self.negatives is None:
            return 0
        return int((self.negatives["predicted"] != self.unknown).sum())

    def false_alarms_per_hour(self) -> tuple[float, float, float]:
        """Return false alarms per hour of negatives, and their 95 % interval (Wilson).

        One window of the model's length is listened to after the other. NaN without negatives.
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
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("none of the words")

    def tradeoff(self) -> pd.DataFrame:
        """Return what every threshold would do, from −1 to one that refuses all.

        Returns
        -------
        DataFrame
            threshold, rising; missed: share of the clips of words that would be refused or
            taken for another word; false_alarms: share of the negatives that would be taken for
            a word; false_alarms_per_hour. Empty if the model always answers a word, or there
            are no negatives.
        """
        if self.negatives is None or not len(self.negatives):
            names = ["threshold", "missed", "false_alarms", "false_alarms_per_hour"]
            return pd.DataFrame(columns=names, dtype=float)
        known, other = (
            table["margin"].to_numpy() for table in (self.predictions, self.negatives)
        )
        right = known[(self.predictions["word"] == self.predictions["label"]).to_numpy()]
        margins = np.concatenate([known, other])  # where something changes
        refuses_all = np.nextafter(margins.max(), 2)
        thresholds = np.unique(np.concatenate([[-1.0], margins, [refuses_all]]))
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

        The last of both is ``unknown``, if the model may answer that; its row are the
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
    """Return how many scores reach each threshold, as a share of a total."""
    below = np.searchsorted(np.sort(scores), thresholds, side="left")
    return (len(scores) - below) / total
