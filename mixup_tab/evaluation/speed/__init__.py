"""How fast we are, beside what a user could take instead, measured in one run."""

from __future__ import annotations

from collections.abc import Iterator

from mixup_tab.evaluation.speed import search, single
from mixup_tab.evaluation.speed.contestants import BATCH, FEATURES, ROWS, fit_ours, make_table
from mixup_tab.evaluation.speed.measuring import Row, seconds
from mixup_tab.training.device import pick_device

__all__ = ["FEATURES", "ROWS", "Row", "measure", "step_time", "steps_per_device"]


def measure(device: str = "cpu", epochs: int = 3, pairs: int = 5) -> Iterator[Row]:
    """Measure every ratio, both sides in turn, and yield them one by one.

    Parameters
    ----------
    device : str, default="cpu"
        Where our nets run; searches run on the CPU.
    epochs : int, default=3
        Epochs of every fit.
    pairs : int, default=5
        Runs of each side.

    Yields
    ------
    Row
    """
    device = pick_device(device)
    yield from single.rows_of_fits(device, epochs, pairs)
    yield from search.rows_of_searches(epochs, pairs)
    if single.can_measure_memory():
        yield single.row_of_memory(device)
        yield search.row_of_memory()


def steps_per_device(device: str) -> Iterator[tuple[int, float]]:
    """Yield the number of members of a stack and its microseconds per step."""
    for members in (1, 10, 100):
        yield members, step_time(device, members)


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
    return 1e6 * seconds(fit) / steps
