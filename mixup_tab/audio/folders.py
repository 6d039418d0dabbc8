"""Folders of sound files: labels, speakers, and the folder's own split."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.files import check_on_error
from mixup_tab.audio.labels import is_table, labels_from_names, labels_from_table
from mixup_tab.audio.layouts import denied_label, part_of, read_layout
from mixup_tab.audio.lists import add_subsets, below, plain
from mixup_tab.audio.sound_files import Found, Reject, fault, find_sounds
from mixup_tab.audio.speakers import FromPath, add_speakers

_SILENCE = "_silence_"  # the only word that may begin with _
SPECIAL = {"unknown": "_unknown_", "noise": "_background_noise_"}  # optional folders


def load_audio_folder(
    root: str | os.PathLike,
    *,
    label: str | os.PathLike | pd.DataFrame | FromPath = "folder",
    columns: Mapping[str, str] | None = None,
    speaker: str | FromPath | None = "auto",
    unknown: str | None = "_unknown_",
    noise: str | None = "_background_noise_",
    min_labels: int = 2,
    on_error: str = "raise",
) -> Bunch:
    r"""Return the sound files of a folder, their labels and speakers.

    Only paths are returned, sorted by label and name; the clips stay on disk. Finds all formats
    of libsndfile, such as WAV, FLAC, OGG, Opus, MP3 and AIFF. Links to folders are followed,
    and each folder is read once. Files that begin with ``.``, folders that begin with ``.`` or
    ``_``, and system files such as ``@eaDir`` are ignored.

    Parameters
    ----------
    root : str or path-like
        The folder.
    label : str, callable, path-like or DataFrame, default="folder"
        Where to find the label of a file. "folder": the folder directly below ``root``; files
        may lie deeper. Folders of parts (``train/<label>/``, ``<label>/test/``) and folds
        (``fold1/<label>/``) are recognised, unless sounds lie directly in them. A path, or a
        str that ends in ``.csv``, ``.tsv`` or ``.txt``: a table with one row per file, and
        columns for the file, the label and perhaps the speaker, fold or part. Any other str is
        a regular expression with one group, searched in the path below ``root``. A callable
        takes the path as a str and returns the label, or None.
    columns : dict or None, default=None
        Names of the table's columns for "file", "label", "speaker", "fold" and "split"; common
        names are recognised without it.
    speaker : str, callable or None, default="auto"
        How to find the speaker of a file. "auto" takes the column of a table; or else names
        such as ``0a2b400e_nohash_1.wav`` (Speech Commands) and ``7_theo_12.wav``
        (``<label>_<speaker>_<number>``, if at least 90 % have that form) of at least two
        speakers; or else folds. Any other str is a regular expression with one group, searched
        in the path below ``root``. A callable takes the path as a str and returns the speaker,
        or None. If only some files have no speaker, each of these counts as its own speaker.
        None: speakers are unknown.
    unknown, noise : str or None, default="_unknown_", "_background_noise_"
        Folders in ``root`` that are not words: clips of anything but the words, and recordings
        of background noise. The default folders are optional; None means no folder. A folder
        ``not-<label>`` beside ``<label>`` also counts as ``unknown``.
    min_labels : int, default=2
        Minimum number of labels in ``root``; 1 allows a single word.
    on_error : {"raise", "skip"}, default="raise"
        For files that cannot be opened or are empty, names without a label, and words without
        a readable format: "raise" stops at the first, "skip" leaves them out and lists them in
        ``skipped``. Sounds are not decoded here, so damaged ones are found when they are read.

    Returns
    -------
    Bunch
        data : ndarray of str objects, shape (clips,)
            Paths, including ``root``.
        target : ndarray of str, shape (clips,)
            Labels.
        speakers : ndarray, shape (clips,), or None
            Who speaks. As ``groups`` of :class:`~sklearn.model_selection.GroupKFold`, they keep
            the clips of a person together. None if unknown.
        subset : ndarray of {"train", "validation", "test"}, shape (clips,), or None
            The part of each clip, from a table's column; from ``validation_list.txt`` and
            ``testing_list.txt`` in ``root``, one ``<label>/<file>`` per line; or from folders.
            All other files are "train". None if there are no parts.
        label_names : list of str
            Sorted.
        frame : DataFrame of shape (clips, 4)
            Columns path, label, speaker, subset; None if unknown.
        skipped : list of (path, reason)
            Files that were left out.
        lost_labels : list of str
            Labels that have lost all their files.
        notes : list of str
            Remarks on the folder, in sentences.
        unknown, noise : list of str
            Sorted paths of the sound files in the two folders; empty without them.
        unknown_frame : DataFrame of shape (unknown clips, 3)
            Columns path, speaker, subset, as in ``frame``.

    Raises
    ------
    ValueError
        If ``root`` is not a folder, or has no sound files, too few labels, or labels that
        differ only in case; if ``label``, ``speaker``, ``unknown`` or ``noise`` finds nothing;
        if the table or the lists contradict themselves; or if a file is unusable and
        ``on_error="raise"``.

    Notes
    -----
    Of each file, only size and permissions are read. Two million files take about a minute and
    1 GB.

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
    if columns and not is_table(label):
        raise ValueError(f"columns={columns!r} needs a table of labels. Pass one as label.")
    root = _check_root(root)
    skipped: list[tuple[str, str]] = []
    reject = partial(_reject, skipped, on_error)
    special = {name for name in (unknown, noise) if name is not None}
    found = find_sounds(root, reject, partial(_is_read, root, special))
    if isinstance(label, str) and label == "folder":
        frame, notes = _by_folders(found, special, reject)
    else:
        frame, notes = _by_label(found, label, columns, special, reject)
    frame, lost = _usable(frame, reject)
    frame["label"], remarks = _plain_labels(frame["label"], unknown)
    notes += [*found.notes(), *remarks]
    _check_special(root, frame["label"], unknown=unknown, noise=noise)
    recordings = frame.loc[frame["label"] == noise, "path"].tolist()
    frame = frame[frame["label"] != noise].reset_index(drop=True)
    is_word = frame["label"] != unknown
    _check_labels(root, frame.loc[is_word, "label"], skipped, found, min_labels)
    notes += add_speakers(root, frame, is_word, speaker)
    left_out = [below(root, path) for path, _ in skipped]
    notes += add_subsets(root, frame, left_out, lists=not is_table(label))
    words = frame[is_word].sort_values("label", kind="stable", ignore_index=True)
    others = frame[~is_word].reset_index(drop=True)
    return as_bunch(
        words[["path", "label", "speaker", "subset"]],
        skipped,
        lost_labels=sorted(lost - special),
        notes=notes,
        unknown=others["path"].tolist(),
        unknown_frame=others[["path", "speaker", "subset"]],
        noise=recordings,
    )


def as_bunch(frame: pd.DataFrame, skipped: list[tuple[str, str]], **more: object) -> Bunch:
    """Return a table of clips as the Bunch of :func:`load_audio_folder`, with more entries."""
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


def _known(column: pd.Series) -> np.ndarray | None:
    return None if column.isna().any() else np.array(column.tolist())


# -------------------------------------------------------------------- files and labels


def _reject(skipped: list[tuple[str, str]], on_error: str, path: str, reason: str) -> None:
    if on_error == "raise":
        raise ValueError(
            f"{path}: {reason}. Fix or remove it, or leave out such files with on_error='skip'."
        )
    skipped.append((path, reason))


def _check_root(root: str | os.PathLike) -> str:
    root = os.path.expanduser(os.fspath(root))
    if not os.path.isdir(root):
        problem = "is not a folder" if os.path.exists(root) else "does not exist"
        raise ValueError(f"root={root!r} {problem}. It must be a folder with <label>/*.wav.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise ValueError(
            f"root={root!r} has no read permission. Allow reading, or choose another folder."
        )
    return root


def _is_read(root: str, special: set[str], here: str, name: str) -> bool:
    """Whether to read a folder whose name begins with ``_``, inside of another one."""
    words_here = here == root or part_of(os.path.basename(here)) is not None
    return words_here and (name in special or name == _SILENCE)


def _by_folders(
    found: Found, special: set[str], reject: Reject
) -> tuple[pd.DataFrame, list[str]]:
    """Return path, name, label, speaker, subset and fold of the clips, and remarks."""
    frame = _files(found.root, [*found.sounds, *found.convertible])
    layout = read_layout(frame["name"].tolist(), special)
    places = pd.DataFrame(layout.places, columns=["label", "subset", "fold"], dtype=object)
    frame = frame.join(places).assign(speaker=None)
    notes = [layout.note] if layout.note else []
    frame, unread = frame[: len(found.sounds)], frame[len(found.sounds) :]
    for word in sorted({*unread["label"]} - {*frame["label"]} - {None}):
        paths = unread.loc[unread["label"] == word, "path"].tolist()
        reason = f"word {word!r} has no sounds that can be read. {found.how_to_convert(paths)}"
        reject(os.path.dirname(paths[0]), reason)
    in_root = frame["label"].isna()
    if in_root.any():
        notes.append(
            f"Sound files without a label, in the folder itself, left out: {in_root.sum():,}."
        )
    return frame[~in_root].reset_index(drop=True), notes


def _by_label(
    found: Found,
    label: Any,
    columns: Mapping[str, str] | None,
    special: set[str],
    reject: Reject,
) -> tuple[pd.DataFrame, list[str]]:
    """Return the same, with labels from a table or from names."""
    frame = _files(found.root, found.sounds)
    heads = np.array([name.partition("/")[0] for name in frame["name"]], object)
    inside = np.array([head in special for head in heads], bool)
    names = frame.loc[~inside, "name"].tolist()
    notes: list[str] = []
    if is_table(label):
        facts, notes = labels_from_table(names, label, columns)
    else:
        facts = labels_from_names(found.root, names, label)
        for name in np.array(names, object)[facts["label"].isna()]:
            reject(os.path.join(found.root, name), f"its name has no label (label={label!r})")
    frame = frame.join(facts.set_axis(frame.index[~inside]))
    frame = frame.where(frame.notna(), None)
    frame.loc[inside, "label"] = heads[inside]
    found.others.clear()  # the table may be one of them
    return frame[frame["label"].notna()].reset_index(drop=True), notes


def _files(root: str, paths: list[str]) -> pd.DataFrame:
    names = [below(root, path) for path in paths]
    return pd.DataFrame({"path": paths, "name": names}, dtype=object)


def _usable(frame: pd.DataFrame, reject: Reject) -> tuple[pd.DataFrame, set[str]]:
    """Return the clips whose files can be opened, and the labels that this loses."""
    reasons = [fault(path) for path in frame["path"]]
    for path, reason in zip(frame["path"], reasons, strict=True):
        if reason:
            reject(path, reason)
    kept = frame[np.array([reason is None for reason in reasons], bool)]
    return kept.reset_index(drop=True), {*frame["label"]} - {*kept["label"]}


def _plain_labels(labels: pd.Series, unknown: str | None) -> tuple[pd.Series, list[str]]:
    """Merge labels that differ only in their Unicode encoding; also return remarks."""
    names = {label: plain(label) for label in sorted(labels.unique())}
    alike = {
        word: [label for label in names if names[label] == word] for word in names.values()
    }
    notes = [
        f"The labels {', '.join(map(ascii, spellings))} are encodings of one word, {word!r}."
        for word, spellings in alike.items()
        if len(spellings) > 1
    ]
    denied = denied_label(names)
    if unknown is not None and denied is not None:
        names[denied] = unknown
        notes.append(f"The clips of {denied!r} are treated as other sounds, not as a word.")
    elif set(names.values()) == {"positive", "negative"}:
        notes.append(
            "If the clips of 'negative' are other sounds than a word, use unknown='negative' "
            "(--unknown-folder negative)."
        )
    return pd.Series([names[label] for label in labels], labels.index, object), notes


def _check_special(root: str, labels: pd.Series, **special: str | None) -> None:
    """Raise ValueError if a folder of other sounds does not exist."""
    for role, name in special.items():
        if name not in (None, SPECIAL[role]) and not (labels == name).any():
            raise ValueError(
                f"{role}={name!r}: root={root!r} has no folder of this name with sounds in it."
            )


def _check_labels(
    root: str,
    labels: Iterable[str],
    skipped: list[tuple[str, str]],
    found: Found,
    min_labels: int,
) -> None:
    names = sorted(set(labels))
    if not names:
        raise ValueError(
            f"root={root!r} holds no usable sound files{_hint(root, skipped, found)}. Arrange "
            "them as <label>/<file>, in a format such as WAV, FLAC or MP3; or give a table of "
            "labels (label=, --labels) or an expression for names (label=, --label-pattern)."
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
            f"root={root!r} has only one label, {names[0]!r}, but needs at least two. It must "
            "be the parent of the folders of labels."
        )


def _hint(root: str, skipped: list[tuple[str, str]], found: Found) -> str:
    if skipped:
        path, reason = skipped[0]
        return f"; {len(skipped)} were left out, the first, {Path(path).name}, {reason}"
    here = sum("/" not in below(root, path) for path in found.sounds)
    return f" in folders of labels; {here} lie in root itself" if here else ""
