"""``mixup-tab speech speed``: what sounds cost, on this machine."""

from __future__ import annotations

from itertools import chain

from rich.console import Console

from mixup_tab.evaluation.speech.costs import rows_of_costs
from mixup_tab.evaluation.speech.speed import rows_of_spectrograms
from mixup_tab.evaluation.speed.printing import print_rows


def run(*, clips: int = 10_000, pairs: int = 5, console: Console | None = None) -> None:
    """Measure everything and print it.

    Parameters
    ----------
    clips : int, default=10_000
        Clips of the measurement of memory.
    pairs : int, default=5
        Runs of each side where two are compared.
    console : rich Console, default=None
        Where to print.
    """
    rows = chain(rows_of_spectrograms(pairs=pairs), rows_of_costs(clips))
    title = "Clips of one second at 16 kHz, on the CPU; both sides in one run"
    print_rows(rows, title, console or Console())
