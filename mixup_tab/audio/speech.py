"""Speech Commands: short spoken words by name."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.audio_folder import as_bunch, clip_frame, load_audio_folder
from mixup_tab.audio.silence import write_cuts
from mixup_tab.audio.sound_cards import SoundCard, sound_cards
from mixup_tab.audio.split_lists import LISTS, below, read_list
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.home import get_data_home
from mixup_tab.datasets.untar import untar

VERSIONS = ("v0.01", "v0.02")
TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
# Of the clips of the ten words, for each of the two other classes, as in the reference.
SHARE = 0.1
SPEAKER = r"([^/]+)_nohash_\d+"


def fetch_speech_commands(
    version: str = "v0.02",
    *,
    task: int | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    on_error: str = "raise",
) -> Bunch:
    """Return Google's Speech Commands, downloaded on first use, with its own split.

    Parameters
    ----------
    version : {"v0.01", "v0.02"}, default="v0.02"
        v0.01 has 30 words, v0.02 has 35 and more speakers.
    task : {10, 12, 30, 35} or None, default=None
        10: the words yes, no, up, down, left, right, on, off, stop, go. 12: these, "unknown"
        (other words) and "silence" (background noise), each a tenth as many clips as the ten
        have together, in each subset. 30: the words of v0.01. 35: those of v0.02. None: all
        words of the version.
    data_home : str or path-like, default=None
        Folder of downloads; see :func:`~mixup_tab.datasets.get_data_home`. The layout is
        torchaudio's: ``<data_home>/SpeechCommands/speech_commands_<version>/<word>/*.wav``. If
        that lies there already, nothing is downloaded, and ``data_home`` may be the ``root`` of
        ``torchaudio.datasets.SPEECHCOMMANDS``.
    download_if_missing : bool, default=True
        False raises OSError instead of downloading.
    on_error : {"raise", "skip"}, default="raise"
        As in :func:`~mixup_tab.audio.load_audio_folder`.

    Returns
    -------
    Bunch
        data, target, speakers, subset, label_names, frame, skipped
            As :func:`~mixup_tab.audio.load_audio_folder` describes them. ``subset`` follows the
            set's lists; no speaker is in two subsets. The "speaker" of silence is the stretch
            of noise that it is cut from.
        DESCR : str
            What the set is, its licence and citation.
        card : SoundCard
            What is known about it.
        url : str
            Address of the archive file.

    Raises
    ------
    ValueError
        For a version or task that is not known, or a folder in which words or files of the
        lists are missing.
    OSError
        If the set is not there and cannot be downloaded; says which file to put where.

    Notes
    -----
    The archive of v0.02 has 2.3 GB. It is verified by its checksum and unpacked whole or not at
    all; a download that broke off goes on where it was. It is kept beside the folder, and may
    be removed then.

    "unknown" takes the clips whose names have the smallest SHA-1. Silence is cut once, into
    ``<data_home>/SpeechCommands/speech_commands_<version>_silence``, one second each, at
    volumes spread over (0, 1): training clips from the first 80 % of each recording in
    ``_background_noise_``, validation and test clips from the next and the last 10 %. So the
    ten words of the test part are the official ones, and the two other classes are as large as
    those of the official test archive, but of other clips.

    References
    ----------
    .. [1] P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition",
       `arXiv:1804.03209 <https://arxiv.org/abs/1804.03209>`_.

    Examples
    --------
    >>> fetch_speech_commands(
    ...     data_home="no-such-folder", download_if_missing=False
    ... )  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    OSError: no-such-folder/speech_commands_v0.02.tar.gz is not there, and ...
    """
    words = _words(version, task)
    card = sound_cards()[f"speech-commands-{version}"]
    tree = _tree(version, card, get_data_home(data_home), download_if_missing)
    clips = load_audio_folder(tree, speaker=SPEAKER, on_error=on_error)
    _check_whole(tree, clips, {*words, *(card.labels if task == 12 else ())})
    spoken = clips.frame[clips.frame["label"].isin(words)]
    frames = [spoken]
    if task == 12:
        counts = _counts(spoken)
        others = clips.frame[clips.frame["label"].isin({*card.labels} - {*words})]
        frames += [_unknown(tree, others, counts), _silence(tree, counts)]
    return as_bunch(
        pd.concat(frames, ignore_index=True),
        clips.skipped,
        DESCR=card.description(),
        card=card,
        url=card.url,
    )


def _words(version: str, task: int | None) -> tuple[str, ...]:
    if version not in VERSIONS:
        raise ValueError(f"version={version!r} must be one of {', '.join(VERSIONS)}.")
    first, second = (tuple(sound_cards()[f"speech-commands-{v}"].labels) for v in VERSIONS)
    tasks = {10: TEN, 12: TEN, 30: first} | ({35: second} if version == "v0.02" else {})
    tasks[None] = first if version == "v0.01" else second
    if task not in tasks:
        known = ", ".join(map(str, tasks))
        raise ValueError(f"task={task!r} must be one of {known} for version={version!r}.")
    return tasks[task]


def _tree(version: str, card: SoundCard, home: Path, download_if_missing: bool) -> Path:
    name = f"speech_commands_{version}"
    folder, archive = home / "SpeechCommands" / name, home / f"{name}.tar.gz"
    if folder.is_dir():
        return folder
    fetch_file(
        card.url,
        archive,
        check=lambda path: None,  # the checksum says it all
        sha256=card.sha256,
        download_if_missing=download_if_missing,
    )
    try:
        untar(archive, folder)
    except ValueError as error:
        raise ValueError(f"{error}. Remove it, and fetch again.") from error
    return folder


def _check_whole(tree: Path, clips: Bunch, words: set[str]) -> None:
    """Refuse a folder that lacks lists, words, or files that the lists name."""
    remedy = f"Remove {tree} and fetch again, or put all of the archive there."
    if clips.subset is None:
        raise ValueError(f"{tree} has no {' or '.join(LISTS.values())}. {remedy}")
    lacking = sorted(words - set(clips.label_names))
    if lacking:
        raise ValueError(f"{tree} lacks the words {', '.join(lacking)}. {remedy}")
    here = {below(tree, path) for path in clips.data}
    here |= {below(tree, path) for path, _ in clips.skipped}
    named = set().union(*(read_list(tree / file) for file in LISTS.values()))
    missing = sorted(name for name in named - here if name.split("/")[0] in words)
    if missing:
        raise ValueError(
            f"{tree} lacks {len(missing)} files that its lists name, such as {missing[0]}. "
            f"{remedy}"
        )


def _counts(spoken: pd.DataFrame) -> dict[str, int]:
    """Return how many clips of each further class each subset gets."""
    sizes = spoken["subset"].value_counts()
    return {name: math.ceil(SHARE * sizes.get(name, 0)) for name in ("train", *LISTS)}


def _unknown(tree: Path, others: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Draw from the other words, always the same clips."""
    names = (below(tree, path) for path in others["path"])
    order = [hashlib.sha1(os.fsencode(name)).hexdigest() for name in names]
    drawn = others.assign(order=order, label=UNKNOWN).sort_values("order").drop(columns="order")
    parts = [drawn[drawn["subset"] == name].head(count) for name, count in counts.items()]
    return pd.concat(parts)


def _silence(tree: Path, counts: dict[str, int]) -> pd.DataFrame:
    folder = tree.with_name(f"{tree.name}_silence")
    try:
        cuts = write_cuts(tree / "_background_noise_", folder, counts)
    except OSError as error:
        raise OSError(
            f"The clips of silence cannot be written to {folder} ({error}). Make room or give "
            "leave to write there, or choose task=10."
        ) from error
    return clip_frame(
        [str(folder / cut.file) for cut in cuts],
        [SILENCE] * len(cuts),
        [cut.source for cut in cuts],
        [cut.subset for cut in cuts],
    )
