"""Random changes to sounds that leave the word intact, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_tab._plain import shown
from mixup_tab.audio.waveforms import as_waveforms, check_count

# Number and length of synthetic noise recordings, used if none are given.
_NOISES, _NOISE_SAMPLES = 16, 1 << 16
_QUIET = 1e-8
_GAINS = 9  # frequencies of a filter


class WaveAugment(nn.Module):
    """Shift clips in time, change their speed, filter them, and add noise.

    Every clip of a batch gets its own shift, speed, filter and noise; gaps are filled with
    silence. Speed changes pitch as well, as between speakers (Ko et al. 2015, "Audio
    augmentation for speech recognition"); a filter imitates another microphone or room (after
    Nam et al. 2022, arXiv 2110.03282). In evaluation mode nothing changes. Random numbers come
    from torch's global generator, which :class:`~mixup_tab.MixupNet` seeds.

    Parameters
    ----------
    shift : float, default=0.1
        Largest shift in either direction, as a share of the clip, in [0, 1).
    speed : float, default=0.15
        Largest change of speed: factors are log-uniform in [1 / (1 + speed), 1 + speed]; 0
        changes nothing.
    filter_db : float, default=6.0
        Standard deviation of a filter's gains in dB, at nine frequencies equally spaced in mel,
        with linear interpolation; 0 is no filter.
    sample_rate : int, default=16_000
        Samples per second, for the mel scale.
    snr : (float, float), float or None, default=(5, 35)
        Signal-to-noise ratio in dB, of a clip to its noise recording: uniform between the two,
        or fixed. None adds no noise.
    noise_share : float, default=0.5
        Share of clips that get noise, in [0, 1].
    noise : array of int16 or float, shape (recordings, samples), default=None
        Background recordings, of which random sections are used. None is synthetic noise,
        between white and brown.

    Notes
    -----
    Shape: inputs of int16 or float (clips, samples); outputs of float32, the same shape, full
    scale 1.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.audio import WaveAugment
    >>> WaveAugment()(torch.randn(3, 1600)).shape
    torch.Size([3, 1600])
    """

    noise: Tensor  # None if snr is

    def __init__(
        self,
        shift: float = 0.1,
        speed: float = 0.15,
        *,
        filter_db: float = 6.0,
        sample_rate: int = 16_000,
        snr: float | tuple[float, float] | None = (5.0, 35.0),
        noise_share: float = 0.5,
        noise: np.ndarray | Tensor | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= shift < 1:
            raise ValueError(f"shift must lie in [0, 1), got {shown(shift)}.")
        if not 0 <= speed < math.inf:
            raise ValueError(f"speed must be at least 0, got {shown(speed)}.")
        if not 0 <= filter_db < math.inf:
            raise ValueError(f"filter_db must be at least 0, got {shown(filter_db)}.")
        check_count("sample_rate", sample_rate)
        if not 0 <= noise_share <= 1:
            raise ValueError(f"noise_share must lie in [0, 1], got {shown(noise_share)}.")
        self.shift = shift
        self.speed = speed
        self.filter_db = filter_db
        self.sample_rate = sample_rate
        self.snr = _pair("snr", snr)
        self.noise_share = noise_share
        # Not saved: only training needs it.
        self.register_buffer("noise", self._recordings(noise), persistent=False)

    def _recordings(self, noise: np.ndarray | Tensor | None) -> Tensor | None:
        """Return recordings normalised to mean 0 and power 1, silent ones as zeros."""
        if self.snr is None:
            return None
        noise = _make_noise() if noise is None else as_waveforms(torch.as_tensor(noise))
        if noise.dim() != 2 or not noise.numel():
            raise ValueError(
                f"noise must have the shape (recordings, samples), got {tuple(noise.shape)}."
            )
        noise = noise - noise.mean(1, keepdim=True)
        return noise / noise.square().mean(1, keepdim=True).sqrt().clamp(min=_QUIET)

    def forward(self, x: Tensor) -> Tensor:
        """Augment clips; see the class for shapes."""
        x = as_waveforms(x)
        if not self.training:
            return x
        if self.shift or self.speed:
            x = self._move(x)
        if self.filter_db:
            x = self._filter(x)
        return x if self.snr is None else self._add_noise(x, *self.snr)

    def _move(self, x: Tensor) -> Tensor:
        """Shift and change the speed by linear interpolation between samples."""
        clips, samples = x.shape
        rate = (_symmetric(clips, x) * math.log1p(self.speed)).exp()
        offset = 2 * self.shift * _symmetric(clips, x)
        edge = 1 - 1 / samples  # of a clip that reaches from -1 to 1
        even = torch.linspace(-edge, edge, samples, device=x.device)
        # Clips as images of height 1. affine_grid would take as long as grid_sample.
        grid = x.new_zeros(clips, 1, samples, 2)
        grid[:, 0, :, 0] = torch.addcmul(offset[:, None], rate[:, None], even)
        return F.grid_sample(x.view(clips, 1, 1, samples), grid, align_corners=False).view_as(x)

    def _filter(self, x: Tensor) -> Tensor:
        """Multiply the spectrum by gains that vary slowly with frequency."""
        clips, samples = x.shape
        spectrum = torch.fft.rfft(x)
        hertz = torch.linspace(0, self.sample_rate / 2, spectrum.shape[1], device=x.device)
        mel = torch.log1p(hertz / 700)
        place = mel / mel[-1] * (_GAINS - 1)
        gains = self.filter_db * torch.randn(clips, _GAINS, device=x.device)
        near = 1 - (place - torch.arange(_GAINS, device=x.device)[:, None]).abs()
        decibels = gains @ near.clamp(min=0)
        factors = decibels.mul_(math.log(10) / 20).exp_()
        return torch.fft.irfft(spectrum.mul_(factors), n=samples)

    def _add_noise(self, x: Tensor, low: float, high: float) -> Tensor:
        """Add sections of the recordings at random signal-to-noise ratios."""
        clips, samples = x.shape
        noise = self.noise
        if noise.shape[1] < 2 * samples:
            noise = noise.repeat(1, -(-2 * samples // noise.shape[1]))
        uniform = torch.rand(4, clips, device=x.device)
        stretches = noise.unfold(1, samples, 1)
        recording = (uniform[0] * len(stretches)).long()
        start = (uniform[1] * stretches.shape[1]).long().clamp(max=stretches.shape[1] - 1)
        ratio = 10 ** (-(low + (high - low) * uniform[2]) / 20)
        loud = x.square().mean(1).sqrt() * ratio * (uniform[3] < self.noise_share)
        return torch.addcmul(x, stretches[recording, start], loud[:, None])

    def extra_repr(self) -> str:
        """Return the parameters, for printing."""
        return (
            f"shift={self.shift}, speed={self.speed}, filter_db={self.filter_db}, "
            f"sample_rate={self.sample_rate}, snr={self.snr}, noise_share={self.noise_share}"
        )


class SpecAugment(nn.Module):
    """Set random stripes of spectrograms to zero, the mean of a normalised one.

    Every spectrogram gets its own stripes, with widths uniform up to the largest (Park et al.
    2019, arXiv 1904.08779, section 2, without time warping). In evaluation mode nothing
    changes. Random numbers come from torch's functions.

    Parameters
    ----------
    time_masks, freq_masks : int, default=1
        Number of stripes along each axis.
    time_width, freq_width : float, default=0.15
        Largest width of a stripe as a share of the axis, in [0, 1].

    Notes
    -----
    Shape: inputs and outputs ``(batch, ..., frequencies, times)``.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.audio import SpecAugment
    >>> masked = SpecAugment(time_masks=1, freq_masks=0, time_width=1.0)(torch.ones(2, 1, 4, 9))
    >>> bool(((masked == 0) | (masked == 1)).all())
    True
    """

    def __init__(
        self,
        time_masks: int = 1,
        freq_masks: int = 1,
        *,
        time_width: float = 0.15,
        freq_width: float = 0.15,
    ) -> None:
        super().__init__()
        for name, value in (("time_masks", time_masks), ("freq_masks", freq_masks)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(
                    f"{name} must be an integer of at least 0, got {shown(value)}."
                )
        for name, width in (("time_width", time_width), ("freq_width", freq_width)):
            if not 0 <= width <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {shown(width)}.")
        self.time_masks = time_masks
        self.freq_masks = freq_masks
        self.time_width = time_width
        self.freq_width = freq_width

    def forward(self, x: Tensor) -> Tensor:
        """Set stripes to zero; see the class for shapes."""
        if not self.training:
            return x
        times = _stripes(x, x.shape[-1], self.time_masks, self.time_width)
        bands = _stripes(x, x.shape[-2], self.freq_masks, self.freq_width)
        covered = times.unsqueeze(-2) | bands.unsqueeze(-1)
        covered = covered.view(len(x), *(1,) * (x.dim() - 3), *covered.shape[1:])
        return x.masked_fill(covered, 0.0)

    def extra_repr(self) -> str:
        """Return the parameters, for printing."""
        return (
            f"{self.time_masks}, {self.freq_masks}, time_width={self.time_width}, "
            f"freq_width={self.freq_width}"
        )


def _pair(name: str, value: float | Sequence[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = value if isinstance(value, Sequence) else (value, value)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(
            f"{name} must be a number, a pair low ≤ high, or None, got {shown(value)}."
        )
    return float(low), float(high)


def _symmetric(n: int, like: Tensor) -> Tensor:
    """Draw n numbers uniformly from [−1, 1)."""
    return 2 * torch.rand(n, device=like.device) - 1


def _make_noise() -> Tensor:
    """Make recordings whose power falls with frequency as 1 / f^k, k from 0 to 2.

    They are always the same; only the section that a clip gets is random.
    """
    source = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(_NOISES, _NOISE_SAMPLES, generator=source))
    frequency = torch.arange(spectrum.shape[1]).clamp(min=1)
    slope = torch.linspace(0, 1, _NOISES).unsqueeze(1)
    return torch.fft.irfft(spectrum * frequency.pow(-slope))


def _stripes(x: Tensor, length: int, count: int, width: float) -> Tensor:
    """Return which positions along an axis are covered, shape (batch, length)."""
    uniform = torch.rand(2, len(x), count, 1, device=x.device)
    wide = uniform[0] * width * length
    start = uniform[1] * (length - wide)
    place = torch.arange(length, device=x.device) + 0.5
    return ((place >= start) & (place < start + wide)).any(1)
