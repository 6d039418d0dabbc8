import numpy as np
import pytest

from mixup_tab.audio import Spectrogram
from mixup_tab.displays import SpectrogramDisplay


def tone(hertz, seconds=0.5, rate=16_000):
    time = np.arange(int(seconds * rate)) / rate
    return (10_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def loudest(display):
    """Frequency on the axis of the row with the most in it."""
    image = display.image_.get_array()
    low, high = display.image_.get_extent()[2:]
    step = (high - low) / len(image)
    return low + (image.mean(axis=1).argmax() + 0.5) * step


@pytest.mark.parametrize("hertz", [500, 3000])
def test_a_tone_lies_at_its_frequency(hertz):
    display = SpectrogramDisplay.from_waveform(tone(hertz))
    assert loudest(display) == pytest.approx(hertz, abs=1)
    assert display.ax_.get_xlabel() == "time, s"
    assert display.ax_.get_ylabel() == "frequency, Hz"


def test_a_click_lies_at_its_time():
    wave = np.zeros(16_000, dtype=np.int16)
    wave[4_000:4_004] = 20_000
    display = SpectrogramDisplay.from_waveform(wave, Spectrogram(hop_seconds=0.02))
    image = display.image_.get_array()
    left, right = display.image_.get_extent()[:2]
    column = image.mean(axis=0).argmax()
    time = left + (column + 0.5) * (right - left) / image.shape[1]
    assert time == pytest.approx(0.25, abs=0.02)


def test_mel_bands_are_not_called_hertz():
    transformer = Spectrogram(kind="mel", flatten=True)
    display = SpectrogramDisplay.from_waveform(tone(500), transformer)
    assert display.ax_.get_ylabel() == "mel band"
    assert display.image_.get_extent()[2:] == [-0.5, 39.5]
    assert transformer.flatten  # the user's own is left as it was


def test_a_given_axes_is_drawn_in_and_a_channel_axis_is_dropped():
    spectrogram = np.arange(12.0).reshape(1, 3, 4)
    ax = SpectrogramDisplay(spectrogram[0]).plot().ax_
    display = SpectrogramDisplay(spectrogram).plot(ax)
    assert display.ax_ is ax
    np.testing.assert_array_equal(display.image_.get_array(), spectrogram[0])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"spectrogram must have the shape .* got \(2, 3, 4\)"):
        SpectrogramDisplay(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match=r"one clip of shape \(samples,\), got \(2, 300\)"):
        SpectrogramDisplay.from_waveform(np.zeros((2, 300)))
