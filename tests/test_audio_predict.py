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
from mixup_tab.audio.standard_input import read_all, read_head, read_names

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


def test_marks_before_names(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(sound())
    for between in (b"\n", b"\0"):
        assert piped(model, b"\xef\xbb\xbfa.wav" + between) == ["a.wav"]
    with pytest.raises(ValueError, match="Send file names in UTF-8"):
        piped(model, "a.wav\n".encode("utf-16"))


@pytest.mark.parametrize("before", [b"", b"a.wav\n"])
def test_a_name_is_not_endless(before):
    content = io.BytesIO(before + b"x" * 10**7)
    with pytest.raises(ValueError, match="holds a name of more than 65,536 bytes"):
        list(read_names(read_head(content), content))
    assert content.tell() < 10**6


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


# ------------------------------------------------------------------------------- long files


def write_long(path, files, seconds=6):
    """Write quiet noise with the first of the files in it."""
    rng = np.random.default_rng(0)
    wave = 0.001 * rng.normal(size=8000 * seconds)
    start = 8000 * seconds * 2 // 3
    wave[start : start + 1600] = soundfile.read(files[0])[0]
    soundfile.write(path, wave, 8000)


def lines(model, files, **options):
    out = io.StringIO()
    predict_to(model, files, stdout=out, device="cpu", **options)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_a_long_file_is_searched_for_its_surest_word(fitted, model, tmp_path):
    pipeline, files, _ = fitted
    path = str(tmp_path / "long.wav")
    write_long(path, files)
    samples = np.pad(soundfile.read(path, dtype="int16")[0], 800)
    step = 320  # a fifth of a clip
    every = np.lib.stride_tricks.sliding_window_view(samples, 1600)[::step]
    proba = pipeline[-1].predict_proba(every.copy())
    best = proba.max(axis=1).argmax()
    row, short = lines(model, [path, files[0]], every=True)
    assert row["label"] == ["low", "top"][proba[best].argmax()]
    assert float(row["seconds"]) == pytest.approx(max(best * step - 800, 0) / 8000, abs=0.006)
    for found, expected in (("probability", proba.max()), ("probability_low", proba[best, 0])):
        assert float(row[found]) == pytest.approx(expected, abs=1e-5)
    assert short["seconds"] == ""
    with open(path, "rb") as file:
        content = file.read()
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    stdin = io.BufferedReader(io.BytesIO(content))
    predict_to(model, ["-"], stdin=stdin, stdout=out, device="cpu", every=True)
    out.seek(0)
    assert list(csv.DictReader(out)) == [{**row, "path": "-"}]


def test_long_and_short_files_stay_in_order_and_damaged_ones_are_named(fitted, model, tmp_path):
    files = fitted[1]
    long, broken = str(tmp_path / "long.flac"), tmp_path / "broken.flac"
    write_long(long, files)
    with open(long, "rb") as file:
        broken.write_bytes(file.read()[:-2000])
    mixed = [files[0], long, files[1], files[2], str(broken), long]
    found = lines(model, mixed, on_error="skip")
    assert [row["path"] for row in found] == [*mixed[:4], long]
    assert [bool(row["seconds"]) for row in found] == [False, True, False, False, True]
    with pytest.raises(ValueError, match=r"broken\.flac is .* Lines written: 4\."):
        lines(model, mixed)


def test_names_that_are_waiting_are_read_together():
    names = [f"clips/{k:06}.wav" for k in range(100_000)]
    stdin = io.BufferedReader(io.BytesIO("\n".join(names).encode()))
    batches = list(read_names(read_head(stdin), stdin))
    assert [name for batch in batches for name in batch] == names
    assert len(batches) < 400


def test_a_clip_on_standard_input_is_not_endless(monkeypatch):
    monkeypatch.setattr("mixup_tab.audio.standard_input._LARGEST", 10**6)
    content = io.BytesIO(bytes(10**7))
    with pytest.raises(ValueError, match="is a clip of more than 1,000,000 bytes"):
        read_all(b"", content)
    assert content.tell() < 2 * 10**6
