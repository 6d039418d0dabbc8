"""Predictions of a saved model for a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mixup_tab.compare.fitting import probabilities, unexpected
from mixup_tab.compare.reading import SIZE_LIMIT as TABLE_LIMIT
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.saving import Card, load_model
from mixup_tab.persistence import SIZE_LIMIT, finite, predicting
from mixup_tab.tables import TableEncoder
from mixup_tab.tables.columns import as_dtype

# Rows that are predicted at once, to limit memory.
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


def predict_file(
    model: str | os.PathLike, file: str | os.PathLike, *, size_limit: float = SIZE_LIMIT
) -> Predictions:
    """Predict for every row of a file.

    Parameters
    ----------
    model : str or path-like
        A file that ``mixup-tab compare --save`` wrote.
    file : str or path-like
        A table with the columns that the model was fitted on, of any format that
        :func:`~.reading.read_table` reads.
    size_limit : float, default=1e9
        Largest size of the model's file in bytes; where it is above that of tables, also of
        the table.

    Raises
    ------
    ValueError
        If the model cannot be used, or a column is missing or holds something else.
    """
    pipeline, card = load_model(model, size_limit=size_limit)
    text = [name for name, dtype in card.dtypes.items() if dtype == "text"]
    text += [*card.number_formats, *([] if card.id is None else [card.id])]
    frame = read_table(file, text=text, size_limit=max(size_limit, TABLE_LIMIT))
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
        typed = _typed(card, frame)
        predicted = _predict(pipeline, card, typed)
    if card.id is not None and card.id in frame:
        predicted.insert(0, card.id, frame[card.id], allow_duplicates=True)
    notes = [*_notes(card, frame), *_unknown(pipeline[0], typed), *sorted(unexpected(caught))]
    return Predictions(predicted, notes)


def _notes(card: Card, frame: pd.DataFrame) -> Iterator[str]:
    known = {*card.dtypes, card.target, card.id}
    extra = [name for name in frame if name not in known]
    if extra:
        shown = ", ".join(extra[:10]) + (" …" if len(extra) > 10 else "")
        yield f"Columns that the model does not know are ignored: {shown}."
    if card.id is not None and card.id not in frame:
        yield f"The file has no column {card.id!r}; rows are in the file's order."


def _unknown(encoder: TableEncoder, typed: pd.DataFrame) -> Iterator[str]:
    found = [n for n, known in encoder.levels_.items() if {*typed[n].dropna()} - {*known}]
    if found:
        names = ", ".join(map(repr, found))
        yield f"Categories that were not in the training table are ignored: columns {names}."


def _typed(card: Card, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the model needs, read as those of its training were."""
    dates, numbers = card.date_formats.get, card.number_formats.get
    return pd.DataFrame(
        {n: as_dtype(frame[n], d, dates(n), numbers(n)) for n, d in card.dtypes.items()}
    )


def _predict(pipeline: Pipeline, card: Card, X: pd.DataFrame) -> pd.DataFrame:
    parts = [X.iloc[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)]
    with predicting("the model"):
        if card.classes:
            outputs = [probabilities(pipeline, part, len(card.classes)) for part in parts]
        else:
            outputs = [pipeline.predict(part) for part in parts]
        values = finite(np.concatenate(outputs))
    if not card.classes:
        return pd.DataFrame({"prediction": values})
    best = np.array(card.classes, dtype=object)[values.argmax(axis=1)]
    columns = {f"probability_{name}": values[:, k] for k, name in enumerate(card.classes)}
    return pd.DataFrame({"prediction": best, **columns})
