"""Pictures, made as scikit-learn's displays are."""

from mixup_tab.displays.alpha_curve import AlphaCurveDisplay
from mixup_tab.displays.boundary import MixupBoundaryDisplay
from mixup_tab.displays.heat_map import SearchHeatMapDisplay
from mixup_tab.displays.lambda_display import LambdaDisplay
from mixup_tab.displays.loss_curve import LossCurveDisplay
from mixup_tab.displays.mixed_pair import MixedPairDisplay
from mixup_tab.displays.mixed_samples import MixedSamplesDisplay
from mixup_tab.displays.reliability import ReliabilityDisplay
from mixup_tab.displays.spectrogram_display import SpectrogramDisplay

__all__ = [
    "AlphaCurveDisplay",
    "LambdaDisplay",
    "LossCurveDisplay",
    "MixedPairDisplay",
    "MixedSamplesDisplay",
    "MixupBoundaryDisplay",
    "ReliabilityDisplay",
    "SearchHeatMapDisplay",
    "SpectrogramDisplay",
]
