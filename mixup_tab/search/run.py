"""Running the chunks of a search as joblib tasks."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.utils.parallel import Parallel, delayed

from mixup_tab._resumable import Journal
from mixup_tab._terminal import ProgressBar
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.estimators.parallel import count_workers, run_tasks, several_at_once
from mixup_tab.search.chunks import Candidate, Scoring, make_chunks, net_of, run_chunk
from mixup_tab.search.folds import SearchFold, fit_steps
from mixup_tab.training.device import pick_device
from mixup_tab.training.stopping import propagate_interrupt


@dataclass
class SearchRun:
    """All fits of a search.

    Candidates with the same steps before the net form a wave: their steps are fitted on every
    fold, then their chunks are run, then the next wave starts.
    """

    X: Any
    y: Any
    candidates: Sequence[Candidate]
    folds: Sequence[SearchFold]
    scoring: Scoring
    n_jobs: int | None
    pre_dispatch: int | str

    def __post_init__(self) -> None:
        sizes = _sizes(self.X, self.y, self.candidates)
        self.chunks = list(make_chunks(self.candidates, len(self.folds), *sizes))
        self.workers = count_workers(self.n_jobs)

    def devices(self) -> str:
        """Return the devices of the nets and the memory of GPUs, which chunks depend on."""
        nets = [net_of(candidate.estimator) for candidate in self.candidates]
        names = {pick_device(net.device) for net in nets if net is not None}
        gpus = [name for name in names if name.startswith("cuda")]
        held = {f"{torch.cuda.get_device_properties(gpu).total_memory} bytes" for gpu in gpus}
        return ", ".join(sorted(names | held))

    def accepts(self, chunk: Any, results: Any) -> bool:
        """Whether results from a file can be those of a chunk."""
        if type(chunk) is not int or not 0 <= chunk < len(self.chunks):
            return False
        numbers = [number for number, _ in results]
        return numbers == [fit.number for fit in self.chunks[chunk]] and all(
            self.scoring.could_give(result) for _, result in results
        )

    def results(self, checkpoint: Journal | None, verbose: bool) -> list[dict[str, Any]]:
        """Run the chunks that are not in the checkpoint.

        Returns the records of fits as in scikit-learn's searches, candidate by candidate. The
        message of a KeyboardInterrupt, or of the error after a worker process was killed, says
        how many fits are finished.
        """
        done: dict[int, dict] = {}
        monitor = Monitor()
        n_fits = len(self.candidates) * len(self.folds)
        finished = self._finished(checkpoint, monitor)
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
        except (KeyboardInterrupt, BrokenExecutor) as error:
            how = _how_to_resume(checkpoint)
            if isinstance(error, KeyboardInterrupt):
                message = f"The search was stopped after {len(done)} of {n_fits} fits."
                raise KeyboardInterrupt(f"{message} {how}") from None
            raise BrokenExecutor(
                f"A worker process ended after {len(done)} of {n_fits} fits: it was killed or "
                f"ran out of memory. {how}"
            ) from error
        return [done[number] for number in sorted(done)]

    def _finished(
        self, checkpoint: Journal | None, monitor: Monitor
    ) -> Generator[list, None, None]:
        """Yield the results of chunks as they finish, those of the checkpoint first."""
        known = {} if checkpoint is None else checkpoint.finished
        yield from known.values()
        left = [chunk for chunk in range(len(self.chunks)) if chunk not in known]
        for steps, wave in groupby(left, self._steps_of):
            results = self._start([*wave], self._with_steps(steps), monitor)
            with closing(results):
                for chunk, result in results:
                    if checkpoint is not None:
                        checkpoint.add(chunk, result)
                    yield result

    def _steps_of(self, chunk: int) -> str | None:
        first = self.chunks[chunk][0].number // len(self.folds)
        return self.candidates[first].steps_key

    def _start(
        self, wave: list[int], folds: Sequence[SearchFold], monitor: Monitor
    ) -> Generator[tuple[int, list], None, None]:
        several = several_at_once(self.workers)
        tasks = []
        for chunk in wave:
            fits = self.chunks[chunk]
            used = {fit.fold: folds[fit.fold] for fit in fits}
            task = (self.X, self.y, fits, used, self.scoring, monitor, several)
            tasks.append((chunk, *task))
        return run_tasks(_numbered, tasks, self.workers, self.pre_dispatch)

    def _with_steps(self, steps_key: str | None) -> Sequence[SearchFold]:
        """Fit the steps before the net, on every fold."""
        first = next(c for c in self.candidates if c.steps_key == steps_key)
        if not first.step:
            return self.folds
        pipeline = first.estimator
        parts, strict = self.scoring.parts, self.scoring.error_score == "raise"
        return Parallel(n_jobs=self.workers, prefer="threads")(
            delayed(fit_steps)(pipeline, self.X, self.y, fold, parts, strict)
            for fold in self.folds
        )


def _numbered(chunk: int, *task: Any) -> tuple[int, list]:
    return chunk, run_chunk(*task)


def _how_to_resume(checkpoint: Journal | None) -> str:
    if checkpoint is None:
        return "Set checkpoint=PATH to be able to resume."
    return f"Finished fits are saved in {checkpoint.name}. Call fit again to resume."


def _sizes(X: Any, y: Any, candidates: Sequence[Candidate]) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a net; steps before it may change them."""
    if not any(net_of(candidate.estimator) for candidate in candidates):
        return 1, 1
    n_outputs = len(np.unique(y)) if is_classifier(candidates[0].estimator) else 1
    try:
        return np.shape(X)[1], n_outputs
    except (ValueError, IndexError):  # strings or lists of words
        return 1, n_outputs
