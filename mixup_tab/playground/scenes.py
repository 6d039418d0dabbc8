"""The data of the playground: points of a plane with classes, some of them held out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_circles, make_moons

from mixup_tab.compare.reading import read_table
from mixup_tab.compare.task import encode
from mixup_tab.compare.validation import check_target
from mixup_tab.tables.columns import as_written, clean

# As many as there are colours to distinguish.
MOST_CLASSES = 10
# Of a table; half of them are held out.
MOST_ROWS = 2000
_LEAST_ROWS = 20
# Larger values overflow when squared in single precision.
_MOST = 1e18
# With much noise and few rows mixing helps; with little noise it harms.
_TOYS = {
    "two moons": (make_moons, {}, ("upper", "lower"), (0.1, 0.2, 0.3)),
    "circles": (make_circles, {"factor": 0.5}, ("outer", "inner"), (0.05, 0.1, 0.2)),
}
_AMOUNTS = ("little", "some", "much")
_TOY_ROWS, _TOY_HELD_OUT = (50, 200), 1000


@dataclass(frozen=True)
class Scene:
    """Two columns and a class.

    Attributes
    ----------
    data : str
        Name of the data on the page.
    columns : tuple of str
        Names of the two columns.
    classes : tuple of str
        Names of the classes, in the order of their codes.
    X : ndarray of float32 of shape (rows, 2)
        Training rows, in random order.
    y : ndarray of int64 of shape (rows,)
        Class codes.
    X_held_out, y_held_out : ndarray
        Rows for scoring.
    noise : str
        How noisy the data are, or empty.
    target : str
        Name of the column of classes, or empty.
    notes : tuple of str
        Sentences for the page about how the rows were chosen.
    """

    data: str
    columns: tuple[str, str]
    classes: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    X_held_out: np.ndarray
    y_held_out: np.ndarray
    noise: str = ""
    target: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tells this scene from the others, in words."""
        noise = f"{self.noise} noise, " if self.noise else ""
        return f"{self.data}, {noise}{len(self.y):,} training rows"


def toy_scenes(random_state: int = 0) -> list[Scene]:
    """Draw two moons and two circles, each with three amounts of noise and 50 or 200 rows.

    The smaller scene is a part of the larger one; both have the same 1,000 held-out rows.
    """
    most = max(_TOY_ROWS)
    scenes = []
    for data, (draw, options, classes, noises) in _TOYS.items():
        for amount, noise in zip(_AMOUNTS, noises, strict=True):
            rows = most + _TOY_HELD_OUT
            X, y = draw(rows, noise=noise, random_state=random_state, **options)
            X, y = X.astype(np.float32), y.astype(np.int64)
            for count in _TOY_ROWS:
                parts = X[:count], y[:count], X[most:], y[most:]
                scenes.append(Scene(data, ("x", "y"), classes, *parts, noise=amount))
    return scenes


def table_scene(
    path: str | os.PathLike, x: str, y: str, target: str, random_state: int = 0
) -> Scene:
    """Read two columns of numbers and a column of 2 to 10 classes from a file.

    Rows with a missing value are left out. Of the others, at most about 2,000 are drawn,
    stratified by class; half of each class is held out.
    """
    frame = read_table(path, text=[target]).rename(columns=str)
    roles = {"x": x, "y": y, "target": target}
    _check_names(frame, roles)
    _check_rows(len(frame), path, roles)
    columns = [_numbers(frame[name], role) for role, name in (("x", x), ("y", y))]
    labels = as_written(frame[target])
    known = labels.notna() & columns[0].notna() & columns[1].notna()
    _check_rows(int(known.sum()), path, roles)
    columns = [column[known] for column in columns]
    for role, column in zip(("x", "y"), columns, strict=True):
        _check_values(column, role)
    codes, classes = _encode(labels[known])
    X = np.column_stack(columns).astype(np.float32)
    train, held_out = _halves(codes, random_state)
    notes = _notes(len(frame), len(codes), len(train) + len(held_out))
    parts = X[train], codes[train], X[held_out], codes[held_out]
    return Scene(os.path.basename(path), (x, y), classes, *parts, target=target, notes=notes)


def _check_names(frame: pd.DataFrame, roles: dict[str, str]) -> None:
    names = list(frame)
    for role, name in roles.items():
        if name not in names:
            shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
            raise ValueError(f"{role} must be one of the columns {shown}, got {name!r}.")
        twice = [other for other in roles if other != role and roles[other] == name]
        if twice:
            raise ValueError(f"{role}={name!r} is the same column as {twice[0]}. Give three.")


def _check_rows(count: int, path: str | os.PathLike, roles: dict[str, str]) -> None:
    if count < _LEAST_ROWS:
        x, y, target = roles.values()
        raise ValueError(
            f"file {str(path)!r} must have at least {_LEAST_ROWS} rows with a value of {x!r}, "
            f"{y!r} and {target!r}, got {count}. Add rows."
        )


def _numbers(column: pd.Series, role: str) -> pd.Series:
    typed, dtypes, *_ = clean(column.to_frame())
    dtype = dtypes[str(column.name)]
    if dtype != "number":
        raise ValueError(
            f"{role}={column.name!r} holds values of type {dtype!r}. Give a column of numbers."
        )
    return typed[column.name]


def _check_values(column: pd.Series, role: str) -> None:
    most = column.abs().max()
    if most > _MOST:
        raise ValueError(
            f"{role}={column.name!r} holds values up to {most:.3g}, too large for a net. Give "
            "a column of smaller numbers, such as its logarithm."
        )
    if column.astype(np.float32).nunique() == 1:
        raise ValueError(
            f"{role}={column.name!r} is {column.iloc[0]:g} in every row. Give another column."
        )


def _encode(target: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return codes and names of the classes, or say why there are none."""
    check_target(target, None, "text", "classification")
    codes, classes = encode(target)
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"target={target.name!r} has {len(classes):,} different values; the page has "
            f"colours for {MOST_CLASSES} classes. Give a --target with fewer."
        )
    counts = np.bincount(codes)
    if counts.min() < 2:
        raise ValueError(
            f"target={target.name!r} has a single row of class "
            f"{classes[int(counts.argmin())]!r}, which can be trained on or held out but not "
            "both. Add rows of it, or leave it out of the file."
        )
    return codes, classes


def _halves(codes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of training and of held-out rows, each with half of every class."""
    order = np.random.default_rng(seed).permutation(len(codes))
    counts = np.bincount(codes)
    rank = np.empty_like(order)  # of a row among those of its class
    for code in range(len(counts)):
        rank[codes[order] == code] = np.arange(counts[code])
    share = min(MOST_ROWS / len(codes), 1.0)
    kept = rank < np.maximum(np.round(share * counts), 2)[codes[order]]
    trains = rank % 2 == 0
    return order[kept & trains], order[kept & ~trains]


def _notes(rows: int, known: int, kept: int) -> tuple[str, ...]:
    notes: list[Any] = []
    if known < rows:
        notes.append(f"{rows - known:,} rows with a missing value are left out.")
    if kept < known:
        notes.append(f"{kept:,} of the {known:,} rows were drawn at random for this page.")
    return tuple(notes)
