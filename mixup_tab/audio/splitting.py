"""Split the clips of a folder into training, validation and test."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mixup_tab._plain import shown
from mixup_tab.audio.files import read_clips

SUBSETS = ("train", "validation", "test")


class ClipSplit(NamedTuple):
    """Positions of a folder's clips in three disjoint subsets, and how they were chosen.

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
    """Split the clips of a folder by its own parts, else at random.

    A random split holds out about the same fraction of every word, and whole speakers if at
    least three are known. It depends on the seed and the clips, not on their order. A word that
    only one speaker says stays in training. If a folder has its own parts but none for
    validation, that is split from its training part, and ``test_fraction`` is ignored. Raises
    ValueError if a fraction is not in [0, 0.5], a word would have no training clips, or nothing
    can be held out.
    """
    shares = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, share in shares.items():
        if not 0 <= share <= 0.5:
            raise ValueError(f"{name} must lie in [0, 0.5], got {shown(share)}.")
    if folder.subset is not None:
        train, validation, test = (np.flatnonzero(folder.subset == name) for name in SUBSETS)
        split = ClipSplit(train, validation, test, "split by the folder's own parts")
        if len(train) and not len(validation) and validation_fraction:
            train, validation, how = _hold_out(folder, train, validation_fraction, random_state)
            split = ClipSplit(train, validation, test, f"validation {how}")
    else:
        rows = np.arange(len(folder.target))
        rest, test, how = _hold_out(folder, rows, test_fraction, random_state)
        share = validation_fraction / (1 - test_fraction)
        train, validation, later = _hold_out(folder, rest, share, random_state)
        split = ClipSplit(train, validation, test, later if validation_fraction else how)
    lacking = np.setdiff1d(folder.target, folder.target[split.train])
    if len(lacking):
        raise ValueError(
            f"word {str(lacking[0])!r} has no clip for training ({split.description}). Add "
            "clips, or change the folder's parts."
        )
    return split


def _hold_out(
    folder: Bunch, rows: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return rows to keep, rows to hold out, and how: whole speakers if possible."""
    if share == 0:
        return rows, rows[:0], "nothing held out"
    words = np.unique(folder.target[rows], return_inverse=True)[1]
    single = np.empty(len(rows), int)  # every clip is its own group, numbered by its path
    single[sorted(range(len(rows)), key=lambda row: folder.data[rows[row]])] = range(len(rows))
    ways = {"split clip by clip; speakers are unknown": single}
    if folder.speakers is not None:
        speakers, voices = np.unique(folder.speakers[rows], return_inverse=True)
        ways = {"split clip by clip; there are fewer than three speakers": single}
        if len(speakers) > 2:
            alone = "split clip by clip; every speaker says a word that no other says"
            ways = {"speakers apart": voices, alone: single}
    for description, groups in ways.items():
        held_out = _choose_groups(words, groups, share, seed)
        if held_out.any():
            return rows[~held_out], rows[held_out], description
    raise ValueError(
        "no word has two clips, so none can be held out. Add clips, or use "
        "validation_fraction=0."
    )


def _choose_groups(
    words: np.ndarray, groups: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Return which clips to hold out: whole groups, and close to a share of every word.

    Groups are visited in random order; one is held out if that brings the numbers of clips, of
    each word and of all words, closer to the share. Every word keeps a clip. If all groups are
    too large, the closest one is held out; if each has a word that no other has, none.
    """
    counts = _counts(words, groups)
    totals = np.bincount(words)
    wanted = [*(share * totals), share * len(words)]  # of each word, and of all
    held, most = [0] * len(wanted), [*(totals - 1), len(words)]
    chosen, best = [], (np.inf, -1)
    for group in np.random.default_rng(seed).permutation(len(counts)):
        own = counts[group] + [(-1, sum(number for _, number in counts[group]))]
        if any(held[word] + number > most[word] for word, number in own):
            continue
        change = sum(
            abs(held[word] + number - wanted[word]) - abs(held[word] - wanted[word])
            for word, number in own
        )
        if change < 0:
            chosen.append(group)
            for word, number in own:
                held[word] += number
        elif not chosen:
            best = min(best, (change, group))
    if not chosen and best[1] >= 0:
        chosen = [best[1]]
    return np.isin(groups, chosen)


def _counts(words: np.ndarray, groups: np.ndarray) -> list[list[tuple[int, int]]]:
    """Return the words of each group with their numbers of clips."""
    several = words.max() + 1
    pairs, numbers = np.unique(groups * several + words, return_counts=True)
    counts: list[list[tuple[int, int]]] = [[] for _ in range(groups.max() + 1)]
    for pair, number in zip(pairs.tolist(), numbers.tolist(), strict=True):
        counts[pair // several].append((pair % several, number))
    return counts


def read_rows(
    folder: Bunch,
    rows: np.ndarray,
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
    facts: np.ndarray | None = None,
) -> LabelledClips:
    """Read clips of a folder as the pipeline's reader would, without unreadable ones.

    ``facts`` has a row for every clip of the folder; those of the clips read are filled in.
    """
    settings = pipeline[0].get_params() | {"on_error": on_error, "n_jobs": n_jobs}
    clips = read_clips(folder.data[rows], **settings, progress=progress)
    if facts is not None:
        facts[rows[clips.kept]] = clips.facts
    return LabelledClips(clips.waveforms, folder.target[rows][clips.kept], clips.skipped)
