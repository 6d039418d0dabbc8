"""Folders of sound files, one folder per label, as arrays of paths, labels and speakers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.speakers import SpeakerOf, find_speakers
from mixup_tab.audio.split_lists import read_subsets

ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
LEFT_OUT = (".", "_")
Reject = Callable[[str, str], None]


def load_audio_folder(
    root: str | os.PathLike,
    *,
    speaker: str | SpeakerOf | None = "auto",
    on_error: str = "raise",
) -> Bunch:
    r"""Return the sound files of a folder ``<root>/<label>/*.wav``, their labels and speakers.

    The clips stay on disk: what comes back are their paths, sorted by label and name. The label
    is the folder directly below ``root``; files may lie deeper. WAV, FLAC, OGG and MP3 are
    taken, whatever the case of their ending. Files and folders whose name begins with ``.`` or
    (folders) ``_``, such as ``_background_noise_``, are left out.

    Parameters
    ----------
    root : str or path-like
        The folder.
    speaker : str, callable or None, default="auto"
        Where a file says who speaks. "auto" knows names such as ``0a2b400e_nohash_1.wav``
        (Speech Commands) and ``7_theo_12.wav`` (``<label>_<speaker>_<number>``); it takes the
        form that at least 90 % of the names have, and finds nothing where there is no such
        form, or only one speaker. Any other str is a regular expression with one group,
        searched in ``<label>/<file>``. A callable gets the path as a str and returns the
        speaker, or None if there is none. None: do not look.
    on_error : {"raise", "skip"}, default="raise"
        What becomes of a file that cannot be opened, has 0 bytes, or lacks the speaker that
        the others have: "raise" stops at the first, "skip" leaves it out and lists it in
        ``skipped``. Sounds are not decoded here; whoever reads them finds damaged ones.

    Returns
    -------
    Bunch
        data : ndarray of str objects, shape (clips,)
            Paths, ``root`` in front.
        target : ndarray of str, shape (clips,)
            Labels.
        speakers : ndarray, shape (clips,), or None
            Who speaks: ``groups`` for :class:`~sklearn.model_selection.GroupKFold`, which then
            keeps the clips of a person together. None where names carry no speaker.
        subset : ndarray of {"train", "validation", "test"}, shape (clips,), or None
            As ``validation_list.txt`` and ``testing_list.txt`` in ``root`` say, one
            ``<label>/<file>`` a line; what they do not name is "train". None without lists.
        label_names : list of str
            Sorted.
        frame : DataFrame of shape (clips, 4)
            Columns path, label, speaker, subset; None where unknown.
        skipped : list of (path, reason)
            Files that could not be read.

    Raises
    ------
    ValueError
        If ``root`` is no folder, holds no sound files or only one label, has labels that differ
        only in case, no file name matches ``speaker``, the lists contradict each other, or a
        file is no good and ``on_error="raise"``.

    Notes
    -----
    A file costs one look at its size and permission. Two million of them need about a minute
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
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'.")
    root = _check_root(root)
    skipped: list[tuple[str, str]] = []

    def reject(path: str, reason: str) -> None:
        if on_error == "raise":
            raise ValueError(
                f"{path}: {reason}. Mend or remove it, or leave such files out with "
                "on_error='skip'."
            )
        skipped.append((path, reason))

    found = list(_scan(root, reject))
    _check_labels(root, [label for _, label in found], skipped)
    found, speakers = find_speakers(root, found, speaker, reject)
    paths = [path for path, _ in found]
    subset = read_subsets(root, paths)
    labels = [label for _, label in found]
    return as_bunch(clip_frame(paths, labels, speakers, subset), skipped)


def clip_frame(
    paths: list[str], labels: list[str], speakers: list | None, subset: list[str] | None
) -> pd.DataFrame:
    """Return one row per clip: path, label, speaker, subset.

    Parameters
    ----------
    paths, labels : list of str
        One of each per clip.
    speakers, subset : list or None
        The same, or None where nothing is known.

    Returns
    -------
    DataFrame of objects, shape (clips, 4)
    """
    columns = {"path": paths, "label": labels, "speaker": speakers, "subset": subset}
    return pd.DataFrame(columns, dtype=object)


def as_bunch(frame: pd.DataFrame, skipped: list[tuple[str, str]], **more: object) -> Bunch:
    """Return a table of clips in the form that all loaders of sound share.

    Parameters
    ----------
    frame : DataFrame
        As :func:`clip_frame` makes it.
    skipped : list of (path, reason)
        Files that were left out.
    **more
        Other entries of the Bunch.

    Returns
    -------
    Bunch
        See :func:`load_audio_folder`.
    """
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


def _check_root(root: str | os.PathLike) -> str:
    root = os.path.expanduser(os.fspath(root))
    if not os.path.isdir(root):
        what = "is not a folder" if os.path.exists(root) else "does not exist"
        raise ValueError(f"root={root!r} {what}. Give a folder that holds <label>/*.wav.")
    if not os.access(root, os.R_OK | os.X_OK):
        raise ValueError(f"root={root!r} may not be read. Give yourself leave to, or another.")
    return root


def _scan(root: str, reject: Reject) -> Iterator[tuple[str, str]]:
    """Yield path and label of the files that look sound, sorted."""
    for label in sorted(os.listdir(root)):
        folder = os.path.join(root, label)
        if label.startswith(LEFT_OUT) or not os.path.isdir(folder):
            continue
        for path in _sounds_below(folder, reject):
            reason = _fault(path)
            if reason:
                reject(path, reason)
            else:
                yield path, label


def _sounds_below(folder: str, reject: Reject) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        reject(str(error.filename), f"cannot be opened ({error.strerror})")

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith(LEFT_OUT))
        for name in sorted(files):
            if name.lower().endswith(ENDINGS) and not name.startswith("."):
                yield os.path.join(here, name)


def _fault(path: str) -> str | None:
    """Return what is wrong with a file as far as can be told without reading it."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if size == 0:
        return "is empty (0 bytes)"
    return None if os.access(path, os.R_OK) else "cannot be opened (Permission denied)"


def _check_labels(root: str, labels: list[str], skipped: list[tuple[str, str]]) -> None:
    names = sorted(set(labels))
    if not names:
        raise ValueError(
            f"root={root!r} holds no sound files that can be used{_hint(root, skipped)}. Lay "
            f"them out as <label>/<file>, with one of the endings {', '.join(ENDINGS)}."
        )
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(
                f"The labels {other!r} and {name!r} of root={root!r} differ only in case. Move "
                "their files into one folder, or rename one."
            )
    if len(names) == 1:
        raise ValueError(
            f"root={root!r} holds sounds of one label only, {names[0]!r}, and at least two are "
            "needed. Give the folder that holds the folders of the labels."
        )


def _hint(root: str, skipped: list[tuple[str, str]]) -> str:
    if skipped:
        path, reason = skipped[0]
        return f"; {len(skipped)} were left out, the first is {Path(path).name}, which {reason}"
    here = [name for name in os.listdir(root) if name.lower().endswith(ENDINGS)]
    return f" in folders of labels; {len(here)} lie in root itself" if here else ""
