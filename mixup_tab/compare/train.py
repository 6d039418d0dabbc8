"""``mixup-tab train``: from a table to a saved model."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

from mixup_tab._files import check_new, locked
from mixup_tab._resumable import check_n_jobs
from mixup_tab._terminal import ProgressBar, make_console, print_note
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.evaluate import Evaluation, score_classes, score_numbers
from mixup_tab.compare.fitting import best_alpha, probabilities, search_alpha, unexpected
from mixup_tab.compare.folds import splitter
from mixup_tab.compare.reading import SIZE_LIMIT, read_table
from mixup_tab.compare.saving import save_model
from mixup_tab.compare.task import Task, prepare
from mixup_tab.estimators import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
)
from mixup_tab.persistence.model_file import check_output
from mixup_tab.tables import TableEncoder
from mixup_tab.training.device import pick_device
from mixup_tab.training.stopping import propagate_interrupt
from mixup_tab.training.watching import each_epoch

_KINDS = {
    (True, False): MixupClassifier,
    (True, True): MixupEnsembleClassifier,
    (False, False): MixupRegressor,
    (False, True): MixupEnsembleRegressor,
}
_LEAST = 10


def train(
    file: str | os.PathLike,
    columns: Columns,
    output: Path,
    *,
    task: str = "auto",
    decimal: str | None = None,
    alpha: Sequence[float] | str = (),
    best: bool = False,
    quantiles: Sequence[float] = (),
    validation_fraction: float = 0.2,
    device: str = "cpu",
    seed: int = 0,
    n_jobs: int = 1,
    overwrite: bool = False,
    size_limit: float = SIZE_LIMIT,
) -> None:
    """Fit a model to a table, evaluate it, and save it with a model card.

    Parameters
    ----------
    file : str or path-like
        The table; see :func:`~.reading.read_table`.
    columns : Columns
        Roles of its columns.
    output : Path
        File for the model; the card is ``<output>.md``.
    task, decimal
        As in :func:`~.task.prepare`.
    alpha : sequence of float or "auto", default=()
        The α of mixup; from several, cross-validation on the training rows chooses. Empty is
        the estimator's default.
    best : bool, default=False
        Fit an ensemble instead of a net: more accurate, but slower.
    quantiles : sequence of float, default=()
        Predict these quantiles instead of the mean.
    validation_fraction : float, default=0.2
        Fraction of rows held out to evaluate a first model: whole groups with a column for
        groups, the latest rows with a column for time. 0 skips this.
    device : str, default="cpu"
        Device of the nets.
    seed : int, default=0
        Random seed.
    n_jobs : int, default=1
        Processes for choosing α or fitting an ensemble.
    overwrite : bool, default=False
        Whether to replace existing files.
    size_limit : float, default=4e9
        Maximum size of the table; see :func:`~.reading.read_table`.

    Raises
    ------
    ValueError
        If the table or the options are unusable, or a file exists.
    OSError
        If a file cannot be written.
    """
    card = output.with_name(f"{output.name}.md")
    check_output(output, overwrite)
    check_new(card, overwrite)
    if not 0 <= validation_fraction <= 0.5:
        raise ValueError(
            f"validation_fraction must lie in [0, 0.5], got {validation_fraction!r}."
        )
    pick_device(device)
    check_n_jobs(n_jobs)
    with locked(output, f"output={str(output)!r}"):
        text = [name for name in (columns.target, columns.id, columns.groups) if name]
        frame = read_table(file, text="all" if decimal else text, size_limit=size_limit)
        whole = prepare(frame, columns, task, decimal)
        del frame
        for note in whole.notes:
            print_note(f"Note: {note}")
        model = _model(whole, alpha, best, quantiles, device, seed, n_jobs)
        several = () if isinstance(alpha, str) or len(alpha) < 2 else alpha
        fitted, found = _fit(model, whole, several, validation_fraction, seed, n_jobs)
        net = fitted[-1]
        save_model(output, fitted, whole, float(getattr(net, "alpha_", 0.0)))
        _write_card(card, fitted, whole, Path(file).name, found)
    console = make_console()
    for sentence in _sentences(whole, net, found):
        console.print(sentence, style="bold", soft_wrap=True)
    print_note(f"Fitted on all {len(whole.y):,} rows: {output} (model card: {card.name})")


def _model(
    task: Task,
    alpha: Sequence[float] | str,
    best: bool,
    quantiles: Sequence[float],
    device: str,
    seed: int,
    n_jobs: int,
) -> Pipeline:
    """Return the model to fit; raises ValueError if options do not go together."""
    options: dict[str, Any] = {"device": device, "random_state": seed}
    if best and (len(alpha) or quantiles):
        name = "--alpha" if len(alpha) else "--quantiles"
        raise ValueError(f"{name} cannot be combined with --best. Leave out one of them.")
    if quantiles and task.is_classification:
        raise ValueError(
            f"--quantiles needs a numeric target, but {task.columns.target!r} is treated as a "
            "class. Leave it out, or use --task regression."
        )
    if quantiles:
        options["quantiles"] = tuple(quantiles)
    if best:
        options["n_jobs"] = n_jobs
    elif len(alpha):
        options["alpha"] = alpha if isinstance(alpha, str) else alpha[0]
    kind = _KINDS[task.is_classification, best]
    return make_pipeline(TableEncoder(random_state=seed), kind(**options))


def _fit(
    model: Pipeline,
    whole: Task,
    alphas: Sequence[float],
    fraction: float,
    seed: int,
    n_jobs: int,
) -> tuple[Pipeline, Evaluation | None]:
    """Evaluate a model on held-out rows, then fit it on all; α is chosen on the others."""
    found, part = None, whole
    with (
        propagate_interrupt(),
        warnings.catch_warnings(record=True) as caught,
        ProgressBar("epoch") as bar,
        each_epoch(lambda net: bar.advance()),
    ):
        warnings.simplefilter("always")
        if fraction:
            rows, held_out = hold_out(whole, fraction, seed)
            part = whole.take(rows)
        if alphas:
            bar.update(0, remark=f"choosing α on {len(part.y):,} rows")
            curve = search_alpha(part, model, alphas, seed, n_jobs)
            model[-1].set_params(alpha=best_alpha(curve, mixed=False))
        if fraction:
            bar.update(0, remark=f"fitting on {len(part.y):,} rows")
            first = clone(model).fit(part.X, part.y)
            found = _measure(first, part, whole.take(held_out))
        bar.update(0, remark=f"fitting on all {len(whole.y):,} rows")
        model.fit(whole.X, whole.y)
    for text in sorted(unexpected(caught)):
        print_note(f"Note: {text}")
    return model, found


def hold_out(task: Task, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to fit on and rows to hold out: by time, by groups or stratified by class.

    Held-out rows of a class that has no rows to fit on are dropped.
    """
    count = len(task.y)
    if count < _LEAST:
        raise ValueError(
            f"the table has {count} rows with a target, too few to hold some out. Add rows, "
            "or use --validation-fraction 0."
        )
    if task.in_order:
        cut = round(count * (1 - fraction))
        rows, held_out = np.arange(cut), np.arange(cut, count)
    else:
        most = count
        if task.groups is not None:
            most = len(np.unique(task.groups))
        elif task.is_classification:
            most = int(np.bincount(task.y).max())
        if most < 2:
            raise ValueError(
                f"groups={task.columns.groups!r} has one value, so no group can be held out. "
                "Use another column for --groups, or --validation-fraction 0."
            )
        cutter = splitter(task, min(round(1 / fraction), most), seed)
        rows, held_out = next(iter(cutter.split(task.X, task.y, task.groups)))
    if task.is_classification:
        held_out = held_out[np.isin(task.y[held_out], task.y[rows])]
        if len(np.unique(task.y[rows])) < 2 or not len(held_out):
            raise ValueError(
                "the rows to fit on have a single class, or no class of the held-out rows. Use "
                "another --validation-fraction, or 0."
            )
    return rows, held_out


def _measure(model: Pipeline, part: Task, held_out: Task) -> Evaluation:
    if part.is_classification:
        proba = probabilities(model, held_out.X, len(part.classes))
        shares = np.bincount(part.y, minlength=len(part.classes)) / len(part.y)
        return score_classes(held_out.y, proba, shares, part.classes)
    quantiles = tuple(model[-1].get_params().get("quantiles") or ())
    more = {"quantiles": quantiles} if quantiles else {}
    predicted = model.predict(held_out.X, **more)
    return score_numbers(held_out.y, predicted, float(part.y.mean()), quantiles)


def _sentences(task: Task, net: Any, found: Evaluation | None) -> list[str]:
    """Describe the model and its scores."""
    classes = task.classes
    what = f"{len(classes)} classes" if len(classes) > 2 else " or ".join(classes)
    what = what or "a number"
    how = f" (α = {net.alpha_:g})" if hasattr(net, "alpha_") else ""
    count = task.X.shape[1]
    first = (
        f"{type(net).__name__}{how} predicts {task.columns.target!r}, {what}, from {count:,} "
        f"column{'s' * (count > 1)}."
    )
    if found is None:
        return [first, "It was not evaluated on held-out rows."]
    score = found.scores.index[1 if task.is_classification else 0]
    own, baseline = found.scores.loc[score]
    worse = [f"By {score}, it is no better than {found.baseline}."] * bool(own >= baseline)
    return [first, found.sentence().replace("rows:", "held-out rows:", 1), *worse]


def _write_card(
    path: Path, model: Pipeline, task: Task, file: str, found: Evaluation | None
) -> None:
    from mixup_tab.persistence import write_model_card

    roles = {role: getattr(task.columns, role) for role in ("id", "groups", "time")}
    roles["drop"] = ", ".join(task.columns.drop)
    data = {"File": file, "Rows": f"{len(task.y):,}", "Target": task.columns.target}
    if task.is_classification:
        data["Classes"] = ", ".join(task.classes)
    data |= {f"Column for {role}": value for role, value in roles.items() if value}
    columns = pd.DataFrame({"column": list(task.dtypes), "type": list(task.dtypes.values())})
    scores = pd.DataFrame()
    if found is not None:
        scores = found.scores.reset_index().rename(columns={"baseline": found.baseline})
        scores["measured on"] = f"{found.rows:,} held-out rows, by a model fitted on the others"
    write_model_card(
        path,
        model,
        title=f"Predicts {task.columns.target}",
        data=data,
        columns=columns,
        scores=scores,
    )
