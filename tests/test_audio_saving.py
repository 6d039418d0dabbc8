import json
import random
import sys
import warnings
import zipfile

import numpy as np
import pytest
import safetensors.torch
import soundfile
from hostile import (
    members,
    mutate_bytes,
    mutate_model,
    mutate_zip,
    number_of_cases,
    sealed,
    watched,
)

from mixup_tab.audio import speech_classifier
from mixup_tab.audio.predict import predict_files, predict_to
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

WIDE = {"model": "resnet", "net_params": {"width": 1e3}}


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
        assert archive.namelist() == ["model.json", "net.safetensors", "sha256"]
        assert json.loads(archive.read("model.json"))["kind"] == "sound"
        assert safetensors.torch.load(archive.read("net.safetensors"))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"samples": 4000}, "cannot be put together here"),
        ({"recipe": {"model": "other"}}, "cannot be put together here"),
        ({"unknown": 1}, "cannot be put together here"),
        ({"words": ["no", "no", "yes"]}, "what it knows about the target is wrong"),
        ({"words": ["no", "yes"]}, r"weights .* are \(3,"),
        ({"words": [1, 2, 3]}, "words in its description is"),
        ({"samples": 10**12}, "is not one of a speech model"),
        ({"recipe": RECIPE | {"sample_rate": 10**9}}, "is not one of a speech model"),
        ({"recipe": RECIPE | {"seconds": 10**9}}, "is not one of a speech model"),
        ({"recipe": RECIPE | {"module": None}}, "is not one of a speech model"),
        ({"recipe": RECIPE | {"callbacks": []}}, "is not one of a speech model"),
        ({"recipe": RECIPE | {"n_estimators": 10**7}}, "n_estimators=10000000 are more than"),
        ({"recipe": RECIPE | {"n_estimators": 3}}, "its weights are those of another net"),
        ({"recipe": RECIPE | {"max_epochs": -1}}, "'max_epochs' parameter"),
        ({"recipe": RECIPE | WIDE}, "its weights are those of another net"),
        (None, "for tables, not for sounds. Use mixup-tab predict"),
    ],
)
def test_other_files_are_one_clear_error(saved, tmp_path, about, message):
    path, parts = tmp_path / "broken.speech", members(saved[0].read_bytes())
    head = json.loads(parts["model.json"])
    head |= {"kind": "table"} if about is None else {"about": head["about"] | about}
    path.write_bytes(sealed({**parts, "model.json": json.dumps(head).encode()}))
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


def test_a_model_with_another_recipe_than_its_own_is_not_saved(saved, tmp_path):
    pipeline = saved[1]
    card = SpeechCard(WORDS, {**RECIPE, "kind": "log"}, 1600, 12, 0, None)
    with pytest.raises(ValueError, match="cannot be put together here"):
        save_speech_model(tmp_path / "m", pipeline, card)
    assert not list(tmp_path.iterdir())


def test_nan_never_leaves_predict(saved, clips, tmp_path):
    parts = members(saved[0].read_bytes())
    tensors = safetensors.torch.load(parts["net.safetensors"])
    soundfile.write(tmp_path / "a.wav", clips[0], 8000)
    for factor, message in [(float("nan"), "hold NaN or infinity"), (1e38, "gives NaN or inf")]:
        changed = {n: t * factor if t.is_floating_point() else t for n, t in tensors.items()}
        changed |= {n: t.abs() for n, t in tensors.items() if n.endswith("running_var")}
        new = {**parts, "net.safetensors": safetensors.torch.save(changed)}
        (tmp_path / "m").write_bytes(sealed(new))
        with pytest.raises(ValueError, match=message):
            predict_to(tmp_path / "m", [str(tmp_path / "a.wav")], output=tmp_path / "o.csv")


def test_the_size_of_a_file_is_limited(saved):
    size = saved[0].stat().st_size
    with pytest.raises(ValueError, match="more than size_limit"):
        load_speech_model(saved[0], size_limit=size - 1)
    assert load_speech_model(saved[0], size_limit=size)


@pytest.mark.parametrize("forged", [False, True])
def test_damaged_and_forged_files_are_one_line_or_probabilities(forged, saved, clips, tmp_path):
    """A damaged file predicts as before or not at all; a forged one, numbers or not at all."""
    content, rng, file = saved[0].read_bytes(), random.Random(0), str(tmp_path / "a.wav")
    soundfile.write(file, clips[0], 8000)

    def outcome():
        with warnings.catch_warnings(), watched() as seen:
            warnings.simplefilter("ignore")
            try:
                loaded, _ = load_speech_model(tmp_path / "m", device="cpu")
                result = next(predict_files(loaded, [file])).proba
            except ValueError as error:
                result = str(error)
                assert "\n" not in result
        assert seen == []
        return result

    (tmp_path / "m").write_bytes(content)
    expected = outcome()
    for _ in range(number_of_cases(300) // 6):
        change = (
            mutate_model if forged else rng.choice([mutate_bytes, mutate_bytes, mutate_zip])
        )
        (tmp_path / "m").write_bytes(change(content, rng))
        result = outcome()
        if not isinstance(result, str):
            assert np.isfinite(result).all()
            assert forged or np.array_equal(result, expected)
