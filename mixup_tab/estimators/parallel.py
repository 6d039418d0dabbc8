"""Running chunks of fits as joblib tasks: threads here, or the workers of a backend."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import joblib
import torch
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed


def count_workers(n_jobs: int | None) -> int:
    """Resolve None: joblib's configuration, else the threads that torch may use."""
    if n_jobs is not None:
        return n_jobs
    backend, n_jobs = get_active_backend(prefer="threads")
    if n_jobs is None and backend.nesting_level == 0:
        usual = getattr(backend, "default_n_jobs", 1)
        return torch.get_num_threads() if usual == 1 else usual
    return 1 if n_jobs is None else n_jobs


def several_at_once(workers: int) -> bool:
    """Whether tasks share the cores, so that each must do with one of them."""
    return joblib.effective_n_jobs(workers) != 1


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    workers: int,
    pre_dispatch: int | str = "2 * n_jobs",
) -> Generator[Any, None, None]:
    """Yield what ``function(*task)`` returns, as tasks are finished.

    Large arrays that tasks share reach a worker process once.
    """
    backend, _ = get_active_backend(prefer="threads")
    as_they_come = getattr(backend, "supports_return_generator", False)  # not Ray's
    results = Parallel(
        n_jobs=workers,
        pre_dispatch=pre_dispatch,
        prefer="threads",
        return_as="generator_unordered" if as_they_come else "list",
    )(delayed(function)(*task) for task in tasks)
    with _closing_quietly(results):
        for result in results:  # noqa: UP028  "yield from" would close joblib's generator
            yield result


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
