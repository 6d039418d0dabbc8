"""The skorch net that mixes in its training loop, its callbacks and optimizers.

Names are imported when they are first used: predicting sounds does not need skorch.
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
