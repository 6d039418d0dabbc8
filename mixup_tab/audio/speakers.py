"""Who speaks in a sound file, as its name tells."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable

from mixup_tab.audio.split_lists import below

SpeakerOf = Callable[[str], object]
Clip = tuple[str, str]

# Of the names; a form that fewer have is taken for chance.
MOST = 0.9
# Some archives of Speech Commands have files that end in .wav.wav.
HASHED = re.compile(r"(.+)_nohash_\d+(?:\.wav)?")
NUMBERED = re.compile(r"(.+)_\d+")


def find_speakers(
    root: str,
    clips: list[Clip],
    speaker: str | SpeakerOf | None,
    reject: Callable[[str, str], None],
) -> tuple[list[Clip], list | None]:
    """Return the clips whose speaker is known, and the speakers.

    Parameters
    ----------
    root : str
        Folder that all paths begin with.
    clips : list of (path, label)
        The files.
    speaker : str, callable or None
        As in :func:`~mixup_tab.audio.load_audio_folder`.
    reject : callable
        Called with the path of a clip that has no speaker while others have, and the reason.

    Returns
    -------
    clips : list of (path, label)
        Without those rejected; all of them where no speakers are known.
    speakers : list or None
        One per clip.

    Raises
    ------
    ValueError
        If ``speaker`` is no regular expression with one group, or no clip has a speaker.
    TypeError
        If ``speaker`` is of another type.
    """
    found = _speakers(root, clips, speaker)
    if found is None:
        return clips, None
    if all(name is None for name in found):
        raise ValueError(
            f"speaker={speaker!r} finds no speaker in any of the {len(clips)} names, such as "
            f"{below(root, clips[0][0])!r}. Give another expression, or speaker=None."
        )
    for (path, _), name in zip(clips, found, strict=True):
        if name is None:
            reject(path, f"its name tells no speaker (speaker={speaker!r}), and others do")
    kept = [(clip, name) for clip, name in zip(clips, found, strict=True) if name is not None]
    return [clip for clip, _ in kept], [name for _, name in kept]


def _speakers(root: str, clips: list[Clip], speaker: str | SpeakerOf | None) -> list | None:
    if speaker is None:
        return None
    if callable(speaker):
        return [speaker(path) for path, _ in clips]
    if not isinstance(speaker, str):
        raise TypeError(f"speaker={speaker!r} must be a str, a callable or None.")
    if speaker == "auto":
        return _auto(clips)
    pattern = _compile(speaker)
    return [_group(pattern.search(below(root, path))) for path, _ in clips]


def _auto(clips: list[Clip]) -> list[str | None] | None:
    for form in (_hashed, _labelled):
        found = [form(_stem(path), label) for path, label in clips]
        known = [name for name in found if name is not None]
        if len(known) >= MOST * len(found) and len(set(known)) > 1:
            return found
    return None


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _hashed(name: str, label: str) -> str | None:
    return _group(HASHED.fullmatch(name))


def _labelled(name: str, label: str) -> str | None:
    head = f"{label}_"
    return _group(NUMBERED.fullmatch(name, len(head))) if name.startswith(head) else None


def _group(match: re.Match | None) -> str | None:
    # Interned: a speaker has many clips.
    return sys.intern(match[1]) if match and match[1] else None


def _compile(speaker: str) -> re.Pattern:
    try:
        pattern = re.compile(speaker)
    except re.error as error:
        raise ValueError(f"speaker={speaker!r} is no regular expression: {error}.") from error
    if pattern.groups != 1:
        raise ValueError(
            f"speaker={speaker!r} has {pattern.groups} groups. Put parentheses round the "
            "speaker, and nothing else, as in '([^/]+)_take'."
        )
    return pattern
