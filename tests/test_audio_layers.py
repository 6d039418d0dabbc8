"""The spectrogram layer against its definition."""

import copy
import itertools
import pickle
import sys

import numpy as np
import pytest
import torch

from mixup_tab.audio import SpectrogramLayer

KINDS = ["log", "power", "mel"]
NORMALIZE = ["clip", "band", None]


@pytest.fixture
def waveforms():
    rng = np.random.default_rng(0)
    return rng.integers(-20_000, 20_000, (20, 16_000)).astype(np.int16)


def magnitudes(waveform, window=320, hop=160):
    """Short-time Fourier transform by its definition, without the bin of frequency 0."""
    half = window // 2
    x = np.pad(waveform / 32768, half)
    taper = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = [x[i : i + window] * taper for i in range(0, len(x) - window + 1, hop)]
    return np.abs(np.fft.rfft(frames, axis=1)).T[1:]


@pytest.mark.parametrize(("window", "hop"), [(320, 160), (401, 99)])
def test_spectrograms_are_what_they_are_defined_as(waveforms, window, hop):
    s = magnitudes(waveforms[0], window, hop)
    x = torch.from_numpy(waveforms[:1])
    for kind, expected in (("log", np.log1p(s)), ("power", s**2)):
        layer = SpectrogramLayer(
            kind=kind,
            window_seconds=window / 16_000,
            hop_seconds=hop / 16_000,
            normalize=None,
        )
        got = layer(x)[0, 0].numpy()
        assert got.shape == layer.shape_for(16_000) == s.shape
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "n_mels", "window"),
    [(16_000, 40, 0.03), (16_000, 24, 0.02), (8_000, 20, 0.03), (44_100, 64, 0.04)],
)
def test_mel_bands_are_those_of_torchaudio(rate, n_mels, window):
    theirs = pytest.importorskip("torchaudio.functional", reason="torchaudio does not work")
    layer = SpectrogramLayer(rate, kind="mel", n_mels=n_mels, window_seconds=window)
    expected = theirs.melscale_fbanks(layer.n_window // 2 + 1, 0.0, rate / 2, n_mels, rate)
    torch.testing.assert_close(layer.bands, expected[1:], rtol=1e-3, atol=1e-5)


def test_mel_spectrograms_are_those_of_torchaudio(waveforms):
    theirs = pytest.importorskip("torchaudio.transforms", reason="torchaudio does not work")
    x = torch.from_numpy(waveforms[:3])
    reference = theirs.MelSpectrogram(
        16_000,
        n_fft=320,
        hop_length=160,
        n_mels=24,
        window_fn=torch.hamming_window,
        pad_mode="constant",
    )
    got = SpectrogramLayer(kind="mel", n_mels=24, normalize=None)(x)[:, 0]
    torch.testing.assert_close(
        got, torch.log1p(1e6 * reference(x / 32768)), rtol=1e-4, atol=1e-4
    )


def test_mel_bands_are_triangles_whose_corners_are_equally_spaced_in_mel():
    layer = SpectrogramLayer(16_000, kind="mel", n_mels=10, window_seconds=0.5)
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 12) / 2595) - 1)
    hertz = np.arange(1, 4001) * 2.0
    for band in range(10):
        triangle = np.interp(hertz, corners[band : band + 3], [0, 1, 0], left=0, right=0)
        np.testing.assert_allclose(layer.bands[:, band], triangle, atol=1e-6)


def test_mel_bands_need_no_torchaudio(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    assert SpectrogramLayer(kind="mel").bands.shape == (160, 40)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loudness", [1.0, 1e-4])
def test_normalized_is_mean_0_and_variance_1(waveforms, kind, loudness):
    x = torch.from_numpy(waveforms[:2]) / 32768 * loudness
    out = SpectrogramLayer(kind=kind)(x).double()
    torch.testing.assert_close(out.mean((1, 2, 3)), torch.zeros(2).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        out.var((1, 2, 3), correction=0), torch.ones(2).double(), rtol=1e-3, atol=0
    )


def test_normalized_by_band_is_mean_0_in_every_band_and_variance_1(waveforms):
    x = torch.from_numpy(waveforms[:2])
    out = SpectrogramLayer(normalize="band")(x).double()
    plain = SpectrogramLayer(normalize=None)(x).double()
    centred = plain - plain.mean(-1, keepdim=True)
    expected = centred / centred.std((1, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)


def test_normalized_by_band_does_not_hear_the_microphone(waveforms):
    """A filter adds a constant to every band of the logarithm, where it is not near 0."""
    x = torch.from_numpy(waveforms[:2]).double() / 32768
    gains = torch.linspace(1, 3, 8001, dtype=torch.float64)
    filtered = torch.fft.irfft(torch.fft.rfft(x) * gains, n=16_000)
    layers = {
        how: SpectrogramLayer(kind="mel", window_seconds=0.03, normalize=how)
        for how in ("band", "clip")
    }
    gap = {how: (layer(x) - layer(filtered)).abs().mean() for how, layer in layers.items()}
    assert gap["band"] < gap["clip"] / 3


def test_silence_is_zeros():
    for kind, normalize in itertools.product(KINDS, NORMALIZE):
        layer = SpectrogramLayer(kind=kind, normalize=normalize)
        assert not layer(torch.zeros(2, 16_000)).any()


def test_noise_of_one_bit_keeps_its_digits():
    bits = torch.randint(
        -1, 2, (16_000,), generator=torch.Generator().manual_seed(0), dtype=torch.int16
    )
    s = np.log1p(magnitudes(bits.numpy()))
    expected = torch.from_numpy((s - s.mean()) / s.std()).float()
    torch.testing.assert_close(SpectrogramLayer()(bits)[0], expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_others(waveforms, kind):
    layer = SpectrogramLayer(kind=kind)
    x = torch.from_numpy(waveforms)
    together = layer(x)
    assert torch.equal(together, torch.stack([layer(row) for row in x]))
    assert torch.equal(together[3:12], layer(x[3:12].float() / 32768))


def test_leading_axes_stay():
    layer = SpectrogramLayer()
    assert layer.shape_for(16_000) == (160, 101)  # the input of the paper
    for shape in [(16,), (2, 3, 500), (0, 400), (2, 0, 400), (1, 1)]:
        out = layer(torch.zeros(shape))
        assert out.shape == (*shape[:-1], 1, *layer.shape_for(shape[-1]))
        assert out.dtype == torch.float32


def test_gradients_are_finite_in_silence_too():
    x = torch.cat([torch.zeros(1, 800), torch.rand(1, 800)]).requires_grad_()
    (SpectrogramLayer()(x) * torch.rand(2, 1, 160, 6)).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[1].any()


def test_mixed_precision_leaves_it_alone(waveforms):
    x = torch.from_numpy(waveforms[:2])
    layer = SpectrogramLayer(kind="mel")
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer(x.clone()))
        mixed = layer(x)
    assert torch.equal(mixed, layer(x))


def test_copies_compute_the_same_and_carry_no_state(waveforms):
    x = torch.from_numpy(waveforms[:2])
    layer = SpectrogramLayer(kind="mel")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), layer(x))
    assert not layer.state_dict()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_the_gpu_agrees_with_the_cpu(waveforms, kind):
    x = torch.from_numpy(waveforms)
    layer = SpectrogramLayer(kind=kind)
    expected = layer(x)
    torch.testing.assert_close(layer.cuda()(x.cuda()).cpu(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"kind": "mfcc"}, ValueError, "kind='mfcc' must be one of"),
        ({"normalize": True}, ValueError, "normalize=True must be one of"),
        ({"sample_rate": -1}, ValueError, "sample_rate=-1"),
        ({"window_seconds": 0}, ValueError, "window_seconds=0"),
        ({"hop_seconds": float("inf")}, ValueError, "hop_seconds=inf"),
        ({"hop_seconds": None}, TypeError, "hop_seconds=None"),
        ({"kind": "mel", "n_mels": 0}, ValueError, "n_mels=0"),
        ({"kind": "mel", "n_mels": 200}, ValueError, "n_mels=200 is too many.*longer window"),
    ],
)
def test_bad_parameters_are_named(options, kind, words):
    with pytest.raises(kind, match=words):
        SpectrogramLayer(**options)


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (torch.zeros(2, 400, dtype=torch.int64), TypeError, "int16 or floats, got torch.int64"),
        (np.zeros((2, 400)), TypeError, "got ndarray"),
        (torch.zeros(2, 0), ValueError, r"at least one sample, got \(2, 0\)"),
        (torch.tensor(1.0), ValueError, r"at least one sample, got \(\)"),
    ],
)
def test_what_are_no_waveforms_is_refused(x, kind, words):
    with pytest.raises(kind, match=words):
        SpectrogramLayer()(x)
