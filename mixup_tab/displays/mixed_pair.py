"""A picture of two clips and what mixing makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from mixup_tab.displays.spectrogram_display import as_picture
from mixup_tab.mixing import MixingRule, as_rule
from mixup_tab.mixing.draw import check_alpha

_MOST_DRAWS = 1000


class MixedPairDisplay:
    """Two clips and what mixing makes of them, with λ.

    Parameters
    ----------
    first, second : array-like
        Two examples of the same shape: waveforms ``(samples,)``, drawn as curves, or
        spectrograms ``(frequencies, times)`` or ``(1, frequencies, times)``, drawn as images.
    mixed : array-like
        The mixed example.
    lam : float
        Weight of the first one's label; the second one's is 1 − λ.
    labels : tuple of (str, str), default=("first", "second")
        Names of the two.

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
        self.first, self.second = _pair(first, second)
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
        axes: Any = None,
    ) -> MixedPairDisplay:
        """Mix two examples at a given λ by mixup, λ x₁ + (1 − λ) x₂, and draw them.

        Parameters
        ----------
        first, second, labels
            See :class:`MixedPairDisplay`.
        lam : float
            Weight of the first, in [0, 1].
        axes : sequence of three matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MixedPairDisplay

        Raises
        ------
        ValueError
            If λ lies outside of [0, 1] or the shapes differ.
        """
        if not 0 <= lam <= 1:
            raise ValueError(f"lam must lie in [0, 1], got {lam!r}.")
        one, other = _pair(first, second)
        return cls(one, other, lam * one + (1 - lam) * other, lam, labels=labels).plot(axes)

    @classmethod
    def from_rule(
        cls,
        first: ArrayLike,
        second: ArrayLike,
        mixing: str | MixingRule = "mixup",
        *,
        alpha: float = 0.2,
        random_state: int = 0,
        labels: tuple[str, str] = ("first", "second"),
        axes: Any = None,
    ) -> MixedPairDisplay:
        """Mix two examples as training would, and draw them.

        Parameters
        ----------
        first, second, labels
            See :class:`MixedPairDisplay`.
        mixing : str or MixingRule, default="mixup"
            How they are mixed.
        alpha : float, default=0.2
            Parameter of λ ~ Beta(α, α), > 0.
        random_state : int, default=0
            Seed of the draw. Draws that leave the first example as it is are passed over.
        axes : sequence of three matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MixedPairDisplay

        Raises
        ------
        ValueError
            If α is 0 or the shapes differ.
        """
        if check_alpha(alpha) == 0:
            raise ValueError("alpha=0 mixes nothing, so there is nothing to show. Raise it.")
        one, other = _pair(first, second)
        x, rule = torch.from_numpy(np.stack([one, other])), as_rule(mixing)
        generator = torch.Generator().manual_seed(random_state)
        for _ in range(_MOST_DRAWS):
            mix = rule.draw(
                alpha,
                (2,),
                features=x.shape[1:],
                generator=generator,
                labels=torch.arange(2) if rule.needs_labels else None,
            )
            mixed = rule.mix_x(x, mix)[0].numpy()
            if not np.allclose(mixed, one):
                break
        lam = float(rule.mix_y(torch.eye(2), mix)[0, 0])
        return cls(one, other, mixed, lam, labels=labels).plot(axes)

    def plot(self, axes: Any = None) -> MixedPairDisplay:
        """Draw.

        Parameters
        ----------
        axes : sequence of three matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MixedPairDisplay
        """
        if axes is None:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(11, 3.2), layout="constrained")
            axes = figure.subplots(1, 3, sharex=True, sharey=True)
        self.axes_ = np.asarray(axes, dtype=object).ravel()
        if len(self.axes_) != 3:
            raise ValueError(f"axes must be three matplotlib Axes, got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        one, other = self.labels
        rest = 1 - self.lam
        titles = (
            one,
            other,
            f"λ = {self.lam:.2f}: {self.lam:.2f} {one} + {rest:.2f} {other}",
        )
        parts = (self.first, self.second, self.mixed)
        # All three on one scale, or the weights could not be seen.
        low, high = min(map(np.min, parts)), max(map(np.max, parts))
        for ax, part, title in zip(self.axes_, parts, titles, strict=True):
            if part.ndim == 1:
                ax.plot(part, linewidth=0.6)
            else:
                picture = as_picture("first", part)
                ax.imshow(
                    picture, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma"
                )
            ax.set_title(title)
            ax.set_xlabel("sample" if part.ndim == 1 else "frame")
        self.axes_[0].set_ylabel("amplitude" if self.first.ndim == 1 else "frequency bin")
        return self


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two examples as arrays of float32."""
    one, other = (np.asarray(part, dtype=np.float32) for part in (first, second))
    if one.shape != other.shape:
        raise ValueError(
            f"first and second must have the same shape, got {one.shape} and {other.shape}. "
            "Pad the shorter one."
        )
    if one.ndim != 1:
        as_picture("first", one)
    return one, other
