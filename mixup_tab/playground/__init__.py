"""The interactive page: a slider moves α, and what mixup does is redrawn."""

from mixup_tab.playground.page import write_playground

__all__ = ["write_playground"]
