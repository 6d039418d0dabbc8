"""Folders of parts and folds are no words, and words may be called as they like."""

import pytest
from test_audio_folders import lay_out, short

from mixup_tab.audio import load_audio_folder

WORDS = ("no", "yes")


def clips_in(root, *folders, **options):
    lay_out(root, *(f"{folder}/{word}/1.wav" for folder in folders for word in WORDS))
    return load_audio_folder(root, **options)


@pytest.mark.parametrize(
    ("folders", "subsets"),
    [
        (("train", "test"), {"train": "train", "test": "test"}),
        (("Train", "valid", "TEST"), {"Train": "train", "valid": "validation", "TEST": "test"}),
        (
            ("training", "dev", "eval"),
            {"training": "train", "dev": "validation", "eval": "test"},
        ),
        (("train", "validation"), {"train": "train", "validation": "validation"}),
        (("test",), {"test": "test"}),
    ],
)
def test_parts_above_the_words(tmp_path, folders, subsets):
    clips = clips_in(tmp_path, *folders)
    assert clips.label_names == list(WORDS)
    parts = [name.split("/")[0] for name in short(tmp_path, clips)]
    assert clips.subset.tolist() == [subsets[part] for part in parts]
    assert clips.notes == [
        f"Treated as parts of the clips, not as labels: {', '.join(sorted(folders))}."
    ]


def test_parts_below_the_words(tmp_path):
    lay_out(tmp_path, *(f"{word}/{part}/1.wav" for word in WORDS for part in ("train", "val")))
    lay_out(tmp_path, "_unknown_/1.wav")
    clips = load_audio_folder(tmp_path)
    assert clips.target.tolist() == ["no", "no", "yes", "yes"]
    assert clips.subset.tolist() == ["train", "validation"] * 2
    assert clips.unknown_frame["subset"].tolist() == ["train"]


def test_parts_in_the_names_of_words(tmp_path):
    kinds = ("positive", "negative")
    lay_out(tmp_path, *(f"{kind}_{part}/1.wav" for kind in kinds for part in ("train", "test")))
    clips = load_audio_folder(tmp_path)
    assert clips.target.tolist() == ["negative", "negative", "positive", "positive"]
    assert clips.subset.tolist() == ["test", "train"] * 2
    assert "use unknown='negative'" in clips.notes[-1]


def test_what_is_no_word_may_lie_in_the_parts(tmp_path):
    names = ["train/_unknown_/1.wav", "test/_unknown_/2.wav", "_background_noise_/1.wav"]
    lay_out(tmp_path, *names, "train/_background_noise_/2.wav")
    clips = clips_in(tmp_path, "train", "test")
    assert clips.label_names == list(WORDS)
    assert clips.unknown_frame["subset"].tolist() == ["test", "train"]
    assert len(clips.noise) == 2


def test_a_wake_word_and_its_opposite(tmp_path):
    names = [
        "wake-word/1.wav",
        "wake-word/2.wav",
        "not-wake-word/3.wav",
        "not-wake-word/a/4.wav",
    ]
    lay_out(tmp_path, *names, "test/wake-word/5.wav", "test/not-wake-word/6.wav")
    clips = load_audio_folder(tmp_path, min_labels=1)
    assert clips.label_names == ["wake-word"]
    assert sorted(clips.subset) == ["test", "train", "train"]
    assert sorted(clips.unknown_frame["subset"]) == ["test", "train", "train"]
    assert (
        "The clips of 'not-wake-word' are treated as other sounds, not as a word."
        in clips.notes
    )
    both = load_audio_folder(tmp_path, unknown=None)
    assert both.label_names == ["not-wake-word", "wake-word"]
    assert both.unknown == []


def test_folds_stand_for_speakers_if_there_are_none(tmp_path):
    clips = clips_in(tmp_path / "above", "fold1", "fold2", "fold10")
    assert clips.target.tolist() == ["no"] * 3 + ["yes"] * 3
    assert clips.speakers.tolist() == ["fold1", "fold10", "fold2"] * 2
    assert clips.subset is None
    assert "Folds are used as speakers: clips of one fold stay together." in clips.notes
    below = lay_out(
        tmp_path / "below", "no/fold_1/1.wav", "no/fold_2/1.wav", "yes/fold_1/2.wav"
    )
    clips = load_audio_folder(below)
    assert clips.target.tolist() == ["no", "no", "yes"]
    assert clips.speakers.tolist() == ["fold_1", "fold_2", "fold_1"]
    named = lay_out(tmp_path / "named", "fold1/no/a_nohash_0.wav", "fold2/yes/b_nohash_0.wav")
    assert load_audio_folder(named).speakers.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "names",
    [
        ("test/1.wav", "stop/1.wav"),
        ("test/1.wav", "train/ann/1.wav", "stop/ann/1.wav"),
        ("test/ann/1.wav", "stop/ann/1.wav"),  # folders of speakers
        ("test/1.wav", "eval/1.wav"),
        ("fold/1.wav", "part/1.wav"),
        ("fold1/1.wav", "stop/1.wav"),
        ("no/train/1.wav", "yes/1.wav"),
        ("no/fold1/1.wav", "yes/fold1/1.wav"),
        ("brain_train/1.wav", "brain/1.wav"),
        ("not/1.wav", "not-yet/1.wav"),
    ],
)
def test_words_may_be_called_like_parts(tmp_path, names):
    lay_out(tmp_path, *names)
    clips = load_audio_folder(tmp_path)
    assert clips.label_names == sorted({name.split("/")[0] for name in names})
    assert (clips.subset, clips.speakers, clips.unknown) == (None, None, [])


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("train/yes_1.wav", "test/no_1.wav"), "parts"),
        (("train/yes_1.wav", "dev/no/1.wav", "test/no_1.wav"), "parts"),
        (("fold1/yes_1.wav", "fold2/no_1.wav"), "folds"),
    ],
)
def test_parts_that_hold_no_words_are_a_question(tmp_path, names, what):
    lay_out(tmp_path, *names)
    with pytest.raises(ValueError, match=f"look like {what} of the clips, not like labels"):
        load_audio_folder(tmp_path)
    clips = load_audio_folder(tmp_path, label="^([^/]+)/", speaker=None)  # as the error says
    assert clips.label_names == sorted({name.split("/")[0] for name in names})
    if "dev/no/1.wav" not in names:
        clips = load_audio_folder(tmp_path, label="([^/_]+)_")
        assert clips.label_names == ["no", "yes"]
        if what == "parts":
            assert clips.subset.tolist() == ["test", "train"]
        else:
            assert clips.speakers.tolist() == ["fold2", "fold1"]


def test_lists_come_before_folders_and_leave_the_rest(tmp_path):
    clips_in(tmp_path, "train", "test")
    (tmp_path / "validation_list.txt").write_text("train/yes/1.wav\n")
    clips = load_audio_folder(tmp_path)
    assert dict(zip(short(tmp_path, clips), clips.subset, strict=True)) == {
        "test/no/1.wav": "test",
        "test/yes/1.wav": "test",
        "train/no/1.wav": "train",
        "train/yes/1.wav": "validation",
    }


@pytest.mark.parametrize("least", [1, 2])
def test_a_folder_above_that_of_the_labels_is_a_question(tmp_path, least):
    lay_out(tmp_path, "data/yes/1.wav", "data/no/1.wav")
    with pytest.raises(ValueError, match=r"its folders no, yes\. If those are the labels, use"):
        load_audio_folder(tmp_path, min_labels=least)
    assert load_audio_folder(tmp_path / "data").label_names == list(WORDS)
    one = load_audio_folder(tmp_path, label="^([^/]+)/", min_labels=1)
    assert one.label_names == ["data"]
    lay_out(tmp_path, "_unknown_/1.wav")
    assert load_audio_folder(tmp_path, min_labels=1).label_names == ["data"]
