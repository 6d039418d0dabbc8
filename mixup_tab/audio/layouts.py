"""Recognise folders of parts (train, validation, test) and folds, besides labels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

_PARTS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "val", "dev", "devel", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}
_FOLD = re.compile(r"(?:fold|split|part|cv)[ _-]?\d+", re.IGNORECASE)
_SUFFIX = re.compile(rf"(.+)[ _-]({'|'.join(_PART_OF)})", re.IGNORECASE)
_NOT = re.compile(r"(?:not|non)[ _-](.+)", re.IGNORECASE)

Tree = dict[str, set[str]]  # folders of root to their subfolders; "" if they hold files


class Place(NamedTuple):
    """Label, part and fold of a clip according to its folders."""

    label: str | None
    subset: str | None = None
    fold: str | None = None


Rule = Callable[[str, str], Place]


class Layout(NamedTuple):
    """The place of every clip, and a remark if folders are not just labels."""

    places: list[Place]
    note: str | None


def part_of(name: str) -> str | None:
    """Return "train", "validation" or "test" if a folder is named like a part, else None."""
    return _PART_OF.get(name.lower())


def _is_fold(name: str) -> bool:
    return _FOLD.fullmatch(name) is not None


def read_layout(names: Sequence[str], special: Collection[str | None]) -> Layout:
    """Find labels, parts and folds by the folders of clips.

    A folder counts as a word if sounds lie directly in it, even if it is called "test". Folders
    of ``special`` names are not words. ``names`` are relative paths with forward slashes; those
    without a folder get the label None. Raises ValueError if parts or folds hold no words.
    """
    pairs = [_folders(name) for name in names]
    tree: Tree = defaultdict(set)
    for pair in set(pairs):
        if pair is not None and pair[0] not in special:
            tree[pair[0]].add(pair[1])
    _refuse_flat(tree)
    rule, note = _choose(tree)
    if note is None and not any(pair and pair[0] in special for pair in set(pairs)):
        _refuse_wrapper(tree)
    known = {pair: _place(pair, rule, special) for pair in set(pairs)}
    if any(place.subset for place in known.values()):
        known = {
            p: place._replace(subset=place.subset or "train") for p, place in known.items()
        }
    return Layout([known[pair] for pair in pairs], note)


def _place(pair: tuple[str, str] | None, rule: Rule, special: Collection[str | None]) -> Place:
    if pair is None:
        return Place(None)
    return Place(pair[0]) if pair[0] in special else rule(*pair)


def _folders(name: str) -> tuple[str, str] | None:
    first, _, rest = name.partition("/")
    return (first, rest.partition("/")[0] if "/" in rest else "") if rest else None


def _refuse_flat(tree: Tree) -> None:
    """Raise ValueError for parts or folds that hold sounds, but no folders of words."""
    parts = set(map(part_of, tree))
    if len(tree) < 2 or not any("" in below for below in tree.values()):
        return
    if None not in parts and "train" in parts and len(parts) > 1:
        what = "parts"
    elif all(map(_is_fold, tree)):
        what = "folds"
    else:
        return
    raise ValueError(
        f"The folders {', '.join(sorted(tree))} look like {what} of the clips, not like "
        "labels, and sounds lie directly in them. Pass the labels: label='table.csv' "
        "(--labels) for a table, an expression such as label='([^/_]+)_' (--label-pattern) for "
        "file names, or label='^([^/]+)/' if these folders are the labels."
    )


def _refuse_wrapper(tree: Tree) -> None:
    """Raise ValueError for a single folder that may hold those of the labels."""
    for name, inside in tree.items():
        if len(tree) == 1 and "" not in inside:
            raise ValueError(
                f"There is only one folder, {name!r}, and sounds lie in its folders "
                f"{', '.join(sorted(inside)[:5])}. If those are the labels, use {name!r} as "
                f"root; if {name!r} is the label, use label='^([^/]+)/' (--label-pattern)."
            )


def _choose(tree: Tree) -> tuple[Rule, str | None]:
    """Return a rule from two levels of folders to the place of a clip, and a remark."""
    for recognise in (_parts_first, _folds_first, _part_suffixes, _parts_second, _folds_second):
        found = recognise(tree)
        if found is not None:
            return found
    return (lambda one, two: Place(one)), None


def _parts_first(tree: Tree) -> tuple[Rule, str] | None:
    """Recognise train/yes/1.wav, also beside folders of words that are for training."""
    parts = {name for name, inside in tree.items() if part_of(name) and "" not in inside}
    words = set(tree) - parts
    # If "test" and "stop" are words, "test" has subfolders of speakers, not one called "stop".
    if not parts or (words and not any(tree[name] & words for name in parts)):
        return None

    def rule(one: str, two: str) -> Place:
        return Place(two, part_of(one)) if one in parts else Place(one, "train")

    return rule, f"Treated as parts of the clips, not as labels: {', '.join(sorted(parts))}."


def _folds_first(tree: Tree) -> tuple[Rule, str] | None:
    """Recognise fold1/yes/1.wav."""
    if len(tree) < 2 or not all(map(_is_fold, tree)):
        return None
    note = f"Treated as folds of the clips, not as labels: {', '.join(sorted(tree))}."
    return (lambda one, two: Place(two, fold=one)), note


def _part_suffixes(tree: Tree) -> tuple[Rule, str] | None:
    """Recognise yes_train/1.wav."""
    found = {name: match for name in tree if (match := _SUFFIX.fullmatch(name))}
    parts = {name: part_of(match[2]) for name, match in found.items()}
    if len(parts) < len(tree) or not {"train"} < set(parts.values()):
        return None
    note = f"Treated as labels with parts of the clips: {', '.join(sorted(tree))}."
    return (lambda one, two: Place(found[one][1], parts[one])), note


def _parts_second(tree: Tree) -> tuple[Rule, str] | None:
    """Recognise yes/train/1.wav."""
    inside = {name for names in tree.values() for name in names}
    if "train" not in map(part_of, inside) or not all(map(part_of, inside)):
        return None
    note = f"Treated as parts of the clips of each label: {', '.join(sorted(inside))}."
    return (lambda one, two: Place(one, part_of(two))), note


def _folds_second(tree: Tree) -> tuple[Rule, str] | None:
    """Recognise yes/fold1/1.wav."""
    inside = {name for names in tree.values() for name in names}
    if len(inside) < 2 or not all(map(_is_fold, inside)):
        return None
    note = f"Treated as folds of the clips of each label: {', '.join(sorted(inside))}."
    return (lambda one, two: Place(one, fold=two)), note


def denied_label(labels: Collection[str]) -> str | None:
    """Return a label that negates another one, such as "not-wake-word"."""
    plain = {re.sub("[ _-]", "", label).casefold() for label in labels}
    for label in sorted(labels):
        match = _NOT.fullmatch(label)
        if match and re.sub("[ _-]", "", match[1]).casefold() in plain:
            return label
    return None


def places_by_folders(names: Sequence[str]) -> list[Place]:
    """Return parts and folds of clips by their folders, if all clips have them; no labels."""
    folders = [name.split("/")[:-1] for name in names]
    parts = [_first(map(part_of, path)) for path in folders]
    folds = [_first(folder for folder in path if _is_fold(folder)) for path in folders]
    if None in parts or "train" not in parts:
        parts = [None] * len(names)
    if None in folds or len(set(folds)) < 2:
        folds = [None] * len(names)
    return [Place(None, *both) for both in zip(parts, folds, strict=True)]


def _first(found: Iterable[str | None]) -> str | None:
    return next((name for name in found if name), None)
