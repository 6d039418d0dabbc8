"""The whole comparison, from a table to verdicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mixup_tab._resumable import check_n_jobs
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.fitting import (
    ENSEMBLE,
    MIXUP,
    PLAIN,
    Setting,
    SplitResult,
    best_alpha,
    fit_splits,
    installed_boosting,
    make_ensemble,
    make_net,
    search_alpha,
)
from mixup_tab.compare.folds import Split, check_folds, make_splits, sample_rows
from mixup_tab.compare.task import Task, prepare
from mixup_tab.compare.verdict import Verdict, describe_all, judge, most_chosen, summarize
from mixup_tab.estimators.cross_fit import ALPHAS
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.training.device import pick_device
from mixup_tab.training.stopping import propagate_interrupt

_MOST_REPEATS = 1000


@dataclass
class Comparison:
    """Result of a comparison on one table.

    Attributes
    ----------
    sentences : list of str
        Whether mixup helps; whether it or boosting is better; and, with ``best=True``, whether
        the ensemble or boosting is. ``print(comparison)`` shows them.
    verdicts : list of Verdict
        The basis of the sentences, one per pair of methods and score.
    alpha : float
        The α chosen most often.
    results : DataFrame
        One row per repeat, fold and method: scores, chosen α, seconds.
    summary : DataFrame
        Means and intervals by method.
    curve : DataFrame
        Cross-validation scores within the training rows, α × split; higher is better.
    bins : dict of str to DataFrame
        Calibration bins of all splits by method; empty for regression.
    task : Task
        The table as it was used.
    notes : list of str
        Remarks on the table, and warnings.
    """

    sentences: list[str]
    verdicts: list[Verdict]
    alpha: float
    results: pd.DataFrame
    summary: pd.DataFrame
    curve: pd.DataFrame
    bins: dict[str, pd.DataFrame]
    task: Task
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join(self.sentences)


@dataclass
class Experiment:
    """A comparison that has been checked and set up, but not run.

    Attributes
    ----------
    whole : Task
        All rows.
    task : Task
        The rows of the comparison.
    splits : list of Split
        Folds of all repeats.
    setting : Setting
        Values of α, seed, device and methods.
    """

    whole: Task
    task: Task
    splits: list[Split]
    setting: Setting

    def run(
        self,
        n_jobs: int = 1,
        splits: Sequence[Split] | None = None,
        progress: Path | None = None,
    ) -> Generator[SplitResult, None, None]:
        """Run all splits, or some of them, and yield results as they finish."""
        splits = self.splits if splits is None else splits
        return fit_splits(self.task, splits, self.setting, n_jobs, progress)

    def conclude(self, parts: Sequence[SplitResult]) -> Comparison:
        """Combine the results of all splits."""
        # Sorted, so that the last bits of the means do not depend on which split ends first.
        parts = sorted(parts, key=lambda part: (part.rows[0]["repeat"], part.rows[0]["fold"]))
        share = float(np.mean([split.test_share for split in self.splits]))
        results = pd.DataFrame([row for part in parts for row in part.rows])
        bins = {name: pd.concat([part.bins[name] for part in parts]) for name in parts[0].bins}
        alpha = most_chosen(results)
        pairs = [judge(results, share, *pair) for pair in self._pairs()]
        return Comparison(
            describe_all(pairs, alpha),
            [verdict for verdicts in pairs for verdict in verdicts],
            alpha,
            results,
            summarize(results, share, bins),
            pd.DataFrame([part.curve for part in parts]).T,
            bins,
            self.task,
            [*self.task.notes, *sorted({text for part in parts for text in part.warnings})],
        )

    def _pairs(self) -> list[tuple[str, str]]:
        """Return the methods that are compared with each other."""
        ours = [MIXUP, ENSEMBLE] if self.setting.best else [MIXUP]
        return [(MIXUP, PLAIN), *((method, self.setting.boosting) for method in ours)]

    def refit(self, n_jobs: int = 1) -> tuple[Pipeline, float | None]:
        """Fit a net, or an ensemble, on all rows; return it, and the α of a net.

        α, which may be 0, is chosen on the rows of the comparison.
        """
        with propagate_interrupt(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # already reported by the comparison
            if self.setting.best:
                ensemble = make_ensemble(self.whole, self.setting)
                return ensemble.fit(self.whole.X, self.whole.y), None
            net = make_net(self.task, self.setting)
            alphas = (0.0, *self.setting.alphas)
            curve = search_alpha(self.task, net, alphas, self.setting.seed, n_jobs)
            alpha = best_alpha(curve, mixed=False)
            best = clone(net).set_params(**{f"{net.steps[-1][0]}__alpha": alpha})
            return best.fit(self.whole.X, self.whole.y), alpha


def set_up(
    frame: pd.DataFrame,
    columns: Columns,
    *,
    task: str = "auto",
    decimal: str | None = None,
    folds: int = 5,
    repeats: int | None = None,
    alphas: Sequence[float] = ALPHAS[1:],
    seed: int = 0,
    max_rows: int = 20_000,
    device: str = "cpu",
    best: bool = False,
) -> Experiment:
    """Check a table and the settings of :func:`compare_table`, and assign the folds."""
    if repeats is not None and repeats > _MOST_REPEATS:
        raise ValueError(f"repeats must be at most {_MOST_REPEATS}, got {repeats!r}.")
    mixed = tuple(dict.fromkeys(float(a) for a in map(check_alpha, alphas) if a > 0))
    if not mixed:
        raise ValueError(f"alphas must contain a value above 0, got {list(alphas)!r}.")
    if not 0 <= seed < 2**31 - 1000:
        raise ValueError(f"seed must lie in [0, 2**31 - 1000), got {seed!r}.")
    whole = prepare(frame, columns, task, decimal)
    check_folds(whole, folds, 1 if repeats is None else repeats)
    sample = sample_rows(whole, max_rows, folds, seed)
    if sample is not whole:
        check_folds(sample, folds, 1)
    if repeats is None:
        rows = len(sample.y)
        repeats = 2 if rows <= 10_000 else 1
    splits = make_splits(sample, folds, repeats, seed)
    setting = Setting(mixed, seed, pick_device(device), best, installed_boosting())
    return Experiment(whole, sample, splits, setting)


def compare_table(
    frame: pd.DataFrame,
    target: str,
    *,
    id: str | None = None,
    drop: Sequence[str] = (),
    groups: str | None = None,
    time: str | None = None,
    n_jobs: int = 1,
    on_split: Callable[[], Any] | None = None,
    **settings: Any,
) -> Comparison:
    """Compare mixup with plain training and boosting on a table, by nested cross-validation.

    Columns of any type are encoded by :class:`~mixup_tab.TableEncoder`, fitted on the training
    rows of each split. There :class:`~mixup_tab.MixupSearchCV` chooses α by 3-fold
    cross-validation, by log-loss or squared error. A net with this α and one with plain
    training, from the same seed, are then scored on the test rows. So is gradient boosting with
    its default settings: LightGBM if it is installed, else scikit-learn's
    ``HistGradientBoosting``. Needs skrub (extra ``cli``).

    Parameters
    ----------
    frame : DataFrame
        The table.
    target : str
        Column to predict.
    id : str, default=None
        Column that identifies the rows; not a feature.
    drop : sequence of str, default=()
        Columns to leave out.
    groups : str, default=None
        Column whose rows with the same value stay together in a fold; not a feature.
    time : str, default=None
        Column that orders the rows, so that test rows come after training rows; not a
        feature. ``repeats`` is ignored, because these folds cannot be redrawn.
    n_jobs : int, default=1
        Number of processes; -1 is one per core.
    on_split : callable, default=None
        Called after every split.
    **settings
        task : {"auto", "classification", "regression"}, default="auto"
            Type of the target.
        decimal : {".", ","}, default=None
            Decimal mark of text columns with ambiguous numbers, such as "1,234". None uses the
            mark of the other columns; if they show none, the column stays text.
        folds : int, default=5
            Number of folds, at least 2.
        repeats : int, default=None
            Repeats of the cross-validation with new folds; None is 2 for up to 10,000 rows,
            else 1.
        alphas : sequence of float, default=(0.3, 1)
            Values of α to choose from.
        seed : int, default=0
            Seed of folds and nets; repeat r uses ``seed + r``.
        max_rows : int, default=20,000
            Larger tables are subsampled to this many rows.
        device : str, default="cpu"
            Device of the nets.
        best : bool, default=False
            Whether to compare :class:`~mixup_tab.MixupEnsembleClassifier` or
            :class:`~mixup_tab.MixupEnsembleRegressor` too.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If a setting is invalid, or the table does not allow a meaningful comparison.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab.compare import compare_table
    >>> iris = load_iris(as_frame=True).frame
    >>> answer = compare_table(iris, "target", folds=2)  # doctest: +SKIP
    >>> print(answer)  # doctest: +SKIP
    """
    check_n_jobs(n_jobs)
    experiment = set_up(frame, Columns(target, id, tuple(drop), groups, time), **settings)
    parts = []
    for part in experiment.run(n_jobs):
        parts.append(part)
        if on_split is not None:
            on_split()
    return experiment.conclude(parts)
