"""Judging mixup: benchmarks, their statistics and pictures."""

from mixup_tab.evaluation.alpha_curve import AlphaCurveDisplay
from mixup_tab.evaluation.benchmark import compare, summarize
from mixup_tab.evaluation.boundary import MixupBoundaryDisplay
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.displays import BenchmarkDisplay
from mixup_tab.evaluation.heat_map import SearchHeatMapDisplay
from mixup_tab.evaluation.lambda_display import LambdaDisplay
from mixup_tab.evaluation.loss_curve import LossCurveDisplay
from mixup_tab.evaluation.mixed_pair import MixedPairDisplay
from mixup_tab.evaluation.mixed_samples import MixedSamplesDisplay
from mixup_tab.evaluation.reliability import ReliabilityDisplay
from mixup_tab.evaluation.robustness import (
    adversarial_examples,
    corrupt_labels,
    evaluate_adversarial,
    evaluate_corruption,
)
from mixup_tab.evaluation.spectrogram_display import SpectrogramDisplay

__all__ = [
    "AlphaCurveDisplay",
    "BenchmarkDisplay",
    "CriticalDifferenceDisplay",
    "LambdaDisplay",
    "LossCurveDisplay",
    "MixedPairDisplay",
    "MixedSamplesDisplay",
    "MixupBoundaryDisplay",
    "ReliabilityDisplay",
    "SearchHeatMapDisplay",
    "SpectrogramDisplay",
    "adversarial_examples",
    "compare",
    "corrupt_labels",
    "evaluate_adversarial",
    "evaluate_corruption",
    "summarize",
]
