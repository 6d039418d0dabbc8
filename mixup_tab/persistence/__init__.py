"""Saved models: opening one and predicting with it runs no code from it, whoever made it.

What a model predicts is up to its author.
"""

from mixup_tab.persistence.cards import load_with_card
from mixup_tab.persistence.model_file import (
    SIZE_LIMIT,
    ModelFile,
    finite,
    is_model,
    load_model,
    predicting,
    read_model,
    save_model,
)

__all__ = [
    "SIZE_LIMIT",
    "ModelFile",
    "finite",
    "is_model",
    "load_model",
    "load_with_card",
    "predicting",
    "read_model",
    "save_model",
]
