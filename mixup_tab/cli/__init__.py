"""The command line: parses, calls the package, prints. Heavy imports wait until needed."""

from __future__ import annotations

import sys

from mixup_tab._extras import import_extra


def main() -> None:
    """Run ``mixup-tab``, or say what to install."""
    try:
        for library in ("typer", "rich"):
            import_extra(library, "cli")
    except ImportError as error:
        sys.exit(f"Error: {error}")
    from mixup_tab.cli.app import app

    app()
