import io
import os
import pickle
import sys

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from mixup_tab.audio.clips import ClipError, read_clip  # noqa: E402

RATE = 16_000


def sine(rate, seconds=1.0, hertz=440.0):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def content(samples, rate=RATE, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def noise(seconds):
    return np.random.default_rng(0).normal(size=int(RATE * seconds)) / 10


def ramp(length):
    return np.arange(length) / 32768


def reason(source, **options):
    with pytest.raises(ClipError) as caught:
        read_clip(source, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "close"), [("WAV", 1e-4), ("FLAC", 1e-4), ("OGG", 0.02), ("MP3", 0.03)]
)
def test_formats_hold_the_same_sound(kind, close, tmp_path):
    path = tmp_path / f"clip.{kind.lower()}"
    path.write_bytes(content(sine(RATE), kind=kind))
    clip = read_clip(path)
    assert (clip.dtype, clip.shape) == (np.float32, (RATE,))
    np.testing.assert_allclose(clip[500:-500], sine(RATE)[500:-500], atol=close)


def test_channels_are_averaged():
    stereo = np.stack([ramp(RATE), -3 * ramp(RATE) / 2], axis=1)
    np.testing.assert_allclose(read_clip(content(stereo)), -ramp(RATE) / 4, atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "subtype"), [(8_000, "PCM_16"), (96_000, "PCM_24"), (11_127, "FLOAT")]
)
def test_other_rates_are_converted(rate, subtype):
    stereo = np.stack([sine(rate)] * 2, axis=1)
    clip = read_clip(content(stereo, rate, subtype=subtype))
    np.testing.assert_allclose(clip[500:-500], sine(RATE)[500:-500], atol=2e-3)


@pytest.mark.parametrize(("align", "first"), [("center", 50), ("start", 0)])
def test_short_clips_are_padded_with_zeros(align, first):
    clip = read_clip(
        content(ramp(100) + 0.5), sample_rate=RATE, seconds=200 / RATE, align=align
    )
    expected = np.zeros(200)
    expected[first : first + 100] = ramp(100) + 0.5
    np.testing.assert_allclose(clip, expected)


@pytest.mark.parametrize(("align", "first"), [("center", 50), ("start", 0)])
def test_long_clips_are_cut(align, first):
    clip = read_clip(content(ramp(200)), seconds=100 / RATE, align=align)
    np.testing.assert_allclose(clip, ramp(200)[first : first + 100])


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_the_middle_of_a_long_clip_is_that_of_the_whole(kind):
    data = content(noise(6), kind=kind)
    whole = read_clip(data, seconds=None)
    assert len(whole) == 6 * RATE
    start = (6 - 1) * RATE // 2
    np.testing.assert_allclose(read_clip(data), whole[start : start + RATE], atol=1e-6)


def test_files_and_pipes_are_read_like_paths(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(content(sine(RATE)))
    expected = read_clip(str(path))
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_clip(file), expected)
    out, into = os.pipe()
    with os.fdopen(into, "wb") as file:
        file.write(content(sine(RATE, 0.1)))
    with os.fdopen(out, "rb") as pipe:
        np.testing.assert_allclose(read_clip(pipe, seconds=0.1), sine(RATE, 0.1), atol=1e-4)


def test_of_an_hour_only_a_second_is_read():
    class Counting(io.BytesIO):
        count = 0

        def readinto(self, buffer):
            self.count += (n := super().readinto(buffer))
            return n

        def read(self, size=-1):
            self.count += len(data := super().read(size))
            return data

    hour = Counting(content(np.zeros(3600 * 1_000, np.int16), 1_000))
    assert read_clip(hour).shape == (RATE,)
    assert 2_000 <= hour.count < 40_000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value):
    samples = sine(RATE)
    samples[77] = value
    data = content(samples, subtype="FLOAT")
    assert reason(data) == "The clip holds samples that are NaN or infinite."


def test_silence_is_a_clip():
    assert not read_clip(content(np.zeros(RATE))).any()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"yes, no, up, down", "is no audio file, or a broken one (Format not recognised)"),
        (content(np.zeros(0)), "holds no samples"),
        (content(sine(RATE))[:10_000], "is truncated: it holds 9956 bytes of sound of 32000"),
        (content(sine(RATE), kind="AIFF")[:10_000], "is truncated: it holds"),
        (content(sine(RATE), kind="FLAC")[:5_000], "is no audio file, or a broken one"),
        (content(noise(6), kind="OGG")[:20_000], "is truncated: its last page is missing"),
        (content(noise(6), kind="MP3")[:12_000], "is truncated: of"),
    ],
    ids=["empty", "text", "no samples", "WAV", "AIFF", "FLAC", "OGG", "MP3"],
)
def test_broken_files_say_what_is_wrong(data, words, tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(data)
    message = reason(path, seconds=None)
    assert message.startswith(f"{path} {words}")


def test_the_beginning_of_an_mp3_file_is_not_said_to_be_missing(tmp_path):
    path = tmp_path / "clip.mp3"
    path.write_bytes(content(noise(1), kind="MP3")[:10])
    assert "(Format not recognised)" in reason(path)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_the_name_of_a_file_need_not_be_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xe4.wav")
    with open(path, "wb") as file:
        file.write(content(sine(RATE)))
    np.testing.assert_array_equal(read_clip(path), read_clip(content(sine(RATE))))


def test_files_that_are_not_there_say_so(tmp_path):
    assert reason(tmp_path / "no.wav") == f"{tmp_path / 'no.wav'} does not exist."
    assert reason(tmp_path) == f"{tmp_path} is not a file."


@pytest.mark.skipif(not hasattr(os, "geteuid") or not os.geteuid(), reason="root reads it all")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(content(sine(RATE)))
    path.chmod(0)
    assert "permissions" in reason(path)


def test_a_flac_stream_without_length_says_so():
    data = bytearray(content(sine(RATE), kind="FLAC"))
    data[21] &= 0xF0  # the number of samples in STREAMINFO: 36 bits, all zero
    data[22:26] = bytes(4)
    assert "does not say how long" in reason(bytes(data))


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_file_is_read_to_its_end(size):
    data = bytearray(content(sine(RATE)))
    assert data[36:40] == b"data"
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    np.testing.assert_array_equal(read_clip(bytes(data)), read_clip(content(sine(RATE))))


def test_the_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(ClipError("a.wav", "is empty")))
    assert (error.source, error.reason, str(error)) == ("a.wav", "is empty", "a.wav is empty.")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"sample_rate": 0}, ValueError, "sample_rate=0"),
        ({"sample_rate": 16e3}, TypeError, "sample_rate=16000.0"),
        ({"seconds": 0}, ValueError, "seconds=0"),
        ({"seconds": float("nan")}, ValueError, "seconds=nan"),
        ({"seconds": "1"}, TypeError, "seconds='1'"),
        ({"align": "end"}, ValueError, "align='end'.*'center' or 'start'"),
        ({"source": 7}, TypeError, "source=7 is neither"),
    ],
)
def test_bad_parameters_are_named(options, kind, words):
    with pytest.raises(kind, match=words):
        read_clip(**{"source": content(sine(RATE)), **options})


def test_without_soundfile_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r'pip install "mixup-tab\[speech\]"'):
        read_clip(b"")


@pytest.mark.parametrize("error", ["OSError", "RuntimeError", "ImportError"])
def test_a_broken_torchaudio_names_the_pair_to_install(monkeypatch, tmp_path, error):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchaudio.py").write_text(f"raise {error}('libc10_cuda.so')")
    monkeypatch.syspath_prepend(tmp_path)
    pair = r"libc10_cuda.so.*\[speech\].*torch>=2.11,<2.15 with torchaudio>=2.11"
    with pytest.raises(ImportError, match=pair):
        read_clip(content(sine(12_000), 12_000))
