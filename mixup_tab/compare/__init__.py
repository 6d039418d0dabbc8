"""Whether mixup helps on a table of the user's own.

One way down: reading (file → DataFrame), columns (typed once), task (what to predict from
what), folds, fitting, verdict, comparison (all of it), report, and run for the command line.
"""

from mixup_tab.compare.comparison import Comparison, compare_table

__all__ = ["Comparison", "compare_table"]
