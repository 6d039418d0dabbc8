"""A longer recording is cropped to where its sound is."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from mixup_tab.audio import AudioReader, decoding, read_clip  # noqa: E402
from mixup_tab.audio.where import Levels, find_sound  # noqa: E402

RATE = 16_000


def word(seconds=0.5, rate=RATE):
    """A voice-like sound: harmonics of 120 Hz that swell and fade, louder than 0.1 inside."""
    time = np.arange(round(seconds * rate)) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 20))
    return 0.3 * voice / np.abs(voice).max() * np.sin(np.pi * time / seconds) ** 0.5


def content(samples, rate=RATE, kind="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def recording(at, spoken, *, seconds=3.0, noise=0.01, rate=RATE, seed=0):
    out = noise * np.random.default_rng(seed).normal(size=round(seconds * rate))
    start = round(at * rate)
    out[start : start + len(spoken)] += spoken
    return out


def window(samples, rate=RATE, seconds=1.0):
    """First sample of the clip that is read from samples, found by comparing."""
    data = content(samples, rate, subtype="FLOAT")
    clip = read_clip(data, sample_rate=rate, seconds=seconds)
    samples = samples.astype("f4")
    starts = np.flatnonzero(samples[: len(samples) - len(clip) + 1] == clip[0])
    found = [k for k in starts if np.array_equal(samples[k : k + len(clip)], clip)]
    assert len(found) == 1
    return found[0] / rate


@settings(max_examples=60, deadline=None)
@given(
    at=st.floats(0, 1),
    length=st.floats(0.2, 0.8),
    seconds=st.floats(1.05, 6),
    noise=st.sampled_from([1e-5, 1e-3, 0.01, 0.03]),
    rate=st.sampled_from([8_000, 16_000, 44_100]),
    seed=st.integers(0, 99),
)
def test_a_word_anywhere_in_noise_is_wholly_in_the_window(
    at, length, seconds, noise, rate, seed
):
    spoken = word(length, rate)
    at *= seconds - length
    samples = recording(at, spoken, seconds=seconds, noise=noise, rate=rate, seed=seed)
    start = window(samples, rate)
    # What fades into the noise within 30 ms of either end may be cut.
    assert start <= at + 0.03
    assert start + 1 >= at + length - 0.03


@pytest.mark.parametrize("seconds", [2.0, 20.0])
def test_a_word_that_is_shorter_than_the_window_is_in_its_centre(seconds):
    samples = recording(0.9, word(0.4), seconds=seconds)
    assert window(samples) == pytest.approx(0.9 + 0.2 - 0.5, abs=0.03)


def test_of_two_equal_words_the_first_is_taken():
    samples = np.linspace(0, 1e-3, 6 * RATE)  # no two windows are the same
    for at in (1, 3):
        samples[at * RATE : at * RATE + RATE // 2] += word(0.5)
    assert window(samples) == pytest.approx(0.75, abs=0.03)


def _click(samples):
    samples[4_000:4_100] += 0.9
    samples[9_000:9_005] -= 1.0


def _hum(samples):
    samples += 0.5 * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / RATE)


def _offset(samples):
    samples += 0.4


def _slam(samples):
    """A bang of 150 ms, ten times as loud as the word and twice as far down as up."""
    bang = np.random.default_rng(1).normal(size=2_400) * np.exp(-np.arange(2_400) / 600)
    samples[3_000:5_400] += 3 * np.cumsum(bang) / 20


def _half_silent(samples):
    """As a gate leaves it: zeros where nobody speaks."""
    samples[: RATE * 3 // 2] = 0


@pytest.mark.parametrize("trouble", [_click, _hum, _offset, _slam, _half_silent])
def test_other_sounds_do_not_hide_the_word(trouble):
    samples = recording(2.0, word(0.6))
    trouble(samples)
    start = window(samples)
    assert start <= 2.0 + 0.03
    assert start + 1 >= 2.6 - 0.03


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_without_sound_the_window_is_the_middle(value):
    samples = np.full(3 * RATE, value)
    samples[RATE + 9] += 1e-7  # makes it unlike the others
    assert window(samples) == pytest.approx(1, abs=0.011)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_the_window_of_a_compressed_file_is_part_of_the_whole(kind):
    data = content(recording(4.5, word(), seconds=6), kind=kind)
    whole = read_clip(data, seconds=None)
    clip = read_clip(data)
    errors = [np.abs(whole[k : k + RATE] - clip).max() for k in range(0, 5 * RATE + 1, 160)]
    assert min(errors) < 1e-6
    assert 4.0 <= np.argmin(errors) / 100 <= 4.5


def test_levels_do_not_depend_on_the_blocks():
    samples = recording(1, word()).astype("f4")
    whole, parts = Levels(RATE), Levels(RATE)
    whole.add(samples)
    for part in np.split(samples, [1, 7, 5_000, 5_001, 30_000]):
        parts.add(part)
    np.testing.assert_allclose(parts.in_decibels(), whole.in_decibels(), rtol=1e-6)
    assert len(whole.in_decibels()) == 299


def test_a_long_file_is_searched_in_blocks(monkeypatch):
    data = content(recording(50, word(), seconds=60))
    expected = read_clip(data)
    assert np.abs(expected).max() > 0.1
    monkeypatch.setattr(decoding, "_BLOCK", 10_007)
    np.testing.assert_array_equal(read_clip(data), expected)


def test_the_window_with_most_sound_is_found():
    levels = np.zeros(300)
    levels[200:240], levels[50:60] = 30, 45
    start, lost = find_sound(levels, 100)
    assert start == 170
    assert lost == pytest.approx(10 / 50)
    assert find_sound(levels[:80], 100) == (0, 0.0)


def test_the_reader_uses_it(tmp_path):
    soundfile.write(tmp_path / "a.wav", recording(2.4, word()), RATE)
    path = [tmp_path / "a.wav"]
    assert np.abs(AudioReader().transform(path)).max() > 5_000
    assert np.abs(AudioReader(align="center").transform(path)).max() < 2_000


def test_levels_of_samples_near_the_largest_float_are_finite():
    """A damaged file of floats holds such samples; float32 would overflow."""
    levels = Levels(RATE)
    levels.add(np.where(np.arange(RATE // 10) % 20 < 10, 3e38, -3e38).astype(np.float32))
    assert_allclose(levels.in_decibels().max(), 20 * np.log10(6e38), atol=1)
