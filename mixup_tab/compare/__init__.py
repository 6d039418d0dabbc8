"""Compare mixup with plain training and boosting on a table; the commands for tables.

Each file uses those before it: reading (file → DataFrame), columns (their roles), task (typed
features and target), folds, fitting, verdict, comparison, report, and run for the command line.
Other commands: train; predict and evaluate, which read a file in chunks (chunks, cells).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixup_tab.compare.comparison import Comparison, compare_table
    from mixup_tab.compare.verdict import Verdict

__all__ = ["Comparison", "Verdict", "compare_table"]


def __getattr__(name: str) -> Any:
    """Import a name on first use, because predicting does not need them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "verdict" if name == "Verdict" else "comparison"
    return getattr(import_module(f"{__name__}.{home}"), name)
