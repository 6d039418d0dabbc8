"""Which clips of a folder train a net, which judge it."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import Bunch


class Parts(NamedTuple):
    """Positions of clips.

    Attributes
    ----------
    train, validation, test : ndarray of int
        Without a clip in common; validation and test may be empty.
    told : str
        How they were made.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    told: str


def split_clips(
    folder: Bunch,
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    random_state: int = 0,
) -> Parts:
    """Split a folder of clips into parts, by its own lists or with speakers apart.

    A folder with the lists of Speech Commands is split by them. Else parts are drawn so that
    every word has its share in each, and no speaker is in two of them where speakers are
    known.

    Parameters
    ----------
    folder : Bunch
        From :func:`~mixup_tab.audio.load_audio_folder`.
    validation_fraction, test_fraction : float, default=0.1, 0.0
        Shares to draw, in [0, 0.5]; they mean nothing for a folder with lists.
    random_state : int, default=0
        Seed of the draw.

    Returns
    -------
    Parts

    Raises
    ------
    ValueError
        If a share is outside of its range, or a word would be left without training clips.
    """
    shares = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, share in shares.items():
        if not 0 <= share <= 0.5:
            raise ValueError(f"{name} must lie in [0, 0.5], got {share!r}.")
    if folder.subset is not None:
        named = (np.flatnonzero(folder.subset == part) for part in _PARTS)
        parts = Parts(*named, "split by the folder's own lists")
    else:
        parts = _drawn(folder, validation_fraction, test_fraction, random_state)
    _check_words(folder, parts)
    return parts


_PARTS = ("train", "validation", "test")


def _drawn(folder: Bunch, validation: float, test: float, seed: int) -> Parts:
    speakers = folder.speakers
    apart = speakers is not None and len(np.unique(speakers)) > 2
    groups = speakers if apart else None
    everything = np.arange(len(folder.target))
    rest, tested = _held_out(everything, folder.target, groups, test, seed)
    share = validation / (1 - test)
    train, validated = _held_out(rest, folder.target, groups, share, seed)
    told = "speakers apart" if apart else "drawn clip by clip; speakers are not known"
    return Parts(train, validated, tested, told)


def _held_out(
    rows: np.ndarray, y: np.ndarray, groups: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Take a share of rows away, stratified, whole groups at a time."""
    if share == 0:
        return rows, rows[:0]
    least = np.unique(y[rows], return_counts=True)[1].min()
    most = least if groups is None else len(np.unique(groups[rows]))
    folds = min(round(1 / share), most)
    if folds < 2:
        raise ValueError(
            "validation_fraction: a word has a single clip, so none can be held out. Add "
            "clips, or use validation_fraction=0."
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of a rare word no clip may be held out; that it has some for training is checked.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        kept, held = next(
            splitter.split(rows, y[rows], groups=None if groups is None else groups[rows])
        )
    return rows[kept], rows[held]


def _check_words(folder: Bunch, parts: Parts) -> None:
    lacking = np.setdiff1d(np.unique(folder.target), np.unique(folder.target[parts.train]))
    if len(lacking):
        raise ValueError(
            f"word {str(lacking[0])!r} has no clip in the training part ({parts.told}). Add "
            "clips of more speakers, or use validation_fraction=0."
        )
