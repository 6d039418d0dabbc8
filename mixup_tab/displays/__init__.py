"""Plots of searches, boundaries, calibration and mixed examples, like scikit-learn's displays.

Every display has class methods that compute and draw (``from_estimator``,
``from_predictions``, ``from_search``, …) and ``plot(ax=None, *, name=None, **kwargs)``, which
draws again. They use pyplot, so they appear in notebooks. They need the extra ``plots``.
"""

from mixup_tab.displays.boundary import MixupBoundaryDisplay
from mixup_tab.displays.clips import MixedPairDisplay, SpectrogramDisplay
from mixup_tab.displays.lambda_display import LambdaDisplay
from mixup_tab.displays.loss_curve import LossCurveDisplay
from mixup_tab.displays.mixed_samples import MixedSamplesDisplay
from mixup_tab.displays.reliability import ReliabilityDisplay
from mixup_tab.displays.search import AlphaCurveDisplay, SearchHeatMapDisplay

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
