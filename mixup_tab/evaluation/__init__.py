"""The benchmarks, their statistics and pictures."""

from mixup_tab.evaluation.benchmark import compare, summarize
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.displays import BenchmarkDisplay

__all__ = ["BenchmarkDisplay", "CriticalDifferenceDisplay", "compare", "summarize"]
