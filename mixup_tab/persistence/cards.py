"""Read the metadata that a command stored with a model, and check their types."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from mixup_tab.persistence.model_file import ModelFile
from mixup_tab.persistence.reading import Reader

Card = TypeVar("Card", bound=tuple)

# By kind: what a model predicts for, and the command for it.
_KINDS = {
    "table": ("tables", "mixup-tab predict"),
    "sound": ("sounds", "mixup-tab speech predict"),
}
_hints = lru_cache(get_type_hints)  # evaluates annotations, but only our own


def load_with_card(
    model: ModelFile,
    kind: str,
    card: type[Card],
    check: Callable[[Any, Card], None],
    *,
    device: str = "cpu",
    reader: type[Reader] = Reader,
) -> tuple[Any, Card]:
    """Load a model that a command saved, with its metadata.

    Parameters
    ----------
    model : ModelFile
        The file.
    kind : {"table", "sound"}
        What it should predict for.
    card : class
        A NamedTuple with the fields of ``about``.
    check : callable
        ``check(estimator, card)`` raises ValueError if they do not match.
    device : str, default="cpu"
        Device to predict on.
    reader : class, default=Reader
        As in :meth:`~mixup_tab.persistence.ModelFile.load`.

    Raises
    ------
    ValueError
        If it predicts for something else, or cannot be used.
    """
    _check_kind(model, kind)
    fields = {name: value for name, value in model.about.items() if name != "kind"}
    read: list[Card] = []

    def check_both(estimator: Any) -> None:
        read.append(card(**fields))
        check_fields(read[0])
        check(estimator, read[0])

    return model.load(device=device, check=check_both, reader=reader), read[0]


def _check_kind(model: ModelFile, kind: str) -> None:
    found = model.about.get("kind")
    if not isinstance(found, str) or found not in _KINDS:
        raise ValueError(
            f"model {model.name!r} was saved in Python, without a description of columns or "
            "clips. Load it with mixup_tab.persistence.load_model."
        )
    if found != kind:
        (subject, user), (wanted, _) = _KINDS[found], _KINDS[kind]
        raise ValueError(
            f"model {model.name!r} predicts for {subject}, not for {wanted}. Use {user}."
        )


def check_fields(card: tuple) -> None:
    """Raise ValueError unless all fields of a NamedTuple have their annotated types.

    Supports str, int, float, None, lists, dicts with str keys, unions and Any.
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
