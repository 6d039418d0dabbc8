"""``mixup-tab speech evaluate``: its output in the terminal and as a page."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from sklearn.metrics import ConfusionMatrixDisplay

from mixup_tab._files import check_writable, write_whole
from mixup_tab._page import Parts, Picture, Table, literal, write_page
from mixup_tab._terminal import list_skipped, make_console, terminal_table
from mixup_tab.audio.evaluate import Evaluation, evaluate_model
from mixup_tab.audio.mistakes import playable

_FORMATS = dict.fromkeys(("right %", "precision %", "F1 %", "false alarms %"), "{:.1f}")
_THRESHOLDS = {"threshold": "{:.3f}", "false alarms per hour": "{:.0f}"} | dict.fromkeys(
    ("words missed %", "false alarms %"), "{:.1f}"
)
# Rates of false alarms for the rows of the table.
_RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def evaluate(
    model: str | os.PathLike,
    root: str | os.PathLike,
    *,
    output: Path | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Evaluation:
    """Evaluate a model, print the result, and write a report into the folder ``output``.

    The report is ``report.html``, ``predictions.csv`` and pictures; None is a new folder below
    the current one. ``settings`` and errors are those of
    :func:`~.evaluate.evaluate_model`; OSError if the folder cannot be written to.
    """
    console = console or make_console()
    folder = output or Path(time.strftime("mixup-tab-speech-evaluate-%Y%m%d-%H%M%S"))
    new = not folder.exists()
    if output is not None:
        check_writable(folder / "predictions.csv")

    def rescue(predictions: pd.DataFrame) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "predictions-unfinished.csv"
        _write(path, predictions)
        console.print(f"{len(predictions):,} predictions were saved: {path}", soft_wrap=True)

    try:
        evaluation, notes = evaluate_model(
            model, root, console=console, rescue=rescue, **settings
        )
    except BaseException:
        if new:
            with suppress(OSError):  # it holds predictions, or does not exist yet
                folder.rmdir()
        raise
    sentence, others = _sentence(evaluation), evaluation.negatives
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "predictions.csv", pd.concat([evaluation.predictions, others]))
    page = _report(
        evaluation, folder, sentence, notes, {"model": str(model), "clips": str(root)}
    )
    console.print(sentence, style="bold", soft_wrap=True)
    for note in notes:
        console.print(note, soft_wrap=True)
    console.print(terminal_table(evaluation.by_word(), _FORMATS))
    if others is not None and len(others):
        console.print(terminal_table(evaluation.by_kind(), _FORMATS))
    console.print("Counts of clips; rows are spoken words, columns predicted words:")
    console.print(confusion_text(evaluation.confusion()), soft_wrap=True)
    console.print(f"Report: {page}", soft_wrap=True)
    list_skipped(evaluation.skipped)
    return evaluation


def _write(path: Path, predictions: pd.DataFrame) -> None:
    text = predictions.to_csv(index=False, float_format="%.6f")
    write_whole(path, text.encode(errors="surrogateescape"))


def _sentence(evaluation: Evaluation) -> str:
    low, high = evaluation.interval()
    lines = [
        f"Accuracy {100 * evaluation.accuracy:.2f} % on {len(evaluation.predictions):,} clips "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})."
    ]
    if evaluation.unknown is not None:
        lines[0] += f" {100 * evaluation.lost:.1f} % are answered {evaluation.unknown!r}."
    if evaluation.negatives is not None and len(evaluation.negatives):
        rate, low, high = evaluation.false_alarms_per_hour()
        lines.append(
            f"{evaluation.false_alarms:,} of {len(evaluation.negatives):,} other sounds are "
            f"taken for a word: {rate:,.0f} false alarms per hour of such sounds (95 % "
            f"interval {low:,.0f} to {high:,.0f})."
        )
    return "\n".join(lines)


def confusion_text(counts: pd.DataFrame) -> str:
    """Return a confusion matrix as text; columns are numbered like their rows.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = pd.DataFrame([[3, 0], [1, 2]], index=["no", "yes"], columns=["no", "yes"])
    >>> print(confusion_text(counts))
           1 2
    1  no  3 .
    2 yes  1 2
    """
    width = max(len(str(counts.to_numpy().max())), len(str(len(counts))))
    names = max(map(len, map(str, counts.index)))
    left = len(str(len(counts)))
    head = " ".join(f"{k:>{width}}" for k in range(1, len(counts) + 1))
    lines = [" " * (left + names + 3) + head]
    for k, (word, row) in enumerate(zip(counts.index, counts.to_numpy(), strict=True), 1):
        cells = " ".join(f"{count or '.':>{width}}" for count in row)
        lines.append(f"{k:>{left}} {word:>{names}}  {cells}")
    return "\n".join(lines)


def draw_confusion(counts: pd.DataFrame) -> Figure:
    """Draw the counts of :meth:`~.evaluate.Evaluation.confusion`."""
    size = max(4.5, 0.42 * len(counts) + 1.5)
    figure = Figure(figsize=(size, size), layout="constrained")
    display = ConfusionMatrixDisplay(
        counts.to_numpy(), display_labels=list(map(literal, counts.columns))
    )
    display.plot(ax=figure.subplots(), cmap="Blues", colorbar=False, xticks_rotation="vertical")
    return figure


def _report(
    evaluation: Evaluation, folder: Path, sentence: str, notes: list[str], facts: dict[str, str]
) -> Path:
    counts, predictions = evaluation.confusion(), evaluation.predictions
    picture = Picture(
        draw_confusion(counts),
        "confusion",
        "Counts of clips by true word (rows) and predicted word (columns).",
    )
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    caption = "Rows are spoken words, columns predicted words."
    sections: dict[str, Parts] = {
        "Clips": notes,
        "By word": [Table(evaluation.by_word(), formats=_FORMATS)],
        "Confusion matrix": [picture],
        **_about_others(evaluation),
        "Mistakes": playable(wrong, evaluation.reader),
        "Counts": [Table(counts, caption)],
    }
    if evaluation.skipped:
        skipped = pd.DataFrame(evaluation.skipped, columns=["path", "reason"])
        sections["Files that could not be read"] = [Table(skipped)]
    title = "A speech model on a folder of clips"
    return write_page(folder, title, sentence, sections, facts=facts)


def _about_others(evaluation: Evaluation) -> dict[str, Parts]:
    """Return the sections on other sounds, if there are any."""
    others, curve = evaluation.negatives, evaluation.tradeoff()
    if others is None or not len(curve):
        return {}
    threshold = evaluation.threshold or 0.0
    alt = "Words missed against false alarms; a higher threshold gives fewer false alarms."
    caption = "A word is missed if it is rejected or taken for another one."
    picture = Picture(draw_tradeoff(curve, threshold), "tradeoff", alt, caption)
    alarms = others[others["predicted"] != evaluation.unknown]
    return {
        "Other sounds": [
            Table(evaluation.by_kind(), formats=_FORMATS),
            picture,
            Table(threshold_table(curve, threshold), formats=_THRESHOLDS),
        ],
        "False alarms": playable(alarms, evaluation.reader),
    }


# ------------------------------------------------------------------------- other thresholds


def draw_tradeoff(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw words missed against false alarms, and mark the threshold."""
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    alarms, missed = 100 * curve["false_alarms"], 100 * curve["missed"]
    axes.plot(alarms, missed, color="#0072b2", clip_on=False)
    here = _row_of(curve, threshold)
    label = f"threshold of the model: {threshold:.2f}"
    mark: dict[str, Any] = {"linestyle": "", "clip_on": False, "zorder": 3, "label": label}
    axes.plot(alarms[here], missed[here], marker="o", color="#d55e00", **mark)
    axes.legend()
    axes.grid(alpha=0.3)
    axes.set(xlabel="false alarms, % of other sounds", ylabel="words missed, %")
    hourly = axes.twiny()
    hourly.set_xlabel("false alarms per hour of other sounds")
    scale = (
        curve["false_alarms_per_hour"].max() / alarms.max()
    )  # the first threshold rejects nothing
    for each, one in ((axes, 1.0), (hourly, scale)):
        # Linear below 1 %, to show 0.
        each.set_xscale("symlog", linthresh=one)
        each.set_xlim(0, 100 * one)
        each.xaxis.set_major_formatter("{x:g}")
    axes.set_xticks(_TICKS)
    axes.set_ylim(0)
    return figure


def threshold_table(curve: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return the effect of the model's threshold, and of the lowest ones for some rates."""
    rows = {"model's threshold": _row_of(curve, threshold)}
    for rate in _RATES:
        rows[f"at most {100 * rate:g} %"] = int(
            (curve["false_alarms"] <= rate + 1e-9).to_numpy().argmax()
        )
    chosen = curve.iloc[list(rows.values())]
    return pd.DataFrame(
        {
            "threshold": [threshold, *chosen["threshold"][1:]],
            "words missed %": 100 * chosen["missed"].to_numpy(),
            "false alarms %": 100 * chosen["false_alarms"].to_numpy(),
            "false alarms per hour": chosen["false_alarms_per_hour"].to_numpy(),
        },
        index=pd.Index(rows, name="false alarms wanted"),
    )


def _row_of(curve: pd.DataFrame, threshold: float) -> int:
    """Return the row with the effect of a threshold: that of the next higher one."""
    row = np.searchsorted(curve["threshold"].to_numpy(), threshold)
    return min(int(row), len(curve) - 1)
