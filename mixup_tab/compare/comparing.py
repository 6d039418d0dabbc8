"""Does mixup help on this table? The whole comparison, from a table to an answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mixup_tab.compare.choosing import (
    Setting,
    best_alpha,
    make_net,
    search_alpha,
)
from mixup_tab.compare.folds import Split, make_splits
from mixup_tab.compare.nested import (
    ERM,
    MIXUP,
    REFERENCE,
    Outcome,
    execute,
)
from mixup_tab.compare.question import Question, Roles, ask
from mixup_tab.compare.refusals import check_folds
from mixup_tab.compare.sample import sample_rows
from mixup_tab.compare.verdict import SCORES, Verdict, judge, summarize
from mixup_tab.estimators.cross_fit import ALPHAS
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.training.device import pick_device
from mixup_tab.training.stopping import propagate_interrupt

MAX_ROWS = 20_000
_METHODS = (ERM, MIXUP, REFERENCE)


@dataclass
class Comparison:
    """The answer for one table, and what it rests on.

    Attributes
    ----------
    verdict : Verdict
        The answer; ``print(comparison)`` shows its sentence.
    results : DataFrame
        A row per repeat, fold and method.
    summary : DataFrame
        Means and intervals by method.
    curve : DataFrame
        Scores inside the training rows, α by split; higher is better.
    bins : dict of str to DataFrame
        Calibration bins of all splits by method, of classifiers.
    question : Question
        The table as it was used.
    notes : list of str
        What the user should know.
    """

    verdict: Verdict
    results: pd.DataFrame
    summary: pd.DataFrame
    curve: pd.DataFrame
    bins: dict[str, pd.DataFrame]
    question: Question
    notes: list[str]

    def __str__(self) -> str:
        return self.verdict.sentence


@dataclass
class Job:
    """Everything that is to be done for an answer, checked and not begun.

    Attributes
    ----------
    whole : Question
        All rows.
    question : Question
        Those of the comparison.
    splits : list of Split
        Folds of all repeats.
    setting : Setting
        Values of α, seed and device.
    """

    whole: Question
    question: Question
    splits: list[Split]
    setting: Setting

    def outcomes(self, n_jobs: int = 1) -> Iterator[Outcome]:
        """Run the splits and yield what comes of each as it is ready."""
        return execute(self.question, self.splits, self.setting, n_jobs)

    def conclude(self, outcomes: Sequence[Outcome]) -> Comparison:
        """Turn what came of the splits into an answer."""
        task = "classification" if self.question.classifies else "regression"
        share = float(np.mean([split.test_share for split in self.splits]))
        results = pd.DataFrame([row for outcome in outcomes for row in outcome.rows])
        results = results.sort_values(["repeat", "fold"], kind="stable", ignore_index=True)
        bins = {
            name: pd.concat([outcome.bins[name] for outcome in outcomes])
            for name in _METHODS
            if self.question.classifies
        }
        told = sorted({text for outcome in outcomes for text in outcome.warnings})
        return Comparison(
            judge(results, share),
            results,
            summarize(results, SCORES[task], share),
            pd.DataFrame([outcome.curve for outcome in outcomes]).T,
            bins,
            self.question,
            [*self.question.notes, *told],
        )

    def refit(self, n_jobs: int = 1) -> tuple[Pipeline, float]:
        """Choose α on the rows of the comparison, 0 among them, and fit on all rows.

        Parameters
        ----------
        n_jobs : int, default=1
            As in :class:`~mixup_tab.MixupSearchCV`.

        Returns
        -------
        pipeline : Pipeline
            Fitted.
        alpha : float
        """
        with propagate_interrupt(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the comparison has told them
            net = make_net(self.question, self.setting)
            alphas = (0.0, *self.setting.alphas)
            curve = search_alpha(self.question, net, alphas, self.setting.seed, n_jobs)
            alpha = best_alpha(curve, mixed=False)
            name = f"{net.steps[-1][0]}__alpha"
            best = clone(net).set_params(**{name: alpha})
            return best.fit(self.whole.X, self.whole.y), alpha


def plan(
    frame: pd.DataFrame,
    roles: Roles,
    *,
    task: str = "auto",
    folds: int = 5,
    repeats: int | None = None,
    alphas: Sequence[float] = ALPHAS[1:],
    seed: int = 0,
    max_rows: int = MAX_ROWS,
    device: str = "cpu",
) -> Job:
    """Check a table and everything that is wanted of it.

    Parameters
    ----------
    frame, roles
        The table, and which column is what.
    task, folds, repeats, alphas, seed, max_rows, device
        As in :func:`compare_table`.

    Returns
    -------
    Job

    Raises
    ------
    ValueError
        If there can be no sensible answer.
    """
    mixed = tuple(dict.fromkeys(float(a) for a in map(check_alpha, alphas) if a > 0))
    if not mixed:
        raise ValueError(f"alphas={list(alphas)!r} holds no value above 0. Give one.")
    if not 0 <= seed < 2**31 - 1000:
        raise ValueError(f"seed must lie in [0, 2**31 - 1000), got {seed!r}.")
    whole = ask(frame, roles, task)
    check_folds(whole, folds, 1 if repeats is None else repeats)
    question = sample_rows(whole, max_rows, folds, seed)
    if question is not whole:
        check_folds(question, folds, 1)
    if repeats is None:
        rows = len(question.y)
        repeats = 4 if rows <= 2_000 else 2 if rows <= 10_000 else 1
    splits = make_splits(question, folds, repeats, seed)
    return Job(whole, question, splits, Setting(mixed, seed, pick_device(device)))


def compare_table(
    frame: pd.DataFrame,
    target: str,
    *,
    id: str | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    n_jobs: int = 1,
    on_split: Callable[[], Any] = lambda: None,
    **settings: Any,
) -> Comparison:
    """Say whether mixup helps on a table, by nested cross-validation.

    Raw columns of any kind are made ready by :func:`skrub.tabular_pipeline`, fitted inside
    the folds. In every training part α is chosen among several by
    :class:`~mixup_tab.MixupSearchCV`; the net with that α and the plain one, with the same
    seed, are then judged on rows that neither has seen. Gradient boosting runs along for
    reference.

    Parameters
    ----------
    frame : DataFrame
        The table.
    target : str
        Column to predict.
    id : str, default=None
        Column that names the rows and takes no part.
    drop : sequence of str, default=()
        Columns to leave out.
    groups : str, default=None
        Column whose rows with the same value stay together in a fold; takes no other part.
    time : str, default=None
        Column by which rows are ordered, so that test rows come after training rows; takes
        no other part. There is one way to do this, so ``repeats`` does not count.
    n_jobs : int, default=1
        Number of processes; -1 is one per core.
    on_split : callable, default=no action
        Called after every split.
    **settings
        task : {"auto", "classification", "regression"}, default="auto"
            What kind of target it is.
        folds : int, default=5
            Number of folds, at least 2.
        repeats : int, default=None
            How often rows are dealt out to folds anew; None takes 4 for up to 2,000 rows, 2
            for up to 10,000, else 1.
        alphas : sequence of float, default=(0.1, 0.3, 1)
            Values of α to choose from.
        seed : int, default=0
            Of folds and nets; repeat r uses ``seed + r``.
        max_rows : int, default=20,000
            From larger tables this many rows are drawn.
        device : str, default="cpu"
            Where the nets are trained.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If there can be no sensible answer; it says why.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab.compare import compare_table
    >>> iris = load_iris(as_frame=True).frame
    >>> answer = compare_table(iris, "target", folds=2, repeats=1, alphas=[0.2])
    >>> answer.verdict.alpha
    0.2
    """
    roles = Roles(target, id, tuple(drop), groups, time)
    job = plan(frame, roles, **settings)
    outcomes = []
    for outcome in job.outcomes(n_jobs):
        outcomes.append(outcome)
        on_split()
    return job.conclude(outcomes)
