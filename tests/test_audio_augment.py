"""Shifts, speeds, noise and stripes against their definitions."""

import numpy as np
import pytest
import torch

from mixup_tab.audio import SpecAugment, WaveAugment

SAMPLES = 4000


def tones(clips=64):
    time = torch.arange(SAMPLES) / 16_000
    return 0.5 * torch.sin(2 * torch.pi * 500 * time).repeat(clips, 1)


def augmented(x, seed=0, **params):
    """With everything off that is not asked for."""
    off = {"shift": 0, "speed": 0, "filter_db": 0, "snr": None}
    torch.manual_seed(seed)
    return WaveAugment(**{**off, **params})(x)


def peak_frequency(x):
    spectrum = torch.fft.rfft(x * torch.hann_window(x.shape[1]), n=8 * x.shape[1]).abs()
    return spectrum.argmax(1) * 16_000 / (8 * x.shape[1])


def test_in_evaluation_or_with_everything_off_nothing_changes():
    x = tones(2)
    assert torch.equal(augmented(x), x)
    assert torch.equal(WaveAugment().eval()(x), x)
    assert torch.equal(SpecAugment().eval()(x.view(2, 1, 40, 100)), x.view(2, 1, 40, 100))
    integers = torch.tensor([[-32768, 0, 16384]], dtype=torch.int16)
    assert WaveAugment().eval()(integers).tolist() == [[-1.0, 0.0, 0.5]]


def test_a_shift_moves_a_click_and_lets_silence_in():
    x = torch.zeros(200, SAMPLES)
    x[:, SAMPLES // 2] = 1
    y = augmented(x, shift=0.2)
    assert y.sum(1).numpy() == pytest.approx(np.ones(200), abs=2e-3)
    centre = (y * torch.arange(SAMPLES)).sum(1) - SAMPLES / 2
    assert (centre.abs() <= 0.2 * SAMPLES + 1).all()
    assert centre.min() < -0.15 * SAMPLES
    assert centre.max() > 0.15 * SAMPLES


def test_nothing_comes_back_in_at_the_other_end():
    x = torch.ones(100, SAMPLES)
    y = augmented(x, shift=0.5)
    inside = (y > 0.99).float().mean(1)
    assert (inside > 0.49).all()
    assert inside.min() < 0.6


def test_speed_multiplies_frequencies():
    y = augmented(tones(300), speed=0.25)
    ratio = peak_frequency(y) / 500
    assert (ratio < 1.26).all()
    assert (ratio > 1 / 1.26).all()
    assert ratio.log().mean().abs() < 0.03
    assert ratio.log().std() == pytest.approx(np.log(1.25) / np.sqrt(3), rel=0.15)


def test_a_filter_has_the_chosen_gains():
    x = torch.zeros(3000, 800)
    x[:, 400] = 1  # all frequencies alike
    decibels = 20 * torch.log10(torch.fft.rfft(augmented(x, filter_db=4)).abs())
    assert decibels.mean(0).abs().max() < 0.5
    # At the nine frequencies the deviation is 4; half way between two, 4 / √2.
    assert decibels[:, [0, -1]].std(0).numpy() == pytest.approx([4, 4], rel=0.06)
    assert decibels.std(0).min() == pytest.approx(4 / np.sqrt(2), rel=0.06)
    steps = decibels.diff(dim=1)
    assert steps.abs().max() < 4


def test_a_filter_does_not_move_what_it_filters():
    x = torch.zeros(50, 800)
    x[:, 400] = 1
    assert (augmented(x, filter_db=3).abs().argmax(1) == 400).float().mean() > 0.9


@pytest.mark.parametrize("snr", [0, 12, (3, 20)])
def test_noise_has_the_chosen_power(snr):
    x = tones(300)
    noise = augmented(x, snr=snr, noise_share=1) - x
    reached = 10 * torch.log10(x.square().mean(1) / noise.square().mean(1))
    low, high = snr if isinstance(snr, tuple) else (snr, snr)
    # A stretch of brown noise may be louder or quieter than the recording it is from.
    assert reached.median() == pytest.approx((low + high) / 2, abs=1.5)


def test_noise_is_a_stretch_of_the_recordings():
    recordings = np.random.default_rng(0).normal(size=(2, SAMPLES)).astype(np.float32)
    x = tones(20)
    noise = augmented(x, snr=0, noise_share=1, noise=recordings) - x
    for row in noise:
        matches = [
            torch.fft.irfft(torch.fft.rfft(row) * torch.fft.rfft(torch.from_numpy(one)).conj())
            for one in recordings
        ]
        best = max(match.max() for match in matches)
        assert best > 0.95 * row.norm() * np.linalg.norm(recordings[0])


def test_the_share_of_clips_with_noise():
    x = tones(2000)[:, :50]
    changed = (augmented(x, snr=(5, 35), noise_share=0.3) != x).any(1)
    assert changed.float().mean() == pytest.approx(0.3, abs=0.04)


def test_what_is_random_follows_torchs_seed():
    x, params = tones(4), {"shift": 0.1, "speed": 0.1, "filter_db": 3, "snr": 10}
    assert torch.equal(augmented(x, 1, **params), augmented(x, 1, **params))
    assert not torch.equal(augmented(x, 1, **params), augmented(x, 2, **params))


def test_making_one_leaves_the_global_state_alone_and_silence_stays_silent():
    before = torch.get_rng_state()
    augment = WaveAugment()
    assert torch.equal(torch.get_rng_state(), before)
    assert not augment(torch.zeros(5, SAMPLES)).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shift": 1}, "shift must lie in"),
        ({"speed": -0.1}, "speed must be at least 0"),
        ({"filter_db": -1}, "filter_db must be at least 0"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"snr": (9, 3)}, "snr must be a number, a pair"),
        ({"noise_share": 1.5}, "noise_share must lie in"),
        ({"noise": np.zeros(5)}, "noise must have the shape"),
        ({"noise": np.zeros((0, 5))}, "noise must have the shape"),
    ],
)
def test_wrong_values_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        WaveAugment(**params)


# -------------------------------------------------------------------- SpecAugment


def covered(count=1, width=0.5, axis="time", size=(50, 80), examples=400):
    torch.manual_seed(0)
    masks = {"time": (count, 0), "freq": (0, count)}[axis]
    x = SpecAugment(*masks, time_width=width, freq_width=width)(torch.ones(examples, 1, *size))
    return x[:, 0] == 0


def test_a_time_mask_is_one_stripe_over_all_frequencies():
    hidden = covered()
    assert (hidden == hidden[:, :1]).all()
    edges = hidden[:, 0].int().diff(dim=1, prepend=torch.zeros(len(hidden), 1)).eq(1).sum(1)
    assert (edges <= 1).all()


def test_a_frequency_mask_is_one_stripe_over_all_times():
    hidden = covered(axis="freq")
    assert (hidden == hidden[:, :, :1]).all()


def test_widths_are_uniform_up_to_the_largest():
    width = covered(examples=4000)[:, 0].float().mean(1)
    assert width.max() <= 0.5 + 1 / 80
    assert width.mean() == pytest.approx(0.25, abs=0.01)
    assert width.std() == pytest.approx(0.5 / np.sqrt(12), abs=0.01)


def test_every_place_is_hidden_about_as_often_away_from_the_ends():
    share = covered(width=0.2, examples=4000)[:, 0].float().mean(0)[16:-16]
    assert share.max() - share.min() < 0.05


def test_several_masks_hide_more():
    assert covered(count=3).float().mean() > 1.5 * covered(count=1).float().mean()


def test_no_masks_change_nothing_and_channels_are_optional():
    x = torch.randn(2, 1, 5, 7)
    assert torch.equal(SpecAugment(0, 0)(x), x)
    assert SpecAugment()(torch.ones(3, 5, 7)).shape == (3, 5, 7)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"time_masks": -1}, "time_masks must be an integer"),
        ({"freq_masks": 1.5}, "freq_masks must be an integer"),
        ({"time_width": 1.1}, "time_width must lie in"),
    ],
)
def test_wrong_masks_are_named(params, message):
    with pytest.raises(ValueError, match=message):
        SpecAugment(**params)
