"""load_audio_folder: files, labels, speakers and lists."""

import os
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from sklearn.model_selection import GroupKFold

from mixup_tab.audio import load_audio_folder

SHARED = Path(__file__).parents[2] / "shared" / "speech"


def lay_out(root, *names, content=b"RIFF"):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def short(root, clips):
    return [Path(path).relative_to(root).as_posix() for path in clips.data]


def test_sounds_and_labels_in_a_fixed_order(tmp_path):
    names = ["yes/b.wav", "yes/a.FLAC", "no/deep/er/c.mp3", "no/d.Ogg"]
    others = ["yes/notes.txt", "readme.wav", "_background_noise_/hum.wav", ".cache/x.wav"]
    lay_out(tmp_path, *names, *others, "no/._d.wav", "no/_old/e.wav")
    (tmp_path / "empty").mkdir()
    clips = load_audio_folder(str(tmp_path))
    assert short(tmp_path, clips) == ["no/d.Ogg", "no/deep/er/c.mp3", "yes/a.FLAC", "yes/b.wav"]
    assert clips.target.tolist() == ["no", "no", "yes", "yes"]
    assert clips.label_names == ["no", "yes"]
    assert all(type(path) is str for path in clips.data)
    assert clips.speakers is None
    assert clips.subset is None
    assert clips.skipped == []
    assert clips.frame.columns.tolist() == ["path", "label", "speaker", "subset"]
    assert clips.frame["path"].tolist() == clips.data.tolist()
    assert load_audio_folder(tmp_path).data.tolist() == clips.data.tolist()


NAMES = {
    "hashed": (["no/aa_nohash_0.wav", "yes/bb_nohash_10.wav"], "auto", ["aa", "bb"]),
    "twice wav": (["no/aa_nohash_0.wav.wav", "yes/bb_nohash_1.wav"], "auto", ["aa", "bb"]),
    "numbered": (["no/no_al_0.wav", "yes/yes_b_c_4.wav"], "auto", ["al", "b_c"]),
    "label with line": (["a_b/a_b_al_0.wav", "yes/yes_bo_4.wav"], "auto", ["al", "bo"]),
    "other label": (["no/yes_al_0.wav", "yes/yes_bo_4.wav"], "auto", None),
    "one speaker": (["no/no_take_0.wav", "yes/yes_take_4.wav"], "auto", None),
    "plain": (["no/1.wav", "yes/2.wav"], "auto", None),
    "expression": (["no/x-al.wav", "yes/y-bo.wav"], r"-(\w+)\.", ["al", "bo"]),
    "folder": (["no/al/1.wav", "yes/bo/2.wav"], r"/(\w+)/", ["al", "bo"]),
    "callable": (["no/1.wav", "yes/2.wav"], lambda path: int(Path(path).stem), [1, 2]),
    "not wanted": (["no/aa_nohash_0.wav", "yes/bb_nohash_1.wav"], None, None),
}


def test_speakers_are_read_from_names(tmp_path):
    for case, (names, speaker, expected) in NAMES.items():
        root = lay_out(tmp_path / case, *names)
        clips = load_audio_folder(root, speaker=speaker)
        assert short(root, clips) == names
        found = None if clips.speakers is None else clips.speakers.tolist()
        assert found == expected, case
        assert clips.frame["speaker"].tolist() == (expected or [None, None])


def test_clips_without_a_speaker_are_speakers_of_their_own(tmp_path):
    names = [f"{word}/{who}_nohash_0.wav" for word in ("no", "yes") for who in "abcdefgh"]
    own = ["no/mine.wav", "no/mine2.wav", "no/mine3.wav", "yes/mine.wav"]
    lay_out(tmp_path, *names, *own, "_unknown_/x.wav")
    clips = load_audio_folder(tmp_path)
    assert clips.skipped == []
    found = dict(zip(short(tmp_path, clips), clips.speakers, strict=True))
    assert found == {**{name: name.split("/")[1][0] for name in names}, **{n: n for n in own}}
    assert clips.unknown_frame["speaker"].tolist() == ["_unknown_/x.wav"]
    assert any(
        note.startswith("5 of 21 clips have no speaker, such as") for note in clips.notes
    )
    some = load_audio_folder(tmp_path, speaker=r"(mine)\d*\.wav")
    assert sorted(set(some.speakers)) == sorted({*names, "mine"})
    assert load_audio_folder(tmp_path, speaker=None).speakers is None


def test_a_common_form_of_names_must_be_that_of_most(tmp_path):
    names = [f"{word}/{word}_{who}_0.wav" for word in ("no", "yes") for who in "abcde"]
    lay_out(tmp_path, *names, "no/stray.wav")
    assert len(set(load_audio_folder(tmp_path).speakers)) == 6
    lay_out(tmp_path, "no/stray2.wav")
    assert load_audio_folder(tmp_path).speakers is None


BAD_SPEAKERS = [
    (r"_xy(\d)", ValueError, r"finds no speaker in any of the 2 names, such as 'no/1\.wav'"),
    ("(", ValueError, r"speaker='\(' is not a regular expression"),
    ("a", ValueError, "has 0 groups. Use exactly one"),
    ("(a)(b)", ValueError, "has 2 groups. Use exactly one"),
    (3, TypeError, "speaker=3 must be a str, a callable or None"),
]


def test_a_bad_speaker_is_refused(tmp_path):
    lay_out(tmp_path, "no/1.wav", "yes/2.wav")
    for speaker, error, message in BAD_SPEAKERS:
        with pytest.raises(error, match=message):
            load_audio_folder(tmp_path, speaker=speaker)


def test_lists_give_subsets(tmp_path):
    lay_out(tmp_path, "no/1.wav", "no/2.wav", "yes/a/3.wav", "yes/4.wav")
    (tmp_path / "testing_list.txt").write_text("no/2.wav\n\nyes/gone.wav\n")
    clips = load_audio_folder(tmp_path)
    assert clips.subset.tolist() == ["train", "test", "train", "train"]
    (tmp_path / "validation_list.txt").write_text("./yes\\a\\3.wav\r\n")
    clips = load_audio_folder(f"{tmp_path}{os.sep}")
    assert dict(zip(short(tmp_path, clips), clips.subset, strict=True)) == {
        "no/1.wav": "train",
        "no/2.wav": "test",
        "yes/4.wav": "train",
        "yes/a/3.wav": "validation",
    }


NAMED = "no/1.wav\nyes/Zo\u00eb.wav\n"
WAYS = {
    "a mark": NAMED.encode("utf-8-sig"),
    "marks of joined lists": NAMED.replace("yes", "\ufeffyes").encode("utf-8-sig"),
    "UTF-16": NAMED.encode("utf-16"),
    "Windows": NAMED.replace("/", "\\").replace("\n", "\r\n").encode(),
    "here": NAMED.replace("no", "./no").replace("yes", ".//yes").encode(),
    "absolute": NAMED.replace("no/", "/data/no/").replace("yes/", "C:\\data\\yes\\").encode(),
    "case": NAMED.upper().encode(),
    "decomposed": unicodedata.normalize("NFD", NAMED).encode(),
    "spaces": NAMED.replace("\n", " \n\n ").encode(),
    "other endings": NAMED.replace("wav", "flac").encode(),
    "bare names": NAMED.replace("no/", "").replace("yes/", "").encode(),
}


@pytest.mark.parametrize("way", WAYS)
def test_lists_mean_the_same_however_they_are_written(tmp_path, way):
    lay_out(tmp_path, "no/1.wav", "no/2.wav", "yes/Zo\u00eb.wav", "yes/2.wav")
    (tmp_path / "validation_list.txt").write_bytes(WAYS[way])
    clips = load_audio_folder(tmp_path)
    assert clips.subset.tolist() == ["validation", "train", "train", "validation"]
    assert clips.notes == []


def test_files_that_a_list_names_and_that_are_not_there_are_counted(tmp_path):
    lay_out(tmp_path, "no/1.wav", "no/2.wav", "yes/1.wav")
    lay_out(tmp_path, "yes/0.wav", content=b"")
    (tmp_path / "testing_list.txt").write_text("no/1.wav\nyes/0.wav\nmaybe/1.wav\n")
    clips = load_audio_folder(tmp_path, on_error="skip")
    assert clips.subset.tolist() == ["test", "train", "train"]
    expected = "1 of 3 files in testing_list.txt are not in the folder, such as maybe/1.wav."
    assert clips.notes == [expected]


BAD_LISTS = [
    (b"no/1.wav", b"no/1.wav", r"both name 'no/1\.wav'"),
    (b"no/1.wav", b"data/no/1.WAV", r"both name 'data/no/1\.WAV'"),
    (b"no/3.wav", b"", r"match none of its files: .* 'no/3\.wav'"),
    (b"1.wav", b"", r"validation_list.txt: '1.wav' may mean 'no/1.wav' and 'yes/1.wav'"),
    (b"\xff\xfe\x00", b"", "cannot be read as text"),
    ("no/1.wav".encode("utf-16-le"), b"", "cannot be read as text .it holds zero bytes"),
]


def test_bad_lists_are_refused(tmp_path):
    lay_out(tmp_path, "no/1.wav", "yes/1.wav")
    for validation, test, message in BAD_LISTS:
        (tmp_path / "validation_list.txt").write_bytes(validation)
        (tmp_path / "testing_list.txt").write_bytes(test)
        with pytest.raises(ValueError, match=message):
            load_audio_folder(tmp_path)
    (tmp_path / "validation_list.txt").unlink()
    with open(tmp_path / "testing_list.txt", "wb") as file:
        file.truncate(10**12)  # takes no room
    with pytest.raises(
        ValueError, match=r"cannot be read as text \(it has more than 200,000,0"
    ):
        load_audio_folder(tmp_path)


BAD_ROOTS = {
    "not there": ([], "does not exist. It must be a folder"),
    "a file": (["root"], "is not a folder"),
    "nothing": (["root/readme.txt"], "holds no usable sound files"),
    "flat": (["root/1.wav", "root/2.wav"], "2 lie in root itself. Arrange them as <label>/"),
    "one label": (["root/yes/1.wav"], "has only one label, 'yes', but needs at least two"),
    "case": (["root/yes/1.wav", "root/Yes/1.wav"], "'Yes' and 'yes' .* differ only in case"),
}


def test_unusable_folders_are_refused(tmp_path):
    for case, (names, message) in BAD_ROOTS.items():
        lay_out(tmp_path / case, *names)
        with pytest.raises(ValueError, match=message):
            load_audio_folder(tmp_path / case / "root")
    lay_out(tmp_path / "empty", "no/0.wav", "yes/0.wav", content=b"")
    with pytest.raises(ValueError, match=r"2 were left out, the first, 0\.wav, is empty"):
        load_audio_folder(tmp_path / "empty", on_error="skip")


def test_unusable_files_are_refused_or_listed(tmp_path):
    lay_out(tmp_path, "no/1.wav", "yes/2.wav")
    lay_out(tmp_path, "no/0.wav", content=b"")
    (tmp_path / "yes" / "gone.wav").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"0\.wav: is empty \(0 bytes\). .*on_error='skip'"):
        load_audio_folder(tmp_path)
    clips = load_audio_folder(tmp_path, on_error="skip")
    assert short(tmp_path, clips) == ["no/1.wav", "yes/2.wav"]
    assert clips.skipped == [
        (str(tmp_path / "no" / "0.wav"), "is empty (0 bytes)"),
        (str(tmp_path / "yes/gone.wav"), "cannot be opened (No such file or directory)"),
    ]
    with pytest.raises(ValueError, match="on_error='ignore' must be 'raise' or 'skip'"):
        load_audio_folder(tmp_path, on_error="ignore")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything"
)
def test_what_may_not_be_read_is_listed(tmp_path):
    lay_out(tmp_path, "no/1.wav", "no/2.wav", "yes/3.wav", "up/4.wav")
    (tmp_path / "no" / "2.wav").chmod(0)
    (tmp_path / "up").chmod(0)
    clips = load_audio_folder(tmp_path, on_error="skip")
    (tmp_path / "up").chmod(0o700)
    assert [reason for _, reason in clips.skipped] == [
        "cannot be opened (Permission denied)"
    ] * 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside the checkout")
@pytest.mark.parametrize(("name", "speakers"), [("speech_commands", 239), ("fsdd", 6)])
def test_real_clips_agree_with_their_index(name, speakers):
    clips = load_audio_folder(SHARED / name)
    index = pd.read_csv(SHARED / "INDEX.csv", dtype=str).query("set == @name")
    index = index.sort_values("path", ignore_index=True)
    found = clips.frame.assign(path=[str(Path(p).relative_to(SHARED)) for p in clips.data])
    found = found.sort_values("path", ignore_index=True)
    assert found["path"].tolist() == index["path"].tolist()
    assert found["label"].tolist() == index["label"].tolist()
    assert found["speaker"].tolist() == index["speaker"].tolist()
    assert found["speaker"].nunique() == speakers
    if name == "speech_commands":
        subsets = index["fold3"].replace({"val": "validation"})
        assert found["subset"].tolist() == subsets.tolist()
    folds = GroupKFold(3).split(clips.data, clips.target, clips.speakers)
    for train, test in folds:
        assert not set(clips.speakers[train]) & set(clips.speakers[test])


def test_folders_of_other_sounds_and_of_noise_are_no_words(tmp_path):
    lay_out(tmp_path, "no/1.wav", "yes/2.wav", "yes/3.wav")
    lay_out(tmp_path, "_unknown_/b/4.wav", "_unknown_/a.wav", "_background_noise_/hum.wav")
    (tmp_path / "testing_list.txt").write_text("yes/3.wav\n_unknown_/b/4.wav\n")
    clips = load_audio_folder(tmp_path)
    assert clips.label_names == ["no", "yes"]
    assert clips.unknown == [
        str(tmp_path / "_unknown_/a.wav"),
        str(tmp_path / "_unknown_/b/4.wav"),
    ]
    assert clips.noise == [str(tmp_path / "_background_noise_/hum.wav")]
    assert clips.unknown_frame.columns.tolist() == ["path", "speaker", "subset"]
    assert clips.unknown_frame["subset"].tolist() == ["train", "test"]
    other = load_audio_folder(tmp_path, unknown="yes", noise=None, min_labels=1)
    assert other.label_names == ["no"]
    assert (len(other.unknown), other.noise) == (2, [])
    with pytest.raises(ValueError, match="has only one label, 'no'"):
        load_audio_folder(tmp_path, unknown="yes")
