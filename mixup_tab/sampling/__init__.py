"""Mixed rows as a table, for any scikit-learn estimator."""

from mixup_tab.sampling.sampler import VicinalSampler

__all__ = ["VicinalSampler"]
