"""Ratios of times and of memory, both sides measured in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One measured ratio.

    Attributes
    ----------
    what, against : str
        What was divided by what.
    ratio : float
        Median over the pairs of runs; below 1 means less time or memory.
    low, high : float
        Smallest and largest ratio of a pair.
    goal : float
        What this project asks of itself.
    detail : str
        The absolute figures of this machine.
    """

    what: str
    against: str
    ratio: float
    low: float
    high: float
    goal: float
    detail: str


def ratio_of(
    what: str,
    against: str,
    ours: Callable[[], Any],
    other: Callable[[], Any],
    goal: float,
    *,
    pairs: int,
) -> Row:
    """Time both sides in turn.

    Parameters
    ----------
    what, against : str
        Names of the sides.
    ours, other : callable
        What to time; each is run once before.
    goal : float
        What the ratio should not exceed.
    pairs : int
        Runs of each side that count.

    Returns
    -------
    Row
    """
    times = [(seconds(ours), seconds(other)) for _ in range(pairs + 1)][1:]  # one warm-up
    ratios = [a / b for a, b in times]
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    detail = f"{human(a)} against {human(b)}"
    return Row(what, against, statistics.median(ratios), min(ratios), max(ratios), goal, detail)


def seconds(run: Callable[[], Any]) -> float:
    """Return how long something takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def human(seconds: float) -> str:
    """Return a time in words."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def one_blas_thread() -> Any:
    """Return a context in which NumPy's matrix products use one thread."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


STATUS = Path("/proc/self/status")  # Linux only


def read_status(field: str) -> float:
    """Read a field of this process's status, in bytes.

    Not from ``getrusage``, whose peak a child inherits from the process that started it.
    """
    lines = STATUS.read_text().splitlines()
    return 1024 * next(float(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def in_fresh_process(function: str, *args: str) -> float:
    """Return what a function of this package returns in a process of its own.

    Parameters
    ----------
    function : str
        Its module and name, ``"package.module:name"``; it gets strings and returns a
        number.
    *args : str
        Its arguments.

    Returns
    -------
    float
    """
    module, name = function.split(":")
    code = f"import sys; from {module} import {name}; print({name}(*sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def single_figure(what: str, against: str, ratio: float, goal: float, detail: str) -> Row:
    """Return a row of something measured once."""
    return Row(what, against, ratio, ratio, ratio, goal, detail)
