"""Small nets trained with mixup behind scikit-learn's interface.

Nothing is computed here and nothing heavy is imported: the public names below are
loaded on first use.
"""

from importlib import import_module

__version__ = "0.1.0.dev0"

_HOMES = {
    "BCResNet": "mixup_tab.nets",
    "BinnedMLP": "mixup_tab.nets",
    "CMixup": "mixup_tab.mixing",
    "CutMix": "mixup_tab.mixing",
    "Cutout": "mixup_tab.mixing",
    "DirichletMixup": "mixup_tab.mixing",
    "FeatMix": "mixup_tab.mixing",
    "LeNet": "mixup_tab.nets",
    "ManifoldMixup": "mixup_tab.mixing",
    "Mixup": "mixup_tab.mixing",
    "MixupClassifier": "mixup_tab.estimators",
    "MixupEnsembleClassifier": "mixup_tab.estimators",
    "MixupCutMix": "mixup_tab.mixing",
    "MixupNet": "mixup_tab.training",
    "MixupRegressor": "mixup_tab.estimators",
    "MixupSearchCV": "mixup_tab.search",
    "MLP": "mixup_tab.nets",
    "OffAtEnd": "mixup_tab.mixing",
    "RegMixup": "mixup_tab.mixing",
    "PreActResNet18": "mixup_tab.nets",
    "Remix": "mixup_tab.mixing",
    "RescaledClassifier": "mixup_tab.estimators",
    "RescaledRegressor": "mixup_tab.estimators",
    "ResNet10": "mixup_tab.nets",
    "VGG11": "mixup_tab.nets",
    "VicinalSampler": "mixup_tab.sampling",
}

__all__ = [
    "MLP",
    "VGG11",
    "BCResNet",
    "BinnedMLP",
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
    "MixupNet",
    "MixupRegressor",
    "MixupSearchCV",
    "OffAtEnd",
    "PreActResNet18",
    "RegMixup",
    "Remix",
    "ResNet10",
    "RescaledClassifier",
    "RescaledRegressor",
    "VicinalSampler",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
