"""The comparison in the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mixup_tab._page import Picture, Table, decimals, write_page
from mixup_tab._terminal import terminal_table
from mixup_tab.compare.comparison import Comparison
from mixup_tab.compare.fitting import MIXUP, PLAIN
from mixup_tab.compare.task import Task
from mixup_tab.compare.verdict import LEAST_ROWS, differences, signed
from mixup_tab.displays import AlphaCurveDisplay, ReliabilityDisplay
from mixup_tab.metrics import LEAST_SPLITS

# By score, its name in tables, its factor, and its digits after the point.
_SHOWN: dict[str, tuple[str, int, int | None]] = {
    "error": ("error %", 100, 1),
    "log_loss": ("log-loss", 1, 3),
    "brier": ("Brier", 1, 3),
    "ece": ("ECE %", 100, 1),
    "rmse": ("RMSE", 1, None),
    "r2": ("R²", 1, 3),
}
_CAPTION = (
    "Mean ± half the 95 % interval over {splits} splits, corrected for splits that share rows "
    "(Nadeau and Bengio 2003); no ± where all splits are alike. Plain training is α = 0. "
    "HistGradientBoosting is shown for reference."
)
_SECONDS = " Seconds are for one fit; those of mixup include the choice of α."
_METHOD = (
    "The table is cut into {folds}. Each fold is held out once, and everything is learned anew "
    "on the training rows: encoding and scaling of the columns, and α, which is chosen "
    "among {alphas} by 3-fold cross-validation inside the training rows. Plain training and "
    "mixup see the same rows, prepared in the same way, and start from the same weights.",
    "“Helps” or “harms” is said only where the 95 % interval of the difference excludes 0, "
    f"over at least {LEAST_SPLITS} splits that are not all alike, and for errors only where "
    f"they differ by at least {LEAST_ROWS} test rows.",
)


def shown_summary(comparison: Comparison, *, short: bool = False) -> pd.DataFrame:
    """Return the table of methods as text; ``short`` fits a line of 80 characters."""
    summary, columns = comparison.summary, {"method": list(comparison.summary.index)}
    for score, (name, scale, digits) in _SHOWN.items():
        if score not in summary:
            continue
        if digits is None:
            digits = decimals(summary[score])
        columns[name] = _with_half(summary, score, scale, digits)
        if score in ("error", "rmse"):
            shown = _with_half(summary, f"{score}_diff", scale, digits, sign=True)
            columns["minus plain"] = ["", *shown[1:]]
        elif short:
            columns[name] = [f"{scale * mean:.{digits}f}" for mean in summary[score]]
    if not short:
        columns["seconds"] = [f"{seconds:.1f}" for seconds in summary["fit_seconds"]]
    return pd.DataFrame(columns)


def _with_half(
    summary: pd.DataFrame, name: str, scale: float, digits: int, sign: bool = False
) -> list[str]:
    texts = []
    for mean, high in zip(summary[name], summary[f"{name}_high"], strict=True):
        text = signed(scale * mean, digits)
        text = f"+{text}" if sign and float(scale * mean) > 0 else text
        half = f" ± {scale * (high - mean):.{digits}f}" if np.isfinite(high) else ""
        texts.append(text + half)
    return texts


def summary_table(comparison: Comparison) -> Any:
    """Return the table of methods for the terminal, as a rich Table."""
    note = _CAPTION.format(splits=_n_splits(comparison))
    table = terminal_table(shown_summary(comparison, short=True), {}, note=note)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    return table


def _n_splits(comparison: Comparison) -> int:
    return len(differences(comparison.results, "fit_seconds"))


def write_report(
    comparison: Comparison, folder: Path, title: str, facts: Mapping[str, str]
) -> Path:
    """Write the report into a folder and return its path; ``facts`` say what the run was."""
    task, results = comparison.task, comparison.results
    alphas = ", ".join(f"{alpha:g}" for alpha in comparison.curve.index if alpha > 0)
    caption = _CAPTION.format(splits=_n_splits(comparison)) + _SECONDS
    method = [text.format(alphas=alphas, folds=_folds(task)) for text in _METHOD]
    splits = results.assign(repeat=results["repeat"] + 1, fold=results["fold"] + 1)
    formats = {"alpha": "{:g}", "fit_seconds": "{:.2f}"}
    sentence = comparison.verdict.sentence
    return write_page(
        folder,
        title,
        sentence[0].upper() + sentence[1:],
        {
            "Methods": [Table(shown_summary(comparison), caption)],
            "How it was done": method,
            **({"Good to know": comparison.notes} if comparison.notes else {}),
            **_pictures(comparison),
        },
        details={
            "Every split": [Table(splits, formats=formats)],
            "Columns": [Table(_columns(task))],
        },
        facts=facts,
    )


def _folds(task: Task) -> str:
    if task.in_order:
        return f"folds by {task.columns.time!r}, training rows before test rows"
    if task.groups is not None:
        return f"folds that keep rows with the same {task.columns.groups!r} together"
    return "folds at random" + (", class by class" if task.is_classification else "")


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
        "Mixup minus plain training, split by split": Picture(
            difference_figure(comparison),
            "differences",
            "A point per split: mixup minus plain training; the mean with its interval.",
            "Left of 0 mixup is better. The bar is the mean with its 95 % interval.",
        ),
        "How much to mix": Picture(
            figure,
            "alpha",
            "Score inside the training rows by α.",
            "Scores inside the training rows, by which α was chosen; higher is better.",
        ),
    }
    if comparison.bins:
        figure = Figure(figsize=(5.5, 5.5), layout="constrained")
        ReliabilityDisplay.from_bins(comparison.bins, ax=figure.subplots())
        pictures["Can the probabilities be trusted?"] = Picture(
            figure,
            "reliability",
            "Accuracy by confidence for every method.",
            "On the diagonal a method is right as often as it says.",
        )
    return {heading: [picture] for heading, picture in pictures.items()}


def difference_figure(comparison: Comparison) -> Figure:
    """Draw mixup minus plain training: every split, and the mean with its interval."""
    score = "error" if comparison.bins else "rmse"
    _, scale, _ = _SHOWN[score]
    values = scale * differences(comparison.results, score)
    row = comparison.summary.loc[MIXUP]
    mean, low, high = (scale * row[f"{score}_diff{end}"] for end in ("", "_low", "_high"))
    figure = Figure(figsize=(5.8, 2.2), layout="constrained")
    axes = figure.subplots()
    heights = np.linspace(0.75, 0.25, len(values))
    axes.plot(values, heights, "o", color="C1", alpha=0.6, label="splits")
    half = [[mean - low], [high - mean]] if np.isfinite([low, high]).all() else None
    axes.errorbar(mean, 0, xerr=half, fmt="D", color="C0", capsize=4, label="mean, 95 %")
    axes.axvline(0, color="0.4", linewidth=0.8)
    unit = "error, percentage points" if score == "error" else "RMSE"
    axes.set(xlabel=f"{MIXUP} minus {PLAIN}: {unit}", yticks=[], ylim=(-0.3, 1))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", framealpha=0.8, edgecolor="none")
    return figure
