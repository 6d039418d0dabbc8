"""Mixing rules: how two training examples become one.

Pass a rule, or its name, as ``mixing=`` to an estimator. Rules are pure PyTorch: they run on
any device and in any dtype, draw random numbers only from the given ``torch.Generator``, change
nothing in place, and never wait for the device. To write your own, subclass
:class:`MixingRule`.
"""

from mixup_tab.mixing.cutmix import CutMix, Cutout, MixupCutMix
from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.mixup import DirichletMixup, Mixup
from mixup_tab.mixing.rule import Mix, MixingRule
from mixup_tab.mixing.target_aware import CMixup, Remix
from mixup_tab.mixing.wrapping import ManifoldMixup, RegMixup

__all__ = [
    "CMixup",
    "CutMix",
    "Cutout",
    "DirichletMixup",
    "FeatMix",
    "ManifoldMixup",
    "Mix",
    "MixingRule",
    "Mixup",
    "MixupCutMix",
    "RegMixup",
    "Remix",
]
