"""Pipeline steps: audio files to waveforms, waveforms to spectrograms."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted, validate_data

from mixup_tab.audio.files import check_paths, check_reading_params, describe_bad, read_all
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.waveforms import allocate, check_count, samples_in
from mixup_tab.training.device import pick_device
from mixup_tab.training.torch_state import with_torch_defaults


class AudioReader(TransformerMixin, BaseEstimator):
    """Transform paths of audio files into waveforms of one rate and one length.

    Reads WAV, FLAC, OGG, MP3 and the other formats of libsndfile. There is nothing to fit.

    Parameters
    ----------
    sample_rate : int, default=16_000
        Samples per second of the waveforms; files of other rates are converted.
    seconds : float, default=1.0
        Length of every waveform. Shorter clips are padded with zeros, longer ones cropped.
    align : {"sound", "center", "start"}, default="sound"
        Which part of a longer clip is kept; see :func:`~mixup_tab.audio.read_clip`.
    dtype : {"int16", "float32"}, default="int16"
        Type of the waveforms. Full scale is 32768 or 1; 16 bits take half of the memory.
    on_error : {"raise", "skip"}, default="raise"
        For unreadable files: "raise" raises an error that lists the first ten; "skip" warns
        with a list of the first hundred and returns silence in their rows.
    n_jobs : int or None, default=None
        Threads for reading; None means 1, −1 uses all cores.

    Notes
    -----
    Waveforms that would take more than half of the free memory are kept in a temporary file,
    which is deleted with the array.

    Examples
    --------
    >>> import os, tempfile, numpy as np, soundfile
    >>> from mixup_tab.audio import AudioReader
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "beep.wav")
    ...     soundfile.write(path, np.full(4_000, 0.25), 8_000)
    ...     AudioReader(seconds=0.5).transform([path])[0, 4_000].item()
    8192
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        seconds: float = 1.0,
        *,
        align: str = "sound",
        dtype: str = "int16",
        on_error: str = "raise",
        n_jobs: int | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.seconds = seconds
        self.align = align
        self.dtype = dtype
        self.on_error = on_error
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and the list of paths; no file is read.

        Parameters
        ----------
        X : array-like of str or Path, shape (clips,) or (clips, 1)
            Paths of audio files.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If a parameter or the list is wrong.
        """
        self._check_params()
        check_paths(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Read files.

        Parameters
        ----------
        X : array-like of str or Path, shape (clips,) or (clips, 1)
            Paths of audio files.

        Returns
        -------
        ndarray of shape (clips, samples)

        Raises
        ------
        ValueError
            If files cannot be read and ``on_error="raise"``.
        TypeError, ValueError
            If a parameter or the list is wrong.
        ImportError
            If soundfile, or torchaudio for other sample rates, is missing.
        """
        self._check_params()
        paths = check_paths(X)
        options = {name: getattr(self, name) for name in ("sample_rate", "seconds", "align")}
        waveforms, bad = read_all(paths, options, self.dtype, self.n_jobs)
        if bad and self.on_error == "raise":
            remedy = "Remove or replace them, or use on_error='skip' to get silence instead."
            raise ValueError(describe_bad(paths, bad, remedy))
        if bad:
            message = describe_bad(paths, bad, "Their rows are silence.", most=100)
            warnings.warn(message, UserWarning, stacklevel=2)
        return waveforms

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return ``"sample0"`` and so on, one name per sample.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (samples,)
        """
        count = samples_in("seconds", self.seconds, self.sample_rate)
        return np.array([f"sample{i}" for i in range(count)], dtype=object)

    @property
    def _waveforms(self) -> dict[str, Any]:
        """The waveforms that an exported model takes instead of files."""
        samples = samples_in("seconds", self.seconds, self.sample_rate)
        return {"samples": samples, "sample_rate": self.sample_rate, "dtype": self.dtype}

    def _check_params(self) -> None:
        check_reading_params(
            self.sample_rate, self.seconds, self.align, self.dtype, self.on_error
        )

    def __sklearn_tags__(self) -> Any:
        """Describe the accepted input."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.one_d_array = tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """It needs no fitting."""
        return True


class Spectrogram(TransformerMixin, BaseEstimator):
    """Transform waveforms into spectrograms, in batches on a device.

    The result has four dimensions, as nets for images take it. With ``flatten=True``, and under
    ``set_output(transform="pandas")`` or ``"polars"``, it has one named column per value. See
    :class:`SpectrogramLayer` for what is computed; the defaults give the 160 × 101 values per
    second of Zhang et al. (2017), section 3.3.

    Parameters
    ----------
    sample_rate, kind, n_mels, window_seconds, hop_seconds, normalize
        As in :class:`SpectrogramLayer`.
    flatten : bool, default=False
        Whether the result has one row of freq × time columns per clip.
    device : str, default="auto"
        Device; "auto" prefers CUDA, then MPS, then the CPU.
    batch_size : int, default=256
        Clips to transform at once.

    Attributes
    ----------
    n_features_in_ : int
        Number of samples per clip.

    Notes
    -----
    Spectrograms that would take more than half of the free memory are kept in a temporary file,
    which is deleted with the array.

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

    @with_torch_defaults
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and remember the length of the waveforms.

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
            If a parameter or the waveforms are wrong.
        """
        self._make_layer()
        self._check_waveforms(X, reset=True)
        return self

    @with_torch_defaults
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
            If a parameter or the waveforms are wrong.
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
            ``"bin1_frame0"`` and so on, because the bin of frequency 0 is left out; with
            ``kind="mel"``, ``"mel0_frame0"``.
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
        """Return waveforms, int16 unchanged, others as float32."""
        keep = getattr(X, "dtype", None) == np.int16
        return validate_data(self, X, dtype=np.int16 if keep else np.float32, reset=reset)

    def _is_flat(self) -> bool:
        return self.flatten or _get_output_config("transform", self)["dense"] != "default"

    def __sklearn_tags__(self) -> Any:
        """Describe the accepted input."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
