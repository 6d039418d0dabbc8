"""The comparison as a page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.table import Table

from mixup_tab.compare.comparing import Comparison
from mixup_tab.compare.nested import ERM, MIXUP
from mixup_tab.compare.question import Question
from mixup_tab.compare.verdict import differences, signed
from mixup_tab.displays import AlphaCurveDisplay, ReliabilityDisplay
from mixup_tab.page import Page
from mixup_tab.page import Table as PageTable

# How a score is called, by what it is multiplied, and how many digits it is shown with.
_SHOWN = {
    "error": ("error %", 100, 1),
    "log_loss": ("log-loss", 1, 3),
    "brier": ("Brier", 1, 3),
    "ece": ("ECE %", 100, 1),
    "rmse": ("RMSE", 1, None),
    "r2": ("R²", 1, 3),
}
_CAPTION = (
    "Mean ± half the 95 % interval over {splits} splits, corrected for splits that share rows "
    "(Nadeau and Bengio 2003). ERM is plain training (α = 0). HistGradientBoosting runs along "
    "for reference."
)
_SECONDS = " Seconds are of one fit; those of mixup hold the choice of α."
_METHOD = (
    "The table is cut into {folds}. Each is held out once, and on training rows "
    "everything is learned anew, from scaling and encoding of the columns (skrub) to α, which "
    "is chosen among {alphas} by a cross-validation inside the training rows. Plain training "
    "and mixup see the same rows, made ready in the same way, and start from the same weights.",
    "“Helps” and “harms” are said only where the 95 % interval of the difference leaves out 0.",
)


def shown_summary(comparison: Comparison, *, short: bool = False) -> pd.DataFrame:
    """Return the table of methods as text.

    Parameters
    ----------
    comparison : Comparison
        The answer.
    short : bool, default=False
        Whether to leave out what does not fit on a line of 80 characters.

    Returns
    -------
    DataFrame
        One row per method.
    """
    summary, columns = comparison.summary, {"method": list(comparison.summary.index)}
    for score, (name, scale, digits) in _SHOWN.items():
        if score not in summary:
            continue
        if digits is None:
            digits = _digits(summary[score])
        columns[name] = _with_half(summary, score, scale, digits)
        if short and score not in ("error", "rmse"):
            columns[name] = [f"{scale * mean:.{digits}f}" for mean in summary[score]]
        if score in ("error", "rmse"):
            shown = _with_half(summary, f"{score}_diff", scale, digits, sign=True)
            columns["minus ERM"] = ["", *shown[1:]]
    if not short:
        columns["seconds"] = [f"{seconds:.1f}" for seconds in summary["fit_seconds"]]
    return pd.DataFrame(columns)


def _digits(values: pd.Series) -> int:
    """Digits after the point that leave four in all."""
    largest = max(float(values.abs().max()), 1e-12)
    return int(np.clip(3 - np.floor(np.log10(largest)), 0, 12))


def _with_half(
    summary: pd.DataFrame, name: str, scale: float, digits: int, sign: bool = False
) -> list[str]:
    texts = []
    for mean, high in zip(summary[name], summary[f"{name}_high"], strict=True):
        text = signed(scale * mean, digits)
        text = f"+{text}" if sign and float(scale * mean) > 0 else text
        texts.append(f"{text} ± {scale * (high - mean):.{digits}f}")
    return texts


def terminal_table(comparison: Comparison) -> Table:
    """Return the table of methods for the terminal.

    Parameters
    ----------
    comparison : Comparison
        The answer.

    Returns
    -------
    rich Table
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=_CAPTION.format(splits=_n_splits(comparison)),
        caption_justify="left",
    )
    shown = shown_summary(comparison, short=True)
    for name in shown:
        table.add_column(name, justify="left" if name == "method" else "right", no_wrap=True)
    for row in shown.itertuples(index=False):
        table.add_row(*row)
    return table


def _n_splits(comparison: Comparison) -> int:
    return len(differences(comparison.results, "fit_seconds"))


def make_page(comparison: Comparison, title: str, facts: Mapping[str, Any]) -> Page:
    """Build the report.

    Parameters
    ----------
    comparison : Comparison
        The answer.
    title : str
        Heading.
    facts : mapping
        What else is to be known about the run.

    Returns
    -------
    Page
    """
    question, splits = comparison.question, _n_splits(comparison)
    alphas = ", ".join(f"{alpha:g}" for alpha in comparison.curve.index if alpha > 0)
    page = Page(title, _capital(comparison.verdict.sentence), facts)
    page.add_table(
        "Methods", shown_summary(comparison), _CAPTION.format(splits=splits) + _SECONDS
    )
    told = [text.format(alphas=alphas, folds=_folds(question)) for text in _METHOD]
    page.add_text("How it was done", told)
    if comparison.notes:
        page.add_text("Good to know", comparison.notes)
    _add_pictures(page, comparison)
    formats = {"alpha": "{:g}", "n_train": "{:,}", "n_test": "{:,}", "fit_seconds": "{:.2f}"}
    page.add_details(
        "Details",
        [
            ("Every split", [_every_split(comparison.results, formats)]),
            ("Columns", [_columns(question.X, question.kinds)]),
        ],
    )
    return page


def _folds(question: Question) -> str:
    if question.in_order:
        return f"folds by {question.roles.time!r}, training rows before test rows"
    if question.groups is not None:
        return f"folds that keep rows with the same {question.roles.groups!r} together"
    return "folds at random" + (", class by class" if question.classifies else "")


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _every_split(results: pd.DataFrame, formats: dict[str, str]) -> PageTable:
    frame = results.assign(repeat=results["repeat"] + 1, fold=results["fold"] + 1)
    return PageTable(frame, formats=formats)


def _columns(X: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "column": list(X),
            "kind": [kinds[name] for name in X],
            "different values": [X[name].nunique() for name in X],
            "missing": [int(X[name].isna().sum()) for name in X],
        }
    )


def _add_pictures(page: Page, comparison: Comparison) -> None:
    page.add_picture(
        "Mixup minus plain training, split by split",
        difference_figure(comparison),
        name="differences",
        alt="A point per split: mixup minus plain training; the mean with its interval.",
        caption="Left of 0 mixup is better. The bar is the mean with its 95 % interval.",
    )
    curve = comparison.curve
    name = "minus the log-loss" if comparison.bins else "minus the squared error"
    page.add_picture(
        "How much to mix",
        AlphaCurveDisplay(curve.index, curve.to_numpy(), score_name=name).plot(_axes()),
        name="alpha",
        alt="Score inside the training rows by α.",
        caption="Scores inside the training rows, by which α was chosen; higher is better.",
    )
    if comparison.bins:
        page.add_picture(
            "Can the probabilities be believed?",
            ReliabilityDisplay.from_bins(comparison.bins, ax=_axes()),
            name="reliability",
            alt="Accuracy by confidence for every method.",
            caption="On the diagonal a method is right as often as it says.",
        )


def _axes() -> Axes:
    """Axes of a figure that pyplot does not keep open."""
    return Figure(figsize=(5.8, 4.4), layout="constrained").subplots()


def difference_figure(comparison: Comparison) -> Figure:
    """Draw the paired differences of all splits.

    Parameters
    ----------
    comparison : Comparison
        The answer.

    Returns
    -------
    matplotlib Figure
    """
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
    axes.set(xlabel=f"{MIXUP} minus {ERM}: {unit}", yticks=[], ylim=(-0.3, 1))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="best", framealpha=0.8, edgecolor="none")
    return figure
