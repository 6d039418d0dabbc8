"""Reading sound files: one with read_clip, many with read_clips."""

import io
import os
import pickle
import sys
import tempfile
import time

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from mixup_tab.audio import ClipError, files, read_clip, read_clips  # noqa: E402
from mixup_tab.audio.waveforms import allocate, resample  # noqa: E402

RATE = 16_000
SHORT = 0.01


def sine(rate=RATE, seconds=1.0):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)


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
    path.write_bytes(content(sine(), kind=kind))
    clip = read_clip(path)
    assert (clip.dtype, clip.shape) == (np.float32, (RATE,))
    np.testing.assert_allclose(clip[500:-500], sine()[500:-500], atol=close)


def test_channels_are_averaged():
    stereo = np.stack([ramp(RATE), -3 * ramp(RATE) / 2], axis=1)
    np.testing.assert_allclose(read_clip(content(stereo)), -ramp(RATE) / 4, atol=1e-4)


@pytest.mark.parametrize(
    ("rate", "subtype"), [(8_000, "PCM_16"), (96_000, "PCM_24"), (11_127, "FLOAT")]
)
def test_other_rates_are_converted(rate, subtype):
    stereo = np.stack([sine(rate)] * 2, axis=1)
    clip = read_clip(content(stereo, rate, subtype=subtype))
    np.testing.assert_allclose(clip[500:-500], sine()[500:-500], atol=2e-3)


@pytest.mark.parametrize(("align", "first"), [("center", 50), ("start", 0)])
def test_clips_are_padded_with_zeros_or_cropped(align, first):
    clip = read_clip(content(ramp(100) + 0.5), seconds=200 / RATE, align=align)
    expected = np.zeros(200)
    expected[first : first + 100] = ramp(100) + 0.5
    np.testing.assert_allclose(clip, expected)
    clip = read_clip(content(ramp(200)), seconds=100 / RATE, align=align)
    np.testing.assert_allclose(clip, ramp(200)[first : first + 100])


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_the_middle_of_a_long_clip_is_that_of_the_whole(kind):
    data = content(noise(6), kind=kind)
    whole = read_clip(data, seconds=None)
    assert len(whole) == 6 * RATE
    start = (6 - 1) * RATE // 2
    np.testing.assert_allclose(
        read_clip(data, align="center"), whole[start : start + RATE], atol=1e-6
    )


def test_files_and_pipes_are_read_like_paths(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(content(sine()))
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_clip(file), read_clip(str(path)))
    out, into = os.pipe()
    with os.fdopen(into, "wb") as file:
        file.write(content(sine(seconds=0.1)))
    with os.fdopen(out, "rb") as pipe:
        np.testing.assert_allclose(read_clip(pipe, seconds=0.1), sine(seconds=0.1), atol=1e-4)


def test_only_a_second_of_an_hour_is_read():
    class Counting(io.BytesIO):
        count = 0

        def readinto(self, buffer):
            self.count += (n := super().readinto(buffer))
            return n

        def read(self, size=-1):
            self.count += len(data := super().read(size))
            return data

    hour = Counting(content(np.zeros(3600 * 1_000, np.int16), 1_000))
    assert read_clip(hour, align="center").shape == (RATE,)
    assert 2_000 <= hour.count < 40_000


def test_silence_is_a_clip_and_values_that_are_not_finite_are_refused():
    assert not read_clip(content(np.zeros(RATE))).any()
    for value in (np.nan, np.inf):
        samples = sine()
        samples[77] = value
        message = reason(content(samples, subtype="FLOAT"))
        assert message == "The clip holds samples that are NaN or infinite."


DAMAGED = {
    "empty": (b"", "is empty"),
    "text": (b"yes, no", "is not an audio file, or is damaged (Format not recognised)"),
    "no samples": (content(np.zeros(0)), "holds no samples"),
    "WAV": (content(sine())[:10_000], "is truncated: it holds 9956 of 32000 bytes of sound"),
    "AIFF": (content(sine(), kind="AIFF")[:10_000], "is truncated: it holds"),
    "FLAC": (content(sine(), kind="FLAC")[:5_000], "is not an audio file, or is damaged"),
    "OGG": (content(noise(6), kind="OGG")[:20_000], "is truncated: its last page is missing"),
    "MP3": (content(noise(6), kind="MP3")[:12_000], "is truncated: some of its"),
    "start of MP3": (content(noise(1), kind="MP3")[:10], "is not an audio file, or is damag"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files_say_what_is_wrong(case, tmp_path):
    data, words = DAMAGED[case]
    path = tmp_path / "clip.wav"
    path.write_bytes(data)
    message = reason(path, seconds=None)
    assert message.startswith(f"{path} {words}")
    assert "does not exist" not in message


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_the_name_of_a_file_need_not_be_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xe4.wav")
    with open(path, "wb") as file:
        file.write(content(sine()))
    np.testing.assert_array_equal(read_clip(path), read_clip(content(sine())))


def test_missing_files_say_so(tmp_path):
    assert reason(tmp_path / "no.wav") == f"{tmp_path / 'no.wav'} does not exist."
    assert reason(tmp_path) == f"{tmp_path} is not a file."


@pytest.mark.skipif(not hasattr(os, "geteuid") or not os.geteuid(), reason="root reads it all")
def test_a_file_without_permission_says_so(tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(content(sine()))
    path.chmod(0)
    assert "has no read permission" in reason(path)


def test_streams_of_unknown_length():
    flac = bytearray(content(sine(), kind="FLAC"))
    flac[21] &= 0xF0  # the number of samples in STREAMINFO: 36 bits, all zero
    flac[22:26] = bytes(4)
    assert "does not state its length" in reason(bytes(flac))
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        wav = bytearray(content(sine()))
        assert wav[36:40] == b"data"
        wav[4:8] = wav[40:44] = size.to_bytes(4, "little")
        np.testing.assert_array_equal(read_clip(bytes(wav)), read_clip(content(sine())))


def with_bytes(data, place, new):
    return data[:place] + new + data[place + len(new) :]


SHORT_WAV, SHORT_FLAC = content(np.zeros(9_000)), content(np.zeros(9_000), kind="FLAC")
# Small files that would take much memory, and how much is allowed.
LARGE = {
    "long": (content(np.zeros((9_000, 2))), 71_999, "72,000 bytes in memory"),
    "states frames": (with_bytes(SHORT_FLAC, 21, b"\xf7"), 2**30, "120,.* bytes in memory"),
    "slow": (content(np.zeros(20_000), 1, subtype="PCM_U8"), 2**30, "1,280,000,000 bytes in"),
    "fast": (
        with_bytes(SHORT_WAV, 24, (2**31 - 1).to_bytes(4, "little")),
        2**30,
        "states 2,147,483,647 samples per second",
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_a_file_that_is_larger_than_it_looks_is_refused(case):
    data, limit, words = LARGE[case]
    with pytest.raises(ClipError, match=words):
        read_clip(data, seconds=None, size_limit=limit)


def test_the_limit_holds_for_what_is_read_and_can_be_raised(tmp_path):
    data = content(np.zeros((9_000, 2)))
    assert read_clip(data, seconds=None, size_limit=72_000).shape == (9_000,)
    part = {"seconds": SHORT, "size_limit": 8 * RATE * SHORT}
    assert read_clip(data, align="center", **part).shape == (160,)
    assert "Use align='center', or raise the limit" in reason(data, **part)
    with pytest.raises(ValueError, match=r"size_limit=-1 must be a positive number"):
        read_clip(data, size_limit=-1)
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    clips = read_clips([path], seconds=SHORT, align="start", size_limit=999, on_error="skip")
    assert "takes 1,280 bytes in memory, and the limit is size_limit=999" in clips.skipped[0][1]


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
        ({"align": "end"}, ValueError, "align='end'.*'sound', 'center' or 'start'"),
        ({"source": 7}, TypeError, "source=7 must be a path"),
    ],
)
def test_bad_parameters_are_named(options, kind, words):
    with pytest.raises(kind, match=words):
        read_clip(**{"source": content(sine()), **options})


def test_without_soundfile_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for call in (lambda: read_clip(b""), lambda: read_clips(["a"] * 9, on_error="skip")):
        with pytest.raises(ImportError, match=r'pip install "mixup-tab\[speech\]"'):
            call()


@pytest.mark.parametrize("error", ["OSError", "RuntimeError", "ImportError"])
def test_a_broken_torchaudio_names_the_torch_that_fits(monkeypatch, tmp_path, error):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchaudio.py").write_text(f"raise {error}('libc10_cuda.so')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"libc10_cuda.so.*\[speech\].*torch>=.*torchaudio"):
        read_clip(content(sine(12_000), 12_000))


# ------------------------------------------------------------------------ read_clips


@pytest.fixture
def paths(tmp_path):
    """Five files, of which the second and the fourth are damaged."""
    made = [str(tmp_path / f"{i}.wav") for i in range(5)]
    for i, path in enumerate(made):
        data = {1: b"", 3: b"not a sound"}.get(i, content(noise(SHORT) * (i + 1)))
        with open(path, "wb") as file:
            file.write(data)
    return made


@pytest.mark.parametrize("free", [0, 2**40])
def test_bad_files_are_left_out(paths, monkeypatch, free):
    monkeypatch.setattr("mixup_tab.audio.waveforms._free_memory", lambda: free)
    monkeypatch.setattr(files, "_FILES_PER_TASK", 2)
    counts = []
    clips = read_clips(paths, seconds=SHORT, on_error="skip", n_jobs=2, progress=counts.append)
    good = np.stack([read_clip(paths[i], seconds=SHORT) for i in (0, 2, 4)])
    np.testing.assert_array_equal(clips.waveforms, np.rint(good * 32768))
    assert isinstance(clips.waveforms, np.memmap) == (free == 0)
    assert clips.kept.tolist() == [0, 2, 4]
    assert [path for path, _ in clips.skipped] == [paths[1], paths[3]]
    assert clips.skipped[0][1] == "is empty"
    assert counts == [2, 2, 1]


def test_ten_of_many_bad_files_are_named():
    with pytest.raises(ValueError, match=r"70 files of 70(?s:.*)\.\.\. and 60 more") as caught:
        read_clips([f"{i}.wav" for i in range(70)])
    assert str(caught.value).count("does not exist") == 10


def test_large_arrays_are_kept_in_a_file_that_goes_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_memory, in_file = (allocate((3, 4), "int16", limit=limit) for limit in (24, 23))
    assert not isinstance(in_memory, np.memmap)
    assert isinstance(in_file, np.memmap)
    assert not in_file.any()
    in_file[1] = 7
    assert in_file.sum() == 28
    del in_file
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"GB of sound fit neither.*TMPDIR"):
        allocate((2**50, 2**10), "int16")


def test_a_rate_that_no_recorder_has_is_converted_in_no_time():
    """A header that states 999,983 samples per second once kept the reader busy for minutes."""
    samples = np.sin(2 * np.pi * 440 * np.arange(999_983) / 999_983).astype(np.float32)
    start = time.process_time()
    found = resample(samples, 999_983, 16_000)
    assert time.process_time() - start < 3
    assert abs(len(found) - 16_000) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(len(found)) / 16_000)
    # The nearest simple ratio is 17 parts in a million off: 0.05 of a wave of 440 Hz.
    np.testing.assert_allclose(found[100:-100], expected[100:-100], atol=0.05)
