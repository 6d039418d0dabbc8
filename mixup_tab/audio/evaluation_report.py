"""What ``mixup-tab speech evaluate`` shows: in the terminal, on a page, as a picture."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from sklearn.metrics import ConfusionMatrixDisplay

from mixup_tab._files import check_writable, write_whole
from mixup_tab._page import Parts, Picture, Sound, Table, literal, write_page
from mixup_tab._terminal import list_skipped, make_console, terminal_table
from mixup_tab.audio.evaluate import Evaluation, evaluate_model
from mixup_tab.audio.files import read_clips
from mixup_tab.audio.waveforms import samples_in

# What the page holds of mistakes: rows, and bytes of their sounds.
_MOST_MISTAKES, _MOST_SOUND = 100, 8_000_000
# Shares of other sounds that are taken for a word, for the table of thresholds.
_FALSE_ALARMS = (0.005, 0.01, 0.02, 0.05, 0.1)
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)
_FORMATS = dict.fromkeys(("right %", "precision %", "F1 %"), "{:.1f}")


def evaluate(
    model: str | os.PathLike,
    root: str | os.PathLike,
    *,
    output: Path | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Evaluation:
    """Evaluate a model, print the result and write a report.

    Parameters
    ----------
    model : str or path-like
        A file that ``mixup-tab speech train`` wrote.
    root : str or path-like
        Folder ``<word>/*.wav``.
    output : Path, default=None
        Folder for ``report.html``, ``predictions.csv`` and pictures; None makes a new one under
        the current folder.
    console : rich Console, default=None
        Where to print.
    **settings
        As in :func:`~.evaluate.evaluate_model`.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError, OSError
        As in :func:`~.evaluate.evaluate_model`, or if the folder cannot be written to.
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
        console.print(f"{len(predictions):,} predictions are kept: {path}", soft_wrap=True)

    try:
        evaluation, notes = evaluate_model(
            model, root, console=console, rescue=rescue, **settings
        )
    except BaseException:
        if new:
            with suppress(OSError):  # predictions are kept in it, or it is not there yet
                folder.rmdir()
        raise
    sentence = _sentence(evaluation)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "predictions.csv", evaluation.predictions)
    page = _report(
        evaluation, folder, sentence, notes, {"model": str(model), "clips": str(root)}
    )
    console.print(sentence, style="bold")
    for note in notes:
        console.print(note)
    console.print(terminal_table(evaluation.by_word(), _FORMATS))
    console.print("Counts of clips; rows are the words spoken, columns the words predicted:")
    console.print(confusion_text(evaluation.confusion()), soft_wrap=True)
    console.print(f"Report: {page}", soft_wrap=True)
    list_skipped(evaluation.skipped)
    return evaluation


def _write(path: Path, predictions: pd.DataFrame) -> None:
    text = predictions.to_csv(index=False, float_format="%.6f")
    write_whole(path, text.encode(errors="surrogateescape"))


def _sentence(evaluation: Evaluation) -> str:
    low, high = evaluation.interval()
    return (
        f"Accuracy {100 * evaluation.accuracy:.2f} % on {len(evaluation.predictions):,} clips "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f})."
    )


def confusion_text(counts: pd.DataFrame) -> str:
    """Return a confusion matrix as text; columns have the numbers of their rows.

    Parameters
    ----------
    counts : DataFrame of shape (words, words)
        From :meth:`~.evaluate.Evaluation.confusion`.

    Returns
    -------
    str

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
    """Draw a confusion matrix.

    Parameters
    ----------
    counts : DataFrame of shape (words, words)
        From :meth:`~.evaluate.Evaluation.confusion`.

    Returns
    -------
    matplotlib Figure
    """
    size = max(4.5, 0.42 * len(counts) + 1.5)
    figure = Figure(figsize=(size, size), layout="constrained")
    display = ConfusionMatrixDisplay(
        counts.to_numpy(), display_labels=list(map(literal, counts.columns))
    )
    display.plot(ax=figure.subplots(), cmap="Blues", colorbar=False, xticks_rotation="vertical")
    return figure


def draw_tradeoff(curve: pd.DataFrame, threshold: float | None) -> Figure:
    """Draw words missed against false alarms, with the threshold of the model.

    Parameters
    ----------
    curve : DataFrame
        From :meth:`~.evaluate.Evaluation.tradeoff`.
    threshold : float or None
        The model's.

    Returns
    -------
    matplotlib Figure
    """
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    share, missed = 100 * curve["false_alarms"], 100 * curve["missed"]
    axes.plot(share, missed, color="#0072b2")
    if threshold is not None:
        here = (curve["threshold"] - threshold).abs().argmin()
        style = {"color": "#d55e00", "marker": "o", "linestyle": "", "clip_on": False}
        label = f"the model's threshold, {threshold:.2f}"
        axes.plot(share.iloc[here], missed.iloc[here], label=label, zorder=3, **style)
        axes.legend()
    # Linear below 1 %, so that 0 has a place.
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlim=(0, 100), ylim=(0, None), ylabel="words missed, %")
    axes.set_xlabel("false alarms, % of other sounds")
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.grid(alpha=0.3)
    return figure


def threshold_table(curve: pd.DataFrame, threshold: float | None) -> pd.DataFrame:
    """Return what the model's and other thresholds mean, one row each.

    Parameters
    ----------
    curve : DataFrame
        From :meth:`~.evaluate.Evaluation.tradeoff`.
    threshold : float or None
        The model's.

    Returns
    -------
    DataFrame
        The lowest thresholds with at most so many false alarms, and the model's.
    """
    rows, names = [], []
    if threshold is not None:
        rows.append(curve.iloc[(curve["threshold"] - threshold).abs().argmin()])
        names.append("the model's")
    for most in _FALSE_ALARMS:
        within = curve[curve["false_alarms"] <= most]
        if len(within):
            rows.append(within.loc[within["threshold"].idxmin()])
            names.append(f"at most {100 * most:g} % false alarms")
    table = pd.DataFrame(rows)
    return pd.DataFrame(
        {
            "threshold": table["threshold"].to_numpy(),
            "words missed %": 100 * table["missed"].to_numpy(),
            "false alarms %": 100 * table["false_alarms"].to_numpy(),
            "false alarms per hour": table["false_alarms_per_hour"].to_numpy(),
        },
        index=pd.Index(names, name="choice"),
    )


def mistakes(evaluation: Evaluation) -> Parts:
    """Return the most confident mistakes, to be played as the net heard them.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of str or Table
    """
    predictions = evaluation.predictions
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    if not len(wrong):
        return ["There are none."]
    shown = wrong.sort_values("probability", ascending=False, kind="stable")
    shown = shown.head(_MOST_MISTAKES)
    sounds = _sounds(evaluation, shown)
    table = pd.DataFrame(
        {
            "spoken": shown["label"],
            "predicted": shown["predicted"],
            "sound": pd.Series(sounds, index=shown.index, dtype=object),
            "probability": shown["probability"],
            "file": shown["path"],
        }
    )
    text = f"{len(wrong):,} of {len(predictions):,} clips, the most confident mistakes first."
    if len(shown) < len(wrong):
        text += f" {len(wrong) - len(shown):,} more are in predictions.csv."
    played = sum(sound is not None for sound in sounds)
    caption = "Sounds as the net hears them: one channel, cut or padded to its length."
    if played < len(shown):
        caption += f" {len(shown) - played} are not embedded, to keep the page small."
    return [text, Table(table, caption, {"probability": "{:.3f}"})]


def _sounds(evaluation: Evaluation, shown: pd.DataFrame) -> list[Sound | None]:
    """Return the first clips of a table as sounds, as many as a page should hold."""
    reader = evaluation.reader
    sounds: list[Sound | None] = [None] * len(shown)
    if reader is None:
        return sounds
    rate = reader.sample_rate
    size = 2 * samples_in("seconds", reader.seconds, rate)
    paths = shown["path"].tolist()[: _MOST_SOUND // size]
    settings = reader.get_params() | {"dtype": "int16", "on_error": "skip"}
    clips = read_clips(paths, **settings)
    for clip, position in zip(clips.waveforms, clips.kept, strict=True):
        row = shown.iloc[position]
        name = f"{row['label']}, predicted {row['predicted']}"
        sounds[position] = Sound(clip, rate, name)
    return sounds


def _report(
    evaluation: Evaluation, folder: Path, sentence: str, notes: list[str], facts: dict[str, str]
) -> Path:
    counts = evaluation.confusion()
    picture = Picture(
        draw_confusion(counts),
        "confusion",
        "Counts of clips by true word (rows) and predicted word (columns).",
    )
    caption = "Rows are the words spoken, columns the words predicted."
    sections: dict[str, Parts] = {
        "Clips": notes,
        "Word by word": [Table(evaluation.by_word(), formats=_FORMATS)],
        "Confusion matrix": [picture],
        "Mistakes": mistakes(evaluation),
        "Counts": [Table(counts, caption)],
    }
    if evaluation.skipped:
        skipped = pd.DataFrame(evaluation.skipped, columns=["path", "reason"])
        sections["Files that could not be read"] = [Table(skipped)]
    title = "A speech model on a folder of clips"
    return write_page(folder, title, sentence, sections, facts=facts)
