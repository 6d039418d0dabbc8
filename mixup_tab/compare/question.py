"""What is to be predicted from what: a table with its columns in their roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import NamedTuple

import numpy as np
import pandas as pd

from mixup_tab.compare.kinds import as_kind, kind_of
from mixup_tab.compare.refusals import (
    check_features,
    check_group_column,
    check_names,
    check_target,
    check_time_column,
)

TASKS = ("auto", "classification", "regression")
# A target of whole numbers with more different values than this is taken as a quantity.
_MOST_CLASSES = 20


class Roles(NamedTuple):
    """Which column is what.

    Attributes
    ----------
    target : str
        What is to be predicted.
    id : str or None
        Names the rows; takes no part.
    drop : tuple of str
        Take no part.
    groups : str or None
        Rows with the same value stay together in a fold; takes no other part.
    time : str or None
        Orders the rows: training rows come before test rows; takes no other part.
    """

    target: str
    id: str | None = None
    drop: tuple[str, ...] = ()
    groups: str | None = None
    time: str | None = None

    def left_out(self) -> list[str]:
        """Return the columns from which nothing is predicted."""
        named = (self.target, self.id, *self.drop, self.groups, self.time)
        return list(dict.fromkeys(name for name in named if name is not None))


@dataclass(frozen=True)
class Question:
    """A table that is ready for cross-validation.

    Attributes
    ----------
    X : DataFrame
        Features, each of one kind.
    y : ndarray of int64 codes or of float64
        Target.
    classes : tuple of str
        Names of the classes, in the order of their codes; empty for regression.
    groups : ndarray of int64 or None
        Group of every row.
    in_order : bool
        Whether the rows are in the order of time.
    roles : Roles
        Which column was what.
    kinds : dict of str to str
        Kind of every feature, as in :func:`~.kinds.kind_of`.
    notes : tuple of str
        What the user should know about how the table was read.
    """

    X: pd.DataFrame
    y: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray | None
    in_order: bool
    roles: Roles
    kinds: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return bool(self.classes)

    def take(self, rows: np.ndarray, *notes: str) -> Question:
        """Return the same question about some of the rows."""
        return replace(
            self,
            X=self.X.iloc[rows].reset_index(drop=True),
            y=self.y[rows],
            groups=None if self.groups is None else self.groups[rows],
            notes=(*self.notes, *notes),
        )


def ask(frame: pd.DataFrame, roles: Roles, task: str = "auto") -> Question:
    """Turn a table into a question, or say why it is none.

    Parameters
    ----------
    frame : DataFrame
        The table.
    roles : Roles
        Which column is what.
    task : {"auto", "classification", "regression"}, default="auto"
        "auto" takes numbers with a fractional part, or with more than 20 different values,
        as quantities and everything else as classes.

    Returns
    -------
    Question

    Raises
    ------
    ValueError
        If columns are missing or the target cannot be predicted sensibly.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}.")
    frame = frame.rename(columns=str)
    check_names(frame, roles)
    known = frame[roles.target].notna().to_numpy()
    notes = []
    if not known.all():
        notes.append(f"{np.sum(~known):,} rows without a value of {roles.target!r} left out.")
    frame = frame[known].reset_index(drop=True)
    target = frame[roles.target]
    kind = check_target(target, task)
    classifies = _is_class(as_kind(target, kind), kind, task)
    if task == "auto" and kind == "number":  # anything else can only be a class
        other = "regression" if classifies else "classification"
        notes.append(
            f"{roles.target!r} has {target.nunique():,} different values and is taken as "
            f"{'a class' if classifies else 'a quantity'}; --task {other} changes that."
        )
    if roles.time is not None:
        order = np.argsort(check_time_column(frame[roles.time]), kind="stable")
        frame = frame.iloc[order].reset_index(drop=True)
    y, classes = _encode(as_kind(frame[roles.target], kind), kind, classifies)
    X = frame.drop(columns=roles.left_out())
    kinds = {name: kind_of(X[name]) for name in X}
    X = pd.DataFrame({name: as_kind(X[name], kinds[name]) for name in X})
    check_features(X, y, roles, classifies)
    groups = None if roles.groups is None else check_group_column(frame[roles.groups])
    return Question(
        X, y, classes, groups, roles.time is not None, roles, kinds, (*notes, *_hints(X, roles))
    )


def _is_class(target: pd.Series, kind: str, task: str) -> bool:
    if task != "auto":
        return task == "classification"
    if kind == "text":
        return True
    whole = bool((target % 1 == 0).all())
    return whole and target.nunique() <= _MOST_CLASSES


def _encode(
    target: pd.Series, kind: str, classifies: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    if not classifies:
        return target.to_numpy(dtype=np.float64), ()
    codes, labels = pd.factorize(target, sort=True)
    return codes.astype(np.int64), tuple(class_name(label) for label in labels)


def class_name(label: object) -> str:
    """Return a label as it is written in tables: 1.0 as "1"."""
    return f"{label:.15g}" if isinstance(label, float) else str(label)


def _hints(X: pd.DataFrame, roles: Roles) -> Sequence[str]:
    """Point at columns that look like numbers of rows."""
    for name in X:
        text = str(name).lower()
        named = text in ("id", "index") or text.endswith("_id") or text.startswith("unnamed:")
        if named and X[name].is_unique:
            yield (
                f"Column {name!r} has another value in every row and looks like a name of the "
                f"row; --id {quote(name)} leaves it out."
            )
