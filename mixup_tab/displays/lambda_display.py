"""The distribution of λ."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mixup_tab._extras import import_extra
from mixup_tab._plain import shown
from mixup_tab.displays._plotting import get_axes, seeded_generator
from mixup_tab.mixing import Mixup
from mixup_tab.training.torch_state import with_torch_defaults

_N_BINS = 40


class LambdaDisplay:
    """Density of the mixing weight λ ~ Beta(α, α) for several α.

    Parameters
    ----------
    alphas : float or sequence of float
        Values of α, > 0.
    draws : array-like of shape (n_alphas, n_draws), default=None
        Values of λ drawn for each α, shown as histograms.

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

    def __init__(self, alphas: ArrayLike, draws: ArrayLike | None = None) -> None:
        self.alphas: list[float] = np.atleast_1d(np.asarray(alphas, dtype=float)).tolist()
        self.draws = None if draws is None else np.asarray(draws, dtype=float)
        if not self.alphas or not all(0 < alpha < np.inf for alpha in self.alphas):
            raise ValueError(
                "alphas must hold at least one value of α, all finite and above 0 (with α = 0 "
                f"λ is always 1), got {shown(alphas)}."
            )
        if self.draws is not None and len(self.draws) != len(self.alphas):
            raise ValueError(
                f"draws must hold one row for each of the {len(self.alphas)} alphas, got "
                f"{len(self.draws)} rows."
            )

    @classmethod
    @with_torch_defaults
    def from_alphas(
        cls,
        alphas: float | Sequence[float] = (0.1, 0.2, 0.4, 1, 8),
        *,
        n_draws: int = 0,
        random_state: Any = 0,
        **kwargs: Any,
    ) -> LambdaDisplay:
        """Draw the density of λ for several α.

        Parameters
        ----------
        alphas : float or sequence of float, default=(0.1, 0.2, 0.4, 1, 8)
            Values of α, > 0.
        n_draws : int, default=0
            Number of λ to draw for each α, as in training, ≥ 0.
        random_state : int, RandomState instance or None, default=0
            Seed of the draws.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        LambdaDisplay

        Raises
        ------
        ValueError
            If an α is not above 0 and finite, or ``n_draws`` is not an integer of at least 0.
        """
        if not isinstance(n_draws, Integral) or n_draws < 0:
            raise ValueError(f"n_draws must be an integer of at least 0, got {shown(n_draws)}.")
        display = cls(alphas)
        if n_draws:
            rule, source = Mixup(), seeded_generator(random_state)
            display.draws = np.stack(
                [rule.draw(a, (n_draws,), generator=source).lam.numpy() for a in display.alphas]
            )
        return display.plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw densities as lines, and draws as histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Title.
        **kwargs
            Passed to matplotlib's ``plot`` for the densities.

        Returns
        -------
        LambdaDisplay
        """
        self.ax_ = ax = get_axes(ax, name)
        self.figure_ = ax.figure
        lam = np.linspace(0.001, 0.999, 999)
        colormap = import_extra("matplotlib", "plots").colormaps["viridis"]
        colors = colormap(np.linspace(0, 0.85, len(self.alphas)))
        self.lines_, self.histograms_, top = {}, {}, 0.0
        for k, (alpha, color) in enumerate(zip(self.alphas, colors, strict=True)):
            density = stats.beta.pdf(lam, alpha, alpha)
            style = {"color": color, "label": f"α = {alpha:g}", **kwargs}
            (self.lines_[alpha],) = ax.plot(lam, density, **style)
            # For α < 1 the density is unbounded near 0 and 1.
            top = max(top, density[20:-20].max())
            if self.draws is not None:
                heights, edges = np.histogram(
                    self.draws[k], bins=_N_BINS, range=(0, 1), density=True
                )
                self.histograms_[alpha] = ax.stairs(heights, edges, color=color, alpha=0.6)
        ax.set(xlabel="λ", ylabel="density", xlim=(0, 1), ylim=(0, 1.1 * top))
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
        return self
