"""Parse the values of options."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def listed(values: list[str] | None) -> list[str]:
    """Split options that were given several times, or with commas, or both."""
    parts = [part.strip() for value in values or [] for part in value.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def pair(text: str) -> tuple[str, str]:
    """Split the value of --column, such as "label=word"."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ValueError(f"--column must look like label=word, got {text!r}.")
    return name.strip(), value.strip()


def number(text: str, name: str = "alpha") -> float:
    """Return the value of an option as a number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--{name} must be a number, got {text!r}.") from None


def size(text: str) -> float:
    """Return a size in bytes, given as "500000000", "500MB" or "2 GB"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)B?", text.strip().upper())
    if not found:
        raise ValueError(f"--size-limit must look like 500MB or 2GB, got {text!r}.")
    return float(found[1]) * _UNITS[found[2]]
