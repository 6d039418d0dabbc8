"""Training the candidates of an ensemble on the folds, as joblib tasks.

On small tables, all candidates are trained on the first folds, and only the better half on the
others, a race as in Maron and Moore 1994 ("Hoeffding races"). Every net that is started is
finished, so none is wasted, and workers wait only once, after the first folds. On large tables
one part is held out, and every net stops early by its loss on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier

from mixup_tab._terminal import ProgressBar
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.cross_fit import assign_folds, check_finite
from mixup_tab.estimators.data import TrainingData
from mixup_tab.estimators.fitting import batch_size, count_weights, is_auto, n_epochs
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.estimators.parallel import count_workers, run_tasks
from mixup_tab.estimators.together import Rows, fit_together, plan_chunks
from mixup_tab.training import MixupNet
from mixup_tab.training.device import threads_for
from mixup_tab.training.stopping import TrainingAborted, propagate_interrupt

# With fewer rows, all nets are trained on all of them: a choice would be random.
TINY = 50
# From this many rows on, one part is held out: a seventh, but at most 10,000 rows.
LARGE = 5000
_PARTS, _MOST_HELD_OUT = 7, 10_000
# The race: the share of folds for all candidates, the share of candidates that continue, and
# their minimum number.
_FIRST, _KEPT, _LEAST_KEPT = 0.4, 0.5, 4


class Folds(NamedTuple):
    """The fold of every row, and the folds that candidates are fitted on.

    Rows of fold −1 are always trained on. With ``holds_out``, nets stop early by their loss on
    the fold.
    """

    of: np.ndarray
    numbers: list[int]
    holds_out: bool = False


def make_folds(data: TrainingData, cv: int, seed: int) -> Folds:
    """Assign the rows of a table to folds, by its size."""
    rows, large = len(data.y), len(data.y) >= LARGE
    if rows < TINY:
        return Folds(np.full(rows, -1), [0])
    parts = max(_PARTS, -(-rows // _MOST_HELD_OUT)) if large else min(cv, rows)
    fold_of = assign_folds(data.y, parts, seed)
    if data.y.ndim == 1:  # the only row of a class is always trained on
        fold_of[np.bincount(data.y, minlength=data.n_outputs)[data.y] == 1] = -1
    return Folds(fold_of, [0] if large else [*range(parts)], large)


class Job(NamedTuple):
    """A candidate, the fold that it leaves out, and its estimator for this fold."""

    candidate: int
    fold: int
    estimator: Any


class Fit(NamedTuple):
    """A fitted job and its predictions of the fold, shape (rows, outputs); or an error."""

    job: Job
    predictions: Any = None
    error: Exception | None = None


class Race:
    """All fits of an ensemble.

    Parameters
    ----------
    candidates : sequence of estimators
        Unfitted.
    data : TrainingData
        The training rows.
    folds : Folds
        Their split.
    losses : callable
        ``losses(predictions, y, weight)`` returns the loss of each candidate for predictions of
        shape (candidates, rows, outputs).
    seed : int
        Seed of all estimators.
    seconds : float or None
        Time after which training ends.

    Attributes
    ----------
    fits : dict of (int, int) to Fit
        By candidate and fold.
    failed : dict of int to Exception
        The first error of candidates that failed.
    """

    def __init__(
        self,
        candidates: Sequence[Any],
        data: TrainingData,
        folds: Folds,
        losses: Callable[..., np.ndarray],
        *,
        seed: int,
        seconds: float | None = None,
    ) -> None:
        self.candidates, self.data, self.folds = candidates, data, folds
        self.losses, self.seed = losses, seed
        self.start, self.limited = time.time(), seconds is not None
        self.deadline = np.inf if seconds is None else self.start + seconds
        self.fits: dict[tuple[int, int], Fit] = {}
        self.failed: dict[int, Exception] = {}
        self.first = folds.numbers
        self._kept = max(round(_KEPT * len(candidates)), _LEAST_KEPT)
        if len(candidates) > self._kept and len(folds.numbers) > 1:
            self.first = folds.numbers[: max(round(_FIRST * len(folds.numbers)), 1)]

    def run(self, n_jobs: int | None, *, verbose: bool) -> None:
        """Fit all candidates on the first folds, and the best of them on the others."""
        everyone, numbers = [*range(len(self.candidates))], self.folds.numbers
        others = numbers[len(self.first) :]
        total = len(everyone) * len(self.first) + self._kept * len(others)
        with ProgressBar("fits", total, show=verbose) as bar:
            self._fit(everyone, self.first, n_jobs, bar)
            if others and time.time() < self.deadline:
                ranked = sorted(self.done(self.first), key=self.losses_alone().__getitem__)
                self._fit(sorted(ranked[: self._kept]), others, n_jobs, bar)

    def _fit(
        self, candidates: Sequence[int], folds: Sequence[int], n_jobs: int | None, bar: Any
    ) -> None:
        data, workers = self.data, count_workers(n_jobs)
        table = Rows(data.X, data.y, data.weight)
        self.epochs, monitor = 0, Monitor(self._count)
        jobs = [self._job(candidate, fold) for candidate in candidates for fold in folds]
        chunks = self._chunks(jobs)
        self.most_epochs = workers * sum(_epochs(job) for job in chunks[0] if chunks)
        tasks = [(table, self.folds, chunk, monitor, self.deadline) for chunk in chunks]
        found = run_tasks(_fit_chunk, tasks, workers)
        with propagate_interrupt(), monitor, closing(found):
            for fits in found:
                self._keep(fits)
                bar.advance(len(fits))

    def _count(self, epochs: int) -> None:
        self.epochs += epochs

    def _keep(self, fits: Sequence[Fit]) -> None:
        for fit in fits:
            if fit.error is None:
                self.fits[fit.job.candidate, fit.job.fold] = fit
            else:
                self.failed.setdefault(fit.job.candidate, fit.error)

    def _job(self, candidate: int, fold: int) -> Job:
        one = clone(self.candidates[candidate])  # estimators must not share callbacks
        seed = (self.seed + candidate * len(self.folds.numbers) + fold) % 2**32
        if not isinstance(one, BaseMixup):
            from sklearn.ensemble._base import _set_random_states  # not needed to predict

            _set_random_states(one, seed)
            return Job(candidate, fold, one)
        rows = int((self.folds.of != fold).sum())
        if not is_auto(one.batch_size):
            one.batch_size = min(one.batch_size, rows)
        one.max_epochs = n_epochs(one, rows, batch_size(one, rows), self.folds.holds_out)
        return Job(candidate, fold, one.set_params(random_state=seed))

    def _chunks(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Cut jobs into chunks that can be stacked; other estimators are chunks of their own.

        The plan does not depend on the number of workers, so neither do the results. The
        largest chunk comes first, so that workers finish at about the same time; with a time
        limit, the smallest comes first.
        """
        groups: dict[Any, list[Job]] = {}
        for job in jobs:
            groups.setdefault(_stack_key(job), []).append(job)
        chunks = []
        for group in groups.values():
            sizes = [self._size(job.estimator) for job in group]
            for part in plan_chunks(sizes, getattr(group[0].estimator, "device", "cpu")):
                chunks.append((sum(sizes[k] for k in part), [group[k] for k in part]))
        chunks.sort(key=lambda chunk: chunk[0], reverse=not self.limited)
        return [chunk for _, chunk in chunks]

    def _size(self, one: Any) -> int:
        if not isinstance(one, BaseMixup):
            return 1
        outputs = 1 if one.embedding == "none" else 8  # per column, roughly
        return count_weights(one, outputs * self.data.X.shape[1], self.data.n_outputs)

    # ----------------------------------------------------------------------- results

    def done(self, folds: Sequence[int]) -> list[int]:
        """Return the candidates that were fitted on each of some folds."""
        return [
            candidate
            for candidate in range(len(self.candidates))
            if candidate not in self.failed
            and all((candidate, fold) in self.fits for fold in folds)
        ]

    def unseen(
        self, candidates: Sequence[int], folds: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return held-out predictions of the rows of folds, their targets and weights."""
        data, rows = self.data, np.flatnonzero(np.isin(self.folds.of, folds))
        found = np.empty((len(candidates), len(rows), data.n_outputs))
        for position, candidate in enumerate(candidates):
            for fold in folds:
                place = self.folds.of[rows] == fold
                found[position, place] = self.fits[candidate, fold].predictions
        return found, data.y[rows], None if data.weight is None else data.weight[rows]

    def losses_alone(self) -> np.ndarray:
        """Return the loss of each candidate on its held-out rows, NaN without any."""
        losses = np.full(len(self.candidates), np.nan)
        if self.folds.of.max() >= 0:
            for one in self.done(self.first):
                folds = [fold for fold in self.folds.numbers if (one, fold) in self.fits]
                losses[one] = self.losses(*self.unseen([one], folds))[0]
        return losses


def _epochs(job: Job) -> int:
    return int(getattr(job.estimator, "max_epochs", 1))


def _stack_key(job: Job) -> Any:
    """Return a key that is equal for nets that can be stacked."""
    net = job.estimator
    if not isinstance(net, BaseMixup):
        return job.candidate, job.fold
    names = ("embedding", "hidden_layer_sizes", "n_estimators", "batch_size", "module")
    return tuple(repr(getattr(net, name)) for name in names)


# --------------------------------------------------------------------- running one chunk


def _fit_chunk(
    table: Rows, folds: Folds, jobs: Sequence[Job], monitor: Monitor, deadline: float
) -> list[Fit]:
    """Fit estimators and predict their folds; return an empty list if time runs out."""

    def report(epochs: int) -> None:
        monitor.report(epochs)
        if (
            time.time() > deadline
        ):  # checked here, because a monitor does not work across processes
            raise TrainingAborted

    try:
        # Always with one thread, because results depend on the number of threads bit by bit.
        with monitor.task(), threads_for(0), propagate_interrupt():
            report(0)
            rows = {fold: _select(table, folds.of != fold) for fold in {j.fold for j in jobs}}
            errors = _fit_jobs(jobs, rows, _held_out(table, folds), report)
            return [
                _judge(table, folds, job, error)
                for job, error in zip(jobs, errors, strict=True)
            ]
    except TrainingAborted:
        return []


def _fit_jobs(
    jobs: Sequence[Job],
    rows: dict[int, Rows],
    held_out: Rows | None,
    report: Callable[[int], None],
) -> list[Exception | None]:
    if isinstance(jobs[0].estimator, BaseMixup):
        nets = [job.estimator for job in jobs]
        return fit_together(nets, [rows[job.fold] for job in jobs], report, held_out)
    X, y, weight = rows[jobs[0].fold]
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    try:
        jobs[0].estimator.fit(X, y, **({} if weight is None else {"sample_weight": weight}))
    except Exception as error:  # a user's estimator may raise anything
        return [error]
    return [None]


def _judge(table: Rows, folds: Folds, job: Job, error: Exception | None) -> Fit:
    """Predict the held-out rows."""
    left_out, predictions = table.X[folds.of == job.fold], None
    if error is None and len(left_out):
        try:
            predictions = check_finite(predict(job.estimator, left_out))
        except Exception as failed:
            error = failed
    if error is not None:
        return Fit(job._replace(estimator=None), None, error)
    if isinstance(job.estimator, BaseMixup):
        _strip(job.estimator.net_)
    return Fit(job, predictions)


def predict(one: Any, X: np.ndarray) -> np.ndarray:
    """Return probabilities or values, shape (rows, outputs)."""
    found = one.predict_proba(X) if is_classifier(one) else one.predict(X)
    return np.asarray(found, dtype=np.float64).reshape(len(X), -1)


def _strip(net: MixupNet) -> None:
    """Delete everything that prediction does not need: moments, gradients, held-out rows."""
    net.optimizer_.state.clear()
    net.train_split = None
    for parameter in net.module_.parameters():
        parameter.grad = None


def _held_out(table: Rows, folds: Folds) -> Rows | None:
    return _select(table, folds.of == folds.numbers[0]) if folds.holds_out else None


def _select(table: Rows, chosen: np.ndarray) -> Rows:
    weight = None if table.sample_weight is None else table.sample_weight[chosen]
    return Rows(table.X[chosen], table.y[chosen], weight)
