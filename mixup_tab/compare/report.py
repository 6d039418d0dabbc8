"""A comparison as a table for the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import entropy

from mixup_tab._page import Picture, Table, decimals, write_page
from mixup_tab._terminal import terminal_table
from mixup_tab.compare.comparison import Comparison
from mixup_tab.compare.fitting import ENSEMBLE, MIXUP, PLAIN
from mixup_tab.compare.task import Task
from mixup_tab.compare.verdict import LEAST_ROWS, differences, signed
from mixup_tab.displays import AlphaCurveDisplay, ReliabilityDisplay
from mixup_tab.metrics import LEAST_SPLITS

# By score: name in tables, factor, decimals.
_SCORES: dict[str, tuple[str, int, int | None]] = {
    "log_loss": ("log-loss", 1, 3),
    "error": ("error %", 100, 1),
    "brier": ("Brier", 1, 3),
    "rmse": ("RMSE", 1, None),
    "r2": ("R²", 1, 3),
}
_JUDGED = ("log_loss", "error", "rmse")
_CAPTION = (
    "Mean ± half the 95 % interval over {splits} splits, corrected for splits that share rows "
    "(Nadeau and Bengio 2003); no ± where all splits agree. Plain training is α = 0; "
    "{boosting} has its default settings."
)
_LOSS = (
    " Log-loss measures how far the probabilities can be trusted; lower is better. Predicting "
    "the class frequencies for every row gives {shares:.3f}."
)
_ECE = (
    "ECE, the expected calibration error, is the mean distance between confidence (the largest "
    "probability of a row) and accuracy in 15 bins of equal width, weighted by their rows, for "
    "the test rows of all splits together."
)
_SECONDS = " Seconds are for one fit; for mixup they include the choice of α."
_METHOD = (
    "Cross-validation with {folds}. Each fold is held out once, and everything is fitted on "
    "the training rows alone: encoding and scaling of the columns, and α, chosen from {alphas} "
    "by {score} in a 3-fold cross-validation within the training rows. Plain training and "
    "mixup get the same rows, the same preprocessing and the same initial weights.",
    "A difference counts only if its 95 % interval excludes 0, over at least "
    f"{LEAST_SPLITS} splits that do not all agree; for errors, the methods must also differ by "
    f"at least {LEAST_ROWS} test rows.",
)
_PROBABILITIES = (
    "The log-loss is the mean of −log(probability of the true class). One confident "
    "wrong prediction can cost as much as a hundred good ones; where few rows dominate, the "
    "interval is wide.",
    f"{_ECE} Under “Every split” it is computed on the rows of one split, where chance makes "
    "it larger.",
)
_ENSEMBLE = (
    "The ensemble averages nets with random settings, weighted by how well they predict "
    "training rows held out from them. These rows are drawn at random, even with --groups or "
    "--time."
)


def readable_summary(comparison: Comparison, *, short: bool = False) -> pd.DataFrame:
    """Return the table of methods as text; ``short`` fits 80 characters."""
    summary, columns = comparison.summary, {"method": list(comparison.summary.index)}
    for score, (name, scale, digits) in _SCORES.items():
        if score not in summary or (short and score == "brier"):
            continue
        if digits is None:
            digits = decimals(summary[score])
        means = [f"{scale * mean:.{digits}f}" for mean in summary[score]]
        columns[name] = means if short else _with_half(summary, score, scale, digits)
        if score in _JUDGED:
            gaps = _with_half(summary, f"{score}_diff", scale, digits, sign=True)
            columns[f"{name.removesuffix(' %')} minus plain"] = ["", *gaps[1:]]
    if "ece" in summary:
        columns["ECE %"] = [f"{100 * ece:.1f}" for ece in summary["ece"]]
    columns["seconds"] = [f"{seconds:.1f}" for seconds in summary["fit_seconds"]]
    return pd.DataFrame(columns).rename(columns=_narrow if short else str)


def _narrow(name: str) -> str:
    """Return a header broken into lines no wider than its column."""
    name = name.replace("seconds", "time s")
    return name.replace(" ", "\n") if " " in name else name.replace("-", "-\n")


def _with_half(
    summary: pd.DataFrame, name: str, scale: float, digits: int, sign: bool = False
) -> list[str]:
    texts = []
    for mean, high in zip(summary[name], summary[f"{name}_high"], strict=True):
        text = signed(scale * mean, digits)
        text = f"+{text}" if sign and round(scale * mean, digits) > 0 else text
        half = f" ± {scale * (high - mean):.{digits}f}" if np.isfinite(high) else ""
        texts.append(text + half)
    return texts


def summary_table(comparison: Comparison) -> Any:
    """Return the table of methods for the terminal, as a rich Table."""
    note = f"{_caption(comparison)} {_ECE}" if comparison.bins else _caption(comparison)
    table = terminal_table(readable_summary(comparison, short=True), {}, note=note)
    table.columns[0].overflow = "fold"  # rather than cut, where numbers are long
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    return table


def _caption(comparison: Comparison) -> str:
    splits = len(differences(comparison.results, "fit_seconds"))
    text = _CAPTION.format(splits=splits, boosting=_boosting(comparison))
    if not comparison.bins:
        return text
    return text + _LOSS.format(shares=entropy(np.bincount(comparison.task.y)))


def _boosting(comparison: Comparison) -> str:
    return comparison.verdicts[-1].other


def write_report(
    comparison: Comparison, folder: Path, title: str, facts: Mapping[str, str]
) -> Path:
    """Write the report into a folder and return its path; ``facts`` describe the run."""
    results = comparison.results
    splits = results.assign(repeat=results["repeat"] + 1, fold=results["fold"] + 1)
    formats = {"alpha": "{:g}", "fit_seconds": "{:.2f}"}
    return write_page(
        folder,
        title,
        str(comparison),
        {
            "Methods": [Table(readable_summary(comparison), _caption(comparison) + _SECONDS)],
            "Method": _method(comparison),
            **({"Notes": comparison.notes} if comparison.notes else {}),
            **_pictures(comparison),
        },
        details={
            "Every split": [Table(splits, formats=formats)],
            "Columns": [Table(_columns(comparison.task))],
        },
        facts=facts,
    )


def _method(comparison: Comparison) -> list[str]:
    alphas = ", ".join(f"{alpha:g}" for alpha in comparison.curve.index if alpha > 0)
    score = "log-loss" if comparison.bins else "squared error"
    folds = _folds(comparison.task)
    return [
        *(text.format(alphas=alphas, folds=folds, score=score) for text in _METHOD),
        *(_PROBABILITIES if comparison.bins else ()),
        *([_ENSEMBLE] if ENSEMBLE in comparison.summary.index else []),
    ]


def _folds(task: Task) -> str:
    if task.in_order:
        return f"folds by {task.columns.time!r}, training rows before test rows"
    if task.groups is not None:
        return f"folds that keep rows with the same {task.columns.groups!r} together"
    return "random folds" + (", stratified by class" if task.is_classification else "")


def _columns(task: Task) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "column": list(task.X),
            "type": [task.dtypes[name] for name in task.X],
            "different values": [task.X[name].nunique() for name in task.X],
            "missing": [int(task.X[name].isna().sum()) for name in task.X],
        }
    )


def _pictures(comparison: Comparison) -> dict[str, list[Picture]]:
    curve, figure = comparison.curve, Figure(figsize=(5.5, 3.5), layout="constrained")
    score = "minus the log-loss" if comparison.bins else "minus the squared error"
    display = AlphaCurveDisplay(curve.index, curve.to_numpy(), score_name=score)
    display.plot(figure.subplots())
    pictures = {
        "Mixup minus plain training, by split": Picture(
            difference_figure(comparison),
            "differences",
            "One point per split: mixup minus plain training; the mean with its interval.",
            "Left of 0 mixup is better. The bar is the mean with its 95 % interval.",
        ),
        "Choice of α": Picture(
            figure,
            "alpha",
            "Cross-validation score within the training rows by α.",
            "Cross-validation scores within the training rows, to choose α; higher is better.",
        ),
    }
    if comparison.bins:
        width = 5.5 if len(comparison.bins) < 4 else 8.5  # the legend is beside the curves
        figure = Figure(figsize=(width, 5.5), layout="constrained")
        ReliabilityDisplay.from_bins(comparison.bins, ax=figure.subplots())
        pictures["Can the probabilities be trusted?"] = Picture(
            figure,
            "reliability",
            "Accuracy by confidence for every method.",
            "On the diagonal a method is right as often as it says.",
        )
    return {heading: [picture] for heading, picture in pictures.items()}


def difference_figure(comparison: Comparison) -> Figure:
    """Draw mixup minus plain training by each score: all splits, the mean, its interval."""
    scores = [score for score in _JUDGED if score in comparison.summary]
    figure = Figure(figsize=(1.2 + 4.6 * len(scores), 2.4), layout="constrained")
    grid = figure.subplots(1, len(scores), squeeze=False)
    for axes, score in zip(grid.flat, scores, strict=True):
        _draw_differences(axes, comparison, score)
    figure.axes[0].legend(loc="best", framealpha=0.8, edgecolor="none")
    return figure


def _draw_differences(axes: Any, comparison: Comparison, score: str) -> None:
    name, scale, _ = _SCORES[score]
    values = scale * differences(comparison.results, score)
    row = comparison.summary.loc[MIXUP]
    mean, low, high = (scale * row[f"{score}_diff{end}"] for end in ("", "_low", "_high"))
    heights = np.linspace(0.75, 0.25, len(values))
    axes.plot(values, heights, "o", color="C1", alpha=0.6, label="splits")
    half = [[mean - low], [high - mean]] if np.isfinite([low, high]).all() else None
    axes.errorbar(mean, 0, xerr=half, fmt="D", color="C0", capsize=4, label="mean, 95 %")
    axes.axvline(0, color="0.4", linewidth=0.8)
    unit = "error, percentage points" if score == "error" else name
    axes.set(xlabel=f"{MIXUP} minus {PLAIN}: {unit}", yticks=[], ylim=(-0.3, 1))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
