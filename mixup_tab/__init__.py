"""Small nets trained with mixup behind scikit-learn's interface.

Importing this module is cheap: the public names are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # What type checkers and editors see; a test keeps it in step with _HOMES.
    from mixup_tab.estimators import (
        MixupClassifier,
        MixupEnsembleClassifier,
        MixupEnsembleRegressor,
        MixupRegressor,
        RescaledClassifier,
        RescaledRegressor,
    )
    from mixup_tab.mixing import (
        CMixup,
        CutMix,
        Cutout,
        DirichletMixup,
        FeatMix,
        ManifoldMixup,
        Mixup,
        MixupCutMix,
        RegMixup,
        Remix,
    )
    from mixup_tab.nets import MLP, VGG11, BCResNet, LeNet, PreActResNet18, ResNet10
    from mixup_tab.sampling import VicinalSampler
    from mixup_tab.search import MixupSearchCV
    from mixup_tab.tables import TableEncoder
    from mixup_tab.training import MixupNet

__version__ = "0.1.0.dev0"

_HOMES = {
    "mixup_tab.estimators": (
        "MixupClassifier",
        "MixupEnsembleClassifier",
        "MixupEnsembleRegressor",
        "MixupRegressor",
        "RescaledClassifier",
        "RescaledRegressor",
    ),
    "mixup_tab.mixing": (
        "CMixup",
        "CutMix",
        "Cutout",
        "DirichletMixup",
        "FeatMix",
        "ManifoldMixup",
        "Mixup",
        "MixupCutMix",
        "RegMixup",
        "Remix",
    ),
    "mixup_tab.nets": (
        "MLP",
        "VGG11",
        "BCResNet",
        "LeNet",
        "PreActResNet18",
        "ResNet10",
    ),
    "mixup_tab.sampling": ("VicinalSampler",),
    "mixup_tab.search": ("MixupSearchCV",),
    "mixup_tab.tables": ("TableEncoder",),
    "mixup_tab.training": ("MixupNet",),
}

__all__ = [
    "MLP",
    "VGG11",
    "BCResNet",
    "CMixup",
    "CutMix",
    "Cutout",
    "DirichletMixup",
    "FeatMix",
    "LeNet",
    "ManifoldMixup",
    "Mixup",
    "MixupClassifier",
    "MixupCutMix",
    "MixupEnsembleClassifier",
    "MixupEnsembleRegressor",
    "MixupNet",
    "MixupRegressor",
    "MixupSearchCV",
    "PreActResNet18",
    "RegMixup",
    "Remix",
    "ResNet10",
    "RescaledClassifier",
    "RescaledRegressor",
    "TableEncoder",
    "VicinalSampler",
    "__version__",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        for module, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(set(globals()) | set(__all__))
