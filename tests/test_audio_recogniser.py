"""Speech models read without scikit-learn: the same bits, the same checks, less to import."""

import json
import random
import subprocess
import sys
import warnings

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
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from mixup_tab.audio import RejectingClassifier, speech_classifier
from mixup_tab.audio.recogniser import load_recogniser
from mixup_tab.audio.saving import SpeechCard, load_speech_model, save_speech_model

WORDS = ["no", "yes", "ünder"]
RECIPE = {"model": "lenet", "seconds": 0.2, "sample_rate": 8000, "max_epochs": 1}
RECIPE |= {"device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(0).integers(-9000, 9000, (12, 1600), dtype=np.int16)


def write(path, clips, words, wrapped=False, **options):
    pipeline = speech_classifier(**{**RECIPE, **options})
    pipeline[-1].fit(clips, np.repeat(words, 12 // len(words)))
    if wrapped:
        steps = [pipeline.steps[0], ("classifier", FrozenEstimator(pipeline[-1]))]
        pipeline = Pipeline(steps)
    save_speech_model(path, pipeline, SpeechCard(list(words), RECIPE, 1600, 12, 0, None))
    return path


@pytest.fixture(scope="module")
def saved(clips, tmp_path_factory):
    return write(tmp_path_factory.mktemp("models") / "m", clips, WORDS, n_estimators=2)


@pytest.fixture(scope="module")
def refusing(clips, tmp_path_factory):
    """A model that answers unknown, as speech train writes them."""
    path = tmp_path_factory.mktemp("models") / "m"
    pipeline, words = speech_classifier(**RECIPE), ["no", "unknown", "yes"]
    net = pipeline[-1].fit(clips, np.repeat(words, 4))
    steps = [pipeline.steps[0], ("net", RejectingClassifier.from_fitted(net, threshold=0.4))]
    save_speech_model(
        path, Pipeline(steps), SpeechCard(words, RECIPE, 1600, 12, 0, None, threshold=0.4)
    )
    return path


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (WORDS, {"n_estimators": 3}),
        (WORDS[:2], {"kind": "log"}),
        (WORDS, {"model": "bcresnet", "level": "waveform", "kind": "power"}),
        (WORDS, {"model": "resnet", "net_params": {"width": 0.1}, "augment": False}),
        (WORDS, {"wrapped": True}),
    ],
)
def test_probabilities_have_the_bits_of_the_pipeline(words, options, clips, tmp_path):
    path = write(tmp_path / "m", clips, words, **options)
    known, card = load_speech_model(path, device="cpu")
    quick, same = load_recogniser(path, device="cpu")
    assert card == same
    assert isinstance(quick, Pipeline) == ("wrapped" in options)  # needs scikit-learn's class
    many = np.concatenate([clips] * 25)  # more than the net takes at once
    for X in (clips, clips[:1], many):
        assert (quick[-1].predict_proba(X) == known[-1].predict_proba(X)).all()
    assert quick[-1].classes_.tolist() == known[-1].classes_.tolist()
    for name in ("sample_rate", "seconds", "align", "dtype"):
        assert getattr(quick[0], name) == getattr(known[0], name)


def test_predicting_imports_neither_scikit_learn_nor_pandas(saved, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.sin(np.arange(8000)), 8000)  # long enough to be searched
    code = (
        "import sys\n"
        "from mixup_tab.audio.listening import listen_to\n"
        "from mixup_tab.audio.predict import predict_to\n"
        "predict_to(sys.argv[1], [sys.argv[2]], device='cpu')\n"
        "listen_to(sys.argv[1], sys.argv[2], device='cpu')\n"
        "heavy = ['sklearn', 'pandas', 'scipy', 'skorch', 'joblib', 'torch._dynamo']\n"
        "print(*[name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved), str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "path,label" in done.stdout
    assert "seconds,word" in done.stdout
    assert done.stderr.split() == []


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("which", ["saved", "refusing"])
def test_damaged_and_forged_files_are_one_line_or_probabilities(
    forged, which, clips, tmp_path, request
):
    """What both readers accept predicts the same bits; an unforged file only its own."""
    content, rng = request.getfixturevalue(which).read_bytes(), random.Random(1)

    def outcome(load):
        with warnings.catch_warnings(), watched() as seen:
            warnings.simplefilter("ignore")
            try:
                result = load(tmp_path / "m", device="cpu")[0][-1].predict_proba(clips)
            except ValueError as error:
                result = str(error)
                assert "\n" not in result
            except Exception as error:  # a net that its own data do not fit
                result = repr(error)
        assert seen == []
        return result

    (tmp_path / "m").write_bytes(content)
    expected = outcome(load_recogniser)
    for _ in range(number_of_cases(300) // 6):
        change = mutate_model if forged else rng.choice([mutate_bytes, mutate_zip])
        (tmp_path / "m").write_bytes(change(content, rng))
        result = outcome(load_recogniser)
        if isinstance(result, str):
            continue
        other = expected if not forged else outcome(load_speech_model)
        assert isinstance(other, str) or np.array_equal(result, other, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("threshold", text)
            for text in ("NaN", "2", "-1.5", '"0.5"', "null", "true", "1e999")
        ),
        *(("unknown", text) for text in ("null", "1", '["no"]')),
        *(("seconds", text) for text in ("NaN", "1e999", "1e9", "-1", "0", "null")),
        *(("sample_rate", text) for text in ("NaN", "1e30", "0", "null")),
        *(("n_outputs", text) for text in ("2", "0", "true", "1000000000")),
        *(("n_members", text) for text in ("0", "2", "1000000", '"1"')),
    ],
)
def test_both_readers_refuse_forged_values(name, value, refusing, tmp_path):
    def change(schema):
        contents = [n["content"] for n in nodes(schema) if n["__loader__"] == "DictNode"]
        holders = [content for content in contents if name in content]
        assert holders
        for number, content in enumerate(holders):
            content[name] = json_node(value) | {"__id__": 10**9 + number}

    parts = members(with_schema(refusing.read_bytes(), change))
    head = json.loads(parts["model.json"])
    if name in head["about"]:  # the description agrees, as far as JSON can
        head["about"][name] = json.loads(value)
        parts["model.json"] = json.dumps(head).encode()
    (tmp_path / "m").write_bytes(sealed(parts))
    for load in (load_recogniser, load_speech_model):
        with pytest.raises(ValueError, match="'m' cannot be loaded here") as error:
            load(tmp_path / "m", device="cpu")
        assert "\n" not in str(error.value)


def json_node(value):
    return {
        "__loader__": "JsonNode",
        "__module__": "builtins",
        "__class__": "str",
        "__id__": 10**9,
        "content": value,
    }


@pytest.mark.parametrize("name", ["net_", "classes_", "n_features_in_", "sample_rate", "steps"])
def test_a_part_that_is_another_is_refused(name, saved, tmp_path):
    def change(schema):
        contents = [n["content"] for n in nodes(schema) if n["__loader__"] == "DictNode"]
        content = next(content for content in contents if name in content)
        content[name] = json_node("7")

    (tmp_path / "m").write_bytes(with_schema(saved.read_bytes(), change))
    with pytest.raises(ValueError, match="'m' cannot be loaded here"):
        load_recogniser(tmp_path / "m")


def test_weights_that_are_not_finite_or_of_another_net_are_refused(saved, tmp_path):
    parts = members(saved.read_bytes())
    tensors = safetensors.torch.load(parts["weights.safetensors"])
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    for tensor, message in [
        (tensors[name] * float("nan"), "hold NaN or infinity"),
        (tensors[name][:1].contiguous(), "its net needs"),
    ]:
        changed = safetensors.torch.save({**tensors, name: tensor})
        (tmp_path / "m").write_bytes(sealed({**parts, "weights.safetensors": changed}))
        with pytest.raises(ValueError, match=message):
            load_recogniser(tmp_path / "m")
