"""The scikit-learn estimators."""

from mixup_tab.estimators.classifier import MixupClassifier
from mixup_tab.estimators.ensemble_classifier import MixupEnsembleClassifier
from mixup_tab.estimators.ensemble_regressor import MixupEnsembleRegressor
from mixup_tab.estimators.regressor import MixupRegressor
from mixup_tab.estimators.rescaled import RescaledClassifier, RescaledRegressor

__all__ = [
    "MixupClassifier",
    "MixupEnsembleClassifier",
    "MixupEnsembleRegressor",
    "MixupRegressor",
    "RescaledClassifier",
    "RescaledRegressor",
]
