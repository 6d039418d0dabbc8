"""Save and load models for tables."""

from __future__ import annotations

import os
from typing import NamedTuple

from sklearn.pipeline import Pipeline

from mixup_tab import persistence
from mixup_tab.compare.task import Task
from mixup_tab.persistence.cards import load_with_card
from mixup_tab.persistence.model_file import SIZE_LIMIT, read_model


class Card(NamedTuple):
    """Metadata of a saved model.

    Attributes
    ----------
    target : str
        Column that it predicts.
    id : str or None
        Column that identifies the rows.
    classes : list of str
        Names of the classes, in the order of their probabilities; empty for regression.
    dtypes, date_formats, number_formats : dict of str to str
        Of its features, as in :class:`~mixup_tab.tables.columns.TypedTable`.
    alpha : float
        The α of mixup that it was trained with.
    """

    target: str
    id: str | None
    classes: list[str]
    dtypes: dict[str, str]
    date_formats: dict[str, str]
    number_formats: dict[str, str]
    alpha: float


def save_model(path: str | os.PathLike, pipeline: Pipeline, task: Task, alpha: float) -> None:
    """Write a fitted pipeline to a file, which appears or is replaced once it is complete.

    Raises
    ------
    ValueError
        If the model cannot be saved.
    OSError
        If the file cannot be written.
    """
    names, classes = task.columns, list(task.classes)
    formats = task.dtypes, task.date_formats, task.number_formats
    card = Card(names.target, names.id, classes, *formats, alpha)
    _check(pipeline, card)
    about = {"kind": "table", **card._asdict()}
    persistence.save_model(pipeline, path, about=about, overwrite=True)


def load_model(
    path: str | os.PathLike, *, device: str = "cpu", size_limit: float = SIZE_LIMIT
) -> tuple[Pipeline, Card]:
    """Read a pipeline that :func:`save_model` wrote, and its metadata.

    Opening the file and predicting with it runs no code from it, whoever made it.
    """
    return load_with_card(
        read_model(path, size_limit=size_limit), "table", Card, _check, device=device
    )


def _check(pipeline: Pipeline, card: Card) -> None:
    """Raise ValueError unless a model matches its metadata."""
    known = {"number", "date", "date with zone", "duration", "text"}
    formats = [part for part in card if isinstance(part, dict)]
    fine = (
        len({*card.classes}) == len(card.classes)
        and {*card.dtypes.values()} <= known
        and all({*columns} <= {*card.dtypes} for columns in formats)
        and card.alpha >= 0
    )
    if not fine:
        raise ValueError("its metadata are not those of a model for tables")
    if list(pipeline.feature_names_in_) != list(card.dtypes):
        raise ValueError("its columns do not match its metadata")
    net = pipeline[-1]
    if card.classes:
        classes = net.classes_
        same = classes.dtype.kind == "i" and classes.tolist() == [*range(len(card.classes))]
    else:
        same = len(net.target_mean_) == 1 and net._one_column
    if not same:
        raise ValueError("its target does not match its metadata")
