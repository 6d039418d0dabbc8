"""Waveforms to spectrograms, as a step of a pipeline."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted, validate_data

from mixup_tab.audio.durations import check_count
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.memory import allocate
from mixup_tab.training.device import pick_device


class Spectrogram(TransformerMixin, BaseEstimator):
    """Transform waveforms into spectrograms, in batches on a device.

    The result has four dimensions, as nets for images take it. It is flat, with a name for
    every column, with ``flatten=True`` and under ``set_output(transform="pandas")`` or
    ``"polars"``. What is computed says :class:`SpectrogramLayer`; defaults give the 160 ×
    101 values per second of Zhang et al. (2017), section 3.3.

    Parameters
    ----------
    sample_rate, kind, n_mels, window_seconds, hop_seconds, normalize
        As in :class:`SpectrogramLayer`.
    flatten : bool, default=False
        Whether the result has one row of freq × time columns per clip.
    device : str, default="auto"
        Where to compute: "auto" takes CUDA, then MPS, then the CPU.
    batch_size : int, default=256
        Clips on the device at once.

    Attributes
    ----------
    n_features_in_ : int
        Number of samples per clip.

    Notes
    -----
    Spectrograms that would take more than half of the free memory lie in a temporary file
    instead, which goes when the array goes.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.audio import Spectrogram
    >>> waveforms = np.zeros((3, 16_000), np.int16)
    >>> Spectrogram().fit_transform(waveforms).shape
    (3, 1, 160, 101)
    >>> mel = Spectrogram(kind="mel", n_mels=20).set_output(transform="pandas")
    >>> mel.fit_transform(waveforms).columns[:2].tolist()
    ['mel0_frame0', 'mel0_frame1']
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
        flatten: bool = False,
        device: str = "auto",
        batch_size: int = 256,
    ) -> None:
        self.sample_rate = sample_rate
        self.kind = kind
        self.n_mels = n_mels
        self.window_seconds = window_seconds
        self.hop_seconds = hop_seconds
        self.normalize = normalize
        self.flatten = flatten
        self.device = device
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and take down the length of the waveforms.

        Parameters
        ----------
        X : array-like of int16 or float, shape (clips, samples)
            Waveforms; floats in [−1, 1].
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or the waveforms are of no use.
        ImportError
            If ``kind="mel"`` and torchaudio is not there.
        """
        self._make_layer()
        self._check_waveforms(X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute spectrograms.

        Parameters
        ----------
        X : array-like of int16 or float, shape (clips, samples)
            Waveforms; floats in [−1, 1].

        Returns
        -------
        ndarray of float32, shape (clips, 1, freq, time) or (clips, freq * time)

        Raises
        ------
        TypeError, ValueError
            If a parameter or the waveforms are of no use.
        """
        check_is_fitted(self)
        layer = self._make_layer()
        X = self._check_waveforms(X, reset=False)
        out = allocate((len(X), 1, *layer.shape_for(X.shape[1])), np.float32)
        device = pick_device(self.device)
        layer.to(device)
        with torch.inference_mode():
            for start in range(0, len(X), self.batch_size):
                rows = slice(start, start + self.batch_size)
                batch = torch.tensor(X[rows], device=device)
                out[rows] = layer(batch).cpu().numpy()
        return out.reshape(len(X), -1) if self._is_flat() else out

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns of flat spectrograms.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (freq * time,)
            ``"bin1_frame0"`` and so on; bins count from the one of frequency 0, which is
            left out. With ``kind="mel"``, ``"mel0_frame0"``.
        """
        check_is_fitted(self)
        freq, time = self._make_layer().shape_for(self.n_features_in_)
        name, first = ("mel", 0) if self.kind == "mel" else ("bin", 1)
        names = (f"{name}{f}_frame{t}" for f in range(first, first + freq) for t in range(time))
        return np.array(list(names), dtype=object)

    def _make_layer(self) -> SpectrogramLayer:
        """Check the parameters, and return the layer they describe."""
        check_count("batch_size", self.batch_size)
        return SpectrogramLayer(
            self.sample_rate,
            kind=self.kind,
            n_mels=self.n_mels,
            window_seconds=self.window_seconds,
            hop_seconds=self.hop_seconds,
            normalize=self.normalize,
        )

    def _check_waveforms(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return waveforms as int16 if they are, else as float32."""
        keep = getattr(X, "dtype", None) == np.int16
        return validate_data(self, X, dtype=np.int16 if keep else np.float32, reset=reset)

    def _is_flat(self) -> bool:
        return self.flatten or _get_output_config("transform", self)["dense"] != "default"

    def __sklearn_tags__(self) -> Any:
        """Say what input is accepted."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
