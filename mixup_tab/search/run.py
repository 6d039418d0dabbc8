"""Running the plan of a search: chunks as joblib tasks, wave by wave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from joblib.parallel import get_active_backend
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from mixup_tab.search.checkpoint import Checkpoint
from mixup_tab.search.chunk import Fit, Judge, run_chunk
from mixup_tab.search.folds import Fold, run_steps
from mixup_tab.search.plan import Candidate, make_chunks
from mixup_tab.search.watch import Watch
from mixup_tab.training.stopping import propagate_interrupt


@dataclass
class SearchRun:
    """All fits of a search.

    Candidates that share the steps in front of the net are a wave: the steps are fitted
    on every fold, then the chunks of the wave are run, then the next wave begins.

    Attributes
    ----------
    X, y : array-like
        All rows.
    candidates : sequence of Candidate
        Settings to try.
    folds : sequence of Fold
        Splits to try them on.
    judge : Judge
        How to score.
    n_jobs, pre_dispatch
        As in ``MixupSearchCV``.
    verbose : bool
        Whether to draw progress bars.
    checkpoint : Checkpoint or None
        Where finished chunks are written down.
    """

    X: Any
    y: Any
    candidates: Sequence[Candidate]
    folds: Sequence[Fold]
    judge: Judge
    n_jobs: int | None
    pre_dispatch: int | str
    verbose: bool
    checkpoint: Checkpoint | None

    def __post_init__(self) -> None:
        self._chunks = list(self._cut())
        self._workers = _n_workers(self.n_jobs)

    def _cut(self) -> Iterator[tuple[str, list[Fit]]]:
        """Yield chunks, each with the name of its wave."""
        n_features = np.shape(self.X)[1] if len(np.shape(self.X)) > 1 else 1
        classes = is_classifier(self.candidates[0].estimator)
        n_outputs = len(np.unique(self.y)) if classes else 1
        waves: dict[str, list[int]] = {}
        for number, candidate in enumerate(self.candidates):
            waves.setdefault(candidate.steps, []).append(number)
        for steps, members in waves.items():
            for fits in make_chunks(
                self.candidates, members, self.folds, n_features, n_outputs
            ):
                yield steps, fits

    def results(self) -> list[dict[str, Any]]:
        """Run everything that is not in the checkpoint.

        Returns
        -------
        list of dict
            What scikit-learn's searches note of a fit, candidate by candidate.

        Raises
        ------
        KeyboardInterrupt
            At Ctrl-C, saying how far the search has come.
        """
        fits = [fit for _, chunk in self._chunks for fit in chunk]
        watch = Watch(len(fits), sum(map(_epochs, fits)), len(self._chunks), self.verbose)
        done: dict[int, dict] = {}
        finished = self._finished(watch.token)
        try:
            with propagate_interrupt(), watch, closing(finished):
                for number, results in finished:
                    done |= {int(fit): result for fit, result in results}
                    epochs = sum(map(_epochs, self._chunks[number][1]))
                    watch.chunk_done(number, len(results), epochs)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted(watch)) from None
        return [done[number] for number in sorted(done)]

    def _finished(self, token: str) -> Iterator[tuple[int, list]]:
        """Yield chunks as they are finished, those of the checkpoint first."""
        known = {} if self.checkpoint is None else self.checkpoint.finished
        yield from known.items()
        left = [number for number in range(len(self._chunks)) if number not in known]
        for steps in dict.fromkeys(self._chunks[number][0] for number in left):
            wave = [number for number in left if self._chunks[number][0] == steps]
            with _closing_quietly(self._start(wave, self._prepared(steps), token)) as results:
                for number, result in results:
                    if self.checkpoint is not None:
                        self.checkpoint.add(number, result)
                    yield number, result

    def _start(self, wave: Sequence[int], folds: Sequence[Fold], token: str) -> Any:
        backend, _ = get_active_backend(prefer="threads")
        as_they_come = getattr(backend, "supports_return_generator", False)  # not Ray's
        several = joblib.effective_n_jobs(self._workers) != 1
        tasks = []
        for number in wave:
            fits = self._chunks[number][1]
            used = {fit.fold: folds[fit.fold] for fit in fits}
            task = (self.X, self.y, number, fits, used, self.judge, token, several)
            tasks.append(delayed(run_chunk)(*task))
        return Parallel(
            n_jobs=self._workers,
            pre_dispatch=self.pre_dispatch,
            prefer="threads",
            return_as="generator_unordered" if as_they_come else "list",
        )(tasks)

    def _prepared(self, steps: str) -> Sequence[Fold]:
        """Fit the steps in front of the net, on every fold."""
        pipeline = next(c.estimator for c in self.candidates if c.steps == steps)
        if not isinstance(pipeline, Pipeline):
            return self.folds
        judge, strict = self.judge, self.judge.error_score == "raise"
        return Parallel(n_jobs=self._workers, prefer="threads")(
            delayed(run_steps)(pipeline, self.X, self.y, fold, judge.parts, strict)
            for fold in self.folds
        )

    def _interrupted(self, watch: Watch) -> str:
        kept = "Give checkpoint=PATH to be able to go on."
        if self.checkpoint is not None:
            path = str(self.checkpoint.path)
            kept = f"Finished chunks are in {path!r}: fit again to go on."
        return (
            f"The search was stopped when {watch.fits_done} of {watch.fits} fits were done. "
            f"{kept}"
        )


def _epochs(fit: Fit) -> int:
    epochs = fit.estimator.max_epochs
    return 1 if epochs == "auto" else epochs


def _n_workers(n_jobs: int | None) -> int:
    """Resolve None: joblib's configuration, else the threads that torch may use."""
    if n_jobs is not None:
        return n_jobs
    backend, n_jobs = get_active_backend(prefer="threads")
    if n_jobs is None and backend.nesting_level == 0:
        usual = getattr(backend, "default_n_jobs", 1)
        return torch.get_num_threads() if usual == 1 else usual
    return 1 if n_jobs is None else n_jobs


class _Enough(Exception):
    """No more results are wanted."""


@contextmanager
def _closing_quietly(results: Any) -> Iterator[Any]:
    """Close joblib's generator, without its advice on generators that were not used up.

    Thrown into it, an error of ours ends it as any error would. The advice that it gives when
    it is closed cannot be filtered for certain, for filters are shared by all threads.
    """
    try:
        yield results
    finally:
        if hasattr(results, "throw"):
            with suppress(_Enough):
                results.throw(_Enough())
