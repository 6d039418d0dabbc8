"""Which clips of a folder a net learns from, and which it is judged on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mixup_tab._plain import shown
from mixup_tab.audio.files import read_clips

SUBSETS = ("train", "validation", "test")


class ClipSplit(NamedTuple):
    """Positions of a folder's clips in three disjoint subsets, and how they were made.

    Only ``validation`` and ``test`` may be empty.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    description: str


class LabelledClips(NamedTuple):
    """Waveforms, their words, and the files that could not be read, with reasons."""

    X: np.ndarray
    y: np.ndarray
    skipped: list[tuple[str, str]]


def split_clips(
    folder: Bunch,
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    random_state: int = 0,
) -> ClipSplit:
    """Split the clips of a folder by its own lists, else at random.

    A random split is stratified by word and keeps the clips of a speaker together if at least
    three speakers are known. The two shares, in [0, 0.5], are ignored if there are lists.
    Raises ValueError if a share is out of range, or a word would have no training clips.
    """
    shares = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, share in shares.items():
        if not 0 <= share <= 0.5:
            raise ValueError(f"{name} must lie in [0, 0.5], got {shown(share)}.")
    if folder.subset is not None:
        train, validation, test = (np.flatnonzero(folder.subset == name) for name in SUBSETS)
        split = ClipSplit(train, validation, test, "split by the folder's own lists")
    else:
        split = _random_split(folder, validation_fraction, test_fraction, random_state)
    lacking = np.setdiff1d(folder.target, folder.target[split.train])
    if len(lacking):
        raise ValueError(
            f"word {str(lacking[0])!r} has no clip for training ({split.description}). Add "
            "clips of more speakers, or use validation_fraction=0."
        )
    return split


def _random_split(folder: Bunch, validation: float, test: float, seed: int) -> ClipSplit:
    speakers = folder.speakers
    apart = speakers is not None and len(np.unique(speakers)) > 2
    groups = speakers if apart else None
    rows = np.arange(len(folder.target))
    rest, tested = _hold_out(rows, folder.target, groups, test, seed)
    train, validated = _hold_out(rest, folder.target, groups, validation / (1 - test), seed)
    description = "speakers apart" if apart else "split clip by clip; speakers are unknown"
    return ClipSplit(train, validated, tested, description)


def _hold_out(
    rows: np.ndarray, y: np.ndarray, groups: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a share of rows, stratified, whole groups at a time."""
    if share == 0:
        return rows, rows[:0]
    rarest = np.unique(y[rows], return_counts=True)[1].min()
    most = rarest if groups is None else len(np.unique(groups[rows]))
    folds = min(round(1 / share), most)
    if folds < 2:
        raise ValueError(
            "validation_fraction: a word has a single clip, so none can be held out. Add "
            "clips, or use validation_fraction=0."
        )
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # A rare word may have no clip held out; the caller checks that it has some left.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        split = splitter(folds, shuffle=True, random_state=seed).split(
            rows, y[rows], groups=None if groups is None else groups[rows]
        )
        kept, held_out = next(split)
    return rows[kept], rows[held_out]


def read_rows(
    folder: Bunch,
    rows: np.ndarray,
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> LabelledClips:
    """Read clips of a folder as the pipeline's reader would, without unreadable ones."""
    settings = pipeline[0].get_params() | {"on_error": on_error, "n_jobs": n_jobs}
    clips = read_clips(folder.data[rows], **settings, progress=progress)
    return LabelledClips(clips.waveforms, folder.target[rows][clips.kept], clips.skipped)
