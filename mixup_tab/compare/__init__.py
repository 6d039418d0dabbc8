"""Whether mixup helps on a table of the user's own, and whether boosting is better.

One way down: reading (file → DataFrame), columns (typed once), task (what to predict from
what), folds, fitting, verdict, comparison (all of it), report, and run for the command line.
Its other commands for tables are here too: train, and predict and evaluate, which read a file
chunk by chunk (chunks, cells).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixup_tab.compare.comparison import Comparison, compare_table
    from mixup_tab.compare.verdict import Verdict

__all__ = ["Comparison", "Verdict", "compare_table"]


def __getattr__(name: str) -> Any:
    """Import a comparison only when asked for, because predicting does not need it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "verdict" if name == "Verdict" else "comparison"
    return getattr(import_module(f"{__name__}.{home}"), name)
