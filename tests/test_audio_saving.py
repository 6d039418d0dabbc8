import io
import json
import sys
import zipfile

import numpy as np
import pytest
import safetensors.torch

from mixup_tab.audio import speech_classifier
from mixup_tab.audio.saving import (
    FORMAT,
    SpeechCard,
    load_speech_model,
    save_speech_model,
    versions,
)
from mixup_tab.compare.saving import FORMAT as TABLE_FORMAT

WORDS = ["no", "yes", "ünder"]
RECIPE = {
    "model": "lenet",
    "seconds": 0.2,
    "sample_rate": 8000,
    "alpha": 0.3,
    "n_estimators": 2,
    "max_epochs": 1,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).integers(-9000, 9000, (12, 1600), dtype=np.int16)


@pytest.fixture(scope="module")
def saved(clips, tmp_path_factory):
    pipeline = speech_classifier(**RECIPE)
    pipeline[-1].fit(clips, np.repeat(WORDS, 4))
    path = tmp_path_factory.mktemp("models") / "words.speech"
    save_speech_model(path, pipeline, SpeechCard(WORDS, RECIPE, 1600, 12, 0, None, versions()))
    return path, pipeline


def test_a_loaded_model_predicts_the_same_bits(saved, clips):
    path, pipeline = saved
    loaded, card = load_speech_model(path, device="cpu")
    assert card.words == WORDS
    assert card.recipe == RECIPE
    assert loaded[-1].classes_.tolist() == WORDS
    assert (loaded[-1].predict_proba(clips) == pipeline[-1].predict_proba(clips)).all()


def test_the_file_holds_text_and_numbers_only(saved):
    with zipfile.ZipFile(saved[0]) as archive:
        assert archive.namelist() == ["model.json", "net.safetensors"]
        assert json.loads(archive.read("model.json"))["format"] == FORMAT
        assert safetensors.torch.load(archive.read("net.safetensors"))


def rewritten(path, change):
    """The bytes of a model with something changed in its text."""
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        about = json.loads(old.read("model.json"))
        new.writestr("model.json", json.dumps(change(about)))
        new.writestr("net.safetensors", old.read("net.safetensors"))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda path: b"", "is not a speech model"),
        (lambda path: b"anything", "is not a speech model"),
        (lambda path: path.read_bytes()[:5000], "is not a speech model"),
        (lambda path: rewritten(path, lambda a: a | {"format": "other"}), "not a speech model"),
        (lambda path: rewritten(path, lambda a: [1, 2]), "is not a speech model"),
        (lambda path: rewritten(path, lambda a: {"format": FORMAT}), "is not a speech model"),
        (lambda path: rewritten(path, lambda a: a | {"versions": 1}), "is not a speech model"),
        (
            lambda path: rewritten(path, lambda a: a | {"format": TABLE_FORMAT}),
            "Use mixup-tab predict",
        ),
        (lambda path: rewritten(path, lambda a: a | {"samples": 4000}), "cannot be put toget"),
        (
            lambda path: rewritten(path, lambda a: a | {"recipe": {"model": "other"}}),
            "cannot be put together here",
        ),
    ],
)
def test_other_files_are_one_clear_error(saved, tmp_path, content, message):
    path = tmp_path / "broken.speech"
    path.write_bytes(content(saved[0]))
    with pytest.raises(ValueError, match=message) as error:
        load_speech_model(path)
    assert "broken.speech" in str(error.value)


def test_a_device_or_a_library_that_is_not_there_is_no_fault_of_the_model(saved, monkeypatch):
    with pytest.raises(ValueError, match=r"^device='abacus' cannot be used here"):
        load_speech_model(saved[0], device="abacus")
    for name in [name for name in sys.modules if name.startswith("torchaudio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ImportError, match="torchaudio, which cannot be imported"):
        load_speech_model(saved[0])


def test_a_missing_file_and_a_place_that_cannot_be_written(saved, tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        load_speech_model(tmp_path / "nothing")
    card = load_speech_model(saved[0])[1]
    with pytest.raises(OSError, match="cannot be written"):
        save_speech_model(tmp_path / "no" / "folder", saved[1], card)
