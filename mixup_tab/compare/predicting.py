"""``mixup-tab predict``: a saved model's predictions for a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mixup_tab._files import write_whole
from mixup_tab.compare.choosing import probabilities
from mixup_tab.compare.kinds import as_kind
from mixup_tab.compare.nested import unexpected
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.saving import Card, load_model

# Rows that are made ready at once.
_CHUNK = 50_000


class Predictions(NamedTuple):
    """Predictions, and what the user should know about the file.

    Attributes
    ----------
    frame : DataFrame
        The column that names the rows, if there is one, the prediction, and for classifiers
        a probability per class.
    notes : list of str
    """

    frame: pd.DataFrame
    notes: list[str]


def predict_file(model: str | os.PathLike, file: str | os.PathLike) -> Predictions:
    """Predict for every row of a file.

    Parameters
    ----------
    model : str or path-like
        What ``mixup-tab compare --save`` has written.
    file : str or path-like
        A table with the columns that the model was fitted on, of any kind that
        :func:`~.reading.read_table` reads.

    Returns
    -------
    Predictions

    Raises
    ------
    ValueError
        If the model cannot be used, or a column is missing or holds something else.
    """
    pipeline, card = load_model(model)
    text = [name for name, kind in card.kinds.items() if kind == "text"]
    frame = read_table(file, text=[*text, *([] if card.id is None else [card.id])])
    frame = frame.rename(columns=str)
    missing = [name for name in card.kinds if name not in frame]
    if missing:
        raise ValueError(
            f"file {Path(file).name!r} has no column {', '.join(map(repr, missing))}, which "
            "the model needs. Add it, empty where it is not known."
        )
    if frame.empty:
        raise ValueError(f"file {Path(file).name!r} has no rows to predict for.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predicted = _predict(pipeline, card, frame)
    notes = [*_notes(card, frame), *sorted(unexpected(caught))]
    if any("unknown categories" in str(warning.message) for warning in caught):
        notes.append("Categories that the model has not seen count as none of those it knows.")
    return Predictions(predicted, notes)


def _notes(card: Card, frame: pd.DataFrame) -> Iterator[str]:
    known = {*card.kinds, card.target, card.id}
    extra = [name for name in frame if name not in known]
    if extra:
        shown = ", ".join(extra[:10]) + (" …" if len(extra) > 10 else "")
        yield f"Columns that the model does not know are ignored: {shown}."
    if card.id is not None and card.id not in frame:
        yield f"The file has no column {card.id!r}; rows are in the file's order."


def _predict(pipeline: Pipeline, card: Card, frame: pd.DataFrame) -> pd.DataFrame:
    X = pd.DataFrame({name: as_kind(frame[name], kind) for name, kind in card.kinds.items()})
    parts = [X.iloc[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)]
    named = {card.id: frame[card.id]} if card.id in frame else {}
    if not card.classes:
        values = np.concatenate([pipeline.predict(part) for part in parts])
        return pd.DataFrame({**named, "prediction": values})
    proba = np.concatenate([probabilities(pipeline, p, len(card.classes)) for p in parts])
    best = np.array(card.classes, dtype=object)[proba.argmax(axis=1)]
    columns = {f"probability_{name}": proba[:, k] for k, name in enumerate(card.classes)}
    return pd.DataFrame({**named, "prediction": best, **columns})


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions as CSV; the file appears when it is complete.

    Parameters
    ----------
    predictions : Predictions
        From :func:`predict_file`.
    path : Path
        Where.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_whole(path, predictions.frame.to_csv(index=False).encode())
