"""Folders of sound files: their labels, who speaks, and the folder's own split."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.files import check_on_error

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_IGNORED = (".", "_")
_LONGEST_LIST = 200_000_000  # bytes: millions of files
# Share of names that must have a form; in fewer it may be chance.
_MOST = 0.9
# Some archives of Speech Commands have files that end in .wav.wav.
_HASHED = re.compile(r"(.+)_nohash_\d+(?:\.wav)?")
_NUMBERED = re.compile(r"(.+)_\d+")

SpeakerOf = Callable[[str], object]
Reject = Callable[[str, str], None]


def load_audio_folder(
    root: str | os.PathLike,
    *,
    speaker: str | SpeakerOf | None = "auto",
    unknown: str | None = "_unknown_",
    noise: str | None = "_background_noise_",
    min_labels: int = 2,
    on_error: str = "raise",
) -> Bunch:
    r"""Return the sound files of a folder ``<root>/<label>/*.wav``, their labels and speakers.

    The clips stay on disk: only their paths are returned, sorted by label and name. The label
    is the folder directly below ``root``; files may lie deeper. WAV, FLAC, OGG and MP3 files
    are found, in upper or lower case. Files whose name begins with ``.`` and folders that begin
    with ``.`` or ``_``, such as ``_background_noise_``, are ignored.

    Parameters
    ----------
    root : str or path-like
        The folder.
    speaker : str, callable or None, default="auto"
        How to find the speaker of a file. "auto" knows names such as ``0a2b400e_nohash_1.wav``
        (Speech Commands) and ``7_theo_12.wav`` (``<label>_<speaker>_<number>``); it uses the
        form of at least 90 % of the names, and finds no speakers if there is no such form or
        only one speaker. Any other str is a regular expression with one group, searched in
        ``<label>/<file>``. A callable takes the path as a str and returns the speaker, or None
        if there is none. None: speakers are unknown.
    unknown, noise : str or None, default="_unknown_", "_background_noise_"
        Folders in ``root`` that are no words: clips of anything but the words, and recordings
        of background noise. They need not exist; None stands for no folder.
    min_labels : int, default=2
        Fewest labels that ``root`` must have; 1 allows a folder of one word.
    on_error : {"raise", "skip"}, default="raise"
        Files that cannot be opened, have 0 bytes, or lack the speaker that the others have:
        "raise" stops at the first, "skip" leaves them out and lists them in ``skipped``. Sounds
        are not decoded here; damaged ones are found when they are read.

    Returns
    -------
    Bunch
        data : ndarray of str objects, shape (clips,)
            Paths, including ``root``.
        target : ndarray of str, shape (clips,)
            Labels.
        speakers : ndarray, shape (clips,), or None
            Who speaks: ``groups`` for :class:`~sklearn.model_selection.GroupKFold`, which then
            keeps the clips of a person together. None if unknown.
        subset : ndarray of {"train", "validation", "test"}, shape (clips,), or None
            From ``validation_list.txt`` and ``testing_list.txt`` in ``root``, one
            ``<label>/<file>`` per line; all other files are "train". None without lists.
        label_names : list of str
            Sorted.
        frame : DataFrame of shape (clips, 4)
            Columns path, label, speaker, subset; None if unknown.
        skipped : list of (path, reason)
            Files that were left out.
        notes : list of str
            What should be known about the folder, in sentences.
        unknown, noise : list of str
            Sorted paths of the sound files in the two folders; empty without them.
        unknown_frame : DataFrame of shape (unknown clips, 3)
            Columns path, speaker, subset, as in ``frame``.

    Raises
    ------
    ValueError
        If ``root`` is not a folder, holds no sound files or only one label, has labels that
        differ only in case, no file name matches ``speaker``, the lists contradict each other,
        or a file is unusable and ``on_error="raise"``.

    Notes
    -----
    Only the size and permission of each file are read. Two million files need about a minute
    and 1 GB.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("no/no_ann_0.wav", "no/no_bob_0.wav", "yes/yes_ann_0.wav"):
    ...         path = os.path.join(root, name)
    ...         os.makedirs(os.path.dirname(path), exist_ok=True)
    ...         with open(path, "wb") as file:
    ...             _ = file.write(b"RIFF")
    ...     clips = load_audio_folder(root)
    >>> clips.target.tolist(), clips.speakers.tolist()
    (['no', 'no', 'yes'], ['ann', 'bob', 'ann'])
    """
    check_on_error(on_error)
    root = _check_root(root)
    skipped: list[tuple[str, str]] = []

    def reject(path: str, reason: str) -> None:
        if on_error == "raise":
            raise ValueError(
                f"{path}: {reason}. Fix or remove it, or leave out such files with "
                "on_error='skip'."
            )
        skipped.append((path, reason))

    words = _scan(root, {unknown, noise}, reject)
    frame = pd.DataFrame(words, columns=["path", "label"], dtype=object)
    _check_labels(root, frame["label"], skipped, min_labels)
    others = pd.DataFrame(_special(root, unknown, reject), columns=["path"], dtype=object)
    frame["speaker"] = _column(_find_speakers(root, frame, speaker), frame)
    if frame["speaker"].notna().any():
        nameless = frame["speaker"].isna()
        for path in frame.loc[nameless, "path"]:
            reject(path, f"its name has no speaker (speaker={speaker!r}), unlike the others")
        frame = frame[~nameless].reset_index(drop=True)
    others["speaker"] = _column(None, others)
    both = pd.concat([frame["path"], others["path"]], ignore_index=True)
    subsets = _column(_read_subsets(root, both.tolist()), both)
    frame["subset"] = subsets[: len(frame)]
    others["subset"] = subsets[len(frame) :].to_numpy()
    more = {"unknown": others["path"].tolist(), "unknown_frame": others, "notes": []}
    return as_bunch(frame, skipped, noise=list(_special(root, noise, reject)), **more)


def as_bunch(frame: pd.DataFrame, skipped: list[tuple[str, str]], **more: object) -> Bunch:
    """Return a table of clips as :func:`load_audio_folder` does, with further entries."""
    return Bunch(
        data=frame["path"].to_numpy(),
        target=np.array(frame["label"].tolist()),
        speakers=_known(frame["speaker"]),
        subset=_known(frame["subset"]),
        label_names=sorted(set(frame["label"])),
        frame=frame,
        skipped=skipped,
        **more,
    )


def _column(values: list | None, frame: pd.DataFrame) -> pd.Series:
    values = [None] * len(frame) if values is None else values
    return pd.Series(values, index=frame.index, dtype=object)


def _known(column: pd.Series) -> np.ndarray | None:
    return None if column.isna().any() else np.array(column.tolist())


# -------------------------------------------------------------------- files and labels


def _check_root(root: str | os.PathLike) -> str:
    root = os.path.expanduser(os.fspath(root))
    if not os.path.isdir(root):
        problem = "is not a folder" if os.path.exists(root) else "does not exist"
        raise ValueError(f"root={root!r} {problem}. Give a folder that holds <label>/*.wav.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise ValueError(f"root={root!r} has no read permission. Change it, or give another.")
    return root


def _scan(root: str, special: set[str | None], reject: Reject) -> Iterator[tuple[str, str]]:
    """Yield path and label of the usable sound files, sorted."""
    for label in sorted(os.listdir(root)):
        folder = os.path.join(root, label)
        if label.startswith(_IGNORED) or label in special or not os.path.isdir(folder):
            continue
        for path in _usable_below(folder, reject):
            yield path, label


def _special(root: str, name: str | None, reject: Reject) -> Iterator[str]:
    """Yield the usable sound files of a folder that is no word, and may be missing."""
    if name is not None and os.path.isdir(folder := os.path.join(root, name)):
        yield from _usable_below(folder, reject)


def _usable_below(folder: str, reject: Reject) -> Iterator[str]:
    for path in _sounds_below(folder, reject):
        reason = _fault(path)
        if reason:
            reject(path, reason)
        else:
            yield path


def _sounds_below(folder: str, reject: Reject) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        reject(str(error.filename), f"cannot be opened ({error.strerror})")

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith(_IGNORED))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield os.path.join(here, name)


def _fault(path: str) -> str | None:
    """Return what is wrong with a file, without reading it."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if size == 0:
        return "is empty (0 bytes)"
    return None if os.access(path, os.R_OK) else "cannot be opened (Permission denied)"


def _check_labels(
    root: str, labels: Iterable[str], skipped: list[tuple[str, str]], min_labels: int
) -> None:
    names = sorted(set(labels))
    if not names:
        raise ValueError(
            f"root={root!r} holds no usable sound files{_hint(root, skipped)}. Arrange them as "
            f"<label>/<file>, with one of the endings {', '.join(ENDINGS)}."
        )
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"The labels {other!r} and {name!r} of root={root!r} differ only in case. Move "
                "their files into one folder, or rename one."
            )
    if len(names) < min_labels:
        raise ValueError(
            f"root={root!r} has only one label, {names[0]!r}, and at least two are needed. "
            "Give the parent folder of the labels' folders."
        )


def _hint(root: str, skipped: list[tuple[str, str]]) -> str:
    if skipped:
        path, reason = skipped[0]
        return f"; {len(skipped)} were left out, the first, {Path(path).name}, {reason}"
    here = [name for name in os.listdir(root) if name.lower().endswith(ENDINGS)]
    return f" in folders of labels; {len(here)} lie in root itself" if here else ""


# ---------------------------------------------------------------------------- speakers


def _find_speakers(
    root: str, frame: pd.DataFrame, speaker: str | SpeakerOf | None
) -> list | None:
    """Return the speaker or None for each clip; None if speakers are unknown."""
    if speaker is None:
        return None
    paths = frame["path"]
    if callable(speaker):
        found = [speaker(path) for path in paths]
    elif not isinstance(speaker, str):
        raise TypeError(f"speaker={speaker!r} must be a str, a callable or None.")
    elif speaker == "auto":
        return _recognise_speakers(paths, frame["label"])
    else:
        pattern = _compile(speaker)
        found = [_group(pattern.search(below(root, path))) for path in paths]
    if all(name is None for name in found):
        raise ValueError(
            f"speaker={speaker!r} finds no speaker in any of the {len(paths)} names, such as "
            f"{below(root, paths[0])!r}. Give another expression, or speaker=None."
        )
    return found


def _recognise_speakers(paths: Iterable[str], labels: Iterable[str]) -> list | None:
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    hashed = [_group(_HASHED.fullmatch(stem)) for stem in stems]
    numbered = [_after_label(*pair) for pair in zip(stems, labels, strict=True)]
    for found in (hashed, numbered):
        known = [name for name in found if name is not None]
        if len(known) >= _MOST * len(found) and len(set(known)) > 1:
            return found
    return None


def _after_label(stem: str, label: str) -> str | None:
    head = f"{label}_"
    return _group(_NUMBERED.fullmatch(stem, len(head))) if stem.startswith(head) else None


def _group(match: re.Match | None) -> str | None:
    # Interned: a speaker has many clips.
    return sys.intern(match[1]) if match and match[1] else None


def _compile(speaker: str) -> re.Pattern:
    try:
        pattern = re.compile(speaker)
    except re.error as error:
        raise ValueError(
            f"speaker={speaker!r} is not a regular expression: {error}."
        ) from error
    if pattern.groups != 1:
        raise ValueError(
            f"speaker={speaker!r} has {pattern.groups} groups. Put parentheses around the "
            "speaker, and nothing else, as in '([^/]+)_take'."
        )
    return pattern


# ------------------------------------------------------------------------------- lists


def below(root: str | os.PathLike, path: str) -> str:
    """Return a path relative to the folder that it begins with, with forward slashes."""
    # Not pathlib: there may be millions of them.
    return path[len(os.fspath(root)) :].replace(os.sep, "/").lstrip("/")


def read_list(path: Path) -> set[str]:
    """Return the files ``<label>/<file>`` that a list names; none if there is no list."""
    if not path.is_file():
        return set()
    try:
        if path.stat().st_size > _LONGEST_LIST:
            raise ValueError(f"it has more than {_LONGEST_LIST:,} bytes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as text ({error}). Fix or remove it."
        ) from error
    stripped = (line.strip().replace("\\", "/") for line in lines)
    return {str(PurePosixPath(line)) for line in stripped if line}


def _read_subsets(root: str, paths: list[str]) -> list[str] | None:
    """Return "train", "validation" or "test" for each file; None without lists."""
    lists = {name: read_list(Path(root, file)) for name, file in LISTS.items()}
    if not any(lists.values()):
        return None
    both = lists["validation"] & lists["test"]
    if both:
        raise ValueError(
            f"{' and '.join(LISTS.values())} in {root} both name {min(both)!r}. Remove it from "
            "one of them."
        )
    subset_of = {file: name for name, files in lists.items() for file in files}
    names = [below(root, path) for path in paths]
    subsets = [subset_of.get(name, "train") for name in names]
    if set(subsets) == {"train"}:
        raise ValueError(
            f"The lists in {root} name none of its files; they name {next(iter(subset_of))!r}, "
            f"and the files are like {names[0]!r}. Fix or remove them."
        )
    return subsets
