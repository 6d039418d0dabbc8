"""The skorch net that mixes inside its fit loop, and what it is made of."""

from mixup_tab.training.callbacks import EarlyStopping, LearningRate
from mixup_tab.training.checkpoint import Checkpoint
from mixup_tab.training.net import MixupNet
from mixup_tab.training.optim import LeanAdamW

__all__ = ["Checkpoint", "EarlyStopping", "LeanAdamW", "LearningRate", "MixupNet"]
