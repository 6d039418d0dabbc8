"""Judging mixup: benchmarks, their statistics and pictures."""

from mixup_tab.evaluation.alpha_curve import AlphaCurveDisplay
from mixup_tab.evaluation.benchmark import compare, summarize
from mixup_tab.evaluation.displays import BenchmarkDisplay

__all__ = ["AlphaCurveDisplay", "BenchmarkDisplay", "compare", "summarize"]
