"""Reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mixup_tab._extras import import_extra
from mixup_tab.displays._plotting import class_codes, named_classifiers
from mixup_tab.metrics import (
    accuracy_intervals,
    calibration_bins,
    expected_calibration_error,
    pool_bins,
)

_MOST_INSIDE = 3  # with more methods, bands and legend hide the curves


class ReliabilityDisplay:
    """Reliability diagram for any number of classes, with error bands.

    It shows the accuracy by confidence, which is the largest probability of a row; on the
    diagonal both are equal (Guo et al. 2017, arXiv 1706.04599, figure 1). Below is the share of
    rows in each bin. The bands are confidence intervals of the accuracy in each bin
    (:func:`~mixup_tab.metrics.accuracy_intervals`): where a band includes the diagonal, the
    rows of the bin are compatible with calibration. For one class of two, without bands, see
    scikit-learn's :class:`~sklearn.calibration.CalibrationDisplay`.

    Parameters
    ----------
    bins : mapping of str to DataFrame
        Bins from :func:`~mixup_tab.metrics.calibration_bins` by method; bins of several tables
        may be concatenated.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the curves.
    histogram_ax_ : matplotlib Axes
        Axes of the shares of rows.
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        The curve of every method, over bins that are not empty.
    bands_ : dict of str to matplotlib PolyCollection
        The band of every method; empty if no bands are drawn.

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
                "bins must hold the bins of at least one method. Pass results of "
                "calibration_bins."
            )
        self.bins = {str(name): pool_bins(part) for name, part in bins.items()}

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_bins: int = 15,
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the predictions of one fitted classifier, or of several.

        Parameters
        ----------
        estimator : classifier with predict_proba, or mapping of str to such
            Fitted; a mapping names several.
        X : array-like of shape (n_samples, n_features)
            Rows that no classifier was fitted on.
        y : array-like of shape (n_samples,)
            Their labels.
        n_bins : int, default=15
            Number of bins of equal width, ≥ 1.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If there is no classifier, or ``y`` holds a label that a classifier was not trained
            on.
        TypeError
            If a classifier has no ``predict_proba``.
        """
        bins = {
            key: calibration_bins(class_codes(one, y, key), one.predict_proba(X), n_bins)
            for key, one in named_classifiers(estimator).items()
        }
        return cls(bins).plot(**kwargs)

    @classmethod
    def from_predictions(
        cls,
        y: ArrayLike,
        proba: ArrayLike | Mapping[str, ArrayLike],
        *,
        n_bins: int = 15,
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the predictions of one method, or of several.

        Parameters
        ----------
        y : array-like of int of shape (n_samples,)
            Classes as column numbers of ``proba``.
        proba : array-like of shape (n_samples, n_classes), or mapping of str to such
            Predicted probabilities; a mapping names several methods.
        n_bins : int, default=15
            Number of bins of equal width, ≥ 1.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        ReliabilityDisplay
        """
        parts = proba if isinstance(proba, Mapping) else {"predictions": proba}
        bins = {key: calibration_bins(y, part, n_bins) for key, part in parts.items()}
        return cls(bins).plot(**kwargs)

    @classmethod
    def from_bins(
        cls,
        bins: pd.DataFrame | Mapping[str, pd.DataFrame],
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw bins from :func:`~mixup_tab.metrics.calibration_bins`.

        Parameters
        ----------
        bins : DataFrame or mapping of str to DataFrame
            The bins; a mapping names several methods.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        ReliabilityDisplay
        """
        named = bins if isinstance(bins, Mapping) else {"predictions": bins}
        return cls(named).plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        level: float | None = 0.95,
        **kwargs: Any,
    ) -> Self:
        """Draw curves, bands and shares of rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure. The shares of rows are drawn in the lowest
            quarter of a subplot, or below other axes.
        name : str, default=None
            Label of the curve; the title if there are several curves.
        level : float or None, default=0.95
            Confidence level of the bands, which are drawn for at most three methods; None
            draws no bands.
        **kwargs
            Passed to matplotlib's ``plot`` for the curves.

        Returns
        -------
        ReliabilityDisplay
        """
        few = len(self.bins) <= _MOST_INSIDE
        self.ax_, self.histogram_ax_ = ax, _ = _two_axes(ax, width=5.5 if few else 8)
        self.figure_ = ax.figure
        ax.plot([0, 1], [0, 1], color="0.4", linestyle="--", linewidth=1, label="calibrated")
        own = name if len(self.bins) == 1 else None
        self.lines_ = {
            key: self._draw(own or key, part, kwargs) for key, part in self.bins.items()
        }
        self.bands_ = {key: self._band(key, level) for key in self.bins if few and level}
        if name is not None and own is None:
            ax.set_title(name)
        ax.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        self.histogram_ax_.set(xlabel="confidence", ylabel="rows %", ylim=(0, None))
        ax.legend(loc="upper left", **({} if few else {"bbox_to_anchor": (1.02, 1)}))
        return self

    def _draw(self, label: str, bins: pd.DataFrame, style: dict[str, Any]) -> Any:
        """Draw one curve, and its steps in the lower axes."""
        filled = bins[bins["count"] > 0]
        label = f"{label}, ECE {expected_calibration_error(bins):.3f}"
        (line,) = self.ax_.plot(
            filled["confidence"] / filled["count"],
            filled["correct"] / filled["count"],
            **{"marker": "o", "markersize": 4, "label": label, **style},
        )
        share = 100 * bins["count"] / max(bins["count"].sum(), 1)
        edges = np.append(bins["low"], bins["high"].iloc[-1:])
        self.histogram_ax_.stairs(share, edges, color=line.get_color(), linewidth=1.5)
        return line

    def _band(self, key: str, level: float) -> Any:
        bands = accuracy_intervals(self.bins[key], level)
        return self.ax_.fill_between(
            bands["confidence"],
            bands["low"],
            bands["high"],
            color=self.lines_[key].get_color(),
            alpha=0.15,
            linewidth=0,
        )


def _two_axes(ax: Any, width: float) -> tuple[Any, Any]:
    """Return axes for curves, and axes below them with the same x axis."""
    if ax is None:
        pyplot = import_extra("matplotlib.pyplot", "plots")
        _, (ax, below) = pyplot.subplots(
            2,
            figsize=(width, 5.5),
            layout="constrained",
            sharex=True,
            height_ratios=(3, 1),
        )
        return ax, below
    ax.tick_params(labelbottom=False)
    place = ax.get_subplotspec()
    if place is None:
        return ax, ax.inset_axes([0, -0.36, 1, 0.3], sharex=ax)
    upper, lower = place.subgridspec(2, 1, height_ratios=(3, 1))
    ax.set_subplotspec(upper)
    return ax, ax.figure.add_subplot(lower, sharex=ax)
