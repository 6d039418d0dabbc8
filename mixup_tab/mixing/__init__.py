"""What mixes: the draw (λ, partners) and its application to inputs and targets.

Everything here is pure torch on any device and dtype. Randomness comes only from the
``torch.Generator`` that is passed in, nothing is changed in place, and nothing waits
for the device.
"""

from mixup_tab.mixing.both import MixupCutMix
from mixup_tab.mixing.cmixup import CMixup
from mixup_tab.mixing.cutmix import CutMix
from mixup_tab.mixing.cutout import Cutout
from mixup_tab.mixing.dirichlet import DirichletMixup
from mixup_tab.mixing.draw import beta, partners
from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.manifold import ManifoldMixup
from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.regmixup import RegMixup
from mixup_tab.mixing.remix import Remix
from mixup_tab.mixing.rule import Mix, MixingRule
from mixup_tab.mixing.rules import RULES, as_rule
from mixup_tab.mixing.wrapper import Wrapper

__all__ = [
    "RULES",
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
    "Wrapper",
    "as_rule",
    "beta",
    "partners",
]
