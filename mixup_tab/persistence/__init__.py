"""Save and load fitted models safely, or export them to ONNX.

Opening a saved model and predicting with it never runs code from the file, whoever made it.
Whether its predictions are right is up to its author.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixup_tab.persistence.model_file import ModelFile, load_model, read_model, save_model

if TYPE_CHECKING:
    from mixup_tab.persistence.model_card import write_model_card
    from mixup_tab.persistence.onnx_export import export_onnx

__all__ = [
    "ModelFile",
    "export_onnx",
    "load_model",
    "read_model",
    "save_model",
    "write_model_card",
]

_LAZY = {"export_onnx": "onnx_export", "write_model_card": "model_card"}


def __getattr__(name: str) -> Any:
    """Import export and model cards on first use, because loading needs neither."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
