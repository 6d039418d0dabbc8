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

from mixup_tab.compare.fitting import probabilities, unexpected
from mixup_tab.compare.reading import SIZE_LIMIT as TABLE_LIMIT
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.task import Task
from mixup_tab.persistence import (
    SIZE_LIMIT,
    ModelFile,
    check_fields,
    finite,
    predicting,
    read_model,
    write_model,
)
from mixup_tab.tables import TableEncoder
from mixup_tab.tables.columns import as_dtype

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
        Of the columns that it needs, as in :class:`~mixup_tab.tables.columns.TypedTable`.
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
    """Write a pipeline fitted on a task; the file appears when it is complete and checked.

    Raises
    ------
    ValueError
        If the model cannot be saved, or would not predict the same when it is read again.
    OSError
        If the file cannot be written.
    """
    names, classes = task.columns, list(task.classes)
    formats = task.dtypes, task.date_formats, task.number_formats
    card = Card(names.target, names.id, classes, *formats, alpha)
    rows = task.X.iloc[:: max(len(task.X) // 20, 1)]

    def check(model: ModelFile) -> None:
        again, read = _assembled(model)
        before, after = (
            _predict(*known, rows).select_dtypes("number").to_numpy()
            for known in ((pipeline, card), (again, read))
        )
        if not np.allclose(before, after, rtol=1e-5):  # a GPU may round in other ways
            raise ValueError(
                "this model cannot be saved: read again, it predicts other values."
            )

    write_model(path, "table", card._asdict(), pipeline, store_pipeline=True, check=check)


def load_model(
    path: str | os.PathLike, *, size_limit: float = SIZE_LIMIT
) -> tuple[Pipeline, Card]:
    """Read a pipeline that :func:`save_model` wrote, ready to predict, and its card.

    Opening the file and predicting with it runs no code from it, whoever made it.
    """
    return _assembled(read_model(path, "table", size_limit=size_limit))


def _assembled(model: ModelFile) -> tuple[Pipeline, Card]:
    with model.assembling():
        card = Card(**model.about)
        pipeline = model.pipeline()
        net = pipeline[-1]
        _check_card(card)
        if list(pipeline.feature_names_in_) != list(card.dtypes):
            raise ValueError("its columns are not those that it describes")
        if card.classes:
            classes = net.classes_
            same = classes.dtype.kind == "i" and classes.tolist() == [*range(len(card.classes))]
        else:
            same = len(net.target_mean_) == 1 and net._one_column
        if not same:
            raise ValueError("its target is not the one that it describes")
        model.restore_net(net)
    return pipeline, card


def _check_card(card: Card) -> None:
    """Raise ValueError unless a card that was read holds what a written one may."""
    check_fields(card)
    known = {"number", "date", "date with zone", "duration", "text"}
    formats = [part for part in card if isinstance(part, dict)]
    fine = (
        len({*card.classes}) == len(card.classes)
        and {*card.dtypes.values()} <= known
        and all({*columns} <= {*card.dtypes} for columns in formats)
        and card.alpha >= 0
    )
    if not fine:
        raise ValueError("its description is not one of a table")


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
