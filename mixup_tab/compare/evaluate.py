"""``mixup-tab evaluate``: score a saved model on a table that has the target."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab._files import check_new_beside, write_whole
from mixup_tab._terminal import ProgressBar, make_console, print_note, terminal_table
from mixup_tab.compare.cells import MOST_WRONG, Problem, Skipped, unreadable
from mixup_tab.compare.predict import ModelOnFile
from mixup_tab.compare.saving import load_model
from mixup_tab.metrics import classification_scores
from mixup_tab.persistence.model_file import SIZE_LIMIT
from mixup_tab.tables.columns import as_written, clean

# A confusion matrix of more classes does not fit a terminal.
_MOST_CLASSES = 12
_WRITERS = {".csv": pd.DataFrame.to_csv, ".json": pd.DataFrame.to_json}


@dataclass
class Evaluation:
    """Scores of predictions.

    Attributes
    ----------
    scores : DataFrame
        One row per score: its value for the model and for a constant prediction.
    baseline : str
        The constant prediction, such as "always predicting 'no'".
    rows : int
        Number of rows.
    confusion : DataFrame or None
        Counts of rows: true classes as rows, predicted classes as columns.
    notes : list of str
        Remarks on the file.
    """

    scores: pd.DataFrame
    baseline: str
    rows: int
    confusion: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """Return the two main scores, beside those of the baseline."""
        own, same = (
            " and ".join(_named(str(name), value) for name, value in list(column.items())[:2])
            for _, column in self.scores.items()
        )
        return f"On {self.rows:,} rows: {own}; {self.baseline}: {same}."


def _named(score: str, value: float) -> str:
    name, percent, _ = score.partition(" %")
    return f"{name} {value:.3g}{percent}"


def score_classes(
    y: np.ndarray, proba: np.ndarray, shares: np.ndarray, classes: tuple[str, ...]
) -> Evaluation:
    """Score predicted probabilities.

    Parameters
    ----------
    y : ndarray of int64 of shape (n_rows,)
        Codes of the true classes.
    proba : ndarray of shape (n_rows, n_classes)
        Predicted probabilities.
    shares : ndarray of shape (n_classes,)
        Class frequencies, which the baseline predicts for every row.
    classes : tuple of str
        Names of the classes.
    """
    same = np.tile(shares, (len(y), 1))
    scores = pd.DataFrame(
        {"model": _class_scores(y, proba), "baseline": _class_scores(y, same)}
    ).rename_axis("score")
    predicted = pd.Categorical.from_codes(proba.argmax(axis=1), list(classes))
    true = pd.Categorical.from_codes(y, list(classes))
    counts = pd.crosstab(true, predicted, dropna=False).rename_axis(index="true", columns=None)
    baseline = f"always predicting {classes[shares.argmax()]!r}"
    return Evaluation(scores, baseline, len(y), counts)


def _class_scores(y: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    scores, right = classification_scores(y, proba), proba.argmax(axis=1) == y
    recalls = [right[y == code].mean() for code in np.unique(y)]
    found = {
        "error %": 100 * scores["error"],
        "log-loss": scores["log_loss"],
        "balanced accuracy %": 100 * float(np.mean(recalls)),
        "Brier": scores["brier"],
        "ECE %": 100 * scores["ece"],
    }
    return {name: round(value, 9) for name, value in found.items()}  # 1e-16 should print as 0


def score_numbers(
    y: np.ndarray, values: np.ndarray, mean: float, quantiles: tuple[float, ...] = ()
) -> Evaluation:
    """Score predicted numbers.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        True values.
    values : ndarray of shape (n_rows,) or (n_rows, n_quantiles)
        Predictions.
    mean : float
        Prediction of the baseline for every row.
    quantiles : tuple of float, default=()
        Levels of the predictions.
    """
    own, inside = values, {}
    if quantiles:
        own = values[:, np.abs(np.array(quantiles) - 0.5).argmin()]
        below = np.mean(y <= values.max(axis=1))
        if len(quantiles) == 1:
            name, share, nominal = "below the quantile", below, quantiles[0]
        else:
            name, share = "inside the interval", below - np.mean(y < values.min(axis=1))
            nominal = max(quantiles) - min(quantiles)
        inside = {f"{name} % (nominal: {100 * nominal:g})": 100 * float(share)}
    scores = {
        "model": _number_scores(y, own) | inside,
        "baseline": _number_scores(y, np.full(len(y), mean)),
    }
    frame = pd.DataFrame(scores).rename_axis("score")
    return Evaluation(frame, f"always predicting the mean, {mean:.4g}", len(y))


def _number_scores(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    with np.errstate(over="ignore", invalid="ignore"):  # scores of huge numbers are infinite
        errors, spread = y - predicted, y - y.mean()
        total = float(spread @ spread)
        r2 = 1 - float(errors @ errors) / total if total else float("nan")
        return {
            "RMSE": float(np.sqrt(np.mean(errors**2))),
            "R²": r2,
            "MAE": float(np.abs(errors).mean()),
        }


def evaluate_file(
    model: str | os.PathLike,
    file: str | os.PathLike,
    *,
    decimal: str | None = None,
    on_error: str = "raise",
    device: str = "cpu",
    size_limit: float = SIZE_LIMIT,
) -> Evaluation:
    """Score a saved model's predictions for a table that has the target.

    Rows without a target, or of a class unknown to the model, are left out. The baseline
    predicts the class frequencies, or the mean, of this table for every row.

    Parameters
    ----------
    model, file, size_limit
        As in :func:`~.predict.predict_file`.
    decimal : {".", ","}, default=None
        Decimal mark of the target, where its values are ambiguous.
    on_error, device
        As in :func:`~.predict.predict_to`.

    Raises
    ------
    ValueError
        As in :func:`~.predict.predict_file`; or if no row has a usable target.
    """
    skip = Skipped() if on_error == "skip" else None
    reader = ModelOnFile(*load_model(model, device=device, size_limit=size_limit), skip)
    card, targets, outputs = reader.card, [], []
    with ProgressBar("row") as bar:
        for frame, values in reader.predict(Path(file), (card.target,), size_limit=size_limit):
            targets.append(frame[card.target])
            outputs.append(values)
            bar.advance(len(frame))
    values, target = np.concatenate(outputs), pd.concat(targets)
    found = _codes(target, card.classes) if card.classes else _numbers(target, decimal, skip)
    y, known, notes = found
    if not known.any():
        raise ValueError(
            f"file {Path(file).name!r} has no row with a usable target {card.target!r}. "
            f"{' '.join(notes)}"
        )
    y, values = y[known], values[known]
    if card.classes:
        shares = np.bincount(y, minlength=len(card.classes)) / len(y)
        evaluation = score_classes(y, values, shares, tuple(card.classes))
    else:
        evaluation = score_numbers(y, values, float(y.mean()), reader.quantiles)
    evaluation.notes = [*notes, *reader.notes()]
    return evaluation


# Targets, a mask of the rows that can be scored, and notes.
_Targets = tuple[np.ndarray, np.ndarray, list[str]]


def _codes(target: pd.Series, classes: list[str]) -> _Targets:
    words = as_written(target)
    codes = {name: code for code, name in enumerate(classes)}
    y = words.map(codes).fillna(-1).to_numpy(np.int64)
    counts = words[(y < 0) & words.notna()].value_counts()
    notes = _without_target(words)
    if len(counts):
        names = [f"{word!r} ({count:,})" for word, count in counts.head(5).items()]
        names += [f"{len(counts) - 5:,} more"] * (len(counts) > 5)
        notes.append(f"Rows of classes unknown to the model left out: {', '.join(names)}.")
    return y, y >= 0, notes


def _numbers(
    target: pd.Series, decimal: str | None, skip: Callable[[Problem], Any] | None
) -> _Targets:
    name = str(target.name)

    def read(values: pd.Series) -> pd.Series:
        typed = clean(values.to_frame(name), decimal)
        if typed.dtypes[name] != "number" and values.notna().any():
            raise ValueError(
                f"target {name!r} should hold numbers, but holds values such as "
                f"{values.dropna().iloc[0]!r}. Check that it is the same column as in the "
                "training table; use --decimal if its decimal mark is ambiguous."
            )
        return typed.frame[name]

    try:
        numbers = read(target)
    except ValueError:
        numbers = read(target.mask(_unreadable(target, read, skip)))
    y = numbers.to_numpy()
    return y, np.isfinite(y), _without_target(numbers)


def _unreadable(
    target: pd.Series,
    read: Callable[[pd.Series], pd.Series],
    skip: Callable[[Problem], Any] | None,
) -> pd.Series:
    """Return which cells of a target are not numbers; report them, or raise ValueError."""
    values = target.dropna().unique().tolist()
    wrong = [*islice(unreadable(values, read), MOST_WRONG)]
    is_wrong = target.isin(wrong)
    if len(wrong) in (len(values), MOST_WRONG):  # most likely another column
        return is_wrong & False
    for row, value in target[is_wrong].items():
        problem = Problem(row, "is not a number", str(target.name), value)
        if skip is None:
            raise ValueError(
                f"target {target.name!r} should hold numbers, but row {row:,} holds {value!r}. "
                "Correct such values, or treat them as empty with --on-error skip."
            )
        skip(problem)
    return is_wrong


def _without_target(target: pd.Series) -> list[str]:
    count = int(target.isna().sum())
    return [f"Rows without a value of {target.name!r} left out: {count:,}."] * bool(count)


def evaluate(
    model: str | os.PathLike,
    file: str,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Evaluation:
    """Score a model, print the scores and, if wanted, write them to a file.

    Parameters
    ----------
    model, file
        As in :func:`evaluate_file`.
    output : Path, default=None
        Where to write the scores, as ``.csv`` or ``.json``.
    overwrite : bool, default=False
        Whether to replace an existing file.
    **settings
        As in :func:`evaluate_file`.

    Raises
    ------
    ValueError, OSError
        As in :func:`evaluate_file`; or if ``output`` exists or cannot be written.
    """
    if output is not None:
        if output.suffix.lower() not in _WRITERS:
            raise ValueError(f"output={str(output)!r} must end in {' or '.join(_WRITERS)}.")
        check_new_beside(output, overwrite, model, file)
    console = make_console()
    found = evaluate_file(model, file, **settings)
    console.print(found.sentence(), style="bold")
    for note in found.notes:
        print_note(f"Note: {note}")
    console.print(terminal_table(found.scores, dict.fromkeys(found.scores, "{:.4g}")))
    if found.confusion is not None and len(found.confusion) <= _MOST_CLASSES:
        console.print("Rows by true class (down) and predicted class (across):")
        console.print(terminal_table(found.confusion, {}))
    if output is not None:
        text = _WRITERS[output.suffix.lower()](found.scores)
        write_whole(output, text.encode())
        print_note(f"Scores: {output}")
    return found
