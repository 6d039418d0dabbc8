"""Which files of a folder are taken as sounds, and what is said about the others."""

import os
import time

import numpy as np
import pytest
from test_audio_folders import lay_out, short

from mixup_tab.audio import load_audio_folder, read_clip
from mixup_tab.audio.sound_files import ENDINGS_OF


def test_every_format_of_libsndfile_is_found_and_read(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    # Without a rate in them, tables of other programs, and one with a second file.
    left_out = {"RAW", "MAT4", "MAT5", "SD2"}
    assert set(soundfile.available_formats()) - left_out <= set(ENDINGS_OF)
    wave = 0.3 * np.sin(np.arange(8000) / 20)
    written = []
    for kind, endings in ENDINGS_OF.items():
        subtype = next(
            s for s in ("PCM_16", "ALAW", "VORBIS", "MPEG_LAYER_III", "DPCM_16")
            if soundfile.check_format(kind, s)
        )  # fmt: skip
        for ending in endings:
            path = tmp_path / "yes" / f"{kind}{ending}"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, wave, 16_000, format=kind, subtype=subtype)
            written.append(path)
    loud = tmp_path / "no" / "1.OPUS"
    loud.parent.mkdir()
    soundfile.write(loud, wave, 16_000, format="OGG", subtype="OPUS")
    clips = load_audio_folder(tmp_path)
    assert sorted(clips.data) == sorted(map(str, [*written, loud]))
    assert clips.notes == []
    for path in clips.data:
        assert np.abs(read_clip(path)).max() > 0.2, path


def test_sounds_of_other_formats_are_counted_with_a_command(tmp_path):
    names = ["no/1.wav", "no/2.m4a", "no/deep/3.M4A", "no/4.wma", "yes/1.wav"]
    lay_out(tmp_path, *names, "no/a.txt", "no/b.txt", "no/cover.png", "no/README", "LICENSE")
    lay_out(tmp_path, "no/Thumbs.db", "no/.DS_Store", "no/._1.wav")
    sounds, others = load_audio_folder(tmp_path).notes
    assert "were left out: 2 .m4a, 1 .wma, such as no/2.m4a." in sounds
    assert sounds.endswith(f"find {tmp_path} -iname '*.m4a' -exec ffmpeg -i {{}} {{}}.wav ';'")
    assert others.startswith("Files that are not sounds were left out: 2 .txt, ")
    assert "1 .png" in others
    assert "1 without ending" in others


@pytest.mark.parametrize("part", ["", "train/"])
def test_a_word_that_vanishes_is_an_error(tmp_path, part):
    lay_out(tmp_path, *(f"{part}{name}" for name in ("no/1.wav", "up/1.wav", "yes/1.m4a")))
    with pytest.raises(
        ValueError, match=r"word 'yes' has no sounds that can be read\..*ffmpeg"
    ):
        load_audio_folder(tmp_path)
    clips = load_audio_folder(tmp_path, on_error="skip")
    assert clips.label_names == ["no", "up"]
    assert [os.path.basename(path) for path, _ in clips.skipped] == ["yes"]


def test_words_whose_files_are_all_unusable_are_named(tmp_path):
    lay_out(tmp_path, "no/1.wav", "up/1.wav")
    lay_out(tmp_path, "yes/1.wav", "_unknown_/1.wav", content=b"")
    assert load_audio_folder(tmp_path, on_error="skip").lost_labels == ["yes"]


def test_folders_of_systems_are_no_words(tmp_path):
    system = ["@eaDir", "$RECYCLE.BIN", "__MACOSX", "System Volume Information", "lost+found"]
    system += [".git", ".ipynb_checkpoints", "#recycle", "@Recycle"]
    lay_out(tmp_path, "no/1.wav", "yes/1.wav", *(f"{name}/1.wav" for name in system))
    lay_out(tmp_path, *(f"yes/{name}/2.wav" for name in system))
    clips = load_audio_folder(tmp_path)
    assert short(tmp_path, clips) == ["no/1.wav", "yes/1.wav"]
    assert clips.notes == []
    lay_out(tmp_path, "_old/1.wav", "yes/_more/1.wav", "_silence_/1.wav")
    clips = load_audio_folder(tmp_path)
    assert clips.label_names == ["_silence_", "no", "yes"]
    assert clips.notes == ["Folders whose names begin with _ were left out: _old, yes/_more."]


def link(place, target):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target, target_is_directory=True)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_linked_folders_are_followed_once_each(tmp_path):
    root = lay_out(tmp_path / "root", "no/1.wav", "no/b/2.wav", "yes/1.wav")
    store = lay_out(tmp_path / "store", "x/1.wav", "x/y/2.wav", "z/3.wav").resolve()
    link(root / "up", store / "x")
    link(root / "yes" / "more", store / "z")
    clips = load_audio_folder(root)
    expected = [
        "no/1.wav",
        "no/b/2.wav",
        "up/1.wav",
        "up/y/2.wav",
        "yes/1.wav",
        "yes/more/3.wav",
    ]
    assert short(root, clips) == expected
    assert clips.notes == []
    link(root / "a", root / "yes")  # the real folder keeps its clips
    link(root / "yes" / "loop", root)
    link(root / "yes" / "everything", "/")
    link(root / "zz", store / "x" / "y")
    again = load_audio_folder(root)
    assert short(root, again) == expected
    (note,) = again.notes
    assert note.endswith("not followed: a, yes/everything, yes/loop, zz.")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_link_to_each_other_are_walked_once(tmp_path):
    for one in range(12):
        lay_out(tmp_path, f"w{one}/1.wav")
        for other in range(12):
            link(tmp_path / f"w{one}" / f"to{other}", tmp_path / f"w{other}")
    assert len(load_audio_folder(tmp_path).data) == 12


def test_accents_and_spaces_make_no_second_word(tmp_path):
    lay_out(tmp_path, "caf\u00e9/1.wav", "cafe\u0301/2.wav", "caf\u00e9 /3.wav", "no/1.wav")
    (tmp_path / "testing_list.txt").write_text("cafe\u0301/2.wav\ncaf\u00e9/3.wav\n")
    clips = load_audio_folder(tmp_path)
    assert clips.label_names == ["caf\u00e9", "no"]
    assert clips.target.tolist() == ["caf\u00e9"] * 3 + ["no"]
    assert all(os.path.exists(path) for path in clips.data)  # as they are on the disk
    found = dict(zip(short(tmp_path, clips), clips.subset, strict=True))
    assert found["cafe\u0301/2.wav"] == "test"
    assert found["caf\u00e9 /3.wav"] == "test"
    assert sum("are encodings of one word" in note for note in clips.notes) == 1


def test_many_files_are_found_quickly(tmp_path):
    for word in ("no", "yes"):
        (tmp_path / word).mkdir()
        for n in range(5_000):
            (tmp_path / word / f"s{n % 100}_nohash_{n}.wav").write_bytes(b"R")
    start = time.process_time()
    assert len(load_audio_folder(tmp_path).data) == 10_000
    assert time.process_time() - start < 2


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_a_folder_that_has_gone_is_named(tmp_path):
    lay_out(tmp_path, "no/1.wav", "yes/1.wav")
    (tmp_path / "stop").symlink_to(tmp_path / "gone", target_is_directory=True)
    with pytest.raises(ValueError, match="stop: is a broken link"):
        load_audio_folder(tmp_path)
    clips = load_audio_folder(tmp_path, on_error="skip")
    assert [reason for _, reason in clips.skipped] == ["is a broken link"]
