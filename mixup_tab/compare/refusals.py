"""Reasons not to answer: tables and targets from which nothing sensible can be learned."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixup_tab.compare.kinds import as_kind, kind_of

if TYPE_CHECKING:
    from mixup_tab.compare.question import Question, Roles

# Share of different values from which text looks like a name of the row.
_NAMES_ROWS = 0.9
_ID_LIKE = re.compile(r"(.*[_ ])?(id|uuid|guid|index|row[_ ]?(number|no|nr))", re.IGNORECASE)
# Rows that are looked at for columns that tell the target; enough to rule chance out.
_LOOKED_AT = 20_000


def check_names(frame: pd.DataFrame, roles: Roles) -> None:
    """Refuse columns that are not there, or that have two roles.

    Raises
    ------
    ValueError
        That names close ones.
    """
    names = list(frame.columns)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(
            f"the table has more than one column called {twice[0]!r}. Give every column "
            "its own name."
        )
    if frame.empty:
        raise ValueError(
            f"the table has {len(frame)} rows and {len(names)} columns: nothing to learn from."
        )
    given = {"target": [roles.target], "drop": roles.drop}
    given |= {role: [getattr(roles, role)] for role in ("id", "groups", "time")}
    for role, wanted in given.items():
        for name in wanted:
            if name is not None and name not in names:
                raise ValueError(f"{role}={name!r} is no column. {_close(name, names)}")
    if roles.target in (roles.id, *roles.drop, roles.groups, roles.time):
        raise ValueError(
            f"target={roles.target!r} is also given as --id, --drop, --groups or --time. Give "
            "it as --target only."
        )
    if roles.groups is not None and roles.time is not None:
        raise ValueError(
            f"groups={roles.groups!r} and time={roles.time!r} cannot both shape the folds. "
            "Give one of them, and leave the other out with --drop if need be."
        )


def _close(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    close = close or [other for other in names if other.lower() == name.lower()]
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"There are: {shown}."


def check_target(target: pd.Series, task: str) -> str:
    """Refuse a target that cannot be predicted, and say what kind it is.

    Parameters
    ----------
    target : Series
        Without missing values.
    task : {"auto", "classification", "regression"}
        What is wanted.

    Returns
    -------
    {"number", "text"}

    Raises
    ------
    ValueError
        If it is empty, constant, a date, the name of the row, or no number where one is
        needed.
    """
    name, rows = target.name, len(target)
    if not rows:
        raise ValueError(f"target={name!r} is missing in every row. Give another --target.")
    kind = kind_of(target)
    if kind in ("date", "duration"):
        raise ValueError(
            f"target={name!r} holds values of kind {kind!r}. Turn them into numbers, such as "
            "days since a date, or give another --target."
        )
    values = as_kind(target, kind)
    if values.isna().any():
        raise ValueError(
            f"target={name!r} holds infinite values. Leave out or mend those rows."
        )
    different = values.nunique()
    if different == 1:
        raise ValueError(
            f"target={name!r} is {target.iloc[0]!r} in all {rows:,} rows: nothing to predict. "
            "Give another --target."
        )
    if _names_rows(values, kind, different):
        raise ValueError(
            f"target={name!r} has {different:,} different values in {rows:,} rows and looks "
            "like a name of the row, not like something to predict. Give another --target."
        )
    if task == "regression" and kind == "text":
        raise ValueError(
            f"target={name!r} holds text such as {values.iloc[0]!r}, but task='regression' "
            "needs numbers. Use --task classification."
        )
    return kind


def _names_rows(values: pd.Series, kind: str, different: int) -> bool:
    if kind == "text":
        return different > max(_NAMES_ROWS * len(values), 10)
    if different < len(values) or len(values) < 10:
        return False
    counts_rows = bool((values.sort_values().diff().iloc[1:] == 1).all())
    return counts_rows or _ID_LIKE.fullmatch(str(values.name)) is not None


def check_time_column(column: pd.Series) -> np.ndarray:
    """Return times as numbers that can be sorted.

    Raises
    ------
    ValueError
        If a value is missing or neither a number nor a date.
    """
    kind = kind_of(column)
    values = as_kind(column, kind)
    if kind == "text":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no common format: told below
            values = pd.to_datetime(values, errors="coerce")
    wrong = values.isna().to_numpy()
    if wrong.any():
        first = column[wrong].iloc[0]
        raise ValueError(
            f"time={column.name!r} must hold a number or a date in every row, of one format; "
            f"{wrong.sum():,} rows do not, such as {first!r}. Mend them, or give another "
            "--time."
        )
    return values.to_numpy()


def check_group_column(column: pd.Series) -> np.ndarray:
    """Return the group of every row as a number.

    Raises
    ------
    ValueError
        If a value is missing.
    """
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(
            f"groups={column.name!r} is missing in {missing:,} rows. Fill it in, or leave "
            "those rows out."
        )
    return pd.factorize(column)[0].astype(np.int64)


# ------------------------------------------------------------------------- features


def check_features(X: pd.DataFrame, y: np.ndarray, roles: Roles, classifies: bool) -> None:
    """Refuse a table without features, or with one that is the target in other words.

    Raises
    ------
    ValueError
        That says which column.
    """
    if X.shape[1] == 0:
        raise ValueError(
            f"no column is left to predict {roles.target!r} from. Give a table with features, "
            "or fewer --drop."
        )
    step = -(-len(X) // _LOOKED_AT)
    X, y = X.iloc[::step], y[::step]
    for name in X:
        if _tells(X[name], y, classifies):
            raise ValueError(
                f"column {name!r} tells the target {roles.target!r} exactly: each value of one "
                "goes with one value of the other, so there is nothing to learn. Leave it out "
                f"with --drop {quote(str(name))}."
            )


def _tells(column: pd.Series, y: np.ndarray, classifies: bool) -> bool:
    """Whether a feature and the target are the same but for the names of their values."""
    if column.isna().any() or len(y) < 10:
        return False
    codes, values = pd.factorize(column)
    targets, different = pd.factorize(y)
    if len(values) != len(different):
        return False
    pairs = np.unique(codes * len(different) + targets)
    if len(pairs) != len(values):
        return False
    if classifies or len(values) <= len(y) / 2:
        return True
    if column.dtype.kind not in "fiuM":  # every value is different, so this says nothing
        return False
    rising = y[np.argsort(column.to_numpy(), kind="stable")]
    return bool(np.all(np.diff(rising) >= 0) or np.all(np.diff(rising) <= 0))


# ---------------------------------------------------------------------------- folds


def check_folds(question: Question, folds: int, repeats: int) -> None:
    """Refuse folds that the table is too small for.

    Raises
    ------
    ValueError
        That says what there is too little of.
    """
    rows, target = len(question.y), question.roles.target
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds!r}.")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats!r}.")
    least = max(20, 4 * folds)
    if rows < least:
        raise ValueError(
            f"the table has {rows} rows with a target, but folds={folds} needs at least "
            f"{least} for an answer. Add rows."
        )
    if question.groups is not None:
        groups = len(np.unique(question.groups))
        if groups <= folds:
            raise ValueError(
                f"groups={question.roles.groups!r} has {groups} different values, but "
                f"folds={folds} needs more than that, for folds inside folds. Use fewer "
                "--folds."
            )
    if question.classifies and not question.in_order:
        _check_classes(question, folds, target)


def _check_classes(question: Question, folds: int, target: str) -> None:
    counts = np.bincount(question.y, minlength=len(question.classes))
    rare = [
        f"{question.classes[code]!r} ({counts[code]})"
        for code in np.argsort(counts, kind="stable")
        if counts[code] < folds
    ]
    if rare:
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        raise ValueError(
            f"target={target!r} has classes with fewer rows than folds={folds}: "
            f"{', '.join(rare[:5])}{more}. Use fewer --folds, join classes, or leave these "
            "rows out of the file."
        )
