"""The vicinal distribution as a table: drawn rows for any scikit-learn estimator."""

from mixup_tab.sampling.sampler import VicinalSampler

__all__ = ["VicinalSampler"]
