"""Find the speakers of clips by file names."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence

import pandas as pd

# Minimum share of names that must match a pattern, to rule out chance.
_MOST = 0.9
# Speech Commands. Some archives have files that end in .wav.wav.
_HASHED = re.compile(r"(.+)_nohash_\d+(?:\.wav)?")
_NUMBERED = re.compile(r"(.+)_\d+")

FromPath = Callable[[str], object]


def add_speakers(
    root: str, frame: pd.DataFrame, is_word: pd.Series, speaker: str | FromPath | None
) -> list[str]:
    """Fill the column "speaker" of a table of clips, None if unknown; return remarks.

    "auto" uses the column if it has any, else names, else folds. If only some clips have no
    speaker, each of these counts as its own speaker.
    """
    given: list | None = frame["speaker"].tolist()
    if speaker != "auto" or frame["speaker"].isna().all():
        labels = frame["label"].where(is_word, None)
        given = find_speakers(root, frame["name"].tolist(), labels.tolist(), speaker)
    notes = []
    if given is None and speaker == "auto" and frame["fold"].notna().any():
        given = frame["fold"].tolist()
        notes.append("Folds are used as speakers: clips of one fold stay together.")
    given = [None] * len(frame) if given is None else given
    frame["speaker"] = pd.Series(given, frame.index, object)
    alone = frame["speaker"].isna()
    if alone.any() and not alone.all():
        notes.append(
            f"{alone.sum():,} of {len(frame):,} clips have no speaker, such as "
            f"{frame['name'][alone.idxmax()]}; each counts as its own speaker."
        )
        frame.loc[alone, "speaker"] = frame.loc[alone, "name"]
    return notes


def find_speakers(
    root: str,
    names: Sequence[str],
    labels: Sequence[str | None],
    speaker: str | FromPath | None,
) -> list | None:
    """Return the speaker or None for each clip; None if speakers are unknown.

    ``names`` are relative to ``root``; clips of other sounds have the label None.
    """
    if speaker is None:
        return None
    if speaker == "auto":
        return _recognise(names, labels)
    found = search(root, names, speaker, "speaker")
    if all(name is None for name in found):
        raise ValueError(
            f"speaker={speaker!r} finds no speaker in any of the {len(names)} names, such as "
            f"{names[0]!r}. Use another expression, or speaker=None."
        )
    return found


def search(root: str, names: Sequence[str], way: str | FromPath, what: str) -> list:
    """Return what an expression with one group, or a callable, finds in each name, or None."""
    if callable(way):
        return [way(os.path.join(root, name)) for name in names]
    if not isinstance(way, str):
        raise TypeError(f"{what}={way!r} must be a str, a callable or None.")
    pattern = _compile(way, what)
    return [_group(pattern.search(name)) for name in names]


def _recognise(names: Sequence[str], labels: Sequence[str | None]) -> list | None:
    stems = [os.path.splitext(name.rpartition("/")[2])[0] for name in names]
    hashed = [_group(_HASHED.fullmatch(stem)) for stem in stems]
    if len(set(hashed) - {None}) > 1:
        return hashed
    # Other sounds may be named after their subfolder.
    words = (label or name.split("/")[-2] for label, name in zip(labels, names, strict=True))
    numbered = [_after_label(stem, word) for stem, word in zip(stems, words, strict=True)]
    known = [
        name
        for name, label in zip(numbered, labels, strict=True)
        if name is not None and label is not None
    ]
    of_words = sum(label is not None for label in labels)
    return numbered if len(known) >= _MOST * of_words and len(set(known)) > 1 else None


def _after_label(stem: str, label: str) -> str | None:
    head = f"{label}_"
    return _group(_NUMBERED.fullmatch(stem, len(head))) if stem.startswith(head) else None


def _group(match: re.Match | None) -> str | None:
    # Interned, because a speaker has many clips.
    return sys.intern(match[1]) if match and match[1] else None


def _compile(expression: str, what: str) -> re.Pattern:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ValueError(
            f"{what}={expression!r} is not a regular expression: {error}."
        ) from error
    if pattern.groups != 1:
        raise ValueError(
            f"{what}={expression!r} has {pattern.groups} groups. Use exactly one, around "
            f"the {what}, as in '([^/]+)_take'."
        )
    return pattern
