"""``mixup-tab speech``: train, evaluate and predict on folders of tones."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from io import StringIO

import pandas as pd
import pytest
import soundfile
from tone_folders import write_tones
from typer.testing import CliRunner

from mixup_tab.cli.app import app

# Few and tiny, but enough to tell three tones apart.
SMALL = ("--model", "lenet", "--epochs", "8", "--seconds", "0.2", "--sample-rate", "8000")
SMALL += ("--device", "cpu", "--alpha", "0.2", "--no-unknown")


def call(*arguments, stdin=None):
    return CliRunner().invoke(app, ["speech", *map(str, arguments)], input=stdin)


def numbers(model):
    with zipfile.ZipFile(model) as archive:
        return archive.read("weights.safetensors")


def rows(text):
    return list(csv.DictReader(StringIO(text)))


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("clips") / "tones", takes=3)


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    model = tmp_path_factory.mktemp("models") / "tones.speech"
    result = call("train", tones, "--output", model, *SMALL)
    assert result.exit_code == 0, result.output
    return model, result


def test_training_saves_a_model_and_a_picture_and_prints_its_accuracy(trained):
    model, result = trained
    names = sorted(path.name for path in model.parent.iterdir())
    assert names == ["tones.speech", "tones.speech-loss.png"]
    flat = " ".join(result.stdout.split())
    assert "36 clips of 3 words, 4 speakers: 27 for training, 9 for validation" in flat
    assert "(speakers apart)" in flat
    assert "epoch 8 of 8: loss on mixed clips" in result.stdout
    assert "training accuracy" not in result.stdout
    assert "Validation accuracy" in result.stdout


def wait_for(path, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.002)


@pytest.mark.slow
def test_a_killed_training_is_resumed_and_ends_with_the_same_bits(tones, trained, tmp_path):
    model = tmp_path / "tones.speech"
    command = ["train", tones, "--output", model, *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "mixup_tab.cli", "speech", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_for(tmp_path / "tones.speech.resume")
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not model.exists()
    result = call(*command)
    assert result.exit_code == 0, result.output
    assert "epoch 1 of 8" not in result.stdout
    assert numbers(model) == numbers(trained[0])
    assert not (tmp_path / "tones.speech.resume").exists()


def test_ctrl_c_keeps_what_is_done(tones, trained, tmp_path):
    model = tmp_path / "tones.speech"
    resume_file = tmp_path / "tones.speech.resume"

    def interrupt():
        wait_for(resume_file)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    result = call("train", tones, "--output", model, *SMALL)
    waiting.join()
    assert result.exit_code == 130
    assert "Run the same command to resume" in result.stdout.replace("\n", " ")
    assert not model.exists()
    assert resume_file.exists()
    assert call("train", tones, "--output", model, *SMALL).exit_code == 0
    assert numbers(model) == numbers(trained[0])


def test_evaluate_prints_and_draws(trained, tones, tmp_path):
    folder = tmp_path / "report"
    result = call("evaluate", trained[0], tones, "--output", folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    predictions = pd.read_csv(folder / "predictions.csv")
    accuracy = (predictions["label"] == predictions["predicted"]).mean()
    assert len(predictions) == 36
    assert f"Accuracy {100 * accuracy:.2f} % on 36 clips" in result.stdout
    assert "most often taken for" in result.stdout
    assert "3 top" in result.stdout  # the confusion matrix
    assert (folder / "pictures" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert "By word" in (folder / "report.html").read_text("utf-8")


def test_predictions_of_files_are_those_of_a_pipe_of_names_and_of_a_clip(trained, tones):
    files = sorted(map(str, tones.glob("*/*_0.wav")))
    given = call("predict", trained[0], *files, "--all", "--device", "cpu")
    assert given.exit_code == 0, given.output
    found = rows(given.stdout)
    assert [row["path"] for row in found] == files
    for row in found:
        shares = {word: float(row[f"probability_{word}"]) for word in ("low", "mid", "top")}
        assert row["label"] == max(shares, key=shares.get)
        assert float(row["probability"]) == max(shares.values())
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    names = "".join(f"{name}\n" for name in files)
    piped = call("predict", trained[0], "-", "--all", "--device", "cpu", stdin=names)
    assert piped.stdout == given.stdout
    with open(files[0], "rb") as file:
        alone = call("predict", trained[0], "-", "--all", "--device", "cpu", stdin=file.read())
    assert rows(alone.stdout) == [{**found[0], "path": "-"}]


def test_predictions_before_a_bad_file_are_written(trained, tones, tmp_path):
    good = sorted(map(str, tones.glob("*/ann_nohash_0.wav")))
    broken, output = tmp_path / "broken.wav", tmp_path / "out.csv"
    broken.write_bytes(b"RIFF and no more")
    files = [good[0], good[1], broken, good[2]]
    common = ("--output", output, "--device", "cpu")
    result = call("predict", trained[0], *files, *common)
    assert result.exit_code == 1
    assert "broken.wav" in result.stderr
    assert "Lines written: 2." in result.stderr
    assert [row["path"] for row in rows(output.read_text())] == good[:2]
    result = call("predict", trained[0], *files, *common, "--on-error", "skip")
    assert result.exit_code == 0
    assert [row["path"] for row in rows(output.read_text())] == good
    assert "broken.wav" in result.stderr


def test_training_skips_unreadable_files(tmp_path):
    root, model = write_tones(tmp_path / "tones"), tmp_path / "tones.speech"
    broken = root / "low" / "ann_nohash_0.wav"
    broken.write_bytes(b"no sound at all")
    common = ("train", root, "--output", model, *SMALL, "--epochs", "1")
    common += ("--validation-fraction", "0")
    result = call(*common)
    assert result.exit_code == 1
    assert str(broken) in result.stderr
    assert "--on-error skip" in result.stderr
    assert "on_error" not in result.stderr
    assert not model.exists()
    result = call(*common, "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert "12 for training" in result.stdout.replace("\n", " ")
    assert str(broken) in result.stderr


def test_a_word_without_a_readable_file_is_named(tmp_path):
    root, model = write_tones(tmp_path / "tones"), tmp_path / "tones.speech"
    for content in (b"", b"no sound at all"):
        for path in (root / "mid").iterdir():
            path.write_bytes(content)
        common = ("--on-error", "skip", "--validation-fraction", "0")
        result = call("train", root, "--output", model, *SMALL, *common)
        assert result.exit_code == 1
        assert "Error: word 'mid' has no training clip that can be read" in result.stderr
        assert "Left out 4 files" in result.stderr
        assert not model.exists()


def test_only_models_are_overwritten(tones, tmp_path):
    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"RIFF")
    result = call("train", tones, "--output", clip, "--force", *SMALL)
    assert result.exit_code == 1
    assert "exists and is not a model" in result.stderr
    assert clip.read_bytes() == b"RIFF"


def test_an_evaluation_that_a_bad_file_ends_keeps_its_predictions(trained, tmp_path):
    root, folder = write_tones(tmp_path / "tones"), tmp_path / "report"
    last = root / "top" / "zoe_nohash_0.wav"
    last.write_bytes(b"no sound at all")
    common = ("--output", folder, "--device", "cpu")
    result = call("evaluate", trained[0], root, *common)
    assert result.exit_code == 1
    assert last.name in result.stderr
    assert "12 predictions were saved" in result.stdout
    assert [path.name for path in folder.iterdir()] == ["predictions-unfinished.csv"]
    assert len(pd.read_csv(folder / "predictions-unfinished.csv")) == 12
    none = tmp_path / "none"
    assert call("evaluate", trained[0], tmp_path / "nowhere", "--output", none).exit_code == 1
    assert not none.exists()


BAD_OPTIONS = {
    ("--alpha", "-1"): "The 'alpha' parameter",
    ("--validation-fraction", "0.9"): "--validation-fraction must lie in",
    ("--device", "abacus"): "--device abacus cannot be used here",
    ("--sample-rate", "0"): "--sample-rate 0 must be",
    ("--seconds", "nan"): "--seconds nan must be finite",
    ("--mixing-span", "1", "0"): "--mixing-span must be",
    ("--jobs", "0"): "--jobs 0 must be a number of threads",
}


def test_bad_options_of_training_are_one_line(tones, tmp_path):
    for arguments, message in BAD_OPTIONS.items():
        result = call("train", tones, "--output", tmp_path / "m", *SMALL, *arguments)
        assert result.exit_code == 1
        assert message in result.stderr
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert not any(tmp_path.iterdir())
    lonely = write_tones(tmp_path / "lonely", words=["low"])
    for root in (tmp_path / "nowhere", lonely):
        result = call("train", root, "--output", tmp_path / "m", *SMALL)
        assert (result.exit_code, root.name in result.stderr) == (1, True)
    assert not (tmp_path / "m").exists()


def test_words_of_any_letters_are_shown_as_they_are(tmp_path):
    root, model, folder = tmp_path / "[red]", tmp_path / "m[/x]", tmp_path / "out[/y]"
    write_tones(root)
    for old, new in {"low": "$x_$", "mid": "<script>[b]", "top": "日本"}.items():
        (root / old).rename(root / new)
    assert call("train", root, "--output", model, *SMALL, "--epochs", 1).exit_code == 0
    result = call("evaluate", model, root, "--output", folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "3 日本" in " ".join(result.stdout.split())
    assert f"Report: {folder}" in result.stdout
    page = (folder / "report.html").read_text("utf-8")
    assert "&lt;script&gt;[b]" in page
    assert "<script>[" not in page


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_word_that_is_not_utf_8_is_refused_before_training(tmp_path):
    root = write_tones(tmp_path / "tones")
    (root / "low").rename(root / os.fsdecode(b"\xff"))
    result = call("train", root, "--output", tmp_path / "m", *SMALL)
    assert result.exit_code == 1
    assert "is not UTF-8. Rename its folder" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tones"]


def test_another_kind_of_model_is_refused(trained, tones, tmp_path):
    clip = next(tones.glob("*/*.wav"))
    result = call("predict", clip, clip)
    assert result.exit_code == 1
    assert "is not a model of mixup-tab" in result.stderr
    result = CliRunner().invoke(app, ["predict", str(trained[0]), str(clip)])
    assert result.exit_code == 1
    assert "speech" in result.stderr


def test_a_clip_of_another_rate_and_more_channels_is_accepted(trained, tones, tmp_path):
    wave, rate = soundfile.read(next((tones / "top").glob("*.wav")))
    path = tmp_path / "stereo.flac"
    soundfile.write(path, wave.repeat(6)[:, None].repeat(2, axis=1), 6 * rate, subtype="PCM_24")
    result = call("predict", trained[0], path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert rows(result.stdout)[0]["label"] == "top"


def test_without_soundfile_it_says_what_to_install(tones, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    result = call("train", tones, "--output", tmp_path / "m", *SMALL)
    assert result.exit_code == 1
    assert 'pip install "mixup-tab[speech]"' in result.stderr


def test_labels_and_speakers_by_option(tones, trained, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    lines = ["recording;word;who"]
    for path in sorted(tones.glob("*/*.wav")):
        name = f"{path.parent.name}-{path.stem.replace('_nohash_', '-')}.wav"
        shutil.copy(path, flat / name)
        lines.append(f"{name};{path.parent.name};{path.stem[:3]}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines), encoding="utf-8-sig")
    by_table = ("--labels", table)
    by_name = ("--label-pattern", r"^(\w+)-")
    for ways in (
        (*by_table, "--column", "speaker=who"),
        (*by_name, "--speaker-pattern", r"-(\w+)-"),
    ):
        model = tmp_path / ways[0]
        result = call("train", flat, "--output", model, *SMALL, "--epochs", "1", *ways)
        assert result.exit_code == 0, result.output
        flat_text = " ".join(result.stdout.split())
        assert "36 clips of 3 words, 4 speakers: 27 for training, 9 for valid" in flat_text
    for way in (by_table, by_name):
        result = call("evaluate", trained[0], flat, "--output", tmp_path / "report", *way)
        assert result.exit_code == 0, result.output
        assert "on 36 clips" in result.stdout


def test_options_of_labels_that_do_not_go_together(tones, tmp_path):
    for arguments, message in {
        ("--labels", "a.csv", "--label-pattern", "(.)"): "--labels and --label-pattern cannot",
        ("--column", "label=word"): "--column needs a table of labels",
        ("--labels", "a.csv", "--column", "label"): "must look like label=word, got 'label'",
    }.items():
        result = call("train", tones, "--output", tmp_path / "m", *SMALL, *arguments)
        assert result.exit_code == 1
        assert message in " ".join(result.stderr.split())


def test_a_folder_of_one_word_and_own_recordings_is_evaluated(trained, tones, tmp_path):
    root = tmp_path / "own"
    shutil.copytree(tones / "top", root / "top")
    for number, path in enumerate(sorted((root / "top").iterdir())[:3]):
        path.rename(path.with_name(f"take {number}.wav"))
    (root / "top" / "notes.txt").write_text("mine")
    result = call("evaluate", trained[0], root, "--output", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "on 12 clips" in result.stdout
    assert "Files that are not sounds were left out: 1 .txt." in result.stdout


def test_own_recordings_among_others_are_trained_on(tones, tmp_path):
    root = shutil.copytree(tones, tmp_path / "own")
    (root / "top" / "ann_nohash_0.wav").rename(root / "top" / "mine.wav")
    result = call("train", root, "--output", tmp_path / "m", *SMALL, "--epochs", "1")
    assert result.exit_code == 0, result.output
    assert "36 clips of 3 words, 5 speakers" in " ".join(result.stdout.split())
    assert "1 of 36 clips have no speaker, such as top/mine.wav" in result.stdout
