"""A picture of how the score depends on two parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from mixup_tab.displays.search_results import metric_key, name_of_score, without


class SearchHeatMapDisplay:
    """Cross-validated score for every pair of values of two parameters.

    Parameters
    ----------
    x_values, y_values : sequence
        Values of the two parameters, in the order of columns and rows.
    scores : array-like of shape (n_y_values, n_x_values)
        Mean score of each pair, higher is better; NaN where it was not tried or failed.
    names : tuple of (str, str), default=("x", "y")
        Names of the two parameters.
    score_name : str, default="score"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        The scores; the first row is at the bottom.
    best_ : tuple of (int, int)
        Row and column of the highest score, which has a frame.

    Raises
    ------
    ValueError
        If the shape of the scores does not fit, one is infinite or all are NaN.

    Examples
    --------
    >>> from mixup_tab.displays import SearchHeatMapDisplay
    >>> scores = [[0.91, 0.94], [0.93, 0.90]]
    >>> display = SearchHeatMapDisplay([0.01, 0.1], [0, 0.2], scores)
    >>> display.plot().best_
    (0, 1)
    """

    def __init__(
        self,
        x_values: Sequence,
        y_values: Sequence,
        scores: ArrayLike,
        *,
        names: tuple[str, str] = ("x", "y"),
        score_name: str = "score",
    ) -> None:
        self.x_values, self.y_values = list(x_values), list(y_values)
        self.scores = _check_scores(scores, len(self.y_values), len(self.x_values))
        self.names = names
        self.score_name = score_name

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        x: str = "weight_decay",
        y: str = "alpha",
        metric: str | None = None,
        ax: Any = None,
    ) -> SearchHeatMapDisplay:
        """Draw two parameters of a fitted search.

        Other parameters of the grid are those of the best candidate.

        Parameters
        ----------
        search : MixupSearchCV or GridSearchCV
            A fitted search with both parameters in its grid.
        x, y : str, default="weight_decay" and "alpha"
            Names of the parameters of columns and of rows. Those of a step of a pipeline
            may be given without the step's name.
        metric : str, default=None
            Which of several metrics; None takes the one that decided.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SearchHeatMapDisplay

        Raises
        ------
        ValueError
            If a parameter is not in the grid, both are the same, the metric is not there,
            or no pair has a score.
        """
        check_is_fitted(search)
        tried = search.cv_results_["params"]
        across, up = _full_name(x, "x", tried), _full_name(y, "y", tried)
        if across == up:
            raise ValueError(f"x and y must be two parameters, got {x!r} for both.")
        key = metric_key(search, metric)
        pairs = _pairs(search, key, across, up)
        columns, levels = (_values([params[n] for params, _ in pairs]) for n in (across, up))
        scores = np.full((len(levels), len(columns)), np.nan)
        for params, mean in pairs:
            shown = mean if np.isfinite(mean) else np.nan
            scores[levels.index(params[up]), columns.index(params[across])] = shown
        shown = key if key != "score" else name_of_score(search)
        return cls(columns, levels, scores, names=(x, y), score_name=shown).plot(ax)

    def plot(self, ax: Any = None) -> SearchHeatMapDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        SearchHeatMapDisplay
        """
        rows, columns = self.scores.shape
        if ax is None:
            from matplotlib.figure import Figure

            size = (2.5 + 0.75 * columns, 1.5 + 0.5 * rows)
            ax = Figure(figsize=size, layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(self.scores, origin="lower", aspect="auto", cmap="cividis")
        self.figure_.colorbar(self.image_, ax=ax, label=self.score_name)
        ax.set_xticks(range(columns), map(_text, self.x_values))
        ax.set_yticks(range(rows), map(_text, self.y_values))
        ax.set(xlabel=_label(self.names[0]), ylabel=_label(self.names[1]))
        ax.set_xticks(np.arange(1, columns) - 0.5, minor=True)
        ax.set_yticks(np.arange(1, rows) - 0.5, minor=True)
        ax.grid(which="minor", color="white", linewidth=2)
        ax.tick_params(which="both", length=0)
        ax.spines[:].set_visible(False)
        self._write_scores()
        row, column = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
        self.best_ = int(row), int(column)
        self._frame(*self.best_)
        return self

    def _write_scores(self) -> None:
        """Write every score into its cell, with the digits that tell them apart."""
        spread = np.nanmax(self.scores) - np.nanmin(self.scores)
        digits = 3 if spread == 0 else min(max(2 - math.floor(math.log10(spread)), 0), 6)
        for (row, column), score in np.ndenumerate(self.scores):
            if np.isfinite(score):
                dark = self.image_.norm(score) < 0.5
                self.ax_.text(
                    column,
                    row,
                    f"{score:.{digits}f}",
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if dark else "black",
                )

    def _frame(self, row: int, column: int) -> None:
        from matplotlib.patches import Rectangle

        cell = (column - 0.46, row - 0.46)
        style = {"fill": False, "edgecolor": "black", "linewidth": 2.5, "zorder": 3}
        self.ax_.add_patch(Rectangle(cell, 0.92, 0.92, **style))


def _check_scores(scores: ArrayLike, rows: int, columns: int) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.shape != (rows, columns):
        raise ValueError(
            f"scores must have the shape {(rows, columns)}, a row for each of y_values and a "
            f"column for each of x_values, got {scores.shape}."
        )
    if np.isinf(scores).any() or np.isnan(scores).all():
        raise ValueError(
            "scores must be finite, one of them at least. Put NaN for pairs without a score."
        )
    return scores


def _full_name(name: str, argument: str, tried: list[dict[str, Any]]) -> str:
    """Return the name of a parameter in the grid."""
    known = sorted({key for params in tried for key in params})
    fits = [key for key in known if key == name or key.endswith(f"__{name}")]
    if name in fits or len(fits) == 1:
        return name if name in fits else fits[0]
    if fits:
        raise ValueError(f"{argument}={name!r} could be any of {fits}. Write it in full.")
    raise ValueError(
        f"{argument} must be one of the parameters searched, {known}, got {name!r}."
    )


def _pairs(search: Any, key: str, across: str, up: str) -> list[tuple[dict, float]]:
    """Return settings and mean scores where other parameters are those of the best."""
    means = np.asarray(search.cv_results_[f"mean_test_{key}"], dtype=float)
    both = [
        (params, mean)
        for params, mean in zip(search.cv_results_["params"], means, strict=True)
        if {across, up} <= params.keys()
    ]
    scored = [pair for pair in both if np.isfinite(pair[1])]
    if not scored:
        raise ValueError(f"No setting with both {across!r} and {up!r} has a score to draw.")
    best, _ = max(scored, key=lambda pair: pair[1])
    others = _rest(best, across, up)
    return [pair for pair in both if _rest(pair[0], across, up) == others]


def _rest(params: dict[str, Any], across: str, up: str) -> str:
    """Return the other parameters as text, to compare by."""
    return repr([pair for pair in without(params, across) if pair[0] != up])


def _values(tried: list[Any]) -> list[Any]:
    """Return each value once: numbers rising, others in the order they were tried."""
    once = [value for k, value in enumerate(tried) if value not in tried[:k]]
    numbers = all(isinstance(value, int | float | np.number) for value in once)
    return sorted(once) if numbers else once


def _text(value: Any) -> str:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value)


def _label(name: str) -> str:
    own = name.rpartition("__")[2]
    return "α" if own == "alpha" else own.replace("_", " ")
