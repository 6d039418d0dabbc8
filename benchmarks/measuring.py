"""Compare time and memory of two ways to do the same in one run, as a Markdown table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatch
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch
from threadpoolctl import threadpool_limits

STATUS = Path("/proc/self/status")  # Linux


class Row(NamedTuple):
    """A row of the table; a ratio below 1 means less time or memory than the other side."""

    what: str
    against: str
    ratios: list[float]
    figures: str

    def __str__(self) -> str:
        ratio = spread = ""
        if self.ratios:
            ratio = f"{statistics.median(self.ratios):.2f}"
            spread = f"{min(self.ratios):.2f} – {max(self.ratios):.2f}"
        return f"| {self.what} | {self.against} | {ratio} | {spread} | {self.figures} |"


def compare(
    pairs: int,
    what: str,
    against: str,
    ours: Callable[[], Any],
    other: Callable[[], Any],
    options: Mapping[str, Any] | None = None,
) -> Row:
    """Time both sides alternately, after one run of each.

    ``options`` are ``threads`` (1; None is all) and ``scale``, a factor for our time.
    """
    options = {"threads": 1, "scale": 1.0, **(options or {})}
    with limited(options["threads"]):
        times = [(options["scale"] * seconds(ours), seconds(other)) for _ in range(pairs + 1)]
    middle = [human(statistics.median(side)) for side in zip(*times[1:], strict=True)]
    return Row(what, against, [a / b for a, b in times[1:]], " against ".join(middle))


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Limit PyTorch and NumPy to a number of threads; None changes nothing."""
    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def seconds(run: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def human(seconds: float) -> str:
    """Return a time with its unit."""
    if seconds < 1e-3:
        return f"{1e6 * seconds:.0f} µs"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def memory_row(what: str, function: Callable[..., float], *args: Any) -> Row:
    """Return a row with the bytes that a function returns in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return Row(what, "", [], f"{pool.submit(function, *args).result() / 1e6:,.0f} MB")


def memory(field: str) -> float:
    """Return ``VmRSS`` (current) or ``VmHWM`` (peak) of this process in bytes.

    Not by ``getrusage``: a child inherits the peak of the process that started it.
    """
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return 1024 * float(lines[field].split()[0])


def print_table(rows: Mapping[str, Callable[[], Row]], chosen: list[str], title: str) -> None:
    """Measure the rows whose names match a pattern; print each as soon as it is ready."""
    names = [name for name in rows if any(fnmatch(name, pattern) for pattern in chosen)]
    if not names:
        raise SystemExit(f"--rows {' '.join(chosen)}: no such row. Give some of {list(rows)}.")
    print(f"{title}\n\n| ours | against | ratio | range | figures |\n|---|---|---:|---:|---|")
    for name in names:
        if name.startswith("memory") and not STATUS.exists():
            continue
        print(rows[name](), flush=True)
