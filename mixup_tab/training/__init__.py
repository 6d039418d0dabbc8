"""The skorch net that mixes inside its fit loop, and what it is made of.

Names are imported when they are first used: prediction of sounds does without skorch.
"""

from typing import TYPE_CHECKING

from mixup_tab._lazy import lazy_names

if TYPE_CHECKING:
    from mixup_tab.training.callbacks import KeepBestWeights, LearningRate
    from mixup_tab.training.net import MixupNet
    from mixup_tab.training.optim import LeanAdamW, Muon
    from mixup_tab.training.resume_file import ResumeFile
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "callbacks": ("KeepBestWeights", "LearningRate"),
            "net": ("MixupNet",),
            "optim": ("LeanAdamW", "Muon"),
            "resume_file": ("ResumeFile",),
        },
    )

__all__ = ["KeepBestWeights", "LeanAdamW", "LearningRate", "MixupNet", "Muon", "ResumeFile"]
