"""Fetch data sets by name: downloaded, verified, cached, returned as scikit-learn's Bunch."""

from mixup_tab.datasets.cifar import load_cifar
from mixup_tab.datasets.delgado import fetch_delgado, list_delgado, published_accuracies
from mixup_tab.datasets.home import get_data_home
from mixup_tab.datasets.parquet import parquet_to_array
from mixup_tab.datasets.uci import fetch_uci, list_uci

__all__ = [
    "fetch_delgado",
    "fetch_uci",
    "get_data_home",
    "list_delgado",
    "list_uci",
    "load_cifar",
    "parquet_to_array",
    "published_accuracies",
]
