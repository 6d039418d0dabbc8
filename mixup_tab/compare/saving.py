"""Saved models of tables: write one, read it, predict for a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mixup_tab.compare.columns import as_dtype
from mixup_tab.compare.fitting import probabilities, unexpected
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.task import Task
from mixup_tab.persistence import read_model, write_model

# Rows that are predicted at once, to limit memory.
_CHUNK = 50_000


class Card(NamedTuple):
    """What there is to know about a saved model.

    Attributes
    ----------
    target : str
        What it predicts.
    id : str or None
        Column that names the rows.
    classes : list of str
        Names of the classes, in the order of their probabilities; empty for regression.
    dtypes, date_formats, number_formats : dict of str to str
        Of the columns that it needs, as in :class:`~.columns.TypedTable`.
    alpha : float
        The α of its training.
    """

    target: str
    id: str | None
    classes: list[str]
    dtypes: dict[str, str]
    date_formats: dict[str, str]
    number_formats: dict[str, str]
    alpha: float


def save_model(path: str | os.PathLike, pipeline: Pipeline, task: Task, alpha: float) -> None:
    """Write a pipeline fitted on a task; the file appears when it is complete."""
    names, classes = task.columns, list(task.classes)
    formats = task.dtypes, task.date_formats, task.number_formats
    card = Card(names.target, names.id, classes, *formats, alpha)
    write_model(path, "table", card._asdict(), pipeline, store_pipeline=True)


def load_model(path: str | os.PathLike) -> tuple[Pipeline, Card]:
    """Read a pipeline that :func:`save_model` wrote, ready to predict, and its card."""
    model = read_model(path, "table")
    with model.assembling():
        card = Card(**model.about)
        pipeline = model.pipeline()
        model.restore_net(pipeline[-1])
    return pipeline, card


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
        A file that ``mixup-tab compare --save`` wrote.
    file : str or path-like
        A table with the columns that the model was fitted on, of any format that
        :func:`~.reading.read_table` reads.

    Raises
    ------
    ValueError
        If the model cannot be used, or a column is missing or holds something else.
    """
    pipeline, card = load_model(model)
    text = [name for name, dtype in card.dtypes.items() if dtype == "text"]
    text += [*card.number_formats, *([] if card.id is None else [card.id])]
    frame = read_table(file, text=text)
    frame = frame.rename(columns=str)
    missing = [name for name in card.dtypes if name not in frame]
    if missing:
        raise ValueError(
            f"file {Path(file).name!r} has no column {', '.join(map(repr, missing))}, which "
            "the model needs. Add it, empty where it is not known."
        )
    if frame.empty:
        raise ValueError(f"file {Path(file).name!r} has no rows to predict for.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predicted = _predict(pipeline, card, _typed(card, frame))
    if card.id is not None and card.id in frame:
        predicted.insert(0, card.id, frame[card.id], allow_duplicates=True)
    notes = [*_notes(card, frame), *sorted(unexpected(caught))]
    if any("unknown categories" in str(warning.message) for warning in caught):
        notes.append("Categories that were not in the training table are ignored.")
    return Predictions(predicted, notes)


def _notes(card: Card, frame: pd.DataFrame) -> Iterator[str]:
    known = {*card.dtypes, card.target, card.id}
    extra = [name for name in frame if name not in known]
    if extra:
        shown = ", ".join(extra[:10]) + (" …" if len(extra) > 10 else "")
        yield f"Columns that the model does not know are ignored: {shown}."
    if card.id is not None and card.id not in frame:
        yield f"The file has no column {card.id!r}; rows are in the file's order."


def _typed(card: Card, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the model needs, read as those of its training were."""
    dates, numbers = card.date_formats.get, card.number_formats.get
    return pd.DataFrame(
        {n: as_dtype(frame[n], d, dates(n), numbers(n)) for n, d in card.dtypes.items()}
    )


def _predict(pipeline: Pipeline, card: Card, X: pd.DataFrame) -> pd.DataFrame:
    parts = [X.iloc[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)]
    if not card.classes:
        values = np.concatenate([pipeline.predict(part) for part in parts])
        return pd.DataFrame({"prediction": values})
    proba = np.concatenate([probabilities(pipeline, p, len(card.classes)) for p in parts])
    best = np.array(card.classes, dtype=object)[proba.argmax(axis=1)]
    columns = {f"probability_{name}": proba[:, k] for k, name in enumerate(card.classes)}
    return pd.DataFrame({"prediction": best, **columns})
