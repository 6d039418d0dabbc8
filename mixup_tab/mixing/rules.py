"""The mixing rules by name."""

from __future__ import annotations

from collections.abc import Callable

from mixup_tab.mixing.both import MixupCutMix
from mixup_tab.mixing.cmixup import CMixup
from mixup_tab.mixing.cutmix import CutMix
from mixup_tab.mixing.cutout import Cutout
from mixup_tab.mixing.dirichlet import DirichletMixup
from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.manifold import ManifoldMixup
from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.regmixup import RegMixup
from mixup_tab.mixing.remix import Remix
from mixup_tab.mixing.rule import MixingRule

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
    """Turn the value of a ``mixing=`` argument into a rule.

    Parameters
    ----------
    mixing : str or MixingRule
        A name from ``RULES`` or a rule.

    Returns
    -------
    MixingRule

    Raises
    ------
    ValueError
        For a name that is not known.
    TypeError
        For anything that is neither a name nor a rule.
    """
    if isinstance(mixing, MixingRule):
        return mixing
    if not isinstance(mixing, str):
        raise TypeError(
            f"mixing must be one of {sorted(RULES)} or a MixingRule such as "
            f"Mixup(folded=True), got {mixing!r}."
        )
    if mixing not in RULES:
        raise ValueError(
            f"mixing must be one of {sorted(RULES)} or a MixingRule such as "
            f"Mixup(folded=True), got {mixing!r}."
        )
    return RULES[mixing]()
