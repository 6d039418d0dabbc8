"""A report as one HTML file that needs nothing else."""

from mixup_tab.page.page import Page
from mixup_tab.page.pieces import Picture, Table, Text

__all__ = ["Page", "Picture", "Table", "Text"]
