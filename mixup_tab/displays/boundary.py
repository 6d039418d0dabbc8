"""A picture of decision boundaries side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import Pipeline

from mixup_tab.displays.class_colors import class_colors
from mixup_tab.displays.fitted_classifiers import check_classifiers
from mixup_tab.displays.mixed_samples import check_plane, column_names

_MARGIN = 0.1  # of the range of a column, to either side
_MOST_COLUMNS = 4


class MixupBoundaryDisplay:
    """Decision boundaries of several classifiers, on the same points and colour scale.

    Full colour is a probability of one, white one that is the same for all classes; the
    black line is where the prediction changes. Drawn by scikit-learn's
    ``DecisionBoundaryDisplay``.

    Parameters
    ----------
    boundaries : mapping of str to DecisionBoundaryDisplay
        Probabilities on a grid, by name of the classifier.
    X : array-like of shape (rows, 2)
        Points to draw.
    y : array-like of int of shape (rows,)
        Their classes, as positions in ``classes``.
    classes : sequence
        Names of the classes.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_classifiers,)
    figure_ : matplotlib Figure
    colorbar_ : matplotlib Colorbar or None
        Probability of the second class, of two; None where there are more.

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
        classes: Sequence,
    ) -> None:
        self.boundaries = dict(boundaries)
        self.X, self.y = np.asarray(X), np.asarray(y)
        self.classes = list(classes)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any] | Sequence[Any],
        X: ArrayLike,
        y: ArrayLike,
        *,
        grid_resolution: int = 200,
        axes: Any = None,
    ) -> MixupBoundaryDisplay:
        """Draw the boundaries of fitted classifiers.

        Parameters
        ----------
        estimators : mapping of str to classifier, or sequence of classifiers
            Fitted, with ``predict_proba``. A mapping names them.
        X : array-like of shape (rows, 2)
            Points to draw; their range, and a tenth of it to either side, is shown.
        y : array-like of shape (rows,)
            Their classes.
        grid_resolution : int, default=200
            Number of grid points along each axis.
        axes : sequence of matplotlib Axes, default=None
            Where to draw, one for each classifier; None makes a figure.

        Returns
        -------
        MixupBoundaryDisplay

        Raises
        ------
        ValueError
            If X has other than two columns, or classifiers and y differ in their classes.
        TypeError
            If a classifier has no ``predict_proba``, or only one is given by itself.
        """
        points, _, _ = check_plane(X, y)
        named = _named(estimators)
        classes = _common_classes(named, y)
        corners = _corners(X, points)
        boundaries = {
            name: _boundary(estimator, corners, grid_resolution, column_names(X))
            for name, estimator in named.items()
        }
        codes = np.searchsorted(classes, np.asarray(y))
        return cls(boundaries, points, codes, classes).plot(axes)

    def plot(self, axes: Any = None) -> MixupBoundaryDisplay:
        """Draw.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, default=None
            Where to draw, one for each classifier; None makes a figure.

        Returns
        -------
        MixupBoundaryDisplay
        """
        n, given = len(self.boundaries), axes is not None
        axes = axes if given else _new_axes(n)
        self.axes_ = np.asarray(axes, dtype=object).ravel()
        if len(self.axes_) != n:
            raise ValueError(f"axes must be {n} matplotlib Axes, got {len(self.axes_)}.")
        self.figure_ = self.axes_[0].figure
        parts = zip(self.axes_, self.boundaries.items(), strict=True)
        for ax, (name, boundary) in parts:
            self._shade(boundary, ax)
            self._scatter(ax)
            ax.set_title(name)
            if not given:
                ax.label_outer()
        corner = _emptiest_corner(self.X)
        self.axes_[-1].legend(title="class", framealpha=0.9, edgecolor="none", loc=corner)
        self.colorbar_ = None
        if len(self.classes) == 2:
            self.colorbar_ = self.figure_.colorbar(
                boundary.surface_,
                ax=list(self.axes_),
                label=f"probability of class {self.classes[1]}",
            )
        return self

    def _shade(self, boundary: DecisionBoundaryDisplay, ax: Any) -> None:
        """Draw probabilities and the line where the prediction changes."""
        from matplotlib.colors import LinearSegmentedColormap

        n = len(self.classes)
        style = {"plot_method": "pcolormesh", "vmax": 1, "alpha": 0.75, "rasterized": True}
        colors = class_colors(n)
        if n == 2:
            between = LinearSegmentedColormap.from_list("two", [colors[0], "white", colors[1]])
            boundary.plot(ax=ax, cmap=between, vmin=0, **style)
            best, levels = boundary.response, [0.5]
        else:
            boundary.multiclass_colors = [tuple(color) for color in colors]
            boundary.plot(ax=ax, vmin=1 / n, **style)
            best, levels = boundary.response.argmax(axis=2), np.arange(n - 1) + 0.5
        if best.min() < levels[-1] and best.max() > levels[0]:
            ax.contour(
                boundary.xx0, boundary.xx1, best, levels=levels, colors="black", linewidths=1
            )

    def _scatter(self, ax: Any) -> None:
        colors = class_colors(len(self.classes))
        for code, (name, color) in enumerate(zip(self.classes, colors, strict=True)):
            own = self.X[self.y == code]
            ax.scatter(
                *own.T, color=color, edgecolor="white", s=18, linewidth=0.5, label=str(name)
            )


def _new_axes(n: int) -> np.ndarray:
    from matplotlib.figure import Figure

    columns = min(n, _MOST_COLUMNS)
    rows = -(-n // columns)
    figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax in axes[n:]:
        ax.remove()
    return axes[:n]


def _emptiest_corner(X: np.ndarray) -> str:
    """Say where a legend hides fewest points; matplotlib's own search is slow on meshes."""
    low, high = X.min(axis=0), X.max(axis=0)
    right, up = ((X - low) / np.where(high > low, high - low, 1)).T
    hidden = {
        f"{vertical} {horizontal}": np.sum((across < 0.35) & (along < 0.35))
        for vertical, along in (("upper", 1 - up), ("lower", up))
        for horizontal, across in (("right", 1 - right), ("left", right))
    }
    return min(hidden, key=hidden.get)


def _named(estimators: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """Return fitted classifiers by name."""
    if not isinstance(estimators, Mapping | Sequence):
        raise TypeError(
            "estimators must be fitted classifiers in a dict, by name, or in a list, got "
            f"{type(estimators).__name__}."
        )
    if isinstance(estimators, Mapping):
        named = {str(name): estimator for name, estimator in estimators.items()}
    else:
        named = {}
        for estimator in estimators:
            name = _name(estimator)
            named[name if name not in named else f"{len(named) + 1}: {name}"] = estimator
    check_classifiers(named, "estimators")
    return named


def _name(estimator: Any) -> str:
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    alpha = getattr(last, "alpha_", None)
    return type(last).__name__ + ("" if alpha is None else f", α = {alpha:g}")


def _common_classes(named: dict[str, Any], y: ArrayLike) -> np.ndarray:
    """Return the classes of all classifiers, or say which differ."""
    (first, classes), *others = ((name, e.classes_) for name, e in named.items())
    for name, own in others:
        if not np.array_equal(own, classes):
            raise ValueError(
                f"All classifiers must know the same classes, but {first} has "
                f"{classes.tolist()} and {name} has {own.tolist()}. Fit them on the same rows."
            )
    unknown = sorted(set(np.unique(y).tolist()) - set(classes.tolist()), key=str)
    if unknown:
        raise ValueError(
            f"y holds classes that {first} does not know: {unknown}. It was fitted with "
            f"{classes.tolist()}."
        )
    return classes


def _corners(X: Any, points: np.ndarray) -> Any:
    """Return two opposite corners of what is shown, as rows of the same kind as X."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, _MARGIN * (high - low), 1)
    corners = np.stack([low - margin, high + margin])
    if not hasattr(X, "columns"):
        return corners
    return type(X)(dict(zip(X.columns, corners.T, strict=True)))


def _boundary(
    estimator: Any, corners: Any, grid_resolution: int, names: tuple[str, str]
) -> DecisionBoundaryDisplay:
    """Compute probabilities on a grid between two corners."""
    from matplotlib.figure import Figure

    # scikit-learn computes and draws in one step; what it draws here is thrown away.
    return DecisionBoundaryDisplay.from_estimator(
        estimator,
        corners,
        eps=0,
        grid_resolution=grid_resolution,
        response_method="predict_proba",
        plot_method="pcolormesh",
        xlabel=names[0],
        ylabel=names[1],
        ax=Figure().subplots(),
    )
