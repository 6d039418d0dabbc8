"""Labels from tables and from names of files."""

import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from test_audio_folders import SHARED, lay_out, short

from mixup_tab.audio import load_audio_folder
from mixup_tab.audio.labels import choose_columns
from mixup_tab.audio.lists import FileNames

ESC = "filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n"
ESC += "1-2-A-1.wav,2,1,rooster,False,2,A\n3-3-B-0.wav,3,0,dog,True,3,B\n"
URBAN = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
URBAN += "7-3-0-0.wav,7,0,1,1,5,3,dog_bark\n8-2-0-1.wav,8,0,1,1,10,2,siren\n"


def saved(root, name, text, encoding="utf-8"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_environmental_sounds(tmp_path):
    lay_out(tmp_path, "audio/1-1-A-0.wav", "audio/1-2-A-1.wav", "audio/3-3-B-0.wav")
    table = saved(tmp_path, "meta/esc50.csv", ESC)
    for root in (tmp_path, tmp_path / "audio"):
        clips = load_audio_folder(root, label=table)
        assert [Path(path).name for path in clips.data] == [
            "1-1-A-0.wav", "3-3-B-0.wav", "1-2-A-1.wav"
        ]  # fmt: skip
        assert clips.target.tolist() == ["dog", "dog", "rooster"]
        assert clips.speakers.tolist() == ["fold 1", "fold 3", "fold 2"]
        assert clips.notes == ["Folds are used as speakers: clips of one fold stay together."]
    by_number = load_audio_folder(tmp_path, label=table, columns={"label": "target"})
    assert by_number.target.tolist() == ["0", "0", "1"]


def test_urban_sounds(tmp_path):
    lay_out(tmp_path, "audio/fold5/7-3-0-0.wav", "audio/fold10/8-2-0-1.wav")
    table = saved(tmp_path, "metadata/UrbanSound8K.csv", URBAN)
    clips = load_audio_folder(tmp_path, label=str(table))
    assert clips.target.tolist() == ["dog_bark", "siren"]
    assert clips.speakers.tolist() == ["fold 5", "fold 10"]


def test_speakers_parts_and_missing_values_of_a_table(tmp_path):
    lay_out(tmp_path, *(f"clips/{n}.mp3" for n in range(5)), "_unknown_/a.wav")
    text = "path\tclient_id\tsentence\tsplit\n0.mp3\tann\tyes\ttrain\n1.mp3\tann\tNA\tdev\n"
    text += "2.mp3\t\tno\ttest\n/data/clips/3.mp3\tbob\t007\ttrain\n"
    clips = load_audio_folder(tmp_path, label=saved(tmp_path, "all.tsv", text))
    assert clips.target.tolist() == ["007", "NA", "no", "yes"]
    assert clips.speakers.tolist() == ["bob", "ann", "clips/2.mp3", "ann"]
    assert clips.subset.tolist() == ["train", "validation", "test", "train"]
    assert clips.unknown_frame["subset"].tolist() == ["train"]
    assert "1 of 5 sound files were left out" in clips.notes[0]
    assert "clips/4.mp3" in clips.notes[0]


WRITTEN = {
    "as it is": (ESC, "utf-8"),
    "a mark": (ESC, "utf-8-sig"),
    "UTF-16": (ESC, "utf-16"),
    "semicolons": (ESC.replace(",", ";"), "utf-8-sig"),
    "tabs and Windows": (ESC.replace(",", "\t").replace("\n", "\r\n"), "utf-8"),
    "capitals and spaces": (
        ESC.replace("filename", " File Name ").replace("1-", "1-"),
        "utf-8",
    ),
    "folders": (ESC.replace("\n1-", "\naudio\\1-").replace("\n3-", "\n./audio/3-"), "utf-8"),
    "no endings": (ESC.replace(".wav", ""), "utf-8"),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_tables_mean_the_same_however_they_are_written(tmp_path, way):
    lay_out(tmp_path, "audio/1-1-A-0.wav", "audio/1-2-A-1.wav", "audio/3-3-B-0.wav")
    clips = load_audio_folder(tmp_path, label=saved(tmp_path, "a.csv", *WRITTEN[way]))
    assert clips.target.tolist() == ["dog", "dog", "rooster"]


def test_a_data_frame_is_a_table(tmp_path):
    lay_out(tmp_path, "1.wav", "2.wav", "3.wav")
    frame = pd.DataFrame({"file": ["1.wav", "2.wav", "3.wav"], "label": [1.0, 2.0, 1.0]})
    frame["speaker"] = ["a", None, "b"]
    clips = load_audio_folder(tmp_path, label=frame)
    assert clips.target.tolist() == ["1", "1", "2"]
    assert clips.speakers.tolist() == ["a", "b", "2.wav"]
    assert frame.columns.tolist() == ["file", "label", "speaker"]


def test_rows_that_are_there_twice(tmp_path):
    lay_out(tmp_path, "1.wav", "2.wav")
    rows = "file,label\n1.wav,no\n2.wav,yes\n./1.wav,no\n"
    assert len(load_audio_folder(tmp_path, label=saved(tmp_path, "a.csv", rows)).data) == 2
    table = saved(tmp_path, "b.csv", rows.replace("./1.wav,no", "1.wav,up"))
    with pytest.raises(ValueError, match=r"several rows for '1.wav', with label 'no' and 'up'"):
        load_audio_folder(tmp_path, label=table)


BAD_TABLES = {
    "no rows": ("file,label\n", "has no rows"),
    "nothing": ("", "cannot be read as a table"),
    "no file": (
        "a,label\n1.wav,no\n",
        r"known to hold the files; its columns are a, label\. Name it with --col",
    ),
    "no label": ("file,b\n1.wav,no\n", r"known to hold the labels; .*--column label=\.\.\."),
    "others": ("file,label\n7.wav,no\n", "names none of the folder's sound files, but '7.wav'"),
    "empty": ("file,label\n1.wav,no\n2.wav,\n", "row 2 has no label"),
    "ragged": ('file,label\n1.wav,no\n"2.wav,yes\n', "cannot be read as a table"),
    "several": ("file,label\nx.wav,no\n", "'x.wav' may mean 'a/x.wav' and 'b/x.wav'"),
    "zeros": ("file,label\n1.wav,\0\n", "cannot be read as text"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables_are_refused(tmp_path, case):
    lay_out(tmp_path, "1.wav", "2.wav", "a/x.wav", "b/x.wav")
    text, message = BAD_TABLES[case]
    with pytest.raises(ValueError, match=message):
        load_audio_folder(tmp_path, label=saved(tmp_path, "t.csv", text))


def test_other_bad_input(tmp_path):
    lay_out(tmp_path, "1.wav", "2.wav")
    table = saved(tmp_path, "t.csv", "file,label,split\n1.wav,no,left\n2.wav,yes,right\n")
    clips = load_audio_folder(tmp_path, label=table)
    assert clips.subset is None
    assert "Column 'split'" in clips.notes[0]
    with pytest.raises(ValueError, match=r"'split' holds 'left'\. Parts are called train"):
        load_audio_folder(tmp_path, label=table, columns={"split": "split"})
    with pytest.raises(ValueError, match="has no column 'word', but file, label, split"):
        load_audio_folder(tmp_path, label=table, columns={"label": "word"})
    with pytest.raises(
        ValueError,
        match=r"columns must name some of file, label, speaker, fold, split, got 'kind'",
    ):
        load_audio_folder(tmp_path, label=table, columns={"kind": "label"})
    with pytest.raises(ValueError, match=r"gone\.csv cannot be read as text \(No such file"):
        load_audio_folder(tmp_path, label=tmp_path / "gone.csv")
    with pytest.raises(TypeError, match="label=3 must be a str, a callable"):
        load_audio_folder(tmp_path, label=3)
    with pytest.raises(ValueError, match=r"columns=.* needs a table of labels"):
        load_audio_folder(tmp_path, columns={"label": "word"})


def test_many_files_of_the_same_name_are_found_quickly(tmp_path):
    files = [f"{word}/s{n}/1.wav" for word in ("no", "yes") for n in range(5_000)]
    names = FileNames(files)
    start = time.process_time()
    found = [names.find(f"D:\\data\\{name.upper()}") for name in files]
    assert found == list(range(len(files)))
    assert names.find("/".join("x" * 10_000)) is None
    assert names.find("s7.wav") is None
    assert time.process_time() - start < 3


def test_columns_that_are_common():
    for names, expected in (
        ("slice_file_name,fsID,fold,classID,class", "slice_file_name,class,fold"),
        ("path,speakerId,transcription,action", "path,transcription,speakerId"),
        ("fname,label,manually_verified", "fname,label"),
        ("filename,fold,target,category", "filename,category,fold"),
        ("wav_filename,wav_filesize,transcript", "wav_filename,transcript"),
    ):
        chosen = choose_columns("t.csv", names.split(","), None)
        assert list(chosen.values()) == expected.split(",")


def test_labels_in_names(tmp_path):
    lay_out(tmp_path, "7_theo_0.wav", "7_ann_3.wav", "8_theo_1.wav", "_unknown_/x.wav")
    clips = load_audio_folder(tmp_path, label=r"^(\d)_")
    assert clips.target.tolist() == ["7", "7", "8"]
    assert clips.speakers.tolist() == ["ann", "theo", "theo"]
    assert len(clips.unknown) == 1
    by_call = load_audio_folder(tmp_path, label=lambda path: int(Path(path).name[0]))
    assert by_call.target.tolist() == ["7", "7", "8"]
    lay_out(tmp_path, "stray.wav")
    with pytest.raises(ValueError, match=r"stray\.wav: its name has no label"):
        load_audio_folder(tmp_path, label=r"^(\d)_")
    assert len(load_audio_folder(tmp_path, label=r"^(\d)_", on_error="skip").skipped) == 1
    for label, message in {
        "xyz(.)": "finds no label in any of the 4 names, such as '7_ann_3.wav'",
        "(": "label='.' is not a regular expression",
        "a": "has 0 groups. Use exactly one, around the label",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_audio_folder(tmp_path, label=label)


def test_spoken_digits_in_folders_of_speakers(tmp_path):
    names = [
        f"{who:02}/{digit}_{who:02}_{n}.wav" for who in (1, 2) for digit in (7, 8) for n in "01"
    ]
    lay_out(tmp_path, *names)
    clips = load_audio_folder(tmp_path, label=r"/(\d)_")
    assert clips.label_names == ["7", "8"]
    assert sorted(clips.speakers) == ["01"] * 4 + ["02"] * 4


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside the checkout")
def test_real_digits_in_one_folder(tmp_path):
    by_folder = load_audio_folder(SHARED / "fsdd")
    for path in by_folder.data[::20]:
        shutil.copy(path, tmp_path)
    clips = load_audio_folder(tmp_path, label="^([0-9])_")
    assert short(tmp_path, clips) == [Path(path).name for path in by_folder.data[::20]]
    assert clips.target.tolist() == by_folder.target[::20].tolist()
    assert clips.speakers.tolist() == by_folder.speakers[::20].tolist()
