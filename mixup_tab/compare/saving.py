"""Saved models of tables: what a model file holds about one."""

from __future__ import annotations

import os
from typing import NamedTuple

from sklearn.pipeline import Pipeline

from mixup_tab.compare.question import Question
from mixup_tab.persistence import read_model, write_model


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
    kinds : dict of str to str
        Kind of every column that it needs, in their order.
    alpha : float
        The α of its training.
    """

    target: str
    id: str | None
    classes: list[str]
    kinds: dict[str, str]
    alpha: float

    @classmethod
    def of(cls, question: Question, alpha: float) -> Card:
        """Describe a model that is fitted for a question."""
        roles, classes = question.roles, list(question.classes)
        return cls(roles.target, roles.id, classes, question.kinds, alpha)


def save_model(path: str | os.PathLike, pipeline: Pipeline, card: Card) -> None:
    """Write a fitted pipeline that ends in a classifier or regressor of this package."""
    write_model(path, "table", card._asdict(), pipeline, store_pipeline=True)


def load_model(path: str | os.PathLike) -> tuple[Pipeline, Card]:
    """Read a pipeline that :func:`save_model` wrote, ready to predict, and its card."""
    model = read_model(path, "table")
    with model.assembling():
        card = Card(**model.about)
        pipeline = model.pipeline()
        model.restore_net(pipeline[-1])
    return pipeline, card
