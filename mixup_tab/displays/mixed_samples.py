"""Mixed samples of points in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from mixup_tab._plain import shown
from mixup_tab.displays._plotting import (
    class_colors,
    column_names,
    get_axes,
    label_colors,
    mix_batch,
    seeded_generator,
    visible_rule,
)
from mixup_tab.displays.boundary import check_plane
from mixup_tab.mixing import MixingRule
from mixup_tab.training.table import as_tensor
from mixup_tab.training.torch_state import with_torch_defaults


class MixedSamplesDisplay:
    """Points in a plane and mixed samples of them, colored by soft label.

    Parameters
    ----------
    X : array-like of shape (n_rows, 2)
        The original points.
    y : array-like of int of shape (n_rows,)
        Their classes, as positions in ``classes``.
    mixed : array-like of shape (n_samples, 2)
        Mixed points.
    labels : array-like of shape (n_samples, n_classes)
        Their soft labels.
    classes : sequence
        Names of the classes.
    names : sequence of two str, default=("", "")
        Names of the two columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : matplotlib PathCollection
        The mixed points.
    legend_ : matplotlib Legend
        To the right of the axes.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from mixup_tab.displays import MixedSamplesDisplay
    >>> X, y = make_moons(100, noise=0.1, random_state=0)
    >>> MixedSamplesDisplay.from_rule(X, y, alpha=1, n_samples=300).mixed.shape
    (300, 2)
    """

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        mixed: ArrayLike,
        labels: ArrayLike,
        classes: Sequence[Any],
        *,
        names: Sequence[str] = ("", ""),
    ) -> None:
        self.X, self.y = np.asarray(X), np.asarray(y)
        self.mixed, self.labels = np.asarray(mixed), np.asarray(labels)
        self.classes = list(classes)
        self.names = names

    @classmethod
    @with_torch_defaults
    def from_rule(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        mixing: str | MixingRule = "mixup",
        *,
        alpha: float = 0.2,
        n_samples: int = 1000,
        random_state: Any = 0,
        **kwargs: Any,
    ) -> MixedSamplesDisplay:
        """Mix points as training would, and draw them.

        Parameters
        ----------
        X : array-like of shape (n_rows, 2)
            Points. They are not scaled before mixing, so "cutout" sets values to the zero of
            ``X``.
        y : array-like of shape (n_rows,)
            Their classes, at least two.
        mixing : str or MixingRule, default="mixup"
            Any rule for classification that mixes inputs.
        alpha : float, default=0.2
            Parameter of λ ~ Beta(α, α), ≥ 0.
        n_samples : int, default=1000
            Number of mixed points, ≥ 1.
        random_state : int, RandomState instance or None, default=0
            Seed of the draw.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        MixedSamplesDisplay

        Raises
        ------
        ValueError
            If X does not have two columns, y has fewer than two classes, or the rule does not
            mix inputs or is for regression.
        """
        points, names = check_plane(X, y)
        classes, codes = np.unique(names, return_inverse=True)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples must be an integer of at least 1, got {shown(n_samples)}."
            )
        rule, source = visible_rule(mixing), seeded_generator(random_state)
        batch = as_tensor(points), as_tensor(codes.astype(np.int64))
        n_batches = -(-n_samples // len(points))
        parts = [mix_batch(rule, alpha, *batch, source) for _ in range(n_batches)]
        mixed, soft = (torch.cat(part) for part in zip(*parts, strict=True))
        # Shuffled, because rows are often sorted by class.
        some = torch.randperm(len(mixed), generator=source)[:n_samples]
        display = cls(
            points,
            codes,
            mixed[some].numpy(),
            soft[some].numpy(),
            classes,
            names=column_names(X),
        )
        return display.plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the mixed points as dots and the original ones as circles.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Title.
        **kwargs
            Passed to matplotlib's ``scatter`` for the mixed points.

        Returns
        -------
        MixedSamplesDisplay
        """
        self.ax_ = ax = get_axes(ax, name)
        self.figure_ = ax.figure
        style = {"s": 9, "linewidth": 0, "rasterized": True, **kwargs}
        self.points_ = ax.scatter(*self.mixed.T, **{"c": label_colors(self.labels), **style})
        for code, color in enumerate(class_colors(len(self.classes))):
            own = self.X[self.y == code]
            ax.scatter(*own.T, color="none", edgecolor=color, s=16, linewidth=0.7, zorder=2.1)
        ax.set(xlabel=self.names[0], ylabel=self.names[1])
        shown = list(zip(self.classes, np.eye(len(self.classes)), strict=True))
        if len(shown) == 2:
            shown.insert(1, ("half of each", np.array([0.5, 0.5])))
        colors = label_colors([label for _, label in shown])
        for (text, _), color in zip(shown, colors, strict=True):
            ax.scatter([], [], color=color, label=str(text))
        self.legend_ = ax.legend(title="label", loc="upper left", bbox_to_anchor=(1, 1))
        return self
