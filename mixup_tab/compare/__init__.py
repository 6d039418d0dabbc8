"""Whether mixup helps on a table of the user's own, and whether boosting is better.

One way down: reading (file → DataFrame), columns (typed once), task (what to predict from
what), folds, fitting, verdict, comparison (all of it), report, and run for the command line.
"""

from mixup_tab.compare.comparison import Comparison, compare_table
from mixup_tab.compare.verdict import Verdict

__all__ = ["Comparison", "Verdict", "compare_table"]
