"""Whether mixup helps on a table of the user's own."""

from mixup_tab.compare.comparing import Comparison, compare_table

__all__ = ["Comparison", "compare_table"]
