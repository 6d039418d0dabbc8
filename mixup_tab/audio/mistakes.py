"""Wrong predictions as a table whose sounds can be played."""

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

# What a page holds of them: rows, and bytes of sounds.
_MOST_ROWS, _MOST_BYTES = 100, 6_000_000


def playable(wrong: pd.DataFrame, reader: AudioReader | None) -> Parts:
    """Return a table of wrong predictions, the most confident first, and what it leaves out.

    ``wrong`` are rows of the predictions or the negatives of an :class:`~.evaluate.Evaluation`;
    ``reader`` reads files as the model does, and without it there are no sounds.
    """
    if not len(wrong):
        return ["There are none."]
    shown = wrong.sort_values("probability", ascending=False, kind="stable").head(_MOST_ROWS)
    sounds = [None] * len(shown) if reader is None else _sounds(shown, reader)
    table = pd.DataFrame(
        {
            "label": shown["label"],
            "predicted": shown["predicted"],
            "sound": pd.Series(sounds, index=shown.index, dtype=object),
            "probability": shown["probability"],
        }
    )
    if "start" in shown and shown["start"].notna().any():
        table["at second"] = shown["start"]
    table["file"] = shown["path"]
    text = f"{len(wrong):,} in all, the most confident first."
    if len(shown) < len(wrong):
        text += f" {len(wrong) - len(shown):,} more are in predictions.csv."
    caption = "Sounds as the net hears them: one channel, cut or padded to its length."
    silent = sum(sound is None for sound in sounds)
    if silent:
        caption += f" Not embedded, to keep the page small: {silent}."
    formats = {"probability": "{:.3f}", "at second": "{:g}"}
    return [text, Table(table, caption, formats)]


def _sounds(shown: pd.DataFrame, reader: AudioReader) -> list[Sound | None]:
    """Return the first rows as sounds, as many as a page should hold."""
    reader = clone(reader).set_params(dtype="int16", on_error="raise")
    most = _MOST_BYTES // (2 * samples_in("seconds", reader.seconds, reader.sample_rate))
    starts = shown["start"] if "start" in shown else pd.Series(np.nan, index=shown.index)
    hear = _listener(reader)
    sounds: list[Sound | None] = [None] * len(shown)
    rows = zip(shown["path"], starts, shown["label"], shown["predicted"], strict=True)
    for place, (path, start, label, predicted) in zip(range(most), rows, strict=False):
        try:
            wave = hear(path, start)
        except (ValueError, IndexError):  # the file has changed since it was predicted
            continue
        sounds[place] = Sound(wave, reader.sample_rate, f"{label}, predicted {predicted}")
    return sounds


def _listener(reader: AudioReader) -> Callable[[str, float], np.ndarray]:
    """Return what reads a file, or the window of a recording that starts at a second."""
    windows = lru_cache(maxsize=2)(lambda path: read_windows(path, reader))

    def hear(path: str, start: float) -> np.ndarray:
        if np.isnan(start):
            return reader.transform([path])[0]
        return windows(path)[round(start / reader.seconds)]

    return hear
