"""Raw tables: what their columns hold, and how they become numbers."""

from mixup_tab.tables.encoder import TableEncoder

__all__ = ["TableEncoder"]
