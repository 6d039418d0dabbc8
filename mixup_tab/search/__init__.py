"""Searching parameters by cross-validation, every candidate and fold side by side."""

from mixup_tab.search.cv import MixupSearchCV

__all__ = ["MixupSearchCV"]
