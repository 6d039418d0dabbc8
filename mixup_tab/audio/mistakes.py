"""Wrong predictions as a table with playable sounds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd
from sklearn.base import clone

from mixup_tab._page import Parts, Sound, Table
from mixup_tab.audio.negatives import read_windows
from mixup_tab.audio.transformers import AudioReader
from mixup_tab.audio.waveforms import samples_in

# Maximum number of rows and bytes of sounds on a page.
_MOST_ROWS, _MOST_BYTES = 100, 6_000_000


def playable(wrong: pd.DataFrame, reader: AudioReader | None) -> Parts:
    """Return a table of wrong predictions, the most confident first, and a sentence on it.

    ``wrong`` are rows of the predictions or the negatives of an :class:`~.evaluate.Evaluation`;
    ``reader`` reads files as the model does, and without it there are no sounds.
    """
    if not len(wrong):
        return ["There are none."]
    top = wrong.sort_values("probability", ascending=False, kind="stable").head(_MOST_ROWS)
    sounds = [None] * len(top) if reader is None else _sounds(top, reader)
    table = pd.DataFrame(
        {
            "label": top["label"],
            "predicted": top["predicted"],
            "sound": pd.Series(sounds, index=top.index, dtype=object),
            "probability": top["probability"],
        }
    )
    if "start" in top and top["start"].notna().any():
        table["at second"] = top["start"]
    table["file"] = top["path"]
    text = f"{len(wrong):,} in all, the most confident first."
    if len(top) < len(wrong):
        text += f" {len(wrong) - len(top):,} more are in predictions.csv."
    caption = "Sounds as the net gets them: one channel, cropped or padded to its length."
    silent = sum(sound is None for sound in sounds)
    if silent:
        caption += f" Not embedded, to keep the page small: {silent}."
    formats = {"probability": "{:.3f}", "at second": "{:g}"}
    return [text, Table(table, caption, formats)]


def _sounds(top: pd.DataFrame, reader: AudioReader) -> list[Sound | None]:
    """Return the sounds of the first rows, as many as fit on a page."""
    reader = clone(reader).set_params(dtype="int16", on_error="raise")
    most = _MOST_BYTES // (2 * samples_in("seconds", reader.seconds, reader.sample_rate))
    starts = top["start"] if "start" in top else pd.Series(np.nan, index=top.index)
    hear = _listener(reader)
    sounds: list[Sound | None] = [None] * len(top)
    rows = zip(top["path"], starts, top["label"], top["predicted"], strict=True)
    for place, (path, start, label, predicted) in zip(range(most), rows, strict=False):
        try:
            wave = hear(path, start)
        except (ValueError, IndexError):  # the file has changed since the prediction
            continue
        sounds[place] = Sound(wave, reader.sample_rate, f"{label}, predicted {predicted}")
    return sounds


def _listener(reader: AudioReader) -> Callable[[str, float], np.ndarray]:
    """Return a function that reads a file, or the window of a recording at a second."""
    windows = lru_cache(maxsize=2)(lambda path: read_windows(path, reader))

    def hear(path: str, start: float) -> np.ndarray:
        if np.isnan(start):
            return reader.transform([path])[0]
        return windows(path)[round(start / reader.seconds)]

    return hear
