"""Predictions for files, names and clips, batch by batch and as CSV."""

import csv
import io
import itertools
import os
import sys

import numpy as np
import pytest
import soundfile
from tone_folders import write_tones

from mixup_tab.audio import read_clips, speech_classifier
from mixup_tab.audio.predict import predict_files, predict_to
from mixup_tab.audio.saving import SpeechCard, save_speech_model

RECIPE = {"model": "lenet", "seconds": 0.2, "sample_rate": 8000, "max_epochs": 1}
RECIPE |= {"device": "cpu", "random_state": 0}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A pipeline, the files that it was fitted on, and its predictions for them."""
    root = write_tones(tmp_path_factory.mktemp("clips") / "tones", words=["low", "top"])
    pipeline = speech_classifier(**RECIPE)
    files = sorted(map(str, root.glob("*/*.wav")))
    waveforms = read_clips(files, seconds=0.2, sample_rate=8000).waveforms
    pipeline[-1].fit(waveforms, [path.split("/")[-2] for path in files])
    return pipeline, files, pipeline[-1].predict_proba(waveforms)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_batch_size_makes_no_difference(fitted, batch_size):
    pipeline, files, expected = fitted
    batches = list(predict_files(pipeline, files, batch_size=batch_size))
    assert [path for batch in batches for path in batch.paths] == files
    assert np.concatenate([batch.positions for batch in batches]).tolist() == list(range(8))
    found = np.concatenate([batch.proba for batch in batches])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_files_are_consumed_as_needed(fitted):
    pipeline, files, _ = fitted
    taken = []
    endless = (taken.append(path) or path for path in itertools.cycle(files))
    batches = predict_files(pipeline, endless, batch_size=4)
    for _ in range(3):
        next(batches)
    assert len(taken) == 12


def test_bad_files_are_listed_and_positions_hold(fitted, tmp_path):
    pipeline, files, expected = fitted
    bad = str(tmp_path / "gone.wav")
    mixed = [bad, files[0], bad, bad, files[1]]
    batches = list(predict_files(pipeline, mixed, on_error="skip", batch_size=2))
    assert [len(batch.paths) for batch in batches] == [1, 0, 1]
    assert np.concatenate([batch.positions for batch in batches]).tolist() == [1, 4]
    assert [len(batch.skipped) for batch in batches] == [1, 2, 0]
    np.testing.assert_allclose(batches[-1].proba, expected[1:2], atol=1e-5)


def test_files_before_a_bad_one_are_predicted(fitted, tmp_path):
    pipeline, files, _ = fitted
    bad = str(tmp_path / "gone.wav")
    batches = predict_files(pipeline, [*files[:3], bad, files[3]], batch_size=10)
    assert next(batches).paths == files[:3]
    with pytest.raises(ValueError, match=r"gone\.wav does not exist"):
        next(batches)
    with pytest.raises(ValueError, match="on_error='warn' must be 'raise' or 'skip'"):
        next(predict_files(pipeline, files, on_error="warn"))


# ------------------------------------------------------------------------------- CSV


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "words.speech"
    card = SpeechCard(["low", "top"], RECIPE, 1600, 8, 0, None)
    save_speech_model(path, fitted[0], card)
    return path


def sound(kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(1600)) / 2, 8000, format=kind)
    return file.getvalue()


def piped(model, stdin, **options):
    """Paths in the CSV for what standard input brings."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    stdin = io.BufferedReader(io.BytesIO(stdin))
    predict_to(model, ["-"], stdin=stdin, stdout=out, device="cpu", **options)
    out.seek(0)
    return [row["path"] for row in csv.DictReader(out)]


# Names that begin like sounds, and some that a table has to quote.
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
        assert piped(model, stdin) == names


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_not_utf_8_stay_as_they_are(model, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xe4.wav"
    with open(name, "wb") as file:
        file.write(sound())
    assert os.fsencode(piped(model, name)[0]) == name
    output = tmp_path / "out.csv"
    predict_to(model, [os.fsdecode(name)], output=output)
    assert output.read_bytes().splitlines()[1].startswith(name + b",")


def test_a_clip_on_standard_input(model, capsys):
    for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        assert piped(model, sound(kind)) == ["-"]
    with pytest.raises(ValueError, match=r"- is truncated.*--on-error skip"):
        piped(model, sound()[:1000])
    assert piped(model, sound()[:1000], on_error="skip") == []
    assert "Left out 1 file that cannot be read:\n  -: is truncated" in capsys.readouterr().err
    with pytest.raises(ValueError, match="neither a list of names nor a clip"):
        piped(model, bytes(range(256)))


def test_only_predictions_are_overwritten(model, tmp_path):
    clip, output = tmp_path / "a.wav", tmp_path / "out.csv"
    clip.write_bytes(sound())
    before = model.read_bytes()
    for place in (clip, model):
        with pytest.raises(ValueError, match="exists and does not hold predictions"):
            predict_to(model, [str(clip)], output=place)
    assert (clip.read_bytes(), model.read_bytes()) == (sound(), before)
    predict_to(model, [str(clip)] * 2, output=output)
    predict_to(model, [str(clip)], output=output, every=True)
    assert len(output.read_text().splitlines()) == 2


def test_without_soundfile_nothing_is_written(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"mixup-tab\[speech\]"):
        predict_to(model, ["a.wav"], output=tmp_path / "out.csv")
    assert not any(tmp_path.iterdir())
