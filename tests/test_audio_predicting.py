import csv
import io
import os
import sys

import numpy as np
import pytest
import soundfile

from mixup_tab.audio import speech_classifier
from mixup_tab.audio.predicting import predict_to
from mixup_tab.audio.saving import SpeechCard, save_speech_model

RECIPE = {"model": "lenet", "seconds": 0.2, "sample_rate": 8000, "max_epochs": 1}
RECIPE |= {"device": "cpu", "random_state": 0}


def sound(kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(1600)) / 2, 8000, format=kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pipeline = speech_classifier(**RECIPE)
    clips = np.random.default_rng(0).integers(-9000, 9000, (8, 1600), dtype=np.int16)
    pipeline[-1].fit(clips, np.repeat(["no", "yes"], 4))
    path = tmp_path_factory.mktemp("models") / "words.speech"
    save_speech_model(path, pipeline, SpeechCard(["no", "yes"], RECIPE, 1600, 8, 0, None))
    return path


def piped(model, stdin, **options):
    """What standard input brings: paths in the CSV, and the counts."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    counts = predict_to(
        model, ["-"], stdin=io.BufferedReader(io.BytesIO(stdin)), stdout=out, **options
    )
    out.seek(0)
    return [row["path"] for row in csv.DictReader(out)], counts


# Names that begin like sounds, and what a table has to quote.
NAMES = ["ID3.wav", "RIFFraff.wav", 'a, "b".wav', " c ☃.wav "]


@pytest.mark.parametrize(
    ("between", "more"), [(b"\n", []), (b"\r\n", []), (b"\0", ["d\ne.wav"])]
)
def test_names_on_standard_input(model, tmp_path, monkeypatch, between, more):
    monkeypatch.chdir(tmp_path)
    names = [*NAMES, *more]
    for name in names:
        (tmp_path / name).write_bytes(sound())
    listed = between.join(os.fsencode(name) for name in names)
    for stdin in (listed, listed + between):
        assert piped(model, stdin)[0] == names


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_utf_8_come_out_as_they_are(model, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xe4.wav"
    with open(name, "wb") as file:
        file.write(sound())
    assert os.fsencode(piped(model, name)[0][0]) == name
    output = tmp_path / "out.csv"
    predict_to(model, [os.fsdecode(name)], output=output)
    assert output.read_bytes().splitlines()[1].startswith(name + b",")


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_a_clip_on_standard_input(model, kind):
    assert piped(model, sound(kind))[0] == ["-"]


def test_a_broken_clip_on_standard_input(model, capsys):
    with pytest.raises(ValueError, match=r"- is truncated.*--on-error skip"):
        piped(model, sound()[:1000])
    paths, counts = piped(model, sound()[:1000], on_error="skip")
    assert paths == []
    assert [name for name, _ in counts.skipped] == ["-"]
    assert "Left out 1 file that cannot be read:\n  -: is truncated" in capsys.readouterr().err


def test_neither_names_nor_a_clip(model):
    with pytest.raises(ValueError, match="neither a list of names nor a clip"):
        piped(model, bytes(range(256)))


def test_only_predictions_are_written_over(model, tmp_path):
    clip, output = tmp_path / "a.wav", tmp_path / "out.csv"
    clip.write_bytes(sound())
    was = model.read_bytes()
    for place in (clip, model):
        with pytest.raises(ValueError, match="exists and holds no predictions"):
            predict_to(model, [str(clip)], output=place)
    assert (clip.read_bytes(), model.read_bytes()) == (sound(), was)
    predict_to(model, [str(clip)] * 2, output=output)
    predict_to(model, [str(clip)], output=output, every=True)
    assert len(output.read_text().splitlines()) == 2


def test_without_soundfile_nothing_is_written(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"mixup-tab\[speech\]"):
        predict_to(model, ["a.wav"], output=tmp_path / "out.csv")
    assert not any(tmp_path.iterdir())
