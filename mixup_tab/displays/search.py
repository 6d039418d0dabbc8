"""Plots of a search: score by α, and by two parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import ValidationCurveDisplay
from sklearn.utils.validation import check_is_fitted

from mixup_tab._plain import shown
from mixup_tab.displays._plotting import get_axes


class AlphaCurveDisplay(ValidationCurveDisplay):
    """Cross-validated score by α, with its spread over the folds.

    This is scikit-learn's :class:`~sklearn.model_selection.ValidationCurveDisplay` for a fitted
    search, with equally spaced values of α (which usually include 0 and grow by a factor) and a
    line for plain training, α = 0.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Values of α, in rising order.
    scores : array-like of shape (n_alphas, n_folds)
        Validation score of every fold, higher is better.
    train_scores : array-like of shape (n_alphas, n_folds), default=None
        Training score of every fold; needed for ``score_type="both"`` and ``"train"``.
    score_name : str, default="score"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_, fill_between_, errorbar_ : list of matplotlib artists, or None
        As in :class:`~sklearn.model_selection.ValidationCurveDisplay`.
    plain_ : matplotlib Line2D or None
        The mean score of plain training; None if α = 0 was not tried.

    Examples
    --------
    >>> from mixup_tab.displays import AlphaCurveDisplay
    >>> curve = AlphaCurveDisplay([0, 0.2, 1], [[0.8, 0.9], [0.85, 0.93], [0.8, 0.88]])
    >>> curve.plot().ax_.get_xlabel()
    'α'
    """

    def __init__(
        self,
        alphas: ArrayLike,
        scores: ArrayLike,
        *,
        train_scores: ArrayLike | None = None,
        score_name: str = "score",
    ) -> None:
        self.alphas, scores = np.asarray(alphas, dtype=float), np.asarray(scores, dtype=float)
        if scores.ndim != 2 or len(scores) != len(self.alphas):
            raise ValueError(
                f"scores must have the shape (n_alphas, n_folds) with n_alphas = "
                f"{len(self.alphas)}, got {scores.shape}."
            )
        train = np.full_like(scores, np.nan) if train_scores is None else train_scores
        places = np.arange(len(scores), dtype=float)
        if len(scores) == 1:  # scikit-learn needs two places to choose a scale
            scores, train, places = scores[[0, 0]], np.asarray(train)[[0, 0]], np.r_[0, 1e-9]
        super().__init__(
            param_name="α",
            param_range=places,
            train_scores=np.asarray(train, dtype=float),
            test_scores=scores,
            score_name=score_name,
        )

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        param_name: str = "alpha",
        metric: str | None = None,
        **kwargs: Any,
    ) -> AlphaCurveDisplay:
        """Draw the α curve of a fitted search.

        Other parameters of the grid have their best values.

        Parameters
        ----------
        search : MixupSearchCV, GridSearchCV or RandomizedSearchCV
            A fitted search over α.
        param_name : str, default="alpha"
            Name of α in the grid. The prefix of a pipeline's step may be omitted.
        metric : str, default=None
            Metric to draw, if there are several; by default that of ``refit``.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``. Training scores
            (``score_type="both"``) need a search with ``return_train_score=True``.

        Returns
        -------
        AlphaCurveDisplay

        Raises
        ------
        ValueError
            If α was not searched, its values include ``"auto"``, or the metric is unknown.
        """
        (param_name,), rows, key, score_name = _best_settings(search, metric, param_name)
        results = search.cv_results_
        alphas = [results["params"][row][param_name] for row in rows]
        if "auto" in alphas:
            raise ValueError(
                f"{param_name} must hold numbers to be drawn, got {alphas}. Remove 'auto'."
            )
        rows = [row for _, row in sorted(zip(alphas, rows, strict=True))]

        def scores(part: str) -> np.ndarray:
            folds = [f"split{k}_{part}_{key}" for k in range(search.n_splits_)]
            return np.array([results[fold][rows] for fold in folds]).T

        train = scores("train") if f"split0_train_{key}" in results else None
        curve = cls(sorted(alphas), scores("test"), train_scores=train, score_name=score_name)
        return curve.plot(**kwargs)

    @classmethod
    def from_estimator(cls, estimator: Any, **kwargs: Any) -> AlphaCurveDisplay:
        """Draw the α curve of an estimator that was fitted with ``alpha="auto"``.

        Parameters
        ----------
        estimator : MixupClassifier or MixupRegressor
            Fitted with ``alpha="auto"``.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        AlphaCurveDisplay

        Raises
        ------
        ValueError
            If the estimator was fitted with a given α.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "alpha_scores_"):
            raise ValueError(
                f"estimator was fitted with alpha={shown(estimator.alpha)} and has no curve. "
                "Fit it with alpha='auto'."
            )
        scores = estimator.alpha_scores_
        losses = {"classes_": "log-loss", "quantile_shift_": "pinball loss"}
        loss = next((losses[k] for k in losses if hasattr(estimator, k)), "squared error")
        curve = cls(list(scores), list(scores.values()), score_name=f"minus the {loss}")
        return curve.plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Label of the curve in the legend.
        **kwargs
            Passed to ``ValidationCurveDisplay.plot``: ``negate_score``, ``score_name``,
            ``score_type`` (here "test" by default), ``std_display_style``, ``line_kw``,
            ``fill_between_kw``, ``errorbar_kw``.

        Returns
        -------
        AlphaCurveDisplay
        """
        ax = get_axes(ax)
        defaults = {"line_kw": {"marker": "o"}, "fill_between_kw": {"alpha": 0.2}}
        style = {"score_type": "test", **defaults, **kwargs}
        super().plot(ax, **style)
        if style["score_type"] == "test":
            (curve,) = self.lines_ or self.errorbar_
            curve.set_label("mean ± sd over folds" if name is None else name)
        sign = -1 if style.get("negate_score") else 1
        plain = sign * self.test_scores.mean(axis=1)[: len(self.alphas)][self.alphas == 0]
        self.plain_ = None
        if np.isfinite(plain).any():
            line = {"color": "0.4", "linestyle": "--", "linewidth": 1}
            self.plain_ = ax.axhline(plain[0], label="plain training (α = 0)", **line)
        ax.set_xticks(range(len(self.alphas)), [f"{alpha:g}" for alpha in self.alphas])
        ax.set_xlim(-0.5, len(self.alphas) - 0.5)
        ax.legend()
        return self


class SearchHeatMapDisplay:
    """Cross-validated score for every pair of values of two parameters.

    Parameters
    ----------
    x_values, y_values : sequence
        Values of the two parameters, in the order of columns and rows.
    scores : array-like of shape (n_y_values, n_x_values)
        Mean score of each pair, higher is better; NaN for pairs without a score.
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
        Row and column of the highest score, which is framed.

    Raises
    ------
    ValueError
        If the shape of the scores is wrong, or none of them is finite.

    Examples
    --------
    >>> from mixup_tab.displays import SearchHeatMapDisplay
    >>> scores = [[0.91, 0.94], [0.93, 0.90]]
    >>> SearchHeatMapDisplay([0.01, 0.1], [0, 0.2], scores).plot().best_
    (0, 1)
    """

    def __init__(
        self,
        x_values: Sequence[Any],
        y_values: Sequence[Any],
        scores: ArrayLike,
        *,
        names: tuple[str, str] = ("x", "y"),
        score_name: str = "score",
    ) -> None:
        self.x_values, self.y_values = list(x_values), list(y_values)
        self.scores = np.asarray(scores, dtype=float)
        self.names, self.score_name = names, score_name
        shape = len(self.y_values), len(self.x_values)
        if self.scores.shape != shape or not np.isfinite(self.scores).any():
            raise ValueError(
                f"scores must have the shape (n_y_values, n_x_values) = {shape} and hold at "
                f"least one finite value, got {shown(self.scores)}."
            )

    @classmethod
    def from_search(
        cls,
        search: Any,
        *,
        x: str = "weight_decay",
        y: str = "alpha",
        metric: str | None = None,
        **kwargs: Any,
    ) -> SearchHeatMapDisplay:
        """Draw two parameters of a fitted search.

        Other parameters of the grid have their best values.

        Parameters
        ----------
        search : MixupSearchCV, GridSearchCV or RandomizedSearchCV
            A fitted search over both parameters.
        x, y : str, default="weight_decay" and "alpha"
            Parameters of the columns and rows. The prefix of a pipeline's step may be omitted.
        metric : str, default=None
            Metric to draw, if there are several; by default that of ``refit``.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

        Returns
        -------
        SearchHeatMapDisplay

        Raises
        ------
        ValueError
            If a parameter was not searched, both are the same, the metric is unknown, or no
            pair has a score.
        """
        (across, up), rows, key, score_name = _best_settings(search, metric, x, y)
        settings = [search.cv_results_["params"][row] for row in rows]
        tried = [[_plain(s[full]) for s in settings] for full in (across, up)]
        columns, lines = map(_values, tried)
        scores = np.full((len(lines), len(columns)), np.nan)
        for row, column, line in zip(rows, *tried, strict=True):
            place = lines.index(line), columns.index(column)
            scores[place] = search.cv_results_[f"mean_test_{key}"][row]
        scores[~np.isfinite(scores)] = np.nan
        display = cls(columns, lines, scores, names=(x, y), score_name=score_name)
        return display.plot(**kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        values_format: str = ".3f",
        **kwargs: Any,
    ) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            Title.
        values_format : str, default=".3f"
            Format of the scores in the cells.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        SearchHeatMapDisplay
        """
        self.ax_ = ax = get_axes(ax, name)
        self.figure_ = ax.figure
        style = {"origin": "lower", "aspect": "auto", "cmap": "cividis", **kwargs}
        self.image_ = ax.imshow(self.scores, **style)
        self.figure_.colorbar(self.image_, ax=ax, label=self.score_name)
        best = np.unravel_index(np.nanargmax(self.scores), self.scores.shape)
        self.best_ = int(best[0]), int(best[1])
        for place, score in np.ndenumerate(self.scores):
            if np.isfinite(score):
                color = "white" if self.image_.norm(score) < 0.5 else "black"
                text = ax.text(*place[::-1], f"{score:{values_format}}", color=color)
                text.set(ha="center", va="center")
                if place == self.best_:
                    text.set(weight="bold", bbox={"fill": False, "edgecolor": color})
        for axis, values, label in zip(
            (ax.xaxis, ax.yaxis), (self.x_values, self.y_values), self.names, strict=True
        ):
            axis.set_ticks(range(len(values)), [str(value) for value in values])
            short = label.rpartition("__")[2]
            axis.set_label_text("α" if short == "alpha" else short.replace("_", " "))
        return self


def _best_settings(
    search: Any, metric: str | None, *names: str
) -> tuple[list[str], list[int], str, str]:
    """Find the combinations that differ from the best one only in some parameters.

    Returns the full names of the parameters, rows of ``cv_results_``, the end of the metric's
    keys, and the name of the score.
    """
    check_is_fitted(search)
    settings = search.cv_results_["params"]
    full = [_full_name(name, settings) for name in names]
    if len(set(full)) < len(full):
        raise ValueError(f"x and y must be different parameters, got {names[0]!r} for both.")
    key = _metric_key(search, metric)
    means = np.asarray(search.cv_results_[f"mean_test_{key}"], dtype=float)
    rows = [k for k, setting in enumerate(settings) if set(full) <= set(setting)]
    scored = [row for row in rows if np.isfinite(means[row])]
    if not scored:
        raise ValueError(f"No combination with {' and '.join(full)} has a score to draw.")
    best = getattr(search, "best_index_", None)
    if metric is not None or best not in scored:
        best = max(scored, key=lambda row: means[row])

    def others(row: int) -> str:
        return repr(sorted((k, v) for k, v in settings[row].items() if k not in full))

    same = [row for row in rows if others(row) == others(best)]
    scoring = search.scoring if isinstance(search.scoring, str) else "score"
    return full, same, key, scoring if key == "score" else key


def _full_name(name: str, settings: list[dict[str, Any]]) -> str:
    """Return the full name of a searched parameter, whose prefix may be omitted."""
    known = sorted({key for setting in settings for key in setting})
    fits = [key for key in known if key == name or key.endswith(f"__{name}")]
    if name in fits:
        return name
    if len(fits) > 1:
        raise ValueError(
            f"{name!r} is ambiguous: it could be any of {fits}. Use the full name."
        )
    if not fits:
        raise ValueError(f"{name!r} was not searched. Use one of {known}.")
    return fits[0]


def _metric_key(search: Any, metric: str | None) -> str:
    """Return the end of a metric's keys in ``cv_results_``; None is that of ``refit``."""
    if not search.multimetric_:
        if metric is not None:
            raise ValueError(
                f"metric={metric!r}, but the search has only one metric. Use metric=None."
            )
        return "score"
    metric = search.refit if metric is None else metric
    if f"mean_test_{metric}" not in search.cv_results_:
        known = [k[10:] for k in search.cv_results_ if k.startswith("mean_test_")]
        raise ValueError(f"metric must be one of {known}, got {metric!r}.")
    return metric


def _plain(value: Any) -> Any:
    """Convert an array to a list, which can be compared."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _values(tried: list[Any]) -> list[Any]:
    """Return each value once: numbers rising, others in the order they were tried."""
    once = [value for k, value in enumerate(tried) if value not in tried[:k]]
    numbers = all(isinstance(value, int | float | np.number) for value in once)
    return sorted(once) if numbers else once
