"""Spectrograms as a layer of a net: batched, on any device."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from mixup_tab.audio.durations import check_count, samples_in
from mixup_tab.audio.speech_extra import import_torchaudio

KINDS = ("log", "power", "mel")
NORMALIZE = ("clip", "band", None)
FULL_SCALE = 32768  # of int16
# Log-mel bands are log(1 + power / MEL_FLOOR), so that silence is 0.
MEL_FLOOR = 1e-6
# Samples that are transformed at once: what fits the cache of a core, and a small part of
# the memory of a GPU.
_CPU_SAMPLES, _DEVICE_SAMPLES = 2**17, 2**25
_EPS = 1e-20  # only keeps silence from becoming 0 / 0, here and in gradients


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
        What each value is.
    n_mels : int, default=40
        Number of mel bands between 0 and half the sample rate, for ``kind="mel"``.
    window_seconds, hop_seconds : float, default=0.02 and 0.01
        Length of a frame and distance between two of them, in seconds, rounded to whole
        samples.
    normalize : {"clip", "band"} or None, default="clip"
        - "clip": every spectrogram is shifted and scaled to mean 0 and variance 1.
        - "band": every band is shifted to mean 0 over time, which takes away what microphone
          and room do to all of a clip (Atal 1974, cepstral mean subtraction), and then every
          spectrogram is scaled to variance 1.
        - None: not at all.

        Silence becomes zeros.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of no use; the message says what would be.
    ImportError
        If ``kind="mel"`` and torchaudio is not there.

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
            raise ValueError(f"kind={kind!r} is not known. Choose one of {', '.join(KINDS)}.")
        if normalize not in NORMALIZE:
            raise ValueError(
                f"normalize={normalize!r} is not known. Choose one of {list(NORMALIZE)}."
            )
        check_count("sample_rate", sample_rate)
        self.sample_rate = sample_rate
        self.kind = kind
        self.n_mels = n_mels
        self.window_seconds = window_seconds
        self.hop_seconds = hop_seconds
        self.normalize = normalize
        self.n_window = samples_in("window_seconds", window_seconds, sample_rate, least=2)
        self.n_hop = samples_in("hop_seconds", hop_seconds, sample_rate)
        # Not part of the state: they follow from the parameters.
        self.register_buffer("window", torch.hamming_window(self.n_window), persistent=False)
        bands = self._make_bands() if kind == "mel" else None
        self.register_buffer("bands", bands, persistent=False)

    def _make_bands(self) -> Tensor:
        """Return the mel filters, shape (bins without the first, n_mels)."""
        check_count("n_mels", self.n_mels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about empty bands, which are an error here
            bands = import_torchaudio("functional").melscale_fbanks(
                self.n_window // 2 + 1, 0.0, self.sample_rate / 2, self.n_mels, self.sample_rate
            )[1:]
        if not bands.any(0).all():
            raise ValueError(
                f"n_mels={self.n_mels} is too many for window_seconds={self.window_seconds!r}: "
                "some bands hold no frequency. Lower n_mels or use a longer window."
            )
        return bands

    def shape_for(self, samples: int) -> tuple[int, int]:
        """Return the shape of the spectrogram of so many samples.

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
            If these are no waveforms.
        """
        check_waveforms(x)
        shape = (*x.shape[:-1], 1, *self.shape_for(x.shape[-1]))
        if x.numel() == 0:
            return torch.zeros(shape, device=x.device)
        flat = x.reshape(-1, x.shape[-1])
        size = _CPU_SAMPLES if x.device.type == "cpu" else _DEVICE_SAMPLES
        blocks = flat.split(max(size // x.shape[-1], 1))
        with torch.autocast(x.device.type, enabled=False):
            out = torch.cat([self._transform(block) for block in blocks])
        return out.reshape(shape)

    def _transform(self, x: Tensor) -> Tensor:
        """Transform waveforms of shape (rows, samples) to (rows, freq, time)."""
        values = self._power(x)
        # Not log1p, which torch computes twelve times slower on a CPU. Precise enough: the
        # noise of one bit is 1000 times what rounding 1 + x takes away.
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
        frames = functional.pad(x, (half, half)).unfold(-1, self.n_window, self.n_hop)
        s = torch.view_as_real(torch.fft.rfft(frames * self.window))
        # Several times faster than torch.stft and the absolute values of complex numbers.
        re, im = s.square()[..., 1:, :].unbind(-1)
        return re + im

    def extra_repr(self) -> str:
        """Say what it does when it is printed."""
        mels = f", n_mels={self.n_mels}" if self.kind == "mel" else ""
        return (
            f"{self.sample_rate}, kind={self.kind!r}{mels}, "
            f"window_seconds={self.window_seconds}, hop_seconds={self.hop_seconds}, "
            f"normalize={self.normalize!r}"
        )


def as_waveforms(x: Tensor) -> Tensor:
    """Return waveforms as float32 with full scale 1; 16-bit integers are scaled."""
    return x * (1 / FULL_SCALE) if x.dtype == torch.int16 else x.float()


def check_waveforms(x: Tensor) -> None:
    """Refuse a tensor that cannot hold waveforms."""
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.dtype == torch.int16):
        what = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"Waveforms must be a tensor of int16 or floats, not {what}.")
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(
            f"Waveforms of shape {tuple(x.shape)} hold no samples. Give an array of shape "
            "(clips, samples)."
        )
