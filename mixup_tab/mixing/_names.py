"""The mixing rules by name."""

from __future__ import annotations

from collections.abc import Callable

from mixup_tab._plain import shown
from mixup_tab.mixing.cutmix import CutMix, Cutout, MixupCutMix
from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.mixup import DirichletMixup, Mixup
from mixup_tab.mixing.rule import MixingRule
from mixup_tab.mixing.target_aware import CMixup, Remix
from mixup_tab.mixing.wrapping import ManifoldMixup, RegMixup

RULES: dict[str, Callable[[], MixingRule]] = {
    "mixup": Mixup,
    "folded": lambda: Mixup(folded=True),
    "same_class": lambda: Mixup(partners="same_class"),
    "cutmix": CutMix,
    "mixup+cutmix": MixupCutMix,
    "cutout": Cutout,
    "featmix": FeatMix,
    "dirichlet": DirichletMixup,
    "manifold": ManifoldMixup,
    "regmixup": RegMixup,
    "remix": Remix,
    "cmixup": CMixup,
}


def as_rule(mixing: str | MixingRule) -> MixingRule:
    """Return the rule for a ``mixing=`` argument, which is a name or a rule.

    Raises ValueError for an unknown name and TypeError for other types.
    """
    if isinstance(mixing, MixingRule):
        return mixing
    if isinstance(mixing, str) and mixing in RULES:
        return RULES[mixing]()
    error = ValueError if isinstance(mixing, str) else TypeError
    raise error(
        f"mixing must be one of {sorted(RULES)} or a MixingRule such as Mixup(folded=True), "
        f"got {shown(mixing)}."
    )
