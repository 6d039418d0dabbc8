"""``python -m mixup_tab.cli``."""

from mixup_tab.cli import main

main()
