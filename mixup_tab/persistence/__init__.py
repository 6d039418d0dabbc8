"""Saved models: files that hold no pickle."""

from mixup_tab.persistence.model_file import ModelFile, is_model, read_model, write_model

__all__ = ["ModelFile", "is_model", "read_model", "write_model"]
