"""Fields of a NamedTuple that were read from a file, held against their annotations."""

from __future__ import annotations

import math
from functools import lru_cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

_hints = lru_cache(get_type_hints)  # which evaluates text, if only our own


def check_fields(card: tuple) -> None:
    """Raise ValueError unless all fields of a NamedTuple are of the types that it names.

    Known are str, int, float, None, lists, dicts with keys of str, unions and Any.
    """
    for name, hint in _hints(type(card)).items():
        if not _holds(getattr(card, name), hint):
            raise ValueError(f"{name} in its description is {getattr(card, name)!r:.40}")


def _holds(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is UnionType:
        return any(_holds(value, part) for part in parts)
    if kind is list:
        return type(value) is list and all(_holds(part, parts[0]) for part in value)
    if kind is dict:
        return type(value) is dict and all(_holds(part, parts[1]) for part in value.values())
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return hint is Any or type(value) is hint
