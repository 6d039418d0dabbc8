"""``mixup-tab speech check``: a folder of clips, its findings, and what training says of it."""

import numpy as np
import pandas as pd
import pytest

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from tone_folders import write_tones  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from mixup_tab.audio.check import check_folder  # noqa: E402
from mixup_tab.audio.findings import summarize  # noqa: E402
from mixup_tab.cli.app import app  # noqa: E402

RATE = 8_000
LIKE = {"seconds": 0.2, "sample_rate": RATE}


@pytest.fixture
def root(tmp_path):
    """Three words, 20 clips each by four speakers, with folders of other sounds."""
    root = write_tones(tmp_path / "clips", takes=5)
    for name in ("_unknown_", "_background_noise_"):
        (root / name).mkdir()
        write(root / name / "eve_nohash_0.wav", np.random.default_rng(0).normal(size=9_000) / 9)
    return root


def write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)


def read(path):
    return soundfile.read(path)[0]


def said(root, **options):
    return check_folder(root, **LIKE, **options).findings


def test_a_good_folder_has_no_findings(root):
    found = check_folder(root, **LIKE, n_jobs=2)
    assert found.findings == []
    assert found.error is None
    others = ["_unknown_", "_background_noise_"]
    assert found.words.index.tolist() == ["low", "mid", "top", *others]
    assert found.words["clips"].tolist() == [20, 20, 20, 1, 1]
    assert found.words["speakers"].isna().tolist() == [False] * 4 + [True]
    assert found.words.loc["low"].tolist() == [20, 4, *[pytest.approx(0.2)] * 3, "8,000"]
    assert len(found.files) == 62
    assert found.files["problem"].isna().all()


def _silent(root):
    for take in (0, 1):
        write(root / f"low/ann_nohash_{take}.wav", np.zeros(1_600))


def _quiet(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, read(path) / 3_000)


def _clipped(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, np.clip(9 * read(path), -1, 1))


def _copied_word(root):
    (root / "mid/ann_nohash_0.wav").write_bytes((root / "low/ann_nohash_0.wav").read_bytes())


def _copied_part(root):
    """The same samples in another format."""
    write(root / "low/ann_nohash_9.flac", read(root / "low/dan_nohash_0.wav"))
    (root / "testing_list.txt").write_text("low/dan_nohash_0.wav\n")


def _copied(root):
    data = (root / "low/ann_nohash_0.wav").read_bytes()
    (root / "low/ann_nohash_9.wav").write_bytes(data)


def _longer(root):
    """One second each: a clip twice, and another clip once."""
    for take, beginnings in ((0, (0, 4_000)), (1, (2_000,))):
        path = root / f"low/ann_nohash_{take}.wav"
        tone, long = read(path), np.zeros(RATE)
        for start in beginnings:
            long[start : start + len(tone)] = tone
        write(path, long)


def _short(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, read(path)[:300])


def _offset(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, read(path) + 0.2)


def _cancelling(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, read(path)[:, None] * [1, -1])


def _fast(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, np.repeat(read(path), 2), 2 * RATE)


def _slow(root):
    path = root / "low/ann_nohash_0.wav"
    write(path, read(path)[::2], RATE // 2)


def _few(root):
    for path in sorted((root / "low").glob("*"))[3:]:
        path.unlink()


def _alone(root):
    for number, path in enumerate(sorted((root / "low").glob("[bcd]*"))):
        path.rename(path.with_name(f"ann_nohash_{number + 10}.wav"))


def _one_voice(root):
    for number, path in enumerate(sorted(root.glob("[lmt]*/[bc]*"))):
        path.rename(path.with_name(f"ann_nohash_{number + 10}.wav"))
    for word in ("low", "mid", "top"):
        (root / word / "dan_nohash_0.wav").rename(root / word / "eve_nohash_0.wav")


def _nameless(root):
    for number, path in enumerate(sorted(root.glob("[lmt]*/*.wav"))):
        path.rename(path.with_name(f"{number}.wav"))


def _no_others(root):
    for path in root.glob("_*/*"):
        path.unlink()


CASES = {
    _silent: "2 clips are silent: all zeros, such as .*ann_nohash_0.wav. Delete",
    _quiet: "1 clip is nearly silent, 60 dB below full scale: .*low/ann_nohash_0.wav",
    _clipped: "1 clip is clipped: .*low/ann_nohash_0.wav. Record again",
    _copied_word: "2 clips are copies of each other under different words, such as .*low.*mid",
    _copied_part: "2 clips are copies of each other under different parts, .*trained on",
    _copied: "1 clip is a copy of another: .*low/ann_nohash_9.wav",
    _longer: "2 clips are longer than the window of 0.2 s, up to 1.0 s.* 1 of them has sound "
    "outside of it, such as .*ann_nohash_0.wav",
    _short: "1 clip is shorter than 0.1 s: .*ann_nohash_0.wav",
    _offset: "1 clip has a DC offset: .*ann_nohash_0.wav",
    _cancelling: "1 clip is adjusted: .*ann_nohash_0.wav. Its channels cancel out",
    _fast: r"differ in samples per second: 8,000 \(59\), 16,000 \(1\)",
    _slow: "1 clip has fewer than the 8,000 samples per second of the model",
    _few: r"Fewer than 20 clips: low \(3\)\.",
    _alone: "Words by a single speaker: low. ",
    _one_voice: "75 % of the clips are by one speaker, ann",
    _nameless: "Speakers are unknown",
    _no_others: "There are no clips of other words and sounds",
}


@pytest.mark.parametrize("spoil", CASES)
def test_each_fault_is_found(root, spoil):
    spoil(root)
    found = "\n".join(said(root))
    assert pd.Series([found]).str.contains(CASES[spoil]).item(), found


def test_silent_files_are_no_copies(root):
    _silent(root)
    assert not any("copies" in finding for finding in said(root))


def test_words_with_many_times_the_clips_of_others(root):
    for number in range(100):
        path = root / "mid" / f"bob_nohash_{number}.wav"
        write(path, np.random.default_rng(number).normal(size=1_600) / 9)
    assert any("mid has 115, low has 20" in finding for finding in said(root))


def test_unreadable_files_are_named_and_refused_as_training_does(root):
    (root / "low/ann_nohash_0.wav").write_bytes(b"PK\3\4" + bytes(99))
    found = check_folder(root, **LIKE)
    assert "is an archive" in " ".join(found.findings)
    assert found.files["problem"].notna().sum() == 1
    assert "1 file of 62 cannot be read" in found.error
    assert check_folder(root, **LIKE, on_error="skip").error is None


def run(*arguments):
    return CliRunner().invoke(app, ["speech", *map(str, arguments)])


def test_the_command_prints_a_table_and_ends_as_training_would(root, tmp_path):
    table = tmp_path / "files.csv"
    common = ("--seconds", "0.2", "--sample-rate", "8000")
    result = run("check", root, *common, "--output", table)
    assert result.exit_code == 0, result.output
    assert "No problems found." in result.stdout
    assert len(pd.read_csv(table)) == 62
    _few(root)
    (root / "low/ann_nohash_0.wav").write_bytes(b"")
    checked = run("check", root, *common)
    trained = run("train", root, *common, "--output", tmp_path / "m", "--epochs", 1)
    assert checked.exit_code == trained.exit_code == 1
    errors = [result.stderr.splitlines()[-1] for result in (checked, trained)]
    assert errors[0] == errors[1]
    assert "- Fewer than 20 clips: low (2)" in checked.stdout
    assert run("check", tmp_path / "none").exit_code == 1


def test_training_says_it_too(root, tmp_path):
    _longer(root)
    common = ("--seconds", "0.2", "--sample-rate", "8000", "--model", "lenet")
    result = run("train", root, *common, "--output", tmp_path / "m", "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert "- 2 clips are longer than the window of 0.2 s" in " ".join(result.stdout.split())


def test_other_sounds_are_read_too(root):
    """Training reads them, and would end with them."""
    for name in ("_unknown_", "_background_noise_"):
        path = root / name / "eve_nohash_0.wav"
        data = path.read_bytes()
        path.write_bytes(b"PK\3\4" + bytes(99))
        assert f"{name}/eve_nohash_0.wav is an archive" in check_folder(root, **LIKE).error
        path.write_bytes(data)


def test_folders_of_other_sounds_have_any_name(root):
    """They are no words, and one that is not there is an error."""
    for old, new in (("_unknown_", "rest"), ("_background_noise_", "hum")):
        (root / old).rename(root / new)
    common = ("check", root, "--seconds", "0.2", "--sample-rate", "8000")
    result = run(*common, "--unknown-folder", "rest", "--noise-folder", "hum")
    assert "No problems found." in result.stdout
    result = run(*common, "--unknown-folder", "rets")
    assert "--unknown-folder rets" in result.stderr


def test_an_empty_folder_of_other_sounds_is_not_called_missing(root):
    _no_others(root)
    assert not any("no folder" in finding for finding in said(root))


def test_what_training_refuses_is_refused(root, tmp_path):
    """One word without other sounds, a silent word, a name like the answer to other sounds."""
    common = (root, "--seconds", "0.2", "--sample-rate", "8000")

    def errors(*options):
        train = run("train", *common, "--output", tmp_path / "m", "--epochs", 1, *options)
        return [
            each.stderr.splitlines()[-1] for each in (run("check", *common, *options), train)
        ]

    for path in (root / "low").iterdir():
        write(path, np.zeros(1_600))
    checked, trained = errors()
    assert checked == trained
    assert "all training clips of the word 'low' are silent" in checked
    (root / "low").rename(root / "Unknown")
    checked, trained = errors()
    assert checked == trained
    assert "easily mistaken for 'unknown'" in checked
    for word in ("Unknown", "mid"):
        (root / word).rename(tmp_path / word)
    checked, trained = errors("--no-unknown")
    assert checked == trained
    assert "only one label" in checked


def test_a_line_is_shown_while_libraries_are_loaded(root, tmp_path):
    common = (root, "--seconds", "0.2", "--sample-rate", "8000")
    for command in (("check", *common), ("preview", *common, "--output", tmp_path / "p.html")):
        assert run(*command).stderr.startswith("Loading PyTorch")
    assert run("evaluate", tmp_path / "none", root).stderr.startswith("Loading PyTorch")


def test_many_findings_are_shortened():
    assert summarize(["a"] * 8) == ["a"] * 8
    assert summarize(["a"] * 9) == [*["a"] * 7, "2 more findings: mixup-tab speech check DIR."]
