"""Our fits, predictions and searches against alternatives, in processor time.

Both sides run alternately in one process; a row gives the median and the range of their
ratios::

    python benchmarks/speed.py --epochs 1 --pairs 3                # all rows
    python benchmarks/speed.py --rows "fit/*" search/skorch        # some of them
    python benchmarks/speed.py --rows "step/*" --device cuda       # training steps on a GPU

Table: 11,055 × 30 of float64, two classes, the paper's setting (2 × 128 ReLU, Adam, batches of
16); one thread unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import sklearn
import speed_methods as methods
import torch
from measuring import Row, compare, limited, memory, memory_row, print_table, seconds

from mixup_tab import MixupClassifier

ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5)
FOLDS, NETS = methods.FOLDS, methods.FOLDS * len(ALPHAS)
STEPS = 553  # of an epoch on the training part of a fold
BIG = (1_000_000, 50)
ALL = {"threads": None}  # all: both sides use two


def fits(epochs: int, device: str) -> dict[str, tuple]:
    """Return both sides of comparisons about one estimator, by name of the row."""
    X, y = methods.make_table()
    small, threads = methods.make_table(1000), torch.get_num_threads()

    def fit(**params: Any) -> Callable[[], Any]:
        return lambda: methods.fit_ours(X, y, epochs, device=device, **params)

    def against(name: str, method: Callable[..., Any]) -> tuple:
        return "fit", name, fit(), lambda: method(X, y, epochs)

    def on_threads(number: int) -> Callable[[], Any]:
        return lambda: limited(number)(fit())()

    def by_default(alpha: Any) -> Callable[[], Any]:
        return lambda: MixupClassifier(alpha, random_state=0, device=device).fit(*small)

    @cache
    def fitted() -> tuple[Any, Any]:
        return methods.fit_ours(X, y, 1, device=device), methods.fit_sklearn(X, y, 1)

    def predict(what: str, rows: int, calls: int) -> tuple:
        X_test, _ = methods.make_table(rows)
        ours, other = (
            lambda k=k: [fitted()[k].predict_proba(X_test) for _ in range(calls)]
            for k in (0, 1)
        )
        return what, "MLPClassifier", ours, other

    auto = 'fit, alpha="auto", 1,000 rows, defaults'
    return {
        "fit/skorch": against("skorch, mixup by hand", methods.fit_skorch),
        "fit/torch": against("the paper's loop in PyTorch", methods.fit_torch),
        "fit/sklearn": against("MLPClassifier, no mixup", methods.fit_sklearn),
        "fit/alpha": ("fit, α = 0.2", "α = 0", fit(), fit(alpha=0.0)),
        "fit/members": ("fit, 8 members", "1 member", fit(n_estimators=8), fit()),
        "fit/threads": (
            f"fit, {threads} threads",
            "1",
            on_threads(threads),
            on_threads(1),
            ALL,
        ),
        "fit/auto": (auto, "alpha=0.2", by_default("auto"), by_default(0.2), ALL),
        "predict/many": predict("predict_proba, 100,000 rows", 100_000, 1),
        "predict/one": predict("200 × predict_proba, 1 row", 1, 200),
    }


def searches(epochs: int, device: str) -> dict[str, tuple]:
    """Return both sides of comparisons about choosing α, by name of the row."""
    X, y = methods.make_table()
    part = slice(len(X) * (FOLDS - 1) // FOLDS)

    def search(alphas: Any, n_jobs: int = 1, epochs: int = 1) -> Callable[[], Any]:
        return lambda: methods.search_ours(X, y, alphas, epochs, device, n_jobs)

    def against(name: str, other: Callable[[], Any]) -> tuple:
        what = f"search, {len(ALPHAS)} α × {FOLDS} folds, 2 threads"
        return what, name, search(ALPHAS, 2, epochs), other, ALL

    def grid(net: Any, dtype: type = np.float64) -> Callable[[], Any]:
        return lambda: methods.grid_search(net, X.astype(dtype), y, ALPHAS)

    by_hand = grid(methods.skorch_net(epochs), np.float32)
    net = MixupClassifier.from_paper(max_epochs=epochs, random_state=0, device=device)
    vmap = partial(methods.fit_vmapped, X[part], y[part], epochs, NETS)
    few, many = search(np.linspace(0, 1, 2)), search(np.linspace(0, 1, 100))
    floor = methods.arithmetic(16, STEPS), {"scale": 16 / NETS}
    return {
        "search/skorch": against("GridSearchCV(n_jobs=2), skorch by hand", by_hand),
        "search/grid": against("GridSearchCV(n_jobs=2), MixupClassifier", grid(net)),
        "search/vmap": against(f"{NETS} nets by torch.func.vmap", vmap),
        "search/many": ("search, 500 nets, per 10", "10 nets", many, few, {"scale": 10 / 500}),
        "search/floor": ("search, per 16 nets", "products and Adam", search(ALPHAS), *floor),
    }


def step(members: int, device: str) -> Row:
    """Return the time of a training step of a stack: longer fits minus shorter ones."""
    budget = 20_000 if device == "cpu" else 200_000
    steps = min(2000, budget // members)
    X, y = methods.make_table(methods.BATCH * steps)

    def fit(epochs: int) -> float:
        setting = {"device": device, "n_estimators": members}
        return seconds(partial(methods.fit_ours, X, y, epochs, **setting))

    with limited(1):
        fit(1)
        pairs = [(fit(1), fit(3)) for _ in range(2)]
    short, long = (min(times) for times in zip(*pairs, strict=True))
    each = (long - short) / (2 * steps)
    figures = f"{1e6 * each:.0f} µs, {members / each:,.0f} members × steps per second"
    return Row(f"step of {members:,} member{'s' * (members > 1)}, {device}", "", [], figures)


def peak_of_fit(device: str) -> float:
    """Return the increase of this process's peak memory by a fit on a large table, in bytes."""
    methods.fit_ours(*methods.make_table(1000), 1, device=device)  # import before measuring
    X, y = methods.make_table(*BIG, dtype=np.float32)
    before = memory("VmRSS")
    MixupClassifier(max_epochs=1, batch_size=1024, device=device).fit(X, y)
    return max(memory("VmHWM") - before, 0)


def peak_of_search(device: str) -> float:
    """Return the peak memory of this process after a search with 2,000 nets, in bytes."""
    methods.search_ours(*methods.make_table(), np.linspace(0, 2, 400), 1, device, 2)
    return memory("VmHWM")


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=3, help="epochs of every fit")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side that count")
    parser.add_argument("--rows", nargs="+", default=["*"], help="names or patterns of rows")
    parser.add_argument("--device", default="cpu", help="where our nets run")
    args = parser.parse_args(arguments)
    cases = fits(args.epochs, args.device) | searches(args.epochs, args.device)
    rows = {name: partial(compare, args.pairs, *case) for name, case in cases.items()}
    rows |= {f"step/{k}": partial(step, k, args.device) for k in (1, 10, 100, 1000)}
    what = f"peak memory of fit beyond a table of {4 * BIG[0] * BIG[1] / 1e6:.0f} MB"
    rows["memory/fit"] = partial(memory_row, what, peak_of_fit, args.device)
    what = "peak memory of a search, 2,000 nets"
    rows["memory/search"] = partial(memory_row, what, peak_of_search, args.device)
    title = (
        f"{args.epochs} epochs, median of {args.pairs} pairs; {os.cpu_count()} cores, "
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    )
    print_table(rows, args.rows, title)


if __name__ == "__main__":
    main()
