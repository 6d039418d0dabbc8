"""Mixup for any scikit-learn estimator: mixed rows drawn as a table."""

from mixup_tab.sampling.sampler import VicinalSampler

__all__ = ["VicinalSampler"]
