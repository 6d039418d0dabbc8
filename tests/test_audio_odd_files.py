"""A file that plays is read as it sounds, or named as unreadable with the reason."""

import io
import re

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from odd_sounds import PLAIN, PLAYABLE, RATE, SCALED, TONE, UNREADABLE, encode  # noqa: E402

from mixup_tab.audio import ClipError, decoding, read_clip, read_clips  # noqa: E402

MIDDLE = slice(1_000, -1_000)  # ADPCM and lossy formats need a start


def remark(content, tmp_path, **options):
    (tmp_path / "a.wav").write_bytes(content)
    return read_clips([tmp_path / "a.wav"], **options).facts["remark"][0]


@pytest.mark.parametrize("name", PLAYABLE)
def test_odd_headers_do_not_change_the_sound(name):
    content, close = PLAYABLE[name]
    np.testing.assert_allclose(read_clip(content)[MIDDLE], TONE[MIDDLE], atol=close)


@pytest.mark.parametrize("name", SCALED)
def test_odd_scales_and_channels_give_the_tone(name):
    content, gain = SCALED[name]
    clip = read_clip(content)[MIDDLE]
    np.testing.assert_allclose(clip - clip.mean(), gain * TONE[MIDDLE], atol=5e-4)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named_with_the_reason(name):
    content, words = UNREADABLE[name]
    with pytest.raises(ClipError) as caught:
        read_clip(content)
    assert re.search(words, caught.value.reason, re.DOTALL), caught.value.reason


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".txt", ""])
def test_the_ending_does_not_matter(suffix, tmp_path):
    for content in (PLAIN, encode(TONE, "MP3")):
        path = tmp_path / f"clip{suffix}"
        path.write_bytes(content)
        np.testing.assert_allclose(read_clip(path)[MIDDLE], TONE[MIDDLE], atol=0.05)


def test_a_file_of_macos_beside_it_does_not_matter(tmp_path):
    (tmp_path / "a.mp3").write_bytes(encode(TONE, "MP3"))
    (tmp_path / "._a.mp3").write_bytes(b"\0\5\x16\7\0\2\0\0" + bytes(500))
    np.testing.assert_allclose(read_clip(tmp_path / "a.mp3")[MIDDLE], TONE[MIDDLE], atol=0.05)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("16-bit integers as floats", "divided by 32,768"),
        ("24-bit integers as floats", "divided by 8,388,608"),
        ("very quiet floats", "very quiet: multiplied by 4,096"),
        ("inverted", "channels cancel out: only the loudest is used"),
        ("one silent channel", "^$"),
        ("beyond full scale", "^$"),
    ],
)
def test_what_was_done_is_said(name, words, tmp_path):
    assert re.search(words, remark(SCALED[name][0], tmp_path))


@pytest.mark.parametrize("rate", [4, 100, 768_000])
def test_slow_and_fast_files(rate):
    seconds = 40 if rate < 1_000 else 2
    wave = np.sin(2 * np.pi * np.arange(seconds * rate) * min(0.1, 440 / rate))
    for align in ("sound", "center"):
        clip = read_clip(encode(wave / 2, rate=rate), align=align)
        assert clip.shape == (RATE,)
        assert 0.4 < np.abs(clip).max() < 0.7


@pytest.mark.parametrize("subtype", ["GSM610", "NMS_ADPCM_32"])
def test_a_long_file_in_which_one_cannot_jump_is_cut_in_memory(subtype):
    wave = np.zeros(6 * RATE)
    wave[4 * RATE : 5 * RATE] = TONE
    content = encode(wave, subtype=subtype)
    assert read_clip(content).std() > 0.2
    assert read_clip(content, align="start").std() < 0.01
    whole = read_clip(content, seconds=None)
    part = read_clip(content, align="center")
    np.testing.assert_array_equal(part, whole[(len(whole) - RATE) // 2 :][:RATE])


def test_the_scale_is_that_of_the_whole_file():
    """The loudest part decides, wherever the window is."""
    wave = np.zeros(4 * RATE)
    wave[:RATE] = TONE / 16
    wave[2 * RATE] = 2.0**22  # a click, which the window does not hold
    wave[:RATE] = np.rint(wave[:RATE] * 2**23)
    clip = read_clip(encode(wave, subtype="FLOAT"))
    assert np.abs(clip).max() == pytest.approx(1 / 32, rel=0.01)


def test_silence_stays_silence_and_16_bits_are_not_made_louder(tmp_path):
    assert not read_clip(encode(0 * TONE)).any()
    assert not read_clip(encode(0 * TONE, subtype="FLOAT")).any()
    np.testing.assert_allclose(read_clip(encode(TONE / 5_000)), TONE / 5_000, atol=4e-5)
    assert remark(encode(TONE / 5_000), tmp_path) == ""


def test_facts_of_files(tmp_path):
    long = np.rint((np.tile(TONE, 3) / 4 + 0.25) * 32768).astype("int16")
    files = {
        "a.wav": encode(np.clip(3 * TONE, -1, 1)),
        "b.flac": encode(np.stack([long, long], 1), "FLAC"),
        "c.aiff": encode(long, "AIFF"),
        "bad.wav": b"no sound",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    clips = read_clips([tmp_path / name for name in files], on_error="skip", n_jobs=2)
    clipped, longer, alike = clips.facts
    assert len(clips.facts) == len(clips.waveforms) == 3
    assert (clipped["rate"], clipped["channels"], clipped["seconds"]) == (RATE, 1, 1)
    assert 6_000 < clipped["clipped"] < 9_000
    assert clipped["peak"] == pytest.approx(1, abs=1e-4)
    assert (longer["channels"], longer["seconds"], longer["clipped"]) == (2, 3, 0)
    assert longer["offset"] == pytest.approx(0.25, abs=1e-3)
    assert longer["digest"] == alike["digest"] != clipped["digest"]


def test_facts_do_not_depend_on_the_blocks(monkeypatch, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encode(np.tile(3 * TONE, 3), subtype="FLOAT"))
    (whole,) = read_clips([path]).facts
    monkeypatch.setattr(decoding, "_BLOCK", 10_000)
    (parts,) = read_clips([path]).facts
    for name in ("seconds", "peak", "lost", "digest"):
        assert parts[name] == whole[name]


def test_a_file_that_is_open_stays_open():
    file = io.BytesIO(b"PK\3\4" + bytes(500))
    for _ in range(2):
        with pytest.raises(ClipError, match="is an archive"):
            read_clip(file)
