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
    nodes,
    number_of_cases,
    sealed,
    watched,
    with_schema,
)

from mixup_tab.audio import WaveAugment, speech_classifier
from mixup_tab.audio.predict import predict_files, predict_to
from mixup_tab.audio.saving import SpeechCard, load_speech_model, save_speech_model
from mixup_tab.persistence import load_model, save_model

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
        names = ["model.json", "weights.safetensors", "model.skops", "sha256"]
        assert archive.namelist() == names
        assert json.loads(archive.read("model.json"))["about"]["kind"] == "sound"
        assert safetensors.torch.load(archive.read("weights.safetensors"))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"samples": 4000}, "cannot be loaded here"),
        ({"unknown": 1}, "cannot be loaded here"),
        ({"words": ["no", "yes"]}, "its metadata are not those of a speech model"),
        ({"words": [1, 2, 3]}, "words in its description is"),
        ({"samples": 10**12}, "its metadata are not those of a speech model"),
        ({"kind": "table"}, "for tables, not for sounds. Use mixup-tab predict"),
        ({"kind": None}, "was saved in Python"),
        ({"kind": ["sound"]}, "was saved in Python"),
    ],
)
def test_other_files_are_one_clear_error(saved, tmp_path, about, message):
    path, parts = tmp_path / "broken.speech", members(saved[0].read_bytes())
    head = json.loads(parts["model.json"])
    head["about"] |= about
    path.write_bytes(sealed({**parts, "model.json": json.dumps(head).encode()}))
    with pytest.raises(ValueError, match=message) as error:
        load_speech_model(path)
    assert "broken.speech" in str(error.value)


def test_a_device_that_is_not_there_is_no_fault_of_the_model(saved):
    with pytest.raises(ValueError, match=r"^device='abacus' cannot be used here"):
        load_speech_model(saved[0], device="abacus")


def test_a_model_is_read_without_torchaudio(saved, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torchaudio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    assert load_speech_model(saved[0])[1].words == WORDS


def test_a_missing_file_and_a_place_that_cannot_be_written(saved, tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        load_speech_model(tmp_path / "nothing")
    card = load_speech_model(saved[0])[1]
    with pytest.raises(OSError, match="cannot be written"):
        save_speech_model(saved[0] / "m", saved[1], card)


@pytest.mark.parametrize("change", [{"words": ["no", "yes"]}, {"samples": 1601}])
def test_a_model_that_is_not_what_the_card_says_is_not_saved(change, saved, tmp_path):
    card = SpeechCard(WORDS, RECIPE, 1600, 12, 0, None)._replace(**change)
    with pytest.raises(ValueError, match="its metadata are not those of a speech model"):
        save_speech_model(tmp_path / "m", saved[1], card)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "augment"),
    [
        ({"model": "bcresnet", "net_params": {"tau": 1}}, None),
        ({"level": "waveform", "augment": False, "kind": "mel"}, None),
        ({"model": "resnet", "net_params": {"width": 0.1}, "kind": "power"}, None),
        ({}, WaveAugment(shift=0.2, snr=(1.0, 2.0), noise=np.ones((1, 9)))),
    ],
)
def test_any_pipeline_for_sounds_is_saved_from_python(options, augment, clips, tmp_path):
    pipeline = speech_classifier(**{**RECIPE, "n_estimators": 1, **options})
    module = pipeline[-1].module
    if augment is not None:
        module.keywords["augment"] = augment
    pipeline[-1].fit(clips, np.repeat(WORDS, 4))
    save_model(pipeline, tmp_path / "m", about={"shop": 3})
    again = load_model(tmp_path / "m")
    assert (again[-1].predict_proba(clips) == pipeline[-1].predict_proba(clips)).all()
    assert again[0].get_params() == pipeline[0].get_params()
    again = again[-1].module.keywords
    assert again.keys() == module.keywords.keys()
    for name in ("spectrogram", "augment", "masks"):
        assert repr(again[name]) == repr(module.keywords[name])
    with pytest.raises(ValueError, match="'m' was saved in Python, without a description"):
        load_speech_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 10**9),
        ("seconds", 1e9),
        ("n_mels", 10**9),
        ("window_seconds", 1e300),
        ("hop_seconds", 1e-9),
    ],
)
def test_sounds_of_any_size_take_no_memory(name, value, saved, tmp_path):
    def change(schema):
        contents = [n["content"] for n in nodes(schema) if n["__loader__"] == "DictNode"]
        content = next(content for content in contents if name in content)
        first = "__loader__" in content[name]  # others refer to it
        plain = {"__loader__": "JsonNode", "__module__": "builtins", "__class__": "str"}
        number = content[name]["__id__"] if first else 10**9
        content[name] = {**plain, "__id__": number, "content": json.dumps(value)}

    (tmp_path / "m").write_bytes(with_schema(saved[0].read_bytes(), change))
    with pytest.raises(ValueError, match="its sounds or spectrograms are too large"):
        load_speech_model(tmp_path / "m", device="cpu")


def test_nan_never_leaves_predict(saved, clips, tmp_path):
    parts = members(saved[0].read_bytes())
    tensors = safetensors.torch.load(parts["weights.safetensors"])
    soundfile.write(tmp_path / "a.wav", clips[0], 8000)
    for factor, message in [
        (float("nan"), "hold NaN or infinity"),
        (1e38, "predicts NaN or inf"),
    ]:
        changed = {n: t * factor if t.is_floating_point() else t for n, t in tensors.items()}
        changed |= {n: t.abs() for n, t in tensors.items() if n.endswith("running_var")}
        new = {**parts, "weights.safetensors": safetensors.torch.save(changed)}
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
