"""Google's Speech Commands: download, words, and the classes "unknown" and "silence"."""

from __future__ import annotations

import hashlib
import io
import math
import os
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab._extras import import_extra
from mixup_tab._files import new_folder
from mixup_tab.audio.files import read_clip
from mixup_tab.audio.folders import as_bunch, load_audio_folder
from mixup_tab.audio.lists import LISTS, below, read_list
from mixup_tab.audio.waveforms import to_int16
from mixup_tab.datasets.archives import untar
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.home import facts, get_data_home

VERSIONS = ("v0.01", "v0.02")
TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
# Size of each of these two classes relative to the ten words together, as in the reference.
_SHARE = 0.1
_SPEAKER = r"([^/]+)_nohash_\d+"
_RATE = 16_000
# Sections of each noise recording, so that subsets share no noise.
_STRETCHES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
_SIZE_LIMIT = 6e9  # the sets unpack to 3.5 GB at most
_TIME_LIMIT = 14_400.0
_SHORTEST = 11  # seconds: the smallest section then has more than one
# Volumes are its multiples modulo 1, which are spread evenly over (0, 1).
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class SoundCard:
    """Facts about one set of sounds, from ``datasets/speech/*.toml``."""

    name: str  # of the card's file
    title: str
    page: str
    url: str  # of the archive file
    licence: str
    citation: str
    clips: int
    speakers: int
    sample_rate: int  # in Hz
    split: str  # which clips are for testing
    layout: str  # where files lie
    labels: list[str]  # the words
    sha256: str | None = None  # of the archive file
    note: str = ""

    def description(self) -> str:
        """Return size, split, source, licence and citation as text."""
        lines = [
            f"{self.title}\n",
            f"{self.clips:,} clips of {len(self.labels)} words by {self.speakers:,} speakers, "
            f"{self.sample_rate:,} Hz.",
            f"Split: {self.split}.",
            f"Layout: {self.layout}.",
            self.note,
            f"Source: {self.page}, {self.url}",
            f"Licence: {self.licence}",
            f"Cite: {self.citation}",
        ]
        return "\n".join(line for line in lines if line)


@cache
def sound_cards() -> dict[str, SoundCard]:
    """Return the cards of all sets of sounds by name."""
    paths = sorted(facts("speech").glob("*.toml"))
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    return {name: SoundCard(name=name, **tomllib.loads(text)) for name, text in texts.items()}


def fetch_speech_commands(
    version: str = "v0.02",
    *,
    task: int | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    on_error: str = "raise",
    size_limit: float = _SIZE_LIMIT,
    time_limit: float = _TIME_LIMIT,
) -> Bunch:
    """Return Google's Speech Commands, downloaded on first use, with their official split.

    Parameters
    ----------
    version : {"v0.01", "v0.02"}, default="v0.02"
        v0.01 has 30 words, v0.02 has 35 and more speakers.
    task : {10, 12, 30, 35} or None, default=None
        10: the words yes, no, up, down, left, right, on, off, stop, go. 12: these, "unknown"
        (other words) and "silence" (background noise), each with a tenth as many clips as the
        ten have together, in each subset. 30: the words of v0.01. 35: those of v0.02. None: all
        words of the version.
    data_home : str or path-like, default=None
        Folder of downloads; see :func:`~mixup_tab.datasets.get_data_home`. The layout is
        torchaudio's: ``<data_home>/SpeechCommands/speech_commands_<version>/<word>/*.wav``. If
        that folder exists, nothing is downloaded, and ``data_home`` may be the ``root`` of
        ``torchaudio.datasets.SPEECHCOMMANDS``.
    download_if_missing : bool, default=True
        False raises OSError instead of downloading.
    on_error : {"raise", "skip"}, default="raise"
        As in :func:`~mixup_tab.audio.load_audio_folder`.
    size_limit : float, default=6e9
        Maximum size in bytes of the archive file, and of its unpacked content.
    time_limit : float, default=14_400.0
        Maximum time of a download in seconds: four hours.

    Returns
    -------
    Bunch
        data, target, speakers, subset, label_names, frame, skipped, noise
            As in :func:`~mixup_tab.audio.load_audio_folder`. ``subset`` follows the set's
            lists; no speaker is in two subsets. The "speaker" of silence is the section of
            noise that it is cut from.
        DESCR : str
            Description, licence and citation.
        card : SoundCard
            Facts about the set.
        url : str
            Address of the archive file.

    Raises
    ------
    ValueError
        If the version or task is unknown, or the folder lacks words or files of the lists.
    OSError
        If the set is missing and cannot be downloaded; the message says how to do it manually.

    Notes
    -----
    The archive of v0.02 has 2.3 GB. It is verified by its checksum and unpacked completely or
    not at all; the next call resumes a broken download. The archive is kept beside the folder
    and may be deleted.

    "unknown" takes the clips whose names have the smallest SHA-1. Silence is cut once, into
    ``<data_home>/SpeechCommands/speech_commands_<version>_silence``, one second each, at
    volumes spread over (0, 1): training clips from the first 80 % of each recording in
    ``_background_noise_``, validation and test clips from the next and the last 10 %. So the
    ten words of the test part are the official ones; the two other classes are as large as in
    the official test archive, but have other clips.

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
    OSError: no-such-folder/speech_commands_v0.02.tar.gz does not exist and ...
    """
    words = _words(version, task)
    card = sound_cards()[f"speech-commands-{version}"]
    home = get_data_home(data_home)
    tree = _tree(version, card, home, download_if_missing, size_limit, time_limit)
    clips = load_audio_folder(tree, speaker=_SPEAKER, on_error=on_error)
    _check_complete(tree, clips, {*words, *(card.labels if task == 12 else ())})
    spoken = clips.frame[clips.frame["label"].isin(words)]
    frames = [spoken]
    if task == 12:
        sizes = spoken["subset"].value_counts()
        counts = {name: math.ceil(_SHARE * sizes.get(name, 0)) for name in ("train", *LISTS)}
        others = clips.frame[clips.frame["label"].isin({*card.labels} - {*words})]
        frames += [_unknown(tree, others, counts), _silence(tree, counts)]
    frame = pd.concat(frames, ignore_index=True)
    facts = {"DESCR": card.description(), "card": card, "url": card.url}
    clips.update(as_bunch(frame, clips.skipped, **facts))
    return clips


def _words(version: str, task: int | None) -> tuple[str, ...]:
    if version not in VERSIONS:
        raise ValueError(f"version={version!r} must be one of {', '.join(VERSIONS)}.")
    first, second = (tuple(sound_cards()[f"speech-commands-{v}"].labels) for v in VERSIONS)
    tasks: dict[int | None, tuple[str, ...]] = {10: TEN, 12: TEN, 30: first}
    tasks |= {None: first} if version == "v0.01" else {35: second, None: second}
    if task not in tasks:
        known = ", ".join(map(str, tasks))
        raise ValueError(f"task={task!r} must be one of {known} for version={version!r}.")
    return tasks[task]


def _tree(
    version: str,
    card: SoundCard,
    home: Path,
    download_if_missing: bool,
    size_limit: float,
    time_limit: float,
) -> Path:
    """Return the unpacked folder, downloading it if necessary."""
    name = f"speech_commands_{version}"
    folder, archive = home / "SpeechCommands" / name, home / f"{name}.tar.gz"
    if folder.is_dir():
        return folder
    fetch_file(
        card.url,
        archive,
        sha256=card.sha256,
        download_if_missing=download_if_missing,
        size_limit=size_limit,
        time_limit=time_limit,
    )
    try:
        untar(archive, folder, size_limit)
    except ValueError as error:
        raise ValueError(f"{archive}: {error}. Delete it and fetch again.") from error
    return folder


def _check_complete(tree: Path, clips: Bunch, words: set[str]) -> None:
    """Raise ValueError if a folder lacks lists, words, or files that the lists name."""
    remedy = f"Delete {tree} and fetch again, or put the complete archive there."
    if clips.subset is None:
        raise ValueError(f"{tree} has no {' or '.join(LISTS.values())}. {remedy}")
    lacking = sorted(words - set(clips.label_names))
    if lacking:
        raise ValueError(f"{tree} lacks the words {', '.join(lacking)}. {remedy}")
    found = {below(tree, path) for path in clips.data}
    found |= {below(tree, path) for path, _ in clips.skipped}
    named = set().union(*(read_list(tree / file) for file in LISTS.values()))
    missing = sorted(name for name in named - found if name.split("/")[0] in words)
    if missing:
        raise ValueError(
            f"{tree} lacks {len(missing)} files of its lists, such as {missing[0]}. {remedy}"
        )


def _unknown(tree: Path, others: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Choose clips of the other words, always the same ones."""
    names = (below(tree, path) for path in others["path"])
    order = [hashlib.sha1(os.fsencode(name)).hexdigest() for name in names]
    chosen = others.assign(order=order, label=UNKNOWN).sort_values("order")
    parts = [chosen[chosen["subset"] == name].head(count) for name, count in counts.items()]
    return pd.concat(parts).drop(columns="order")


# ----------------------------------------------------------------------------- silence


@dataclass(frozen=True)
class SilenceClip:
    """The ``index``-th of ``count`` clips from one recording's section for a subset."""

    noise: str
    subset: str
    index: int
    count: int
    volume: float

    @property
    def file(self) -> str:
        """Its path in the folder of all such clips."""
        return f"{self.subset}/{self.noise}_{self.index:05d}.wav"


def _silence(tree: Path, counts: dict[str, int]) -> pd.DataFrame:
    folder = tree.with_name(f"{tree.name}_silence")
    try:
        clips = _write_silence(tree / "_background_noise_", folder, counts)
    except OSError as error:
        raise OSError(
            f"The clips of silence cannot be written to {folder} ({error}). Make room or allow "
            "writing there, or choose task=10."
        ) from error
    rows = [
        (str(folder / clip.file), SILENCE, f"{clip.noise}-{clip.subset}", clip.subset)
        for clip in clips
    ]
    return pd.DataFrame(rows, columns=["path", "label", "speaker", "subset"], dtype=object)


def plan_silence(noises: Sequence[str], counts: dict[str, int]) -> list[SilenceClip]:
    """Return the clips to cut from recordings, which take turns; always the same ones.

    Examples
    --------
    >>> [clip.file for clip in plan_silence(["hum", "tap"], {"test": 3})]
    ['test/hum_00000.wav', 'test/tap_00000.wav', 'test/hum_00001.wav']
    """
    turns = len(noises)
    return [
        SilenceClip(
            noise=noises[number % turns],
            subset=subset,
            index=number // turns,
            count=(count - 1 - number % turns) // turns + 1,
            volume=(number + 1) * _GOLDEN % 1,
        )
        for subset, count in counts.items()
        for number in range(count)
    ]


def _write_silence(recordings: Path, folder: Path, counts: dict[str, int]) -> list[SilenceClip]:
    """Cut one-second clips from recordings and write them, unless they exist."""
    paths = {path.stem: path for path in sorted(recordings.glob("*.wav"))}
    if not paths:
        raise ValueError(
            f"{recordings} holds no recordings (*.wav) to cut silence from. Restore those of "
            "the archive, or choose a task without silence."
        )
    clips = plan_silence(list(paths), counts)
    if all((folder / clip.file).is_file() for clip in clips):
        return clips
    with new_folder(folder) as new:
        for subset in counts:
            (new / subset).mkdir()
        for noise, path in paths.items():
            _cut(path, new, [clip for clip in clips if clip.noise == noise])
        shutil.rmtree(folder, ignore_errors=True)  # with other numbers of clips
    return clips


def _cut(path: Path, folder: Path, clips: list[SilenceClip]) -> None:
    """Write clips of one recording, spread evenly over each section."""
    soundfile = import_extra("soundfile", "speech")
    sound = read_clip(path, sample_rate=_RATE, seconds=None)
    if len(sound) < _SHORTEST * _RATE:
        raise ValueError(
            f"{path} lasts {len(sound) / _RATE:.1f} s, and silence needs recordings of at "
            f"least {_SHORTEST} s. Remove it, or replace it by a longer one."
        )
    for clip in clips:
        first, last = (math.floor(share * len(sound)) for share in _STRETCHES[clip.subset])
        start = first + round((last - first - _RATE) * clip.index / max(clip.count - 1, 1))
        samples = to_int16(sound[start : start + _RATE] * np.float32(clip.volume))
        content = io.BytesIO()  # so that a full disk is an OSError, not an error of libsndfile
        soundfile.write(content, samples, _RATE, format="WAV")
        (folder / clip.file).write_bytes(content.getvalue())
