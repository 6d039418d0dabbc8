"""Judging mixup: benchmarks, their statistics and pictures."""

from mixup_tab.evaluation.alpha_curve import AlphaCurveDisplay
from mixup_tab.evaluation.benchmark import compare, summarize
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.displays import BenchmarkDisplay
from mixup_tab.evaluation.loss_curve import LossCurveDisplay
from mixup_tab.evaluation.mixed_pair import MixedPairDisplay
from mixup_tab.evaluation.reliability import ReliabilityDisplay
from mixup_tab.evaluation.spectrogram_display import SpectrogramDisplay

__all__ = [
    "AlphaCurveDisplay",
    "BenchmarkDisplay",
    "CriticalDifferenceDisplay",
    "LossCurveDisplay",
    "MixedPairDisplay",
    "ReliabilityDisplay",
    "SpectrogramDisplay",
    "compare",
    "summarize",
]
