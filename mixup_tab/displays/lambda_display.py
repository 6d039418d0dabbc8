"""A picture of how λ is distributed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from scipy import stats
from sklearn.utils import check_random_state

from mixup_tab.mixing import beta
from mixup_tab.mixing.draw import check_alpha

_BINS = 40


class LambdaDisplay:
    """Density of the mixing weight λ ~ Beta(α, α) for several α.

    Parameters
    ----------
    alphas : sequence of float
        Values of α, > 0.
    draws : array-like of shape (n_alphas, n_draws), default=None
        Values of λ drawn for each α, shown as histograms under the densities.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of float to matplotlib Line2D
        The density of every α.
    histograms_ : dict of float to matplotlib StepPatch
        The histogram of every α; empty without draws.

    Examples
    --------
    >>> from mixup_tab.displays import LambdaDisplay
    >>> LambdaDisplay.from_alphas([0.2, 1, 8]).ax_.get_xlabel()
    'λ'
    """

    def __init__(self, alphas: Sequence[float], draws: Any = None) -> None:
        self.alphas = _check_alphas(alphas)
        self.draws = None if draws is None else np.asarray(draws, dtype=float)
        if self.draws is not None and len(self.draws) != len(self.alphas):
            raise ValueError(
                f"draws must hold a row for each of {len(self.alphas)} alphas, got "
                f"{len(self.draws)} rows."
            )

    @classmethod
    def from_alphas(
        cls,
        alphas: Sequence[float] = (0.1, 0.2, 0.4, 1, 8),
        *,
        n_draws: int = 0,
        random_state: Any = 0,
        ax: Any = None,
    ) -> LambdaDisplay:
        """Draw the density of λ for several α.

        Parameters
        ----------
        alphas : sequence of float, default=(0.1, 0.2, 0.4, 1, 8)
            Values of α, > 0.
        n_draws : int, default=0
            How many λ to draw for each α as training draws them, ≥ 0.
        random_state : int, RandomState or None, default=0
            Seed of the draws.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LambdaDisplay

        Raises
        ------
        ValueError
            If there is no α, one is 0 (λ is always 1), negative or not finite, or n_draws is
            no whole number of at least 0.
        """
        if not isinstance(n_draws, Integral) or n_draws < 0:
            raise ValueError(f"n_draws must be a whole number of at least 0, got {n_draws!r}.")
        alphas = _check_alphas(alphas)
        if n_draws == 0:
            return cls(alphas).plot(ax)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        generator = torch.Generator().manual_seed(seed)
        draws = [beta(alpha, (n_draws,), generator=generator).numpy() for alpha in alphas]
        return cls(alphas, draws).plot(ax)

    def plot(self, ax: Any = None) -> LambdaDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LambdaDisplay
        """
        from matplotlib import colormaps

        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(6.5, 3.8), layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        lam = np.linspace(0.001, 0.999, 999)
        colors = colormaps["viridis"](np.linspace(0, 0.85, len(self.alphas)))
        self.lines_, self.histograms_, top = {}, {}, 0.0
        for k, (alpha, color) in enumerate(zip(self.alphas, colors, strict=True)):
            density = stats.beta.pdf(lam, alpha, alpha)
            (line,) = ax.plot(lam, density, color=color, label=f"α = {alpha:g}")
            self.lines_[alpha] = line
            # Near 0 and 1 the density has no bound for α < 1.
            top = max(top, density[20:-20].max())
            if self.draws is not None:
                self.histograms_[alpha] = self._histogram(self.draws[k], color)
        ax.set(xlabel="λ", ylabel="density", xlim=(0, 1), ylim=(0, 1.1 * top or 1))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        return self

    def _histogram(self, drawn: np.ndarray, color: Any) -> Any:
        """Draw a histogram whose area is one."""
        density, edges = np.histogram(drawn, bins=_BINS, range=(0, 1), density=True)
        return self.ax_.stairs(density, edges, color=color, alpha=0.6)


def _check_alphas(alphas: Sequence[float]) -> list[float]:
    """Return values of α, at least one, for each of which λ has a density."""
    values = [_mixing(alpha) for alpha in np.atleast_1d(alphas).tolist()]
    if not values:
        raise ValueError("alphas must hold at least one value of α, such as 0.2, got none.")
    return values


def _mixing(alpha: float) -> float:
    """Return α as a float where λ has a density."""
    if check_alpha(alpha) == 0:
        raise ValueError("alpha=0 has no density: λ is always 1. Leave it out, or raise it.")
    return float(alpha)
