"""Plots of sounds: a spectrogram, and two examples with their mixture."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone

from mixup_tab._plain import shown
from mixup_tab.displays._plotting import (
    get_axes,
    get_axes_row,
    mix_batch,
    seeded_generator,
    visible_rule,
)
from mixup_tab.mixing import MixingRule
from mixup_tab.training.torch_state import with_torch_defaults

_MOST_DRAWS = 1000


class SpectrogramDisplay:
    """A spectrogram over time in seconds and frequency in Hz, or in mel bands.

    Parameters
    ----------
    spectrogram : array-like of shape (n_frequencies, n_frames) or (1, n_frequencies, n_frames)
        Low frequencies first.
    hop_seconds : float, default=0.01
        Time from one column to the next, in seconds.
    step_hertz : float or None, default=50.0
        Frequency of the first row, and from one row to the next, in Hz; None if the rows are
        mel bands.

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
        step_hertz: float | None = 50.0,
    ) -> None:
        self.spectrogram = _as_image("spectrogram", spectrogram)
        self.hop_seconds = hop_seconds
        self.step_hertz = step_hertz

    @classmethod
    def from_waveform(
        cls,
        waveform: ArrayLike,
        transformer: Any,
        **kwargs: Any,
    ) -> SpectrogramDisplay:
        """Compute the spectrogram of a clip and draw it.

        Parameters
        ----------
        waveform : array-like of shape (n_samples,)
            One row of the output of :class:`~mixup_tab.audio.AudioReader`.
        transformer : Spectrogram
            A :class:`~mixup_tab.audio.Spectrogram`, fitted or not; it is cloned.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        SpectrogramDisplay

        Raises
        ------
        ValueError
            If the waveform has another shape.
        """
        waveform = np.asarray(waveform)
        if waveform.ndim != 1:
            raise ValueError(
                f"waveform must be one clip of shape (n_samples,), got {waveform.shape}. Pass "
                "one row of the output of AudioReader."
            )
        transformer = clone(transformer).set_params(flatten=False)
        transformer.set_output(transform="default")
        spectrogram = transformer.fit_transform(waveform[np.newaxis])[0]
        step = None if transformer.kind == "mel" else 1 / transformer.window_seconds
        display = cls(spectrogram, hop_seconds=transformer.hop_seconds, step_hertz=step)
        return display.plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the spectrogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Title.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        SpectrogramDisplay
        """
        self.ax_ = get_axes(ax, name)
        self.figure_ = self.ax_.figure
        rows, columns = self.spectrogram.shape
        first, step = (0, 1) if self.step_hertz is None else (self.step_hertz,) * 2
        # A pixel is centered on its time and frequency.
        times = (-self.hop_seconds / 2, (columns - 0.5) * self.hop_seconds)
        extent = (*times, first - step / 2, first + (rows - 0.5) * step)
        style = {"origin": "lower", "aspect": "auto", "extent": extent, "cmap": "magma"}
        self.image_ = self.ax_.imshow(self.spectrogram, **{**style, **kwargs})
        band = "mel band" if self.step_hertz is None else "frequency, Hz"
        self.ax_.set(xlabel="time, s", ylabel=band)
        return self


class MixedPairDisplay:
    """Two examples and their mixture, with λ.

    Parameters
    ----------
    first, second : array-like of shape (n_samples,), (n_frequencies, n_frames) or \
            (1, n_frequencies, n_frames)
        Two examples of the same shape: waveforms, drawn as curves, or spectrograms, drawn as
        images.
    mixed : array-like
        The mixed example.
    lam : float
        Weight of the first label, in [0, 1]; the second has 1 − λ.
    labels : tuple of (str, str), default=("first", "second")
        Names of the two examples.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (3,)
        First, second, mixed.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.displays import MixedPairDisplay
    >>> yes, no = np.ones((4, 6)), np.zeros((4, 6))
    >>> display = MixedPairDisplay.from_pair(yes, no, 0.7, labels=("yes", "no"))
    >>> display.axes_[2].get_title()
    'λ = 0.70: 0.70 yes + 0.30 no'
    """

    def __init__(
        self,
        first: ArrayLike,
        second: ArrayLike,
        mixed: ArrayLike,
        lam: float,
        *,
        labels: tuple[str, str] = ("first", "second"),
    ) -> None:
        self.first, self.second = _as_pair(first, second)
        self.mixed = np.asarray(mixed)
        self.lam = float(lam)
        self.labels = labels

    @classmethod
    def from_pair(
        cls,
        first: ArrayLike,
        second: ArrayLike,
        lam: float,
        *,
        labels: tuple[str, str] = ("first", "second"),
        **kwargs: Any,
    ) -> MixedPairDisplay:
        """Mix two examples at a given λ by mixup, λ x₁ + (1 − λ) x₂, and draw them.

        Parameters
        ----------
        first, second, labels
            See :class:`MixedPairDisplay`.
        lam : float
            Weight of the first, in [0, 1].
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        MixedPairDisplay

        Raises
        ------
        ValueError
            If λ is not in [0, 1] or the shapes differ.
        """
        if not 0 <= lam <= 1:
            raise ValueError(f"lam must lie in [0, 1], got {shown(lam)}.")
        one, other = _as_pair(first, second)
        mixed = lam * one + (1 - lam) * other
        return cls(one, other, mixed, lam, labels=labels).plot(**kwargs)

    @classmethod
    @with_torch_defaults
    def from_rule(
        cls,
        first: ArrayLike,
        second: ArrayLike,
        mixing: str | MixingRule = "mixup",
        *,
        alpha: float = 0.2,
        random_state: Any = 0,
        labels: tuple[str, str] = ("first", "second"),
        **kwargs: Any,
    ) -> MixedPairDisplay:
        """Mix two examples as training would, and draw them.

        Parameters
        ----------
        first, second, labels
            See :class:`MixedPairDisplay`.
        mixing : str or MixingRule, default="mixup"
            Any rule for classification that mixes inputs.
        alpha : float, default=0.2
            Parameter of λ ~ Beta(α, α), > 0.
        random_state : int, RandomState instance or None, default=0
            Seed of the draw. Draws that do not change the first example are skipped.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        MixedPairDisplay

        Raises
        ------
        ValueError
            If the shapes differ, or no draw changes the first example.
        """
        one, other = _as_pair(first, second)
        x, y = torch.from_numpy(np.stack([one, other])), torch.arange(2)
        rule, source = visible_rule(mixing), seeded_generator(random_state)
        for _ in range(_MOST_DRAWS):
            mixed, soft = (part[0].numpy() for part in mix_batch(rule, alpha, x, y, source))
            if not np.allclose(mixed, one):
                return cls(one, other, mixed, soft[0], labels=labels).plot(**kwargs)
        raise ValueError(
            f"mixing={mixing!r} with alpha={shown(alpha)} left the first example unchanged in "
            f"{_MOST_DRAWS} draws. Raise alpha, or use another rule."
        )

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the two examples and their mixture, on one scale.

        Parameters
        ----------
        ax : array-like of three matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Title of a new figure.
        **kwargs
            Passed to matplotlib's ``plot`` for waveforms, ``imshow`` for spectrograms.

        Returns
        -------
        MixedPairDisplay
        """
        self.axes_ = get_axes_row(ax, 3, name)
        self.figure_ = self.axes_[0].figure
        one, other = self.labels
        weights = f"{self.lam:.2f} {one} + {1 - self.lam:.2f} {other}"
        titles = (one, other, f"λ = {self.lam:.2f}: {weights}")
        parts = (self.first, self.second, self.mixed)
        # On one scale, or the weights would not be visible.
        scale = {"vmin": min(map(np.min, parts)), "vmax": max(map(np.max, parts))}
        style = {"origin": "lower", "aspect": "auto", "cmap": "magma", **scale}
        for axes, part, title in zip(self.axes_, parts, titles, strict=True):
            if part.ndim == 1:
                axes.plot(part, **{"linewidth": 0.6, **kwargs})
            else:
                axes.imshow(_as_image("mixed", part), **{**style, **kwargs})
            axes.set(title=title, xlabel="sample" if part.ndim == 1 else "frame")
        self.axes_[0].set_ylabel("amplitude" if self.first.ndim == 1 else "frequency bin")
        return self


def _as_pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two examples of the same shape as arrays of float32."""
    one, other = (np.asarray(part, dtype=np.float32) for part in (first, second))
    if one.shape != other.shape:
        raise ValueError(
            f"first and second must have the same shape, got {one.shape} and {other.shape}. "
            "Pad the shorter one."
        )
    if one.ndim != 1:
        _as_image("first", one)
    return one, other


def _as_image(name: str, values: ArrayLike) -> np.ndarray:
    """Return a spectrogram without its channel axis."""
    image = np.asarray(values)
    if image.ndim == 3 and len(image) == 1:
        image = image[0]
    if image.ndim != 2:
        raise ValueError(
            f"{name} must have the shape (n_frequencies, n_frames) or (1, n_frequencies, "
            f"n_frames), got {image.shape}. Pass a single example."
        )
    return image
