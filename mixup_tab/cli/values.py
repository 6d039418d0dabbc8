"""Values of options."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def listed(values: list[str] | None) -> list[str]:
    """Split options that were given several times, or with commas, or both."""
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def pair(text: str) -> tuple[str, str]:
    """Return the two sides of an option such as "label=word"."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(f"a column must look like label=word, got {text!r}.")
    return name.strip(), value.strip()


def number(text: str, name: str = "alpha") -> float:
    """Return a value of an option, or raise a ValueError that says that it is no number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}.") from None


def size(text: str) -> float:
    """Return a number of bytes, given as such or as in "500MB" or "2 GB"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip().upper())
    if not found:
        raise ValueError(f"a size must look like 500MB or 2GB, got {text!r}.")
    return float(found[1]) * _UNITS[found[2]]
