"""Running the chunks of a search as joblib tasks."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import joblib
import numpy as np
import torch
from joblib.parallel import get_active_backend
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from mixup_tab._terminal import ProgressBar
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.search.checkpoint import Checkpoint
from mixup_tab.search.chunks import Candidate, Scoring, make_chunks, run_chunk
from mixup_tab.search.folds import SearchFold, fit_steps
from mixup_tab.training.stopping import propagate_interrupt


@dataclass
class SearchRun:
    """All fits of a search.

    Candidates that share the steps before the net form a wave: the steps are fitted on every
    fold, then the chunks of the wave are run, then the next wave begins.
    """

    X: Any
    y: Any
    candidates: Sequence[Candidate]
    folds: Sequence[SearchFold]
    scoring: Scoring
    n_jobs: int | None
    pre_dispatch: int | str
    checkpoint: Checkpoint | None

    def __post_init__(self) -> None:
        n_features = np.shape(self.X)[1] if len(np.shape(self.X)) > 1 else 1
        classes = is_classifier(self.candidates[0].estimator)
        n_outputs = len(np.unique(self.y)) if classes else 1
        n_folds = len(self.folds)
        self.chunks = list(make_chunks(self.candidates, n_folds, n_features, n_outputs))
        self.workers = _n_workers(self.n_jobs)

    def results(self, verbose: bool) -> list[dict[str, Any]]:
        """Run the chunks that are not in the checkpoint.

        Returns what scikit-learn's searches record of a fit, candidate by candidate. The
        message of a KeyboardInterrupt says how many fits are done.
        """
        done: dict[int, dict] = {}
        monitor = Monitor()
        n_fits = len(self.candidates) * len(self.folds)
        finished = self._finished(monitor)
        try:
            with (
                ProgressBar("fits", n_fits, show=verbose) as bar,
                propagate_interrupt(),
                monitor,
                closing(finished),
            ):
                for results in finished:
                    done |= {int(number): result for number, result in results}
                    bar.advance(len(results))
        except KeyboardInterrupt:
            message = f"The search was stopped when {len(done)} of {n_fits} fits were done."
            raise KeyboardInterrupt(f"{message} {self._how_to_resume()}") from None
        return [done[number] for number in sorted(done)]

    def _how_to_resume(self) -> str:
        if self.checkpoint is None:
            return "Give checkpoint=PATH to be able to resume."
        path = str(self.checkpoint.path)
        return f"Finished fits are in {path!r}: call fit again to resume."

    def _finished(self, monitor: Monitor) -> Generator[list, None, None]:
        """Yield the results of chunks as they are finished, those of the checkpoint first."""
        known = {} if self.checkpoint is None else self.checkpoint.finished
        yield from known.values()
        left = [chunk for chunk in range(len(self.chunks)) if chunk not in known]
        for steps, wave in groupby(left, self._steps_of):
            results = self._start([*wave], self._with_steps(steps), monitor)
            with _closing_quietly(results):
                for chunk, result in results:
                    if self.checkpoint is not None:
                        self.checkpoint.add(chunk, result)
                    yield result

    def _steps_of(self, chunk: int) -> str:
        first = self.chunks[chunk][0].number // len(self.folds)
        return self.candidates[first].steps_key

    def _start(self, wave: list[int], folds: Sequence[SearchFold], monitor: Monitor) -> Any:
        backend, _ = get_active_backend(prefer="threads")
        as_they_come = getattr(backend, "supports_return_generator", False)  # not Ray's
        several = joblib.effective_n_jobs(self.workers) != 1
        tasks = []
        for chunk in wave:
            fits = self.chunks[chunk]
            used = {fit.fold: folds[fit.fold] for fit in fits}
            task = (self.X, self.y, fits, used, self.scoring, monitor, several)
            tasks.append(delayed(_numbered)(chunk, *task))
        return Parallel(
            n_jobs=self.workers,
            pre_dispatch=self.pre_dispatch,
            prefer="threads",
            return_as="generator_unordered" if as_they_come else "list",
        )(tasks)

    def _with_steps(self, steps_key: str) -> Sequence[SearchFold]:
        """Fit the steps before the net, on every fold."""
        pipeline = next(c.estimator for c in self.candidates if c.steps_key == steps_key)
        if not isinstance(pipeline, Pipeline):
            return self.folds
        parts, strict = self.scoring.parts, self.scoring.error_score == "raise"
        return Parallel(n_jobs=self.workers, prefer="threads")(
            delayed(fit_steps)(pipeline, self.X, self.y, fold, parts, strict)
            for fold in self.folds
        )


def _numbered(chunk: int, *task: Any) -> tuple[int, list]:
    return chunk, run_chunk(*task)


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
def _closing_quietly(results: Any) -> Iterator[None]:
    """Close joblib's generator without its advice on generators that were not used up.

    Thrown into it, an error of ours ends it as any error would. The advice that it gives when
    it is closed cannot be filtered reliably, since all threads share the filters.
    """
    try:
        yield
    finally:
        if hasattr(results, "throw"):
            with suppress(_Enough):
                results.throw(_Enough())
