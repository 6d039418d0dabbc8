"""Decision boundaries side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.utils import check_X_y

from mixup_tab._extras import import_extra
from mixup_tab.displays._plotting import (
    class_codes,
    class_colors,
    column_names,
    get_axes_row,
    named_classifiers,
)

_MARGIN = 0.1  # of the range of a column, to either side


class MixupBoundaryDisplay:
    """Decision boundaries of several classifiers, on the same points and color scale.

    Full color means a probability of 1, white equal probabilities of all classes; the
    prediction changes at the black line. Every panel is a scikit-learn
    :class:`~sklearn.inspection.DecisionBoundaryDisplay`.

    Parameters
    ----------
    boundaries : mapping of str to DecisionBoundaryDisplay
        Probabilities on a grid, by name of the classifier.
    X : array-like of shape (n_samples, 2)
        Points to draw.
    y : array-like of int of shape (n_samples,)
        Their classes, as positions in ``classes``.
    classes : sequence
        Names of the classes.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_classifiers,)
    figure_ : matplotlib Figure
    colorbar_ : matplotlib Colorbar or None
        Probability of the second class of two; None for more classes.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.displays import MixupBoundaryDisplay
    >>> X, y = make_moons(60, noise=0.2, random_state=0)
    >>> net = MixupClassifier(1, n_estimators=1, max_epochs=9, random_state=0).fit(X, y)
    >>> display = MixupBoundaryDisplay.from_estimators({"mixup": net}, X, y)
    >>> display.axes_[0].get_title()
    'mixup'
    """

    def __init__(
        self,
        boundaries: Mapping[str, DecisionBoundaryDisplay],
        X: ArrayLike,
        y: ArrayLike,
        classes: Sequence[Any],
    ) -> None:
        self.boundaries = dict(boundaries)
        self.X, self.y = np.asarray(X), np.asarray(y)
        self.classes = list(classes)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        name: str | None = None,
        **kwargs: Any,
    ) -> MixupBoundaryDisplay:
        """Draw the boundary of one fitted classifier.

        Parameters
        ----------
        estimator : classifier with predict_proba
            Fitted.
        X, y
            See :meth:`from_estimators`.
        name : str, default=None
            Title; by default the name of the class.
        **kwargs
            See :meth:`from_estimators`.

        Returns
        -------
        MixupBoundaryDisplay
        """
        return cls.from_estimators(named_classifiers(estimator, name), X, y, **kwargs)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        grid_resolution: int = 200,
        **kwargs: Any,
    ) -> MixupBoundaryDisplay:
        """Draw the boundaries of fitted classifiers side by side.

        Parameters
        ----------
        estimators : mapping of str to classifier
            Fitted, with ``predict_proba``, by name.
        X : array-like of shape (n_samples, 2)
            Points to draw; the plot shows their range plus a tenth of it on each side.
        y : array-like of shape (n_samples,)
            Their classes.
        grid_resolution : int, default=200
            Number of grid points along each axis, ≥ 2.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        MixupBoundaryDisplay

        Raises
        ------
        ValueError
            If X does not have two columns, or classifiers and y differ in their classes.
        TypeError
            If the estimators are not in a mapping, or one has no ``predict_proba``.
        """
        if not isinstance(estimators, Mapping):
            raise TypeError(
                "estimators must be a dict of fitted classifiers by name, got "
                f"{type(estimators).__name__}. Pass a single one to from_estimator."
            )
        named = named_classifiers(estimators)
        points, labels = check_plane(X, y)
        codes = [class_codes(one, labels, key) for key, one in named.items()]
        classes = [one.classes_ for one in named.values()]
        for key, own in zip(named, classes, strict=True):
            if not np.array_equal(own, classes[0]):
                raise ValueError(
                    "estimators must have the same classes, but these differ: "
                    f"{classes[0].tolist()} and {own.tolist()} ({key}). Fit them on the same "
                    "rows."
                )
        corners = _corners(X, points)
        boundaries = {
            key: _boundary(one, corners, grid_resolution) for key, one in named.items()
        }
        return cls(boundaries, points, codes[0], classes[0]).plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw probabilities, boundaries and points.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            Where to draw, one for each classifier; by default a new figure.
        name : str, default=None
            Title of a new figure.
        **kwargs
            Passed to matplotlib's ``pcolormesh``, which draws the probabilities.

        Returns
        -------
        MixupBoundaryDisplay
        """
        self.axes_ = get_axes_row(ax, len(self.boundaries), name)
        self.figure_ = self.axes_[0].figure
        colors = class_colors(len(self.classes))
        for axes, (key, boundary) in zip(self.axes_, self.boundaries.items(), strict=True):
            _shade(boundary, axes, colors, kwargs)
            for code, (label, color) in enumerate(zip(self.classes, colors, strict=True)):
                own = self.X[self.y == code]
                axes.scatter(*own.T, color=color, edgecolor="white", s=18, lw=0.5, label=label)
            axes.set_title(key)
            if ax is None:
                axes.label_outer()
        self.axes_[-1].legend(title="class", loc=_emptiest_corner(self.X))
        self.colorbar_ = None
        if len(self.classes) == 2:
            self.colorbar_ = self.figure_.colorbar(
                boundary.surface_,
                ax=list(self.axes_),
                label=f"probability of class {self.classes[1]}",
            )
        return self


def check_plane(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return points with two columns as floats, and their labels, of two or more classes."""
    points, labels = check_X_y(X, y, dtype=[np.float64, np.float32])
    if points.shape[1] != 2:
        raise ValueError(
            f"X must have two columns to be drawn, got {points.shape[1]}. Choose two columns, "
            "or reduce X with PCA(2)."
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(f"y must hold at least two classes, got only {labels.tolist()[0]!r}.")
    return points, labels


def _shade(
    boundary: DecisionBoundaryDisplay, ax: Any, colors: np.ndarray, kwargs: dict[str, Any]
) -> None:
    """Draw probabilities, and the line where the prediction changes."""
    n = len(colors)
    style = {"vmin": 0 if n == 2 else 1 / n, "vmax": 1, "alpha": 0.75, "rasterized": True}
    if n == 2:
        maps = import_extra("matplotlib.colors", "plots").LinearSegmentedColormap
        style["cmap"] = maps.from_list("two classes", [colors[0], "white", colors[1]])
        best, levels = boundary.response, np.array([0.5])
    else:
        boundary.multiclass_colors = [tuple(color) for color in colors]
        best, levels = boundary.response.argmax(axis=2), np.arange(n - 1) + 0.5
    boundary.plot("pcolormesh", ax, **{**style, **kwargs})
    if best.min() < levels[-1] and best.max() > levels[0]:  # otherwise there is no boundary
        ax.contour(boundary.xx0, boundary.xx1, best, levels, colors="black", linewidths=1)


def _emptiest_corner(X: np.ndarray) -> str:
    """Return the quadrant with the fewest points; loc="best" takes seconds on a mesh."""
    right, up = ((X.min(axis=0) + X.max(axis=0)) / 2 < X).T
    counts = {
        f"{vertical} {horizontal}": np.sum((up == high) & (right == far))
        for vertical, high in (("upper", True), ("lower", False))
        for horizontal, far in (("right", True), ("left", False))
    }
    return min(counts, key=lambda corner: counts[corner])


def _corners(X: Any, points: np.ndarray) -> Any:
    """Return two opposite corners of the region shown, in the type of X."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, _MARGIN * (high - low), 1)
    corners = np.stack([low - margin, high + margin])
    if not hasattr(X, "columns"):
        return corners
    return type(X)(dict(zip(X.columns, corners.T, strict=True)))


def _boundary(estimator: Any, corners: Any, grid_resolution: int) -> DecisionBoundaryDisplay:
    """Compute probabilities on a grid between two corners."""
    # scikit-learn computes and draws in one step; this drawing is discarded.
    scratch = import_extra("matplotlib.figure", "plots").Figure().subplots()
    names = column_names(corners)
    return DecisionBoundaryDisplay.from_estimator(
        estimator,
        corners,
        eps=0,
        grid_resolution=grid_resolution,
        response_method="predict_proba",
        plot_method="pcolormesh",
        xlabel=names[0],
        ylabel=names[1],
        ax=scratch,
    )
