"""Parameter search by cross-validation, with all candidates and folds side by side."""

from mixup_tab.search.cv import MixupSearchCV

__all__ = ["MixupSearchCV"]
