"""``mixup-tab speech`` on other sounds: train, evaluate, predict."""

import csv
import json
import os
import signal
import threading
import time
import zipfile
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import soundfile
from tone_folders import RATE, tone, write_tones
from typer.testing import CliRunner

from mixup_tab.audio.evaluate import evaluate_model
from mixup_tab.cli.app import app
from mixup_tab.persistence import load_model

SMALL = ("--model", "lenet", "--epochs", "30", "--seconds", "0.2", "--sample-rate", "8000")
SMALL += ("--device", "cpu", "--alpha", "0", "--no-augment")


def call(*arguments):
    return CliRunner().invoke(app, ["speech", *map(str, arguments)])


def flat(text):
    return " ".join(text.split())


def card(model):
    with zipfile.ZipFile(model) as archive:
        return json.loads(archive.read("model.json"))["about"]


def weights(model):
    with zipfile.ZipFile(model) as archive:
        return archive.read("weights.safetensors")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three tones, recordings of a fourth by the same speakers, and a hum."""
    root = write_tones(tmp_path_factory.mktemp("clips") / "tones", takes=3)
    rng = np.random.default_rng(1)
    for folder in ("_unknown_", "_background_noise_"):
        (root / folder).mkdir()
    for speaker in ("ann", "bob", "cat", "dan"):
        for take in range(4):
            path = root / "_unknown_" / f"{speaker}_nohash_{take}.wav"
            soundfile.write(path, tone(2000, rng), RATE)
    soundfile.write(root / "_background_noise_" / "hum.wav", rng.normal(size=16_000) / 99, RATE)
    return root


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    model = tmp_path_factory.mktemp("models") / "tones.speech"
    result = call("train", root, "--output", model, *SMALL, "--lost", "0.3")
    assert result.exit_code == 0, result.output
    return model, flat(result.stdout)


def test_training_says_what_it_learned_and_what_the_threshold_does(trained):
    model, said = trained
    about = card(model)
    assert about["words"] == ["low", "mid", "top", "unknown"]
    assert 0 <= about["lost"] < 1
    assert about["validation_clips"] == 9
    assert about["validation_accuracy"] <= 1 - about["lost"] < 1  # refused clips are wrong
    assert -1 <= about["threshold"] <= 1
    assert "Other sounds for training: " in said
    assert "12 recorded" in said
    assert "36 clips of 3 words and 16 of other sounds, 4 speakers: 39 for training, 13" in said
    assert "A word is answered if its probability " in said
    assert f"{abs(about['threshold']):.3f}" in said
    assert f"{100 * about['lost']:.1f} % of 9 validation clips of words are lost" in said
    assert "of 200 other sounds are taken for a word (background " in said


def test_python_evaluate_and_predict_give_the_same_answers(trained, root, tmp_path):
    model, _ = trained
    folder = tmp_path / "report"
    result = call("evaluate", model, root, "--output", folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    evaluation, notes = evaluate_model(model, root, device="cpu")
    assert "Other sounds, not to be taken for a word: _unknown_" in str(notes)
    known, other = evaluation.predictions, evaluation.negatives
    assert other["label"].value_counts().to_dict() == {
        "_unknown_": 16,
        "_background_noise_": 10,
    }
    assert evaluation.seconds == pytest.approx(26 * 0.2)
    hum = other[other["label"] == "_background_noise_"]
    np.testing.assert_allclose(hum["start"], np.arange(10) * 0.2)
    assert len(known) == 36
    files = [*known["path"][::5], *other["path"][:5]]
    expected = [*known["predicted"][::5], *other["predicted"][:5]]
    assert load_model(model).predict(files).tolist() == expected
    printed = call("predict", model, *files, "--device", "cpu")
    found = list(csv.DictReader(StringIO(printed.stdout)))
    assert [row["label"] for row in found] == expected
    written = pd.read_csv(folder / "predictions.csv")
    assert written["predicted"].tolist() == [*known["predicted"], *other["predicted"]]


def test_a_stopped_training_ends_with_the_same_model(trained, root, tmp_path):
    model, resume = tmp_path / "tones.speech", tmp_path / "tones.speech.resume"

    def interrupt():
        end = time.monotonic() + 120
        while not resume.exists() and time.monotonic() < end:
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Thread(target=interrupt)
    waiting.start()
    command = ("train", root, "--output", model, *SMALL, "--lost", "0.3")
    assert call(*command).exit_code == 130
    waiting.join()
    assert call(*command).exit_code == 0
    assert weights(model) == weights(trained[0])
    assert card(model) == card(trained[0])


def test_a_rate_that_no_threshold_keeps_to(root, tmp_path):
    """The training is kept, so that another rate needs no second one."""
    model = tmp_path / "m"
    short = ("train", root, "--output", model, *SMALL, "--epochs", "1")
    result = call(*short, "--false-alarms", "0")
    assert result.exit_code == 1
    assert "--false-alarms 0.0 is kept by no threshold that leaves one of 9" in flat(
        result.stderr
    )
    assert not model.exists()
    assert (tmp_path / "m.resume").exists()
    result = call(*short, "--lost", "1")
    assert result.exit_code == 0, result.output
    assert "epoch 1 of 1" not in result.stdout
    assert card(model)["threshold"] == 1.0


def test_without_validation_there_is_no_threshold(root, tmp_path):
    model = tmp_path / "m"
    options = (*SMALL, "--epochs", "1", "--validation-fraction", "0")
    result = call("train", root, "--output", model, *options)
    assert result.exit_code == 0, result.output
    assert "There are no clips for validation" in flat(result.stdout)
    assert card(model)["threshold"] is None
    assert card(model)["words"] == ["low", "mid", "top", "unknown"]


def test_one_word_is_enough_with_other_sounds_only(tmp_path):
    lonely = write_tones(tmp_path / "lonely", words=["low"], takes=3)
    common = ("train", lonely, "--output", tmp_path / "m", *SMALL, "--epochs", "1")
    result = call(*common)
    assert result.exit_code == 0, result.output
    assert card(tmp_path / "m")["words"] == ["low", "unknown"]
    result = call(*common, "--force", "--no-unknown")
    assert result.exit_code == 1
    assert "has only one label, 'low'" in flat(result.stderr)


def test_a_folder_named_unknown_is_that_class_or_a_word(tmp_path):
    root, model = write_tones(tmp_path / "tones"), tmp_path / "m"
    (root / "mid").rename(root / "unknown")
    common = ("train", root, "--output", model, *SMALL, "--epochs", "1")
    assert "3 recorded" in call(*common).stdout
    assert card(model)["words"] == ["low", "top", "unknown"]
    assert call(*common, "--force", "--no-unknown").exit_code == 0
    assert not hasattr(load_model(model)[-1], "unknown")  # a word like others
    (root / "unknown").rename(root / "Unknown")
    assert "easily mistaken for 'unknown'" in flat(call(*common, "--force").stderr)
    assert call(*common, "--force", "--no-unknown").exit_code == 0


def test_folders_that_nothing_can_be_learned_from(tmp_path):
    root = write_tones(tmp_path / "tones")
    for path in (root / "mid").iterdir():
        soundfile.write(path, np.zeros(1600), RATE)
    result = call("train", root, "--output", tmp_path / "m", *SMALL)
    assert "all training clips of the word 'mid' are silent" in flat(result.stderr)
    for word in ("low", "top"):
        (root / word).rename(tmp_path / word)
    (root / "mid").rename(root / "unknown")
    result = call("train", root, "--output", tmp_path / "m", *SMALL)
    assert "there are only other sounds, and no words" in flat(result.stderr)
    (root / "unknown").rename(root / "_unknown_")
    result = call("train", root, "--output", tmp_path / "m", *SMALL)
    assert "holds no usable sound files" in flat(result.stderr)
    assert not (tmp_path / "m").exists()
    result = call("train", root, "--output", tmp_path / "m", "--false-alarms", "5")
    assert "--false-alarms 5.0 must be a share in [0, 1]" in flat(result.stderr)
