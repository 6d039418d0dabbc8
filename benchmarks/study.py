"""Shared code of the studies: options, running, scores per table, splits for rare classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab.benchmark import run_benchmark
from mixup_tab.benchmark.runner import fit_and_predict
from mixup_tab.benchmark.uci import Split, stratified_folds
from mixup_tab.datasets import list_uci
from mixup_tab.metrics import calibration_bins


def options(study: str, description: str, **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser with the options of every study, and ``--<name>`` for each default."""
    parser = argparse.ArgumentParser(description=description)
    names = {"type": _listed, "metavar": "A,B,…"}
    parser.add_argument("--data-home", type=Path, help="folder of data sets [downloads]")
    parser.add_argument("--datasets", **names, help="names, or a .csv file of names [all]")
    parser.add_argument("--methods", **names, help="names [all]")
    parser.add_argument("--seed", type=int, default=0, help="seed of splits and methods")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1: one per core")
    parser.add_argument(
        "--output", type=Path, default=Path(f"benchmark-{study}"), help="folder; resumes there"
    )
    for name, value in defaults.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=type(value), default=value, help=f"[{value}]")
    return parser


def _listed(text: str) -> list[str]:
    names: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        names += list(pd.read_csv(part)["name"]) if part.endswith(".csv") else [part]
    return list(dict.fromkeys(names))


def chosen(what: str, names: Sequence[str] | None, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of these names, or all; an unknown name ends the script."""
    unknown = [name for name in names or () if name not in known]
    if unknown or not known:
        sys.exit(f"Error: --{what} {', '.join(unknown)} not known. Known: {', '.join(known)}.")
    return {name: known[name] for name in known if names is None or name in names}


def run(
    args: argparse.Namespace,
    methods: Mapping[str, Any],
    tables: Mapping[str, Any],
    splits: Any,
    version: str,
    report: Callable[[pd.DataFrame, Path], Any],
    score: Callable[..., Any] | None = None,
) -> None:
    """Run a study, write its report and print it; after Ctrl-C, with what is finished."""
    results = run_benchmark(
        methods,
        tables,
        splits,
        version=version,
        output=args.output,
        n_jobs=args.jobs,
        score=score,
        report=report,
        random_state=args.seed,
    )
    if len(results):
        print((args.output / "results.md").read_text(encoding="utf-8"))
    if not results.attrs["finished"]:
        print(f"Stopped. To resume, run it again with --output {args.output}")
        sys.exit(130)


def start(main: Callable[[], None]) -> None:
    """Run a script; input errors become one line."""
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")


def raw_names(args: argparse.Namespace, max_rows: float = np.inf) -> pd.DataFrame:
    """Return names and sizes of raw tables: the chosen ones, or all."""
    listed = list_uci(args.data_home)
    listed = listed[listed["task"] == "classification"].set_index("name")
    if args.data_home is not None and args.datasets is None:
        listed = listed[listed["local"]]
    names = chosen("datasets", args.datasets, listed["rows"].to_dict())
    listed = listed.loc[list(names), ["rows", "features"]]
    return listed[listed["rows"] <= max_rows]


def score_with_bins(model: Any, *parts: Any) -> dict[str, Any]:
    """Score a classifier; ``bins`` has count, confidence and correct of 15 bins."""
    scores, y, proba = fit_and_predict(model, *parts)
    bins = calibration_bins(y, proba)
    return scores | {"bins": bins[["count", "confidence", "correct"]].to_numpy().tolist()}


def pooled_bins(results: pd.DataFrame) -> pd.DataFrame:
    """Return the summed calibration bins of rows scored by :func:`score_with_bins`."""
    sums = np.sum(results["bins"].tolist(), axis=0)
    ends = np.linspace(0, 1, len(sums) + 1)
    bins = pd.DataFrame(sums, columns=["count", "confidence", "correct"])
    return bins.assign(low=ends[:-1], high=ends[1:])


def mean_scores(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return means over splits, tables × methods; NaN where a method lacks some splits."""
    cells = results[~results["failed"]].groupby(["table", "method"], sort=False)[metric]
    scores, counts = cells.mean().unstack(), cells.count().unstack()
    whole = counts.eq(counts.max(axis=1), axis=0)
    order = results["table"].unique(), results["method"].unique()
    return scores.where(whole).reindex(index=order[0], columns=order[1])


def comparable(scores: pd.DataFrame, share: float = 0.9) -> tuple[pd.DataFrame, str]:
    """Return the scores without gaps, and a sentence on what was left out.

    First methods that lack more than a tenth of the tables are dropped, then tables with gaps.
    """
    there = scores.notna()
    kept = scores.loc[:, there.sum() >= share * there.any(axis=1).sum()].dropna()
    parts = (("Methods", scores.columns, kept.columns), ("Tables", scores.index, kept.index))
    lost = {what: [n for n in before if n not in after] for what, before, after in parts}
    texts = (
        f"{w} left out for missing results: {', '.join(map(str, n))}."
        for w, n in lost.items()
        if n
    )
    return kept, " ".join(texts)


def signed(mean: float, low: float, high: float, decimals: int) -> str:
    """Return a difference with its interval as text; empty for NaN."""
    ends = (f"{value:+.{decimals}f}" for value in (mean, low, high))
    return "" if np.isnan(mean) else "{} ({} to {})".format(*ends)


def number_seen_first(y_train: np.ndarray, y_test: np.ndarray) -> list[np.ndarray]:
    """Renumber classes so that those of the training rows come first.

    The temperature of scikit-learn's ``CalibratedClassifierCV`` is right for numeric labels
    only if the classes of the training rows are 0, 1, 2, … without gaps.
    """
    seen = np.unique(y_train)
    order = np.append(seen, np.setdiff1d(y_test, seen))
    numbers = dict(zip(order.tolist(), range(len(order)), strict=True))
    return [np.array([numbers[k] for k in y.tolist()], dtype=int) for y in (y_train, y_test)]


class InnerFolds:
    """Stratified folds of training rows in which every net sees all classes.

    The few rows of a class that a fold would hold out completely are both trained on and
    predicted: a class of probability zero says nothing about a temperature.
    """

    def __init__(self, folds: int, random_state: int) -> None:
        # No attribute n_splits: with one, CalibratedClassifierCV rejects rare classes.
        self.folds, self.random_state = folds, random_state

    def split(self, X: Any, y: Any, groups: Any = None) -> list[Split]:
        """Return training and test rows; every row is in one test part."""
        y = np.asarray(y)
        return [
            (np.append(train, np.flatnonzero(~np.isin(y, y[train]))), test)
            for train, test in stratified_folds(self.folds, self.random_state)(X, y)
        ]

    def get_n_splits(self, *args: Any) -> int:
        """Return the number of folds."""
        return self.folds
