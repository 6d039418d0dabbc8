"""Saved models: opening one and predicting with it runs no code from it, whoever made it.

What a model predicts is up to its author. :func:`export_onnx` writes models for other runtimes.
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
    """Import what writes a file for others when asked: loading a model does not need it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
