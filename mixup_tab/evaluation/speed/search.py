"""Rows about choosing α: many nets at once, beside one after the other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.speed.contestants import (
    BATCH,
    FEATURES,
    fit_vmapped,
    make_table,
    skorch_net,
)
from mixup_tab.evaluation.speed.measuring import (
    Row,
    human,
    in_fresh_process,
    one_blas_thread,
    ratio_of,
    read_status,
    seconds,
    single_figure,
)
from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.nets import MLP
from mixup_tab.search import MixupSearchCV
from mixup_tab.training.optim import LeanAdamW, StackAdamW

FOLDS = 5
ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5)
STEPS = 553  # per epoch, on four fifths of the table
_MANY = 400  # values of α in the measurement of memory


def search(
    X: np.ndarray, y: np.ndarray, alphas: Sequence[float], epochs: int, n_jobs: int
) -> MixupSearchCV:
    """Search for α in the paper's setting, without the last fit."""
    net = MixupClassifier.from_paper(max_epochs=epochs, random_state=0, device="cpu")
    grid = {"alpha": list(alphas)}
    return MixupSearchCV(net, grid, cv=FOLDS, n_jobs=n_jobs, refit=False).fit(X, y)


def rows_of_searches(epochs: int, pairs: int) -> Iterator[Row]:
    """Measure a search for α on the CPU.

    Parameters
    ----------
    epochs : int
        Epochs of every fit in the comparisons with others.
    pairs : int
        Runs of each side, of the shorter ones.

    Yields
    ------
    Row
    """
    X, y = make_table()
    what = f"search, {len(ALPHAS)} α × {FOLDS} folds, 2 threads"

    def ours() -> None:
        search(X, y, ALPHAS, epochs, n_jobs=2)

    def grid_of(net: Any, X: np.ndarray) -> Callable[[], Any]:
        def run() -> None:
            grid = GridSearchCV(net, {"alpha": ALPHAS}, cv=FOLDS, n_jobs=2, refit=False)
            with parallel_config("loky", inner_max_num_threads=1):
                grid.fit(X, y)

        return run

    by_hand = grid_of(skorch_net(epochs), X.astype(np.float32))
    alone = grid_of(MixupClassifier.from_paper(max_epochs=epochs, random_state=0), X)
    yield ratio_of(
        what, "GridSearchCV, skorch by hand", ours, by_hand, 0.1, pairs=max(pairs // 2, 1)
    )
    yield ratio_of(what, "GridSearchCV, MixupClassifier", ours, alone, 0.25, pairs=pairs)
    part = len(X) * (FOLDS - 1) // FOLDS
    yield ratio_of(
        what,
        f"{len(ALPHAS) * FOLDS} nets by torch.func.vmap",
        ours,
        lambda: fit_vmapped(X[:part], y[:part], epochs, len(ALPHAS) * FOLDS),
        1.0,
        pairs=pairs,
    )
    yield _flatness(X, y)
    yield from _floor(X, y, pairs)
    yield _automatic(pairs)


def _flatness(X: np.ndarray, y: np.ndarray) -> Row:
    few, many = (np.linspace(0, 1, n // FOLDS) for n in (10, 500))
    times = [seconds(lambda: search(X, y, few, 1, n_jobs=1)) / 10 for _ in range(10)]
    small = statistics.median(times[1:])
    large = seconds(lambda: search(X, y, many, 1, n_jobs=1)) / 500
    return single_figure(
        "search, 500 nets, 1 thread, per net",
        "10 nets",
        large / small,
        1.2,
        f"{human(large)} against {human(small)} per net and epoch",
    )


def _floor(X: np.ndarray, y: np.ndarray, pairs: int) -> Iterator[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_blas_thread():
            alphas = np.linspace(0.1, 1, 10)
            nets = len(alphas) * FOLDS
            times = [
                (
                    seconds(lambda: search(X, y, alphas, 1, n_jobs=1)) / nets / STEPS,
                    arithmetic(),
                )
                for _ in range(pairs + 1)
            ][1:]
    finally:
        torch.set_num_threads(threads)
    ratios = [a / b for a, b in times]
    step, floor = (1e6 * statistics.median(side) for side in zip(*times, strict=True))
    yield Row(
        "search, 1 thread, per net and step",
        "products of matrices and Adam alone",
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        2.0,
        f"{step:.0f} µs against {floor:.0f} µs",
    )


def arithmetic(members: int = 16, steps: int = 300) -> float:
    """Return seconds per net and step of nothing but what a step has to compute.

    The eight matrix products of a 30-128-128-2 net at batches of 16, and Adam's update,
    for a stack, with every operand and result in place.

    Parameters
    ----------
    members : int, default=16
        Nets in the stack.
    steps : int, default=300
        Repetitions.

    Returns
    -------
    float
    """
    net = MLP(FEATURES, 2, (128, 128), n_members=members)
    net.bind(MixedCrossEntropy(), [])
    defaults = LeanAdamW(net.parameters()).param_groups[0]
    update = StackAdamW(list(net.parameters())).bind([defaults] * members)
    products: list[tuple] = []
    weights = [weight.detach() for weight, _ in net.layers()]
    values = [torch.randn(members, BATCH, w.shape[2]) for w in weights]
    values.append(torch.randn(members, BATCH, 2))
    for layer, weight in enumerate(weights):
        below, above = values[layer], values[layer + 1]
        products.append((below, weight.mT, torch.empty_like(above)))
        products.append((above.mT, below, torch.empty_like(weight)))
        if layer:
            products.append((above, weight, torch.empty_like(below)))

    def run() -> None:
        for _ in range(steps):
            for a, b, out in products:
                torch.bmm(a, b, out=out)
            update()

    with torch.inference_mode():
        run()
        return seconds(run) / steps / members


def _automatic(pairs: int) -> Row:
    X, y = make_table(1000)

    def fit(alpha: Any) -> Callable[[], Any]:
        return lambda: MixupClassifier(alpha, random_state=0, device="cpu").fit(X, y)

    what = 'fit, alpha="auto", 1,000 rows'
    return ratio_of(what, "alpha=0.2", fit("auto"), fit(0.2), 8.0, pairs=pairs)


def row_of_memory() -> Row:
    """Measure the peak memory of a process that searches with 2,000 nets."""
    peak = in_fresh_process(f"{__name__}:peak_of_search")
    nets = _MANY * FOLDS
    return single_figure(
        f"peak memory of a search, {nets:,} nets",
        "2 GB",
        peak / 2e9,
        1.0,
        f"{peak / 1e6:.0f} MB",
    )


def peak_of_search() -> float:
    """Return the peak memory of this process after a search with 2,000 nets, in bytes."""
    search(*make_table(), np.linspace(0, 2, _MANY), 1, n_jobs=2)
    return read_status("VmHWM")
