"""From the rows of a run to one score per table and method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mixup_tab.evaluation.session import Session
from mixup_tab.page import Page


@dataclass
class Shown:
    """A table as the terminal shows it."""

    title: str
    frame: pd.DataFrame
    formats: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass
class Report:
    """What a protocol has to say: in a sentence, in tables for the terminal, on a page."""

    sentence: str
    tables: list[Shown]
    page: Page


def mean_scores(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the mean over folds of every method on every table.

    Parameters
    ----------
    results : DataFrame
        Rows of a run, of one protocol.
    metric : str
        One of its columns.

    Returns
    -------
    DataFrame of shape (datasets, methods)
        In the order of the rows. nan where a method lacks folds that another one has.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [("iris", "a", 0, 0.9), ("iris", "a", 1, 0.8), ("iris", "b", 0, 0.7)]
    >>> results = pd.DataFrame(rows, columns=["dataset", "method", "fold", "accuracy"])
    >>> mean_scores(results, "accuracy").loc["iris"].tolist()
    [0.8500000000000001, nan]
    """
    cells = results.groupby(["dataset", "method"], sort=False)[metric]
    scores, counts = cells.mean().unstack(), cells.count().unstack()
    whole = counts.eq(counts.max(axis=1), axis=0)
    order = results["dataset"].unique(), results["method"].unique()
    return scores.where(whole).reindex(index=order[0], columns=order[1])


def comparable(scores: pd.DataFrame, share: float = 0.9) -> pd.DataFrame:
    """Return the part of the scores that has no holes.

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        With nan where a score is missing.
    share : float, default=0.9
        Methods with scores on fewer than this share of the tables are left out; then tables
        that lack a score of the others are.

    Returns
    -------
    DataFrame
    """
    kept = scores.loc[:, scores.notna().sum() >= share * scores.notna().any(axis=1).sum()]
    return kept.dropna()


def left_out(scores: pd.DataFrame, kept: pd.DataFrame) -> str:
    """Say what :func:`comparable` has left out; empty where nothing was."""
    methods = [name for name in scores.columns if name not in kept.columns]
    tables = [name for name in scores.index if name not in kept.index]
    told = []
    if methods:
        told.append(f"Left out for lack of results on many tables: {_listed(methods)}.")
    if tables:
        told.append(f"Tables left out for lack of a method's result: {_listed(tables)}.")
    return " ".join(told)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names))


def facts_of(session: Session) -> dict[str, str]:
    """Return what a page tells about its run: what, where, with which versions, when.

    Parameters
    ----------
    session : Session
        The run.

    Returns
    -------
    dict of str to str
    """
    identity, sessions = session.folder.record["identity"], session.folder.record["sessions"]
    last = sessions[-1]
    machine = last["machine"]
    facts: dict[str, Any] = {
        "protocol": identity["protocol"],
        "device": identity["device"],
        "seed": identity["seed"],
        "machine": f"{machine['cpu']}, {machine['cores_usable']} cores, {machine['system']}",
        "begun": sessions[0]["start"],
        "ended": last["end"],
        "versions": ", ".join(f"{name} {v}" for name, v in last["versions"].items()),
    }
    if not session.finished:
        facts["state"] = "stopped before the end; run it again with the same folder to go on"
    return {name: str(value) for name, value in facts.items()}


def set_details(results: pd.DataFrame) -> list[tuple[str, list[Any]]]:
    """Return a table for every data set, with the mean scores of every method on it.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.

    Returns
    -------
    list of (str, list of DataFrame)
        What :meth:`Page.add_details` takes.
    """
    columns = ["error", "log_loss", "brier", "ece", "fit_seconds", "predict_seconds"]
    details = []
    for (protocol, dataset), part in results.groupby(["protocol", "dataset"], sort=False):
        methods = part.groupby("method", sort=False)
        table = methods[columns].mean()
        table.insert(0, "folds", methods.size())
        if (part["alpha"] != "").any():
            table["α"] = methods["alpha"].agg(_most_common)
        first = part.iloc[0]
        rows = int(first["n_train"] + first["n_test"])
        title = f"{dataset}: {rows:,} rows, {int(first['n_classes'])} classes"
        title += f" ({protocol})" if results["protocol"].nunique() > 1 else ""
        details.append((title, [table]))
    return details


def _most_common(alphas: pd.Series) -> str:
    counts = alphas[alphas != ""].value_counts()
    return ", ".join(f"{alpha} ({count} ×)" for alpha, count in counts.items())
