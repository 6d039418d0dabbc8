"""Data sets by name: fetched, verified, kept on disk, returned as scikit-learn's Bunch."""

from mixup_tab.data.delgado import fetch_delgado, list_delgado, published_accuracies
from mixup_tab.data.home import get_data_home
from mixup_tab.data.uci import fetch_uci, list_uci

__all__ = [
    "fetch_delgado",
    "fetch_uci",
    "get_data_home",
    "list_delgado",
    "list_uci",
    "published_accuracies",
]
