"""Audio files to waveforms, as a step of a pipeline."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from mixup_tab.audio.durations import samples_in
from mixup_tab.audio.reading import (
    check_paths,
    check_reading_params,
    describe_bad,
    read_all,
)


class AudioReader(TransformerMixin, BaseEstimator):
    """Transform paths of audio files into waveforms of one rate and one length.

    Reads WAV, FLAC, OGG, MP3 and what else libsndfile knows. There is nothing to fit.

    Parameters
    ----------
    sample_rate : int, default=16_000
        Samples per second of the waveforms; files of other rates are converted.
    seconds : float, default=1.0
        Length of every waveform. Shorter clips are padded with zeros, of longer ones only
        the part that is needed is read.
    align : {"center", "start"}, default="center"
        Which part of a longer clip is kept, and where in the waveform a shorter one lies.
    dtype : {"int16", "float32"}, default="int16"
        Type of the waveforms. Full scale is 32768 or 1; 16 bits take half of the memory.
    on_error : {"raise", "skip"}, default="raise"
        What happens if files cannot be read: an error that lists the first ten, or a
        warning that lists the first hundred, and silence in their rows.
    n_jobs : int or None, default=None
        Threads that read; None means 1, −1 means one per core.

    Notes
    -----
    Waveforms that would take more than half of the free memory lie in a temporary file
    instead, which goes when the array goes.

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
        align: str = "center",
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
            If a parameter or the list is of no use.
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
            If a parameter or the list is of no use.
        ImportError
            If soundfile, or torchaudio where a rate must be converted, is not there.
        """
        self._check_params()
        paths = check_paths(X)
        options = {name: getattr(self, name) for name in ("sample_rate", "seconds", "align")}
        waveforms, bad = read_all(paths, options, self.dtype, self.n_jobs)
        if bad and self.on_error == "raise":
            remedy = "Remove or replace them, or use on_error='skip' to have silence instead."
            raise ValueError(describe_bad(paths, bad, remedy))
        if bad:
            message = describe_bad(paths, bad, "Their rows are silence.", most=100)
            warnings.warn(message, UserWarning, stacklevel=2)
        return waveforms

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the samples.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (samples,)
            ``"sample0"`` and so on.
        """
        count = samples_in("seconds", self.seconds, self.sample_rate)
        return np.array([f"sample{i}" for i in range(count)], dtype=object)

    def _check_params(self) -> None:
        check_reading_params(
            self.sample_rate, self.seconds, self.align, self.dtype, self.on_error
        )

    def __sklearn_tags__(self) -> Any:
        """Say what input is accepted."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.one_d_array = tags.input_tags.string = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it can transform: always."""
        return True
