"""fetch_speech_commands on a miniature of the archive."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import speech_commands_archive as miniature
from data_server import serving

from mixup_tab.audio import fetch_speech_commands, read_clip, speech_commands
from mixup_tab.audio.speech_commands import TEN, sound_cards
from mixup_tab.datasets import list_uci

FILES = miniature.files()
ARCHIVE = miniature.packed(FILES)
NAME = "speech_commands_v0.02"
SIZES = {"train": 2, "validation": 1, "test": 1}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    miniature.laid_out(FILES, home / "SpeechCommands" / NAME)
    return home


@pytest.fixture
def home(unpacked, tmp_path):
    return shutil.copytree(unpacked, tmp_path / "home")


@pytest.fixture
def served(monkeypatch):
    """Let the card of v0.02 point to a server on this machine."""

    def point_to(address):
        name = "speech-commands-v0.02"
        sha256 = hashlib.sha256(ARCHIVE).hexdigest()
        card = dataclasses.replace(sound_cards()[name], url=f"{address}/archive", sha256=sha256)
        monkeypatch.setattr(
            speech_commands, "sound_cards", lambda: {**sound_cards(), name: card}
        )

    return point_to


def tree(home):
    return home / "SpeechCommands" / NAME


def count(clips):
    return clips.frame.groupby(["label", "subset"]).size().to_dict()


def test_the_archive_is_downloaded_and_unpacked_once(tmp_path, served):
    with serving(archive=("well", ARCHIVE)) as (address, asked):
        served(address)
        for _ in range(2):
            clips = fetch_speech_commands(data_home=tmp_path)
    assert asked == ["/archive"]
    written = {p for p in tree(tmp_path).rglob("*") if p.is_file()}
    assert {p.relative_to(tree(tmp_path)).as_posix(): p.read_bytes() for p in written} == FILES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["SpeechCommands", f"{NAME}.tar.gz"]
    assert len(clips.data) == 35 * 4
    assert set(clips.data) <= {str(path) for path in written}


def test_an_existing_folder_needs_no_download(unpacked):
    clips = fetch_speech_commands(data_home=unpacked, download_if_missing=False)
    assert count(clips) == {
        (word, part): n
        for word in sound_cards()["speech-commands-v0.02"].labels
        for part, n in SIZES.items()
    }
    assert clips.speakers.tolist() == [miniature.SPEAKERS[part] for part in clips.subset]
    assert clips.label_names == sorted({Path(path).parent.name for path in clips.data})
    assert clips.frame.columns.tolist() == ["path", "label", "speaker", "subset"]
    assert "CC BY 4.0" in clips.DESCR
    assert "arXiv:1804.03209" in clips.DESCR


def test_tasks_of_words(unpacked):
    newer = {"backward", "follow", "forward", "learn", "visual"}
    for task, number in ((10, 10), (30, 30), (35, 35), (None, 35)):
        clips = fetch_speech_commands(task=task, data_home=unpacked)
        assert len(clips.label_names) == number
        assert set(clips.label_names) >= set(TEN)
        assert len(clips.data) == 4 * number
        assert newer & set(clips.label_names) == (newer if number == 35 else set())


def test_the_first_version_has_thirty_words(tmp_path):
    words = sound_cards()["speech-commands-v0.01"].labels
    miniature.laid_out(
        miniature.files(words, 1), tmp_path / "SpeechCommands" / "speech_commands_v0.01"
    )
    clips = fetch_speech_commands("v0.01", data_home=tmp_path)
    assert clips.label_names == words
    with pytest.raises(ValueError, match=r"task=35 must be one of 10, 12, 30, None"):
        fetch_speech_commands("v0.01", task=35, data_home=tmp_path)


def test_twelve_classes_have_a_tenth_of_unknown_words_and_of_silence(home):
    clips = fetch_speech_commands(task=12, data_home=home)
    expected = {(word, part): n for word in TEN for part, n in SIZES.items()}
    tenth = {"train": 2, "validation": 1, "test": 1}  # of 20, 10 and 10
    expected |= {(word, p): n for word in ("unknown", "silence") for p, n in tenth.items()}
    assert count(clips) == expected
    unknown = clips.frame[clips.frame["label"] == "unknown"]
    assert not {Path(path).parent.name for path in unknown["path"]} & set(TEN)
    for _, row in unknown.iterrows():
        assert row["speaker"] == miniature.SPEAKERS[row["subset"]]
    groups = clips.frame.groupby("speaker")["subset"].nunique()
    assert groups.max() == 1
    others = [
        name
        for name in FILES
        if f"/{miniature.SPEAKERS['train']}" in name and name.split("/")[0] not in TEN
    ]
    first = sorted(others, key=lambda name: hashlib.sha1(name.encode()).digest())[:2]
    chosen = unknown.query("subset == 'train'")["path"]
    assert [Path(path).relative_to(tree(home)).as_posix() for path in chosen] == first
    again = fetch_speech_commands(task=12, data_home=home)
    assert again.frame.equals(clips.frame)


def test_silence_is_cut_from_stretches_of_noise_that_no_other_subset_has(home):
    contents = miniature.files(of_training=12)
    miniature.laid_out(contents, tree(home))
    clips = fetch_speech_commands(task=12, data_home=home)
    silence = clips.frame[clips.frame["label"] == "silence"]
    assert silence["subset"].value_counts().to_dict() == {
        "train": 12, "validation": 1, "test": 1
    }  # fmt: skip
    stretches = {"train": (0, 9.6), "validation": (9.6, 10.8), "test": (10.8, 12)}
    volumes, starts = [], []
    for _, row in silence.iterrows():
        sound = read_clip(row["path"], seconds=None) * 32768
        assert len(sound) == 16_000
        # The noise is n / 8 at sample n, so a cut's slope is its volume / 8.
        slope, level = np.polyfit(np.arange(16_000), sound, 1)
        start = level / slope / 16_000
        low, high = stretches[row["subset"]]
        assert low - 0.01 <= start <= high - 1 + 0.01
        volumes.append(8 * slope)
        starts.append(start)
    assert min(starts) < 0.01
    assert max(starts[:12]) == pytest.approx(8.6, abs=0.01)
    assert 0 < min(volumes) < 0.15
    assert 0.85 < max(volumes) < 1
    assert {Path(path).name.split("_")[0] for path in silence["path"]} == {"pink", "tap"}


def test_silence_is_written_once_and_completely(home):
    fetch_speech_commands(task=12, data_home=home)
    folder = home / "SpeechCommands" / f"{NAME}_silence"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    assert len(before) == 4
    fetch_speech_commands(task=12, data_home=home)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")} == before
    shutil.rmtree(folder)
    folder.write_text("a file in its place")
    with pytest.raises(OSError, match=r"silence cannot be written to .* or choose task=10"):
        fetch_speech_commands(task=12, data_home=home)
    folder.unlink()
    short = tree(home) / "_background_noise_" / "tap.wav"
    short.write_bytes(miniature.as_wav(miniature.ramp(3)))
    with pytest.raises(ValueError, match=r"tap\.wav lasts 3\.0 s, and silence needs"):
        fetch_speech_commands(task=12, data_home=home)
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
    shutil.rmtree(short.parent)
    assert len(fetch_speech_commands(task=10, data_home=home).data) == 40
    with pytest.raises(ValueError, match="holds no recordings"):
        fetch_speech_commands(task=12, data_home=home)


def test_an_incomplete_folder_is_refused(home):
    test_clip = tree(home) / "yes" / f"{miniature.SPEAKERS['test']}_nohash_0.wav"
    test_clip.write_bytes(b"")
    clips = fetch_speech_commands(data_home=home, on_error="skip")
    assert clips.skipped == [(str(test_clip), "is empty (0 bytes)")]
    test_clip.unlink()
    with pytest.raises(ValueError, match=r"lacks 1 files of its lists, such as yes/2c"):
        fetch_speech_commands(data_home=home)
    shutil.rmtree(tree(home) / "visual")
    with pytest.raises(ValueError, match="lacks the words visual"):
        fetch_speech_commands(data_home=home)
    for name in miniature.LISTS.values():
        (tree(home) / name).unlink()
    with pytest.raises(ValueError, match=r"has no validation_list\.txt or testing_list\.txt"):
        fetch_speech_commands(data_home=home)


def test_wrong_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"version='v3' must be one of v0\.01, v0\.02"):
        fetch_speech_commands("v3", data_home=tmp_path)
    with pytest.raises(ValueError, match="task=11 must be one of 10, 12, 30, 35, None"):
        fetch_speech_commands(task=11, data_home=tmp_path)
    with pytest.raises(
        OSError, match=r"download http://.* yourself and save it as .*v0\.02\.tar\.gz"
    ):
        fetch_speech_commands(data_home=tmp_path, download_if_missing=False)


def test_the_cards_agree_with_what_is_known():
    cards = sound_cards()
    assert set(cards) == {"fsdd", "speech-commands-v0.01", "speech-commands-v0.02"}
    assert [len(card.labels) for card in cards.values()] == [10, 30, 35]
    assert all(card.labels == sorted(card.labels) for card in cards.values())
    torchaudio = pytest.importorskip("torchaudio.datasets.speechcommands")
    for name in ("speech-commands-v0.01", "speech-commands-v0.02"):
        assert torchaudio._CHECKSUMS[cards[name].url] == cards[name].sha256
    assert not set(cards) & set(list_uci()["name"])


def test_torchaudio_finds_the_same_clips(unpacked):
    torchaudio = pytest.importorskip("torchaudio.datasets.speechcommands")
    clips = fetch_speech_commands(data_home=unpacked).frame
    for ours, theirs in (("train", "training"), ("test", "testing")):
        found = torchaudio.SPEECHCOMMANDS(unpacked, NAME, subset=theirs)
        rows = [found.get_metadata(i) for i in range(len(found))]
        expected = {(f"{unpacked}/SpeechCommands/{row[0]}", row[2], row[3]) for row in rows}
        part = clips[clips["subset"] == ours]
        assert set(zip(part["path"], part["label"], part["speaker"], strict=True)) == expected
