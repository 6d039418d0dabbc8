"""A picture of a spectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class SpectrogramDisplay:
    """A spectrogram over time in seconds and frequency in Hz, or in mel bands.

    Parameters
    ----------
    spectrogram : array-like of shape (frequencies, times) or (1, frequencies, times)
        Low frequencies first.
    hop_seconds : float, default=0.01
        Time from one column to the next.
    first_hertz, step_hertz : float, default=50.0
        Frequency of the first row, and from one row to the next;
        ``step_hertz=None`` for rows that are mel bands.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.displays import SpectrogramDisplay
    >>> SpectrogramDisplay(np.eye(160, 101)).plot().ax_.get_ylabel()
    'frequency, Hz'
    """

    def __init__(
        self,
        spectrogram: ArrayLike,
        *,
        hop_seconds: float = 0.01,
        first_hertz: float = 50.0,
        step_hertz: float | None = 50.0,
    ) -> None:
        self.spectrogram = as_picture("spectrogram", spectrogram)
        self.hop_seconds = hop_seconds
        self.first_hertz = first_hertz
        self.step_hertz = step_hertz

    @classmethod
    def from_waveform(
        cls, waveform: ArrayLike, transformer: Any = None, *, ax: Any = None
    ) -> SpectrogramDisplay:
        """Compute the spectrogram of a clip and draw it.

        Parameters
        ----------
        waveform : array-like of shape (samples,)
            As :class:`~mixup_tab.audio.AudioReader` gives it.
        transformer : Spectrogram, default=None
            What computes it; None is :class:`~mixup_tab.audio.Spectrogram` with its defaults.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SpectrogramDisplay

        Raises
        ------
        ValueError
            If the waveform has another shape.
        """
        from sklearn.base import clone

        from mixup_tab.audio import Spectrogram

        waveform = np.asarray(waveform)
        if waveform.ndim != 1:
            raise ValueError(
                f"waveform must be one clip of shape (samples,), got {waveform.shape}. Give "
                "one row of what AudioReader returns."
            )
        transformer = Spectrogram() if transformer is None else clone(transformer)
        transformer.set_params(flatten=False).set_output(transform="default")
        spectrogram = transformer.fit_transform(waveform[np.newaxis])[0]
        step = None if transformer.kind == "mel" else 1 / transformer.window_seconds
        axes = {} if step is None else {"first_hertz": step}
        return cls(
            spectrogram, hop_seconds=transformer.hop_seconds, step_hertz=step, **axes
        ).plot(ax)

    def plot(self, ax: Any = None) -> SpectrogramDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SpectrogramDisplay
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 3.5), layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        rows, columns = self.spectrogram.shape
        first, step = self.first_hertz, self.step_hertz
        if step is None:
            first, step = 0, 1
        half = self.hop_seconds / 2  # a column is centred on its time
        extent = (
            -half,
            columns * self.hop_seconds - half,
            first - step / 2,
            first + (rows - 0.5) * step,
        )
        self.image_ = self.ax_.imshow(
            self.spectrogram, origin="lower", aspect="auto", extent=extent, cmap="magma"
        )
        self.ax_.set(
            xlabel="time, s",
            ylabel="mel band" if self.step_hertz is None else "frequency, Hz",
        )
        return self


def as_picture(name: str, values: ArrayLike) -> np.ndarray:
    """Return a spectrogram without its channel axis.

    Parameters
    ----------
    name : str
        What it is called in messages.
    values : array-like of shape (frequencies, times) or (1, frequencies, times)
        The spectrogram.

    Returns
    -------
    ndarray of shape (frequencies, times)

    Raises
    ------
    ValueError
        If it has another shape.
    """
    picture = np.asarray(values)
    if picture.ndim == 3 and len(picture) == 1:
        picture = picture[0]
    if picture.ndim != 2:
        raise ValueError(
            f"{name} must have the shape (frequencies, times) or (1, frequencies, times), got "
            f"{picture.shape}. Give a single example."
        )
    return picture
