"""A picture of the samples that mixing makes of points in a plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state, check_X_y

from mixup_tab.displays.class_colors import class_colors, label_colors
from mixup_tab.mixing import MixingRule, as_rule
from mixup_tab.mixing.draw import check_alpha


class MixedSamplesDisplay:
    """Points in a plane and what mixing makes of them, coloured by soft label.

    Parameters
    ----------
    X : array-like of shape (rows, 2)
        The points that were mixed.
    y : array-like of int of shape (rows,)
        Their classes, as positions in ``classes``.
    mixed : array-like of shape (samples, 2)
        Mixed points.
    labels : array-like of shape (samples, classes)
        Their soft labels.
    classes : sequence
        Names of the classes.
    names : tuple of (str, str), default=("", "")
        Names of the two columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : matplotlib PathCollection
        The mixed points.
    legend_ : matplotlib Legend
        Beside the points.

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
        classes: Sequence,
        *,
        names: tuple[str, str] = ("", ""),
    ) -> None:
        self.X, self.y = np.asarray(X), np.asarray(y)
        self.mixed, self.labels = np.asarray(mixed), np.asarray(labels)
        self.classes = list(classes)
        self.names = names

    @classmethod
    def from_rule(
        cls,
        X: ArrayLike,
        y: ArrayLike,
        mixing: str | MixingRule = "mixup",
        *,
        alpha: float = 0.2,
        n_samples: int = 1000,
        random_state: Any = 0,
        ax: Any = None,
    ) -> MixedSamplesDisplay:
        """Mix points as training would, and draw them.

        Parameters
        ----------
        X : array-like of shape (rows, 2)
            Points. They are mixed as they are: a rule that sets values to zero sets them to
            the zero of ``X``.
        y : array-like of shape (rows,)
            Their classes.
        mixing : str or MixingRule, default="mixup"
            How they are mixed; any rule for classification that mixes inputs.
        alpha : float, default=0.2
            Parameter of λ ~ Beta(α, α), ≥ 0.
        n_samples : int, default=1000
            How many mixed points to draw, ≥ 1.
        random_state : int, RandomState or None, default=0
            Seed of the draw.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MixedSamplesDisplay

        Raises
        ------
        ValueError
            If the points do not lie in a plane, there are fewer than two classes, n_samples
            is no whole number of at least 1, or the rule mixes no inputs or is for regression.
        """
        points, classes, codes = check_plane(X, y)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(
                f"n_samples must be a whole number of at least 1, got {n_samples!r}."
            )
        rule = _visible(mixing)
        x, labels = torch.from_numpy(points), torch.from_numpy(codes)
        rule = rule.learn(lambda rows: x[rows], labels)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        generator = torch.Generator().manual_seed(seed)
        batches = range(math.ceil(n_samples / len(x)))
        parts = [_mix(rule, check_alpha(alpha), x, labels, generator) for _ in batches]
        mixed, soft = (torch.cat(part) for part in zip(*parts, strict=True))
        # Rows often come class by class; a part of them must not.
        some = torch.randperm(len(mixed), generator=generator)[:n_samples]
        mixed, soft = mixed[some].numpy(), soft[some].numpy()
        names = column_names(X)
        return cls(points, codes, mixed, soft, classes, names=names).plot(ax)

    def plot(self, ax: Any = None) -> MixedSamplesDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        MixedSamplesDisplay
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.8, 4), layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        self.points_ = ax.scatter(
            *self.mixed.T, c=label_colors(self.labels), s=9, linewidth=0, rasterized=True
        )
        for code, color in enumerate(class_colors(len(self.classes))):
            own = self.X[self.y == code]
            ax.scatter(*own.T, color="none", edgecolor=color, s=16, linewidth=0.7, zorder=2.1)
        ax.set(xlabel=self.names[0], ylabel=self.names[1])
        ax.spines[["top", "right"]].set_visible(False)
        self._legend()
        return self

    def _legend(self) -> None:
        from matplotlib.lines import Line2D

        n = len(self.classes)
        shares = {str(name): row for name, row in zip(self.classes, np.eye(n), strict=True)}
        if n == 2:
            shares = {"half of each": np.full(2, 0.5), **shares}
            shares = {key: shares[key] for key in sorted(shares, key=lambda k: -shares[k][0])}
        colors = label_colors(list(shares.values()))
        style = {"marker": "o", "linestyle": "none", "markersize": 5, "markeredgewidth": 0}
        handles = [
            Line2D([], [], color=color, label=name, **style)
            for name, color in zip(shares, colors, strict=True)
        ]
        self.legend_ = self.ax_.legend(
            handles=handles,
            title="label",
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1, 1),
            alignment="left",
        )


def check_plane(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points in a plane, the classes, and the class of every point as its position.

    Parameters
    ----------
    X : array-like of shape (rows, 2)
        Points, without missing values.
    y : array-like of shape (rows,)
        Their classes, at least two.

    Returns
    -------
    points : ndarray of float32 of shape (rows, 2)
    classes : ndarray of shape (n_classes,)
    codes : ndarray of int64 of shape (rows,)

    Raises
    ------
    ValueError
        If X has other than two columns, holds missing values, does not fit y, or y has
        one class only.
    """
    points, labels = check_X_y(X, y, dtype=np.float32)
    if points.shape[1] != 2:
        raise ValueError(
            f"X must have two columns to be drawn in a plane, got {points.shape[1]}. "
            "Choose two of them, or reduce X with PCA(2)."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y must hold at least two classes, got only {classes.tolist()[0]!r}.")
    return points, classes, codes.astype(np.int64)


def column_names(X: Any) -> tuple[str, str]:
    """Return the names of the two columns of a table, or empty ones for an array."""
    return tuple(map(str, X.columns)) if hasattr(X, "columns") else ("", "")


def _visible(mixing: str | MixingRule) -> MixingRule:
    """Return the rule if it mixes inputs of a classification."""
    rule = as_rule(mixing)
    if rule.hidden:
        raise ValueError(
            f"mixing={mixing!r} mixes a hidden layer and leaves points where they are, so "
            "there is nothing to show. Take a rule that mixes inputs, such as 'mixup'."
        )
    if rule.kind == "values":
        raise ValueError(
            f"mixing={mixing!r} is for regression, and points are coloured by class. Take "
            "another rule, such as 'mixup'."
        )
    return rule


def _mix(
    rule: MixingRule,
    alpha: float,
    x: torch.Tensor,
    labels: torch.Tensor,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix all rows once, as one batch."""
    mix = rule.draw(
        alpha,
        (len(x),),
        features=x.shape[1:],
        generator=generator,
        labels=labels if rule.needs_labels else None,
    )
    onehot = torch.eye(int(labels.max()) + 1)[labels]
    return rule.mix_x(x, mix), rule.mix_y(onehot, mix)
