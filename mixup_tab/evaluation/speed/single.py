"""Rows about one estimator: fitting and predicting, threads and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.speed.contestants import (
    fit_ours,
    fit_sklearn,
    fit_skorch,
    fit_torch,
    make_table,
)
from mixup_tab.evaluation.speed.measuring import (
    STATUS,
    Row,
    in_fresh_process,
    one_blas_thread,
    ratio_of,
    read_status,
    single_figure,
)

_BIG = (1_000_000, 50)


def rows_of_fits(device: str, epochs: int, pairs: int) -> Iterator[Row]:
    """Measure fits and predictions on one thread, and whether more threads harm.

    Parameters
    ----------
    device : str
        Where our nets run.
    epochs : int
        Epochs of every fit (691 steps each).
    pairs : int
        Runs of each side.

    Yields
    ------
    Row
    """
    threads = torch.get_num_threads()
    X, y = make_table()

    def fit(**params: Any) -> Callable[[], Any]:
        return lambda: fit_ours(X, y, epochs, **{"device": device, **params})

    def compare(*args: Any) -> Row:
        return ratio_of(*args, pairs=pairs)

    torch.set_num_threads(1)
    try:
        with one_blas_thread():
            yield compare(
                "fit", "skorch, mixup by hand", fit(), lambda: fit_skorch(X, y, epochs), 0.35
            )
            yield compare(
                "fit", "the paper's loop in torch", fit(), lambda: fit_torch(X, y, epochs), 0.65
            )
            yield compare(
                "fit", "MLPClassifier, no mixup", fit(), lambda: fit_sklearn(X, y, epochs), 0.30
            )
            yield compare("fit, α = 0.2", "α = 0", fit(), fit(alpha=0.0), 1.05)
            yield compare("fit, 8 members", "1 member", fit(n_estimators=8), fit(), 3.5)
            yield from _predictions(X, y, device, pairs)
        yield _threads(fit(), threads, pairs)
    finally:
        torch.set_num_threads(threads)


def _predictions(X: np.ndarray, y: np.ndarray, device: str, pairs: int) -> Iterator[Row]:
    ours, peer = fit_ours(X, y, 1, device=device), fit_sklearn(X, y, 1)
    many, _ = make_table(100_000)
    yield ratio_of(
        "predict_proba, 100,000 rows",
        "MLPClassifier",
        lambda: ours.predict_proba(many),
        lambda: peer.predict_proba(many),
        0.7,
        pairs=3 * pairs,
    )
    yield ratio_of(
        "predict_proba, 1 row",
        "MLPClassifier",
        lambda: [ours.predict_proba(X[:1]) for _ in range(200)],
        lambda: [peer.predict_proba(X[:1]) for _ in range(200)],
        1.0,
        pairs=3 * pairs,
    )


def _threads(fit: Callable[[], Any], threads: int, pairs: int) -> Row:
    def with_threads(number: int) -> Callable[[], Any]:
        def run() -> None:
            torch.set_num_threads(number)
            fit()

        return run

    return ratio_of(
        f"fit, {threads} threads allowed",
        "1 thread",
        with_threads(threads),
        with_threads(1),
        1.05,
        pairs=pairs,
    )


def row_of_memory(device: str) -> Row:
    """Measure the peak memory of a fit on a large table, in a process of its own."""
    table = 4 * _BIG[0] * _BIG[1]
    extra = in_fresh_process(f"{__name__}:peak_beyond_table", device)
    return single_figure(
        "peak memory of fit, 1,000,000 × 50 float32",
        "the table",
        extra / table,
        1.3,
        f"{extra / 1e6:.0f} MB beyond a table of {table / 1e6:.0f} MB",
    )


def peak_beyond_table(device: str) -> float:
    """Return by how many bytes a fit on a large table raises this process's peak.

    Parameters
    ----------
    device : str
        Where the net runs.

    Returns
    -------
    float
    """
    fit_ours(*make_table(1000), 1, device=device)  # what is loaded on first use
    X, y = make_table(*_BIG, dtype=np.float32)
    before = read_status("VmRSS")
    setting = {"max_epochs": 1, "batch_size": 1024, "device": device}
    MixupClassifier(**setting).fit(X, y)
    return max(read_status("VmHWM") - before, 0)


def can_measure_memory() -> bool:
    """Whether this system tells a process its peak memory."""
    return STATUS.exists()
