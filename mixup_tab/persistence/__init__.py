"""Saved models: opening one and predicting with it runs no code from it, whoever made it.

What a model predicts is up to its author.
"""

from mixup_tab.persistence.fields import check_fields
from mixup_tab.persistence.model_file import (
    SIZE_LIMIT,
    ModelFile,
    finite,
    is_model,
    predicting,
    read_model,
    write_model,
)

__all__ = [
    "SIZE_LIMIT",
    "ModelFile",
    "check_fields",
    "finite",
    "is_model",
    "predicting",
    "read_model",
    "write_model",
]
