"""The skorch net that mixes inside its fit loop, and what it is made of."""

from mixup_tab.training.callbacks import KeepBestWeights, LearningRate
from mixup_tab.training.net import MixupNet
from mixup_tab.training.optim import LeanAdamW, Muon
from mixup_tab.training.resume_file import ResumeFile

__all__ = ["KeepBestWeights", "LeanAdamW", "LearningRate", "MixupNet", "Muon", "ResumeFile"]
