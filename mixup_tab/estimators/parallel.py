"""Running chunks of fits as joblib tasks, in threads or the workers of a backend."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import joblib
import torch
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed


def count_workers(n_jobs: int | None) -> int:
    """Resolve ``n_jobs=None``: joblib's configuration, else torch's number of threads."""
    if n_jobs is not None:
        return n_jobs
    backend, n_jobs = get_active_backend(prefer="threads")
    if n_jobs is None and backend.nesting_level == 0:
        usual = getattr(backend, "default_n_jobs", 1)
        return torch.get_num_threads() if usual == 1 else usual
    return 1 if n_jobs is None else n_jobs


def several_at_once(workers: int) -> bool:
    """Whether tasks run in parallel, so that each should use one core."""
    return joblib.effective_n_jobs(workers) != 1


def run_tasks(
    function: Callable[..., Any],
    tasks: Sequence[tuple],
    workers: int,
    pre_dispatch: int | str = "2 * n_jobs",
) -> Generator[Any, None, None]:
    """Yield the results of ``function(*task)`` as tasks finish.

    Large arrays that tasks share are sent to a worker process once.
    """
    backend, _ = get_active_backend(prefer="threads")
    unordered = getattr(backend, "supports_return_generator", False)  # not Ray's
    results = Parallel(
        n_jobs=workers,
        pre_dispatch=pre_dispatch,
        prefer="threads",
        return_as="generator_unordered" if unordered else "list",
    )(delayed(function)(*task) for task in tasks)
    with _closing_quietly(results):
        for result in results:  # noqa: UP028  "yield from" would close joblib's generator
            yield result


class _Stop(Exception):
    """Ends joblib's generator."""


@contextmanager
def _closing_quietly(results: Any) -> Iterator[None]:
    """Close joblib's generator without its warning about unconsumed results.

    An exception thrown into the generator ends it. Warnings cannot be filtered reliably,
    because all threads share the filters.
    """
    try:
        yield
    finally:
        if hasattr(results, "throw"):
            with suppress(_Stop):
                results.throw(_Stop())
