"""An interactive page with a slider for α that shows what mixup does."""

from mixup_tab.playground.page import write_playground

__all__ = ["write_playground"]
