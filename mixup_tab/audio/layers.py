"""Spectrograms as a layer of a net: batched, on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mixup_tab._plain import shown
from mixup_tab.audio.waveforms import as_waveforms, check_count, check_waveforms, samples_in

KINDS = ("log", "power", "mel")
NORMALIZE = ("clip", "band", None)
# Log-mel bands are log(1 + power / MEL_FLOOR), so that silence is 0.
MEL_FLOOR = 1e-6
# Samples to transform at once: as many as fit the cache of a core, or a small part of the
# memory of a GPU.
_CPU_SAMPLES, _DEVICE_SAMPLES = 2**17, 2**25
_EPS = 1e-20  # avoids 0 / 0 for silence, in values and gradients


class SpectrogramLayer(nn.Module):
    """Spectrograms of waveforms, as the first layer of a net or on its own.

    With s the short-time Fourier transform (Hamming window, centred frames, zeros beyond
    the ends), ``"log"`` is log(1 + abs(s)), ``"power"`` is abs(s)², and ``"mel"`` is
    log(1 + 10⁶ m) of the power m in triangular mel bands. The bin of frequency 0 is left
    out: one second at 16 kHz is 160 × 101, the input of the speech experiments of Zhang et
    al. (2017), section 3.3.

    Parameters
    ----------
    sample_rate : int, default=16_000
        Samples per second.
    kind : {"log", "power", "mel"}, default="log"
        Kind of value.
    n_mels : int, default=40
        Number of mel bands between 0 and half the sample rate, if ``kind="mel"``.
    window_seconds, hop_seconds : float, default=0.02 and 0.01
        Length of a frame and distance between frames, in seconds, rounded to whole samples.
    normalize : {"clip", "band"} or None, default="clip"
        - "clip": every spectrogram is shifted and scaled to mean 0 and variance 1.
        - "band": every band is shifted to mean 0 over time, which removes the constant effect
          of microphone and room (Atal 1974, cepstral mean subtraction), and then every
          spectrogram is scaled to variance 1.
        - None: no normalisation.

        Silence becomes zeros.

    Raises
    ------
    TypeError, ValueError
        If a parameter is wrong.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.audio import SpectrogramLayer
    >>> layer = SpectrogramLayer()
    >>> layer(torch.zeros(2, 16_000, dtype=torch.int16)).shape
    torch.Size([2, 1, 160, 101])
    >>> layer.shape_for(8_000)
    (160, 51)
    """

    window: Tensor
    bands: Tensor  # None unless kind="mel"

    def __init__(
        self,
        sample_rate: int = 16_000,
        *,
        kind: str = "log",
        n_mels: int = 40,
        window_seconds: float = 0.02,
        hop_seconds: float = 0.01,
        normalize: str | None = "clip",
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} must be one of {list(KINDS)}.")
        if normalize not in NORMALIZE:
            raise ValueError(f"normalize={normalize!r} must be one of {list(NORMALIZE)}.")
        check_count("sample_rate", sample_rate)
        self.sample_rate = sample_rate
        self.kind = kind
        self.n_mels = n_mels
        self.window_seconds = window_seconds
        self.hop_seconds = hop_seconds
        self.normalize = normalize
        self.n_window = samples_in("window_seconds", window_seconds, sample_rate, least=2)
        self.n_hop = samples_in("hop_seconds", hop_seconds, sample_rate)
        # Not saved: they follow from the parameters.
        self.register_buffer("window", torch.hamming_window(self.n_window), persistent=False)
        bands = self._make_bands() if kind == "mel" else None
        self.register_buffer("bands", bands, persistent=False)

    def _make_bands(self) -> Tensor:
        """Return the mel filters, shape (bins without the first, n_mels)."""
        check_count("n_mels", self.n_mels)
        bins = torch.arange(1, self.n_window // 2 + 1, dtype=torch.float64)
        hertz = bins * self.sample_rate / self.n_window
        bands = _triangles(hertz, self.sample_rate / 2, self.n_mels)
        if not bands.any(0).all():
            raise ValueError(
                f"n_mels={self.n_mels} is too many for "
                f"window_seconds={shown(self.window_seconds)}: "
                "some bands hold no frequency. Use fewer bands or a longer window."
            )
        return bands.float()

    def shape_for(self, samples: int) -> tuple[int, int]:
        """Return the shape of a waveform's spectrogram.

        Parameters
        ----------
        samples : int
            Length of a waveform.

        Returns
        -------
        freq, time : int
        """
        freq = self.n_mels if self.kind == "mel" else self.n_window // 2
        return freq, 1 + (samples - self.n_window % 2) // self.n_hop

    def forward(self, x: Tensor) -> Tensor:
        """Transform waveforms.

        Parameters
        ----------
        x : Tensor of int16 or float, shape (..., samples)
            Waveforms; floats in [−1, 1], integers in [−32768, 32767].

        Returns
        -------
        Tensor of float32, shape (..., 1, freq, time)

        Raises
        ------
        TypeError, ValueError
            If ``x`` cannot hold waveforms.
        """
        check_waveforms(x)
        shape = (*x.shape[:-1], 1, *self.shape_for(x.shape[-1]))
        if x.numel() == 0:
            return torch.zeros(shape, device=x.device)
        flat = x.reshape(-1, x.shape[-1])
        if torch.compiler.is_exporting():  # the number of blocks must not depend on the rows
            return self._transform(flat).reshape(shape)
        size = _CPU_SAMPLES if x.device.type == "cpu" else _DEVICE_SAMPLES
        blocks = flat.split(max(size // x.shape[-1], 1))
        with torch.autocast(x.device.type, enabled=False):
            out = torch.cat([self._transform(block) for block in blocks])
        return out.reshape(shape)

    def _transform(self, x: Tensor) -> Tensor:
        """Transform waveforms of shape (rows, samples) to (rows, freq, time)."""
        values = self._power(x)
        # Not log1p, which is twelve times slower on a CPU. Precise enough: the noise of one bit
        # is 1000 times the rounding error of 1 + x.
        if self.kind == "log":
            values = torch.log(1 + (values + _EPS).sqrt())
        elif self.kind == "mel":
            values = torch.log(1 + (values @ self.bands) / MEL_FLOOR)
        if self.normalize == "band":
            values = values - values.mean(1, keepdim=True)
        if self.normalize is not None:
            values = functional.layer_norm(values, values.shape[1:], eps=_EPS)
        return values.mT

    def _power(self, x: Tensor) -> Tensor:
        """Return squared magnitudes, shape (rows, time, bins without the first)."""
        x = as_waveforms(x)
        half = self.n_window // 2
        if torch.compiler.is_exporting():
            s = functional.conv1d(
                x.unsqueeze(1), self._waves(), stride=self.n_hop, padding=half
            )
            re, im = s.square().mT.chunk(2, -1)
            return re + im
        frames = functional.pad(x, (half, half)).unfold(-1, self.n_window, self.n_hop)
        s = torch.view_as_real(torch.fft.rfft(frames * self.window))
        # Several times faster than torch.stft and abs() of complex numbers.
        re, im = s.square()[..., 1:, :].unbind(-1)
        return re + im

    def _waves(self) -> Tensor:
        """Return windowed cosines and sines, shape (2 · bins, 1, window).

        Convolution with these is the Fourier transform of exported nets: onnxruntime's operator
        DFT takes ten times as long and is less precise.
        """
        time = torch.arange(self.n_window, dtype=torch.float64)
        turns = time[1 : self.n_window // 2 + 1, None] * time / self.n_window
        angles = 2 * math.pi * (turns - turns.floor())
        waves = torch.cat([angles.cos(), angles.sin()]) * self.window
        return waves.float().unsqueeze(1)

    def extra_repr(self) -> str:
        """Return the parameters, for printing."""
        mels = f", n_mels={self.n_mels}" if self.kind == "mel" else ""
        return (
            f"{self.sample_rate}, kind={self.kind!r}{mels}, "
            f"window_seconds={self.window_seconds}, hop_seconds={self.hop_seconds}, "
            f"normalize={self.normalize!r}"
        )


def _triangles(hertz: Tensor, highest: float, n_mels: int) -> Tensor:
    """Return triangular filters of height 1 at given frequencies, shape (bins, n_mels).

    Their corners are equally spaced on O'Shaughnessy's mel scale, 2595 log10(1 + f / 700),
    between 0 and the highest frequency.
    """
    top = math.log10(1 + highest / 700)
    corners = 700 * (10 ** torch.linspace(0, top, n_mels + 2, dtype=hertz.dtype) - 1)
    widths = corners.diff()
    rise = (hertz[:, None] - corners[:-2]) / widths[:-1]
    fall = (corners[2:] - hertz[:, None]) / widths[1:]
    return torch.minimum(rise, fall).clamp(min=0)
