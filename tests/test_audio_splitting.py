"""Splitting the clips of a folder; training itself is tested through the command line."""

import numpy as np
import pytest
from sklearn.utils import Bunch

from mixup_tab.audio.splitting import split_clips


def folder(speakers=12, clips=5, words=("no", "off", "yes"), subset=None):
    """Every speaker says every word a number of times; 0 speakers are unknown ones."""
    target = np.repeat(words, clips * max(speakers, 1))
    names = np.tile(np.repeat([f"s{k}" for k in range(speakers)], clips), len(words))
    return Bunch(target=target, speakers=names if speakers else None, subset=subset)


def check_complete(clips, split):
    """Every clip is in one subset."""
    rows = np.concatenate(split[:3])
    assert sorted(rows) == list(range(len(clips.target)))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_speaker_is_in_two_subsets(seed):
    clips = folder()
    split = split_clips(clips, validation_fraction=0.1, test_fraction=0.25, random_state=seed)
    check_complete(clips, split)
    voices = [set(clips.speakers[rows]) for rows in split[:3]]
    assert not voices[0] & voices[1]
    assert not voices[0] & voices[2]
    assert not voices[1] & voices[2]
    for rows in split[:3]:
        counts = np.unique(clips.target[rows], return_counts=True)[1]
        assert len(counts) == 3
    assert len(split.test) / len(clips.target) == pytest.approx(0.25, abs=0.05)
    assert "speakers apart" in split.description


def test_without_speakers_words_have_their_share():
    clips = folder(speakers=0, clips=20)
    split = split_clips(clips, validation_fraction=0.1)
    check_complete(clips, split)
    assert np.unique(clips.target[split.validation], return_counts=True)[1].tolist() == [2] * 3
    assert len(split.test) == 0
    assert "unknown" in split.description


def test_two_speakers_cannot_be_kept_apart():
    assert "clip by clip" in split_clips(folder(speakers=2)).description


def test_lists_come_first():
    subset = np.tile(["train", "train", "validation", "test"], 15)
    clips = folder(speakers=4, subset=subset)
    split = split_clips(clips, validation_fraction=0.3)
    for name, rows in zip(("train", "validation", "test"), split[:3], strict=True):
        assert set(subset[rows]) == {name}
    assert "lists" in split.description


def test_a_word_that_few_speakers_say_is_split_without_a_warning():
    clips = folder(speakers=4, clips=1, words=("no", "yes"))
    clips = Bunch(target=clips.target[1:], speakers=clips.speakers[1:], subset=None)
    check_complete(clips, split_clips(clips, validation_fraction=0.25))


def test_the_seed_decides():
    one, same, other = (split_clips(folder(), random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.validation, same.validation)
    assert set(one.validation) != set(other.validation)


def test_the_validation_share():
    split = split_clips(folder(), validation_fraction=0)
    assert (len(split.train), len(split.validation)) == (180, 0)
    for share in (-0.1, 0.6, float("nan")):
        with pytest.raises(ValueError, match=r"validation_fraction must lie in \[0, 0.5\]"):
            split_clips(folder(), validation_fraction=share)


def test_a_word_without_training_clips_is_named():
    subset = np.where(folder().target == "off", "test", "train")
    with pytest.raises(ValueError, match="'off' has no clip for training"):
        split_clips(folder(subset=subset))


def test_a_word_with_a_single_clip_cannot_be_held_out():
    clips = Bunch(target=np.array(["a", "a", "b"]), speakers=None, subset=None)
    with pytest.raises(ValueError, match="single clip"):
        split_clips(clips)
