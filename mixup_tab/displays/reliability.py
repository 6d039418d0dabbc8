"""A picture of how far probabilities can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mixup_tab.displays.calibration_bands import accuracy_intervals
from mixup_tab.displays.fitted_classifiers import check_classifiers
from mixup_tab.metrics import (
    calibration_bins,
    expected_calibration_error,
    pool_bins,
)

_MOST_INSIDE = 3  # methods whose legend and bands leave the curves free


class ReliabilityDisplay:
    """Accuracy against confidence, with the share of rows in each bin below.

    The confidence is the largest probability of a row; on the diagonal it equals the accuracy
    (Guo et al. 2017, arXiv 1706.04599, figure 1). Bands are confidence intervals of the
    accuracy in each bin
    (:func:`~mixup_tab.displays.calibration_bands.accuracy_intervals`): where a band crosses
    the diagonal, the rows of the bin do not show a lack of calibration.

    Parameters
    ----------
    bins : mapping of str to DataFrame
        Bins of :func:`~mixup_tab.metrics.calibration_bins` by method; those of
        several tables may be below each other.

    Attributes
    ----------
    ax_ : matplotlib Axes
        With the curves.
    histogram_ax_ : matplotlib Axes
        With the shares of rows.
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        The curve of every method, over the bins that hold rows.
    bands_ : dict of str to matplotlib PolyCollection
        The band of every method, where bands are drawn.

    Raises
    ------
    ValueError
        If there are no bins.

    Examples
    --------
    >>> from mixup_tab.displays import ReliabilityDisplay
    >>> display = ReliabilityDisplay.from_predictions([0, 1], [[0.9, 0.1], [0.6, 0.4]])
    >>> display.ax_.get_ylabel()
    'accuracy'
    """

    def __init__(self, bins: Mapping[str, pd.DataFrame]) -> None:
        if not bins or any(len(part) == 0 for part in bins.values()):
            raise ValueError(
                "bins must hold the bins of at least one method, as calibration_bins returns "
                "them."
            )
        self.bins = {str(name): pool_bins(part) for name, part in bins.items()}

    @classmethod
    def from_predictions(
        cls,
        y: ArrayLike,
        proba: ArrayLike | Mapping[str, ArrayLike],
        *,
        n_bins: int = 15,
        level: float | None = 0.95,
        ax: Any = None,
    ) -> ReliabilityDisplay:
        """Draw the predictions of one method or of several.

        Parameters
        ----------
        y : array-like of int of shape (rows,)
            Classes as column numbers of ``proba``.
        proba : array-like of shape (rows, classes), or mapping of str to such
            Predicted probabilities, by method where there are several.
        n_bins : int, default=15
            Number of bins of equal width.
        level : float or None, default=0.95
            Confidence level of the bands, drawn for at most three methods: more would hide
            each other. None draws none.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ReliabilityDisplay
        """
        parts = proba if isinstance(proba, Mapping) else {"predictions": proba}
        bins = {name: calibration_bins(y, part, n_bins) for name, part in parts.items()}
        return cls(bins).plot(ax, level=level)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_bins: int = 15,
        level: float | None = 0.95,
        ax: Any = None,
    ) -> ReliabilityDisplay:
        """Draw what one fitted classifier or several predict.

        Parameters
        ----------
        estimator : classifier with predict_proba, or mapping of str to such
            Fitted; by name where there are several.
        X : array-like of shape (rows, features)
            Rows that no classifier has seen.
        y : array-like of shape (rows,)
            Their labels.
        n_bins : int, default=15
            Number of bins of equal width.
        level : float or None, default=0.95
            Confidence level of the bands, drawn for at most three methods: more would hide
            each other. None draws none.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If ``y`` holds a label that a classifier does not know, or there is no classifier.
        TypeError
            If a classifier has no ``predict_proba``.
        """
        named = estimator if isinstance(estimator, Mapping) else {_name(estimator): estimator}
        check_classifiers(named, "estimator")
        bins = {
            name: calibration_bins(_codes(one, y), one.predict_proba(X), n_bins)
            for name, one in named.items()
        }
        return cls(bins).plot(ax, level=level)

    @classmethod
    def from_bins(
        cls,
        bins: pd.DataFrame | Mapping[str, pd.DataFrame],
        *,
        level: float | None = 0.95,
        ax: Any = None,
    ) -> ReliabilityDisplay:
        """Draw bins that were counted before.

        Parameters
        ----------
        bins : DataFrame or mapping of str to DataFrame
            See :class:`ReliabilityDisplay`; a DataFrame alone is one method.
        level : float or None, default=0.95
            Confidence level of the bands, drawn for at most three methods: more would hide
            each other. None draws none.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ReliabilityDisplay
        """
        named = bins if isinstance(bins, Mapping) else {"predictions": bins}
        return cls(named).plot(ax, level=level)

    def plot(self, ax: Any = None, *, level: float | None = 0.95) -> ReliabilityDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure. The shares of rows go into its lower quarter, or
            below it where it is no subplot.
        level : float or None, default=0.95
            Confidence level of the bands, drawn for at most three methods: more would hide
            each other. None draws none.

        Returns
        -------
        ReliabilityDisplay
        """
        if ax is None:
            from matplotlib.figure import Figure

            width = 5.5 if len(self.bins) <= _MOST_INSIDE else 8
            figure = Figure(figsize=(width, 5.5), layout="constrained")
            ax, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        else:
            below = _divide(ax)
            ax.tick_params(labelbottom=False)
        self.ax_, self.histogram_ax_, self.figure_ = ax, below, ax.figure
        ax.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="calibrated")
        self.lines_ = {name: self._draw(name, part) for name, part in self.bins.items()}
        banded = level is not None and len(self.bins) <= _MOST_INSIDE
        self.bands_ = {name: self._band(name, level) for name in self.bins} if banded else {}
        ax.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        self.histogram_ax_.set(xlabel="confidence", ylabel="rows %", ylim=(0, None))
        for axes in (ax, self.histogram_ax_):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(alpha=0.3)
        # Beside the curves where it would cover them.
        beside = {} if len(self.bins) <= _MOST_INSIDE else {"bbox_to_anchor": (1.02, 1)}
        ax.legend(loc="upper left", framealpha=0.8, edgecolor="none", **beside)
        return self

    def _draw(self, name: str, bins: pd.DataFrame) -> Any:
        held = bins[bins["count"] > 0]
        (line,) = self.ax_.plot(
            held["confidence"] / held["count"],
            held["correct"] / held["count"],
            marker="o",
            markersize=4,
            label=f"{name}, ECE {expected_calibration_error(bins):.3f}",
        )
        share = 100 * bins["count"] / max(bins["count"].sum(), 1)
        edges = np.append(bins["low"], bins["high"].iloc[-1:])
        self.histogram_ax_.stairs(share, edges, color=line.get_color(), linewidth=1.5)
        return line

    def _band(self, name: str, level: float) -> Any:
        bands = accuracy_intervals(self.bins[name], level)
        return self.ax_.fill_between(
            bands["confidence"],
            bands["low"],
            bands["high"],
            color=self.lines_[name].get_color(),
            alpha=0.15,
            linewidth=0,
        )


def _divide(ax: Any) -> Any:
    """Make room below axes and return axes that fill it."""
    place = ax.get_subplotspec()
    if place is None:
        return ax.inset_axes([0, -0.36, 1, 0.3], sharex=ax)
    upper, lower = place.subgridspec(2, 1, height_ratios=(3, 1))
    ax.set_subplotspec(upper)
    return ax.figure.add_subplot(lower, sharex=ax)


def _name(estimator: Any) -> str:
    """Name of a classifier's class; of the last step for a pipeline."""
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__


def _codes(estimator: Any, y: ArrayLike) -> np.ndarray:
    """Labels as column numbers of what a classifier predicts."""
    y, classes = np.asarray(y), np.asarray(estimator.classes_)
    unknown = y[~np.isin(y, classes)]
    if len(unknown):
        raise ValueError(
            f"y holds {unknown.tolist()[0]!r}, which {_name(estimator)} has not seen in "
            "training. Leave such rows out, or train on all classes."
        )
    return np.searchsorted(classes, y)
