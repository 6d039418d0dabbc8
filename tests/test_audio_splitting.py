"""Splitting the clips of a folder; training itself is tested through the command line."""

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.utils import Bunch

from mixup_tab.audio.splitting import split_clips


def clips_of(target, speakers=None, subset=None):
    target = np.asarray(target)
    data = np.array([f"{word}/{row:05}.wav" for row, word in enumerate(target)], object)
    speakers = None if speakers is None else np.asarray(speakers)
    return Bunch(data=data, target=target, speakers=speakers, subset=subset)


def folder(speakers=12, clips=5, words=("no", "off", "yes"), subset=None):
    """Every speaker says every word a number of times; 0 speakers are unknown ones."""
    names = np.tile(np.repeat([f"s{k}" for k in range(speakers)], clips), len(words))
    target = np.repeat(words, clips * max(speakers, 1))
    return clips_of(target, names if speakers else None, subset)


def check_complete(clips, split):
    """Every clip is in one subset."""
    rows = np.concatenate(split[:3])
    assert sorted(rows) == list(range(len(clips.target)))


def counts(clips, rows):
    words, numbers = np.unique(clips.target[rows], return_counts=True)
    return dict(zip(words.tolist(), numbers.tolist(), strict=True))


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
        assert len(counts(clips, rows)) == 3
    assert len(split.test) / len(clips.target) == pytest.approx(0.25, abs=0.05)
    assert "speakers apart" in split.description


def test_without_speakers_words_have_their_share():
    clips = folder(speakers=0, clips=20)
    split = split_clips(clips, validation_fraction=0.1)
    check_complete(clips, split)
    assert counts(clips, split.validation) == {"no": 2, "off": 2, "yes": 2}
    assert len(split.test) == 0
    assert "unknown" in split.description


def test_a_rare_word_changes_nothing_for_the_others():
    clips = clips_of(["no"] * 100 + ["yes"] * 100 + ["rare"] * 2)
    split = split_clips(clips, validation_fraction=0.1)
    assert counts(clips, split.validation) == {"no": 10, "yes": 10}
    spoken = clips_of(clips.target, [f"s{row % 20}" for row in range(200)] + ["s1", "s2"])
    split = split_clips(spoken, validation_fraction=0.1)
    assert len(split.validation) == pytest.approx(20, abs=2)
    assert counts(spoken, split.train)["rare"] >= 1


def test_few_clips_a_word_give_the_share_that_was_asked_for():
    clips = clips_of(np.repeat([f"w{k}" for k in range(10)], 3))
    split = split_clips(clips, validation_fraction=0.1)
    assert sorted(counts(clips, split.validation).values()) == [1, 1, 1]
    alone = split_clips(clips_of(["a", "a", "b"]), validation_fraction=0.1)
    assert len(alone.validation) == 1


def test_very_unequal_speakers():
    sizes = [500, 400, 20, 15, 15, 10, 10, 10, 10, 10]
    speakers = np.repeat([f"s{k}" for k in range(10)], sizes)
    clips = clips_of(np.resize(["no", "yes"], 1000), speakers)
    split = split_clips(clips, validation_fraction=0.1)
    assert len(split.validation) == pytest.approx(100, abs=10)
    assert {"s0", "s1"} <= set(speakers[split.train])


def test_a_group_larger_than_the_share_is_held_out_if_there_is_no_smaller_one():
    split = split_clips(folder(speakers=4), validation_fraction=0.1)
    assert len(split.validation) == 15
    assert split.description == "speakers apart"


def test_a_word_of_one_speaker_stays_in_training():
    speakers = np.repeat([f"s{k}" for k in range(10)], 10)
    target = np.where(speakers == "s3", "own", np.resize(["no", "yes"], 100))
    for seed in range(5):
        clips = clips_of(target, speakers)
        split = split_clips(clips, validation_fraction=0.3, random_state=seed)
        assert set(target[split.validation]) == {"no", "yes"}
        assert len(split.validation) == 30
    each = clips_of(np.repeat(["a", "b", "c"], 10), np.repeat(["x", "y", "z"], 10))
    split = split_clips(each, validation_fraction=0.1)
    assert counts(each, split.validation) == {"a": 1, "b": 1, "c": 1}
    assert "every speaker says a word that no other says" in split.description


@pytest.mark.parametrize("speakers", [1, 2])
def test_few_speakers_cannot_be_kept_apart(speakers):
    split = split_clips(folder(speakers=speakers, clips=10))
    assert "clip by clip; there are fewer than three speakers" in split.description


def test_the_folders_parts_come_first():
    subset = np.tile(["train", "train", "validation", "test"], 15)
    clips = folder(speakers=4, subset=subset)
    split = split_clips(clips, validation_fraction=0.3)
    for name, rows in zip(("train", "validation", "test"), split[:3], strict=True):
        assert set(subset[rows]) == {name}
    assert split.description == "split by the folder's own parts"


def test_a_folder_with_a_test_part_alone_gets_a_validation_part():
    clips = folder(clips=1)
    clips.subset = np.where(clips.speakers == "s0", "test", "train")
    split = split_clips(clips, validation_fraction=0.1)
    check_complete(clips, split)
    assert set(clips.speakers[split.test]) == {"s0"}
    assert len(set(clips.speakers[split.validation])) == 1
    assert split.description == "validation speakers apart"
    assert len(split_clips(clips, validation_fraction=0).validation) == 0


@st.composite
def folders(draw):
    rows = draw(st.integers(1, 120))
    word = st.sampled_from(["a", "b", "c", "d"][: draw(st.integers(1, 4))])
    target = draw(st.lists(word, min_size=rows, max_size=rows))
    voice = st.integers(0, draw(st.integers(1, 40)))
    voices = draw(st.none() | st.lists(voice, min_size=rows, max_size=rows))
    return clips_of(target, None if voices is None else [f"s{voice}" for voice in voices])


@settings(max_examples=100, deadline=None)
@given(folders(), st.floats(0.01, 0.5), st.integers(0, 9), st.randoms(use_true_random=False))
def test_any_folder_is_split_as_promised(clips, share, seed, random):
    assume(max(counts(clips, slice(None)).values()) > 1)
    split = split_clips(clips, validation_fraction=share, random_state=seed)
    check_complete(clips, split)
    assert set(clips.target[split.train]) == set(clips.target)
    assert len(split.validation)
    unit = np.ones(1)
    if split.description == "speakers apart":
        voices = clips.speakers
        assert not set(voices[split.train]) & set(voices[split.validation])
        unit = np.unique(voices, return_counts=True)[1]
    # One group too many, and half a clip for each word, at most.
    words = len(set(clips.target))
    assert len(split.validation) <= share * len(clips.target) + unit.max() + words / 2
    if unit.max() == 1:
        enough = min(counts(clips, slice(None)).values()) > 1
        assert not enough or len(split.validation) >= share * len(clips.target) - words / 2
    order = list(range(len(clips.target)))
    random.shuffle(order)
    voices = None if clips.speakers is None else clips.speakers[order]
    shuffled = Bunch(
        data=clips.data[order], target=clips.target[order], speakers=voices, subset=None
    )
    again = split_clips(shuffled, validation_fraction=share, random_state=seed)
    assert set(shuffled.data[again.validation]) == set(clips.data[split.validation])


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


def test_words_with_a_single_clip_cannot_be_held_out():
    with pytest.raises(ValueError, match="no word has two clips"):
        split_clips(clips_of(["a", "b", "c"]))


def test_many_clips_take_seconds():
    target = np.resize([f"w{k}" for k in range(35)], 50_000)
    start = time.process_time()
    split = split_clips(clips_of(target, [f"s{row // 40}" for row in range(len(target))]))
    split_clips(clips_of(target))
    assert time.process_time() - start < 5
    assert len(split.validation) == pytest.approx(5_000, rel=0.02)
