"""How fast we are, beside what a user could take instead, measured in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from torch import nn

from mixup_tab.estimators import MixupClassifier
from mixup_tab.training.device import pick_device

# Phishing Websites, a table of the mixup paper's UCI experiment, has this shape.
ROWS, FEATURES = 11055, 30
ALPHA, BATCH, LR = 0.2, 16, 1e-3


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


def make_table(
    rows: int = ROWS, features: int = FEATURES, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Return a two-class table with a curved border, in float64 as pandas would read it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, features), dtype=dtype)
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64)


def plain_net() -> nn.Sequential:
    """Return the paper's net for the table as a user of torch writes it."""
    return nn.Sequential(
        nn.Linear(FEATURES, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2)
    )


class SkorchMixup(NeuralNetClassifier):
    """Mixup in skorch as users write it: in ``train_step_single``, λ per batch."""

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Mix a batch, then do what skorch does."""
        self._set_training(True)
        x, y = batch
        lam = float(np.random.default_rng().beta(ALPHA, ALPHA))
        order = torch.randperm(len(x))
        y_pred = self.infer(lam * x + (1 - lam) * x[order], **fit_params)
        loss = lam * self.criterion_(y_pred, y) + (1 - lam) * self.criterion_(y_pred, y[order])
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}


def fit_skorch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train :class:`SkorchMixup` with its DataLoader and plain Adam."""
    SkorchMixup(
        plain_net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=BATCH,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    ).fit(X.astype(np.float32), y)


def fit_torch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train with the paper's loop: DataLoader replaced by slices of a shuffled tensor."""
    inputs, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    net, criterion = plain_net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)
    beta = torch.distributions.Beta(ALPHA, ALPHA)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            x, target = inputs[rows], labels[rows]
            lam, order = beta.sample().item(), torch.randperm(len(rows))
            outputs = net(lam * x + (1 - lam) * x[order])
            loss = lam * criterion(outputs, target)
            loss = loss + (1 - lam) * criterion(outputs, target[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fit_sklearn(X: np.ndarray, y: np.ndarray, epochs: int) -> MLPClassifier:
    """Train scikit-learn's net of the same size, without mixup."""
    model = MLPClassifier((128, 128), alpha=0.0, batch_size=BATCH, max_iter=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def fit_ours(X: np.ndarray, y: np.ndarray, epochs: int, **params: Any) -> MixupClassifier:
    """Train ours in the paper's setting."""
    setting = {"alpha": ALPHA, "max_epochs": epochs, "random_state": 0, **params}
    return MixupClassifier.from_paper(**setting).fit(X, y)


def measure(device: str = "cpu", epochs: int = 3, pairs: int = 5) -> Iterator[Row]:
    """Measure every ratio, both sides in turn, and yield them one by one.

    Parameters
    ----------
    device : str, default="cpu"
        Where our nets run.
    epochs : int, default=3
        Epochs of every fit (691 steps each).
    pairs : int, default=5
        Runs of each side.

    Yields
    ------
    Row
    """
    device = pick_device(device)
    threads = torch.get_num_threads()
    X, y = make_table()

    def fit(**params: Any) -> Callable[[], Any]:
        return lambda: fit_ours(X, y, epochs, **{"device": device, **params})

    def compare(*args: Any, **kwargs: Any) -> Row:
        return _ratio(*args, pairs=pairs, **kwargs)

    torch.set_num_threads(1)
    try:
        with _one_blas_thread():
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
            yield from _prediction(X, y, device, pairs)
        yield _threads(fit(), threads, pairs)
    finally:
        torch.set_num_threads(threads)
    if _STATUS.exists():  # Linux
        yield _memory(device)


def steps_per_device(device: str) -> Iterator[tuple[int, float]]:
    """Yield the number of members of a stack and its microseconds per step."""
    for members in (1, 10, 100):
        yield members, step_time(device, members)


def _prediction(X: np.ndarray, y: np.ndarray, device: str, pairs: int) -> Iterator[Row]:
    ours, peer = fit_ours(X, y, 1, device=device), fit_sklearn(X, y, 1)
    many, _ = make_table(100_000)
    yield _ratio(
        "predict_proba, 100,000 rows",
        "MLPClassifier",
        lambda: ours.predict_proba(many),
        lambda: peer.predict_proba(many),
        0.7,
        pairs=3 * pairs,
    )
    yield _ratio(
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

    return _ratio(
        f"fit, {threads} threads allowed",
        "1 thread",
        with_threads(threads),
        with_threads(1),
        1.05,
        pairs=pairs,
    )


def _ratio(
    what: str,
    against: str,
    ours: Callable[[], Any],
    other: Callable[[], Any],
    goal: float,
    *,
    pairs: int,
) -> Row:
    times = [(_seconds(ours), _seconds(other)) for _ in range(pairs + 1)][1:]  # one warm-up
    ratios = [a / b for a, b in times]
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    detail = f"{_human(a)} against {_human(b)}"
    return Row(what, against, statistics.median(ratios), min(ratios), max(ratios), goal, detail)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _human(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _one_blas_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


# ------------------------------------------------------------------------------ memory

_BIG = (1_000_000, 50)
_STATUS = Path("/proc/self/status")

_MEMORY_SCRIPT = """
import sys
from mixup_tab.evaluation.speed import peak_beyond_table
print(peak_beyond_table(sys.argv[1]))
"""


def _memory(device: str) -> Row:
    """Peak memory of a fit on a large table, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY_SCRIPT, device],
        capture_output=True,
        text=True,
        check=True,
    )
    table = 4 * _BIG[0] * _BIG[1]
    extra = float(done.stdout)
    return Row(
        "peak memory of fit, 1,000,000 × 50 float32",
        "the table",
        extra / table,
        extra / table,
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
    before = _status("VmRSS")
    setting = {"max_epochs": 1, "batch_size": 1024, "device": device}
    MixupClassifier(**setting).fit(X, y)
    return max(_status("VmHWM") - before, 0)


def _status(field: str) -> float:
    """Read a field of this process's status, in bytes.

    Not from ``getrusage``, whose peak a child inherits from the process that started it.
    """
    lines = _STATUS.read_text().splitlines()
    return 1024 * next(float(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


# --------------------------------------------------------------------------------- GPU


def step_time(device: str, n_members: int = 1, steps: int = 2000) -> float:
    """Return microseconds per training step of the 2 × 128 net on a device.

    Parameters
    ----------
    device : str
        Where.
    n_members : int, default=1
        Nets in the stack.
    steps : int, default=2000
        Steps that are timed.

    Returns
    -------
    float
    """
    X, y = make_table(BATCH * steps)

    def fit() -> None:
        fit_ours(X, y, 1, device=device, n_estimators=n_members)

    fit()
    return 1e6 * _seconds(fit) / steps
