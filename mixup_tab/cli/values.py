"""Values of options."""

from __future__ import annotations

import typer


def listed(values: list[str] | None) -> list[str]:
    """Split options that were given several times, or with commas, or both."""
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def number(text: str) -> float:
    """Return a value of α, or say that it is none."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"alpha must be a number, got {text!r}.") from None
