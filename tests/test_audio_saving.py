import json
import sys
import zipfile

import numpy as np
import pytest
import safetensors.torch

from mixup_tab.audio import speech_classifier
from mixup_tab.audio.saving import SpeechCard, load_speech_model, save_speech_model

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
    save_speech_model(path, pipeline, SpeechCard(WORDS, RECIPE, 1600, 12, 0, None))
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
        assert json.loads(archive.read("model.json"))["kind"] == "sound"
        assert safetensors.torch.load(archive.read("net.safetensors"))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"samples": 4000}, "cannot be put together here"),
        ({"recipe": {"model": "other"}}, "cannot be put together here"),
        ({"unknown": 1}, "cannot be put together here"),
        (None, "for tables, not for sounds. Use mixup-tab predict"),
    ],
)
def test_other_files_are_one_clear_error(saved, tmp_path, about, message):
    path = tmp_path / "broken.speech"
    with zipfile.ZipFile(saved[0]) as old, zipfile.ZipFile(path, "w") as new:
        head = json.loads(old.read("model.json"))
        head |= {"kind": "table"} if about is None else {"about": head["about"] | about}
        new.writestr("model.json", json.dumps(head))
        new.writestr("net.safetensors", old.read("net.safetensors"))
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
