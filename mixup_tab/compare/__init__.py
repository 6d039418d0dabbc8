"""Whether mixup helps on a table of the user's own; models of tables for the command line.

One way down: reading (file → DataFrame), columns (typed once), task (what to predict from
what), folds, fitting, verdict, comparison (all of it), report, and run for the command line.
Beside it: train, and chunks (file → DataFrames of some rows), cells, predict and evaluate.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixup_tab.compare.comparison import Comparison, compare_table

__all__ = ["Comparison", "compare_table"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: a prediction needs nothing of a comparison."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mixup_tab.compare import comparison

    return getattr(comparison, name)
