"""Judging mixup: benchmarks, their statistics and pictures."""

from mixup_tab.evaluation.alpha_curve import AlphaCurveDisplay
from mixup_tab.evaluation.benchmark import compare, summarize
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.displays import BenchmarkDisplay
from mixup_tab.evaluation.reliability import ReliabilityDisplay

__all__ = [
    "AlphaCurveDisplay",
    "BenchmarkDisplay",
    "CriticalDifferenceDisplay",
    "ReliabilityDisplay",
    "compare",
    "summarize",
]
