"""Words in streams: windows, rules, pipes, files and microphones."""

import csv
import io
import os
import select
import signal
import struct
import subprocess
import sys
import tracemalloc
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
from tone_folders import PITCHES, RATE, tone
from typer.testing import CliRunner

from mixup_tab.audio import Heard, listen, speech_classifier
from mixup_tab.audio.listening import listen_to
from mixup_tab.audio.saving import SpeechCard, save_speech_model
from mixup_tab.audio.streams import as_clip, open_sound, windows
from mixup_tab.cli.app import app

WORDS = sorted([*PITCHES, "unknown"])
RECIPE = {"model": "lenet", "seconds": 0.2, "sample_rate": RATE, "max_epochs": 25}
RECIPE |= {"alpha": 0.1, "device": "cpu", "random_state": 0}
QUICK = {"step": 0.05, "threshold": 0.5, "refractory": 0.2, "smoothing": 3}


def noise(seconds, rng):
    return 0.02 * rng.normal(size=int(seconds * RATE))


def clip(word, rng):
    """A tone as in a stream: anywhere in the clip; or noise."""
    wave = noise(0.4, rng)
    if word != "unknown":
        wave[800:2400] = tone(PITCHES[word], rng)
    start = 800 + rng.integers(-500, 500)
    return to_int16(wave[start : start + 1600])


def to_int16(wave):
    return np.round(wave * 32767).clip(-32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def pipeline():
    rng = np.random.default_rng(0)
    labels = WORDS * 20
    fitted = speech_classifier(**RECIPE)
    fitted[-1].fit(np.array([clip(word, rng) for word in labels]), labels)
    return fitted


@pytest.fixture(scope="module")
def model(pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tones.mixup"
    save_speech_model(path, pipeline, SpeechCard(WORDS, RECIPE, 1600, 80, 0, None))
    return path


@pytest.fixture(scope="module")
def stream():
    """Noise with tones in it: int16 samples; seconds and words."""
    rng = np.random.default_rng(1)
    wave, said, place = noise(40, rng), [], 1.0
    while place < 38:
        word = ("low", "mid", "top")[rng.integers(3)]
        start = int(place * RATE)
        wave[start : start + 1600] = tone(PITCHES[word], rng)
        said.append((place + 0.1, word))
        place += rng.uniform(0.6, 2)
    return to_int16(wave), said


def compare(heard, said, near=0.3):
    """Return hits, misses and false alarms."""
    left = list(said)
    for seconds, word in heard:
        found = [one for one in left if one[1] == word and abs(one[0] - seconds) < near]
        if found:
            left.remove(found[0])
    hits = len(said) - len(left)
    return hits, len(left), len(heard) - hits


def read(text):
    return [(float(row["seconds"]), row["word"]) for row in csv.DictReader(io.StringIO(text))]


# ------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(("length", "step"), [(10, 3), (7, 7), (8, 1)])
def test_windows_are_those_of_the_whole_stream_however_it_is_cut(length, step):
    rng = np.random.default_rng(length)
    whole = rng.normal(size=101).astype(np.float32)
    half = length // 2
    padded = np.concatenate([np.zeros(half), whole, np.zeros(half)])
    expected = [padded[k : k + length] for k in range(0, len(padded) - length + 1, step)]
    for parts in (1, 5, 60):
        cuts = np.sort(rng.integers(0, 102, parts))
        found = [
            (start, each.copy()) for start, each in windows(np.split(whole, cuts), length, step)
        ]
        assert [start for start, _ in found] == [k * step - half for k in range(len(expected))]
        np.testing.assert_array_equal([each for _, each in found], expected)


def test_an_endless_stream_takes_no_memory():
    blocks = (np.zeros(16_000, np.float32) for _ in range(5_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in windows(blocks, 16_000, 8_000)) > 9_000
        assert tracemalloc.get_traced_memory()[1] < 2e6  # of 320 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rate", [RATE, 2 * RATE, 11_025])
def test_a_stretch_of_another_rate_becomes_a_clip(rate):
    reader = SimpleNamespace(sample_rate=RATE, seconds=0.2, dtype="int16")
    time = np.arange(-(-rate // 5)) / rate
    found = as_clip(np.sin(2 * np.pi * 300 * time).astype(np.float32) / 2, rate, reader)
    expected = 16384 * np.sin(2 * np.pi * 300 * np.arange(1600) / RATE)
    assert (found.dtype, found.shape) == (np.int16, (1600,))
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=300)


# --------------------------------------------------------------------------------- rules


class Levels:
    """A net whose probability of "on" is the largest sample of a clip, as a share."""

    classes_ = np.array(["off", "on", "unknown"])

    def predict_proba(self, X):
        on = np.abs(X).max(axis=1) / 32768
        return np.stack([0 * on, on, 1 - on], 1)


def rules(levels, **options):
    """Times of words in a stream of one level per step of 0.1 s; a clip is one step."""
    reader = SimpleNamespace(sample_rate=100, seconds=0.1, dtype="int16")
    blocks = [np.zeros(5), *(np.full(10, level, np.float32) for level in levels)]
    if "threshold" in options:  # as a margin
        options["threshold"] = 2 * options["threshold"] - 1
    found = listen([reader, Levels()], blocks, **{"smoothing": 1, "step": 0.1, **options})
    return [(round(one.seconds, 2), round(one.probability, 2)) for one in found]


def test_a_word_is_heard_once_until_it_has_gone_and_the_time_is_over():
    on = [0.9, 0.9, 0.9]
    assert rules([0, *on, 0, 0], threshold=0.8) == [(0.2, 0.9)]
    twice = [0, *on, 0, *on, *[0] * 10, *on]
    assert rules(twice, threshold=0.8, refractory=0.0) == [(0.2, 0.9), (0.6, 0.9), (1.9, 0.9)]
    assert rules(twice, threshold=0.8, refractory=1.0) == [(0.2, 0.9), (1.9, 0.9)]
    # What is still there when the time is over is another word.
    assert rules([*on, 0, *on], threshold=0.8, refractory=0.5) == [(0.1, 0.9), (0.6, 0.9)]
    assert rules([0.9] * 30, threshold=0.8, refractory=0.5) == [(0.1, 0.9)]
    assert rules(on, threshold=0.95) == []


def test_probabilities_are_averaged():
    assert rules([0, 0, 0.9, 0, 0], threshold=0.8, smoothing=2) == []
    found = rules([0, 0, 0.6, 0.9, 0.9], threshold=0.79, smoothing=3)
    assert found == [(0.4, 0.8)]  # the middle of three clips
    # Where the class "unknown" is more probable, no word is heard.
    assert rules([0.45], threshold=0.5) == []
    assert rules([0.55], threshold=0.5) == [(0.1, 0.55)]


def test_the_threshold_of_the_model_is_used():
    net = Levels()
    reader = SimpleNamespace(sample_rate=100, seconds=0.1, dtype="int16")
    blocks = [np.full(50, 0.5, np.float32)]
    options = {"smoothing": 1, "step": 0.1}
    assert not list(listen([reader, net], blocks, **options))  # 0.6 where it has none
    net.threshold = -0.2
    assert list(listen([reader, net], blocks, **options))
    assert not list(listen([reader, net], blocks, **options, threshold=0.2))


BAD = {
    "threshold": (2, "threshold=3 must be a number in"),
    "step": (0, "step=0 must be finite and at least"),
    "step ": (1, "step=1 must be at most the 0.1 seconds of a clip"),
    "smoothing": (0, "smoothing=0 must be a positive integer"),
    "refractory": (-1, "refractory=-1 must be"),
    "sample_rate": (0, "sample_rate=0 must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters_are_named(name):
    value, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        rules([0.5], **{name.strip(): value})


def test_blocks_of_another_kind_are_named():
    reader = SimpleNamespace(sample_rate=100, seconds=0.1, dtype="int16")
    for block in (np.zeros((5, 2)), np.zeros(5, np.int32), ["a"]):
        with pytest.raises(TypeError, match="blocks must hold one channel of int16 or floats"):
            list(listen([reader, Levels()], [block]))


# ------------------------------------------------------------------- a model, and a stream


def test_words_in_noise_are_found_from_python(pipeline, stream):
    samples, said = stream
    heard = list(listen(pipeline, np.array_split(samples, 999), **QUICK))
    assert all(isinstance(one, Heard) and 0.5 <= one.probability <= 1 for one in heard)
    hits, misses, false = compare([(one.seconds, one.word) for one in heard], said)
    assert hits >= 0.9 * len(said)
    assert misses <= 0.1 * len(said)
    assert false <= 1


def wav(samples, rate=RATE, channels=1, kind=1, bits=16, size=None):
    """A WAV file as a program writes it to a pipe: with a chunk that says nothing."""
    data = np.repeat(samples, channels).tobytes()
    size = len(data) if size is None else size
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST" + struct.pack("<I", 3)
    body = b"WAVE" + chunks + b"abc\0data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def piped(model, content, **options):
    out = io.StringIO()
    stdin = io.BufferedReader(io.BytesIO(content))
    listen_to(model, "-", stdin=stdin, stdout=out, device="cpu", **{**QUICK, **options})
    return out.getvalue()


def test_raw_samples_and_wav_on_a_pipe_and_a_file_are_heard_alike(
    model, stream, tmp_path, capsys
):
    samples = stream[0][: 8 * RATE]
    expected = piped(model, samples.tobytes())
    assert len(read(expected)) > 3
    for content in (
        wav(samples),
        wav(samples, channels=2),
        wav(samples, size=0xFFFFFFFF),  # as ffmpeg does, which cannot know it
        wav(samples, size=0),
        wav(samples) + b"LIST\4\0\0\0abcd",
    ):
        assert piped(model, content) == expected
    assert capsys.readouterr().err == ""
    soundfile.write(tmp_path / "a.flac", samples, RATE)
    out = io.StringIO()
    listen_to(model, str(tmp_path / "a.flac"), stdout=out, device="cpu", **QUICK)
    assert out.getvalue() == expected


def test_channels_of_a_pipe_that_cancel_out_are_heard(model, stream):
    samples = stream[0][: 8 * RATE]
    both = np.stack([samples, -samples], axis=1)
    head = wav(both[:0], channels=2, size=0)
    heard = read(piped(model, head + both.tobytes()))
    assert heard == read(piped(model, samples.tobytes()))


def test_another_rate_is_converted(model, stream, tmp_path):
    samples, said = stream
    said = [one for one in said if one[0] < 14]
    twice = np.repeat(samples[: 15 * RATE], 2)
    for content, rate in ((twice.tobytes(), 2 * RATE), (wav(twice, rate=2 * RATE), None)):
        hits, _, false = compare(read(piped(model, content, sample_rate=rate)), said)
        assert hits >= 0.8 * len(said)
        assert false <= 2


def test_a_pipe_that_ends_in_a_sample_keeps_what_was_heard(model, stream, capsys):
    samples = stream[0][: 5 * RATE]
    whole = piped(model, samples.tobytes())
    assert piped(model, samples.tobytes() + b"\1") == whole
    assert capsys.readouterr().err.splitlines() == [
        "The sound ended in the middle of a sample, which was left out."
    ]
    assert read(piped(model, b"")) == []
    assert read(piped(model, b"\0" * 100)) == []  # shorter than a clip


def test_sound_that_is_packed_otherwise_says_how_to_convert_it(model):
    flac = io.BytesIO()
    soundfile.write(flac, np.zeros(99), RATE, format="FLAC")
    others = [flac.getvalue(), wav(np.zeros(9, np.float32), kind=3, bits=32)]
    others += [wav(np.zeros(9, "i2"))[:30], wav(np.zeros(9, "i2"), rate=0)]
    others += [b"RIFF\0\0\0\0WAVElong\xff\xff\xff\x7f"]
    others += [b"RIFF\0\0\0\0WAVE" + b"many\0\0\0\0" * 2**21 + wav(np.zeros(9, "i2"))[12:]]
    for content in others:
        with pytest.raises(ValueError, match=f"ffmpeg -i FILE -f s16le -ac 1 -ar {RATE} -"):
            piped(model, content)


def test_a_file_that_is_damaged_keeps_what_was_heard(model, stream, tmp_path):
    out, path = io.StringIO(), tmp_path / "a.flac"
    soundfile.write(path, stream[0], RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"a\.flac is"):
        listen_to(model, str(path), stdout=out, device="cpu", **QUICK)
    assert len(read(out.getvalue())) > 5
    with pytest.raises(ValueError, match="does not exist"), open_sound(str(tmp_path / "b")):
        pass


# --------------------------------------------------------------------------- microphones


def fake_sounddevice(samples, rates=(RATE,), lost=False):
    """A module like sounddevice, with one microphone of some rates."""
    module, place = ModuleType("sounddevice"), [0]
    module.PortAudioError = type("PortAudioError", (Exception,), {})

    class RawInputStream:
        def __init__(self, rate, **options):
            assert options == {"device": None, "channels": 1, "dtype": "int16"}
            if rate not in rates:
                raise module.PortAudioError("no such rate")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            place[0] = -1

        def read(self, frames):
            if place[0] >= len(samples):
                raise KeyboardInterrupt
            place[0] += frames
            return samples[place[0] - frames : place[0]].tobytes(), lost

    def check_input_settings(device, channels, dtype, samplerate):
        if samplerate not in rates:
            raise module.PortAudioError("Invalid sample rate")

    def query_devices(device, kind):
        if not rates:
            raise module.PortAudioError("Error querying device -1")
        return {"default_samplerate": float(rates[0])}

    module.RawInputStream, module.query_devices = RawInputStream, query_devices
    module.check_input_settings = check_input_settings
    return module


def test_a_microphone_is_heard_until_ctrl_c(model, stream, monkeypatch, capsys):
    samples = stream[0][: 15 * RATE]
    expected = read(piped(model, samples.tobytes()))
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(samples, lost=True))
    out = io.StringIO()
    listen_to(model, stdout=out, device="cpu", **QUICK)
    assert read(out.getvalue()) == expected[: len(read(out.getvalue()))]
    assert len(read(out.getvalue())) >= len(expected) - 1  # the end is not flushed
    error = capsys.readouterr().err
    assert error.count("Sound was lost") == 1
    assert "Listening to the microphone. Press Ctrl-C to stop." in error
    # A microphone that only has another rate.
    fake = fake_sounddevice(np.repeat(samples, 2), rates=(2 * RATE,))
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    out = io.StringIO()
    listen_to(model, stdout=out, device="cpu", **QUICK)
    assert len(read(out.getvalue())) >= 0.8 * len(expected)


def test_without_a_microphone_one_line_says_what_to_do(model, monkeypatch, tmp_path):
    def error():
        result = CliRunner().invoke(app, ["speech", "listen", str(model), "--device", "cpu"])
        assert (result.exit_code, result.stdout) == (1, "")
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert len(lines) == 1
        return lines[0]

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert 'pip install "mixup-tab[live]"' in error()
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice([], rates=()))
    assert "the microphone cannot be opened (Error querying device -1)" in error()
    assert "python -m sounddevice" in error()
    assert "arecord -t raw -f S16_LE -c 1 -r 8000 | mixup-tab speech listen MODEL -" in error()
    # As sounddevice does where the library is missing.
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "PortAudio library not found. Install PortAudio" in error()


# ------------------------------------------------------------------------------ processes


def start(*arguments):
    command = [sys.executable, "-m", "mixup_tab.cli", "speech", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, "--device", "cpu"], bufsize=0, **pipes)


def line_of(process, seconds=120):
    """The next line, which must come although the pipe stays open."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        assert ready, f"no line came, only {line!r}"
        part = os.read(process.stdout.fileno(), 1)
        assert part, process.stderr.read().decode()
        line += part
    return line.decode().rstrip()


@pytest.mark.skipif(sys.platform == "win32", reason="select takes no pipes there")
def test_a_pipe_is_answered_at_once_and_ctrl_c_ends_it(model, stream):
    samples, said = stream
    options = [f"--{name}={value}" for name, value in QUICK.items()]
    process = start("listen", model, "-", *options)
    try:
        until = int((said[0][0] + 0.5) * RATE)
        process.stdin.write(samples[:until].tobytes() + b"\0")  # ends within a sample
        assert line_of(process) == "seconds,word,probability"
        heard = line_of(process).split(",")
        assert (abs(float(heard[0]) - said[0][0]) < 0.3, heard[1]) == (True, said[0][1])
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert (process.returncode, error.strip()) == (0, b"")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="select takes no pipes there")
@pytest.mark.parametrize("between", [b"\n", b"\0"])
def test_names_on_a_pipe_are_answered_one_by_one(model, pipeline, between, tmp_path):
    rng, names = np.random.default_rng(0), []
    for word in ("low", "top", "mid"):
        names.append(str(tmp_path / f"{word}.wav"))
        soundfile.write(names[-1], tone(PITCHES[word], rng), RATE)
    process = start("predict", model, "-")
    try:
        for number, name in enumerate(names):
            half = len(name) // 2
            process.stdin.write(os.fsencode(name[:half]))
            process.stdin.write(os.fsencode(name[half:]) + between)
            if not number:
                assert line_of(process) == "path,label,probability,seconds"
            path, label, _, seconds = line_of(process).split(",")
            assert (path, label, seconds) == (name, pipeline.predict([name])[0], "")
        process.stdin.write(os.fsencode(names[0]))  # without an end
        rest, error = process.communicate(timeout=120)
        assert rest.decode().startswith(f"{names[0]},{pipeline.predict(names[:1])[0]},")
        assert (process.returncode, error) == (0, b"")
    finally:
        process.kill()
        process.communicate()


def test_short_clips_are_heard_with_the_default_step():
    """Five predictions that are averaged are half a clip, whatever its length."""
    reader = SimpleNamespace(sample_rate=8_000, seconds=0.25, dtype="int16")
    word = np.zeros(2_000, np.float32)
    word[1_000] = 0.9
    stream = [np.zeros(8_000), word, np.zeros(8_000)]
    (heard,) = listen([reader, Levels()], stream, threshold=0.7)
    assert heard.word == "on"
    assert heard.seconds == pytest.approx(1.125, abs=0.25)
