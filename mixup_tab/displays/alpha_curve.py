"""A picture of how the score depends on α."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mixup_tab.displays.search_results import metric_key, name_of_score, without


class AlphaCurveDisplay:
    """Cross-validated score against α, with its spread over the folds.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Values of α, in rising order.
    scores : array-like of shape (n_alphas, n_folds)
        Score of every fold, higher is better.
    score_name : str, default="score"
        Name of the score.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The means.
    band_ : matplotlib PolyCollection
        One standard deviation over the folds to either side.
    erm_ : matplotlib Line2D or None
        The mean at α = 0, plain training; None where 0 was not tried.

    Examples
    --------
    >>> from mixup_tab.displays import AlphaCurveDisplay
    >>> curve = AlphaCurveDisplay([0, 0.2, 1], [[0.8, 0.9], [0.85, 0.93], [0.8, 0.88]])
    >>> curve.plot().ax_.get_xlabel()
    'α'
    """

    def __init__(self, alphas: Any, scores: Any, *, score_name: str = "score") -> None:
        self.alphas = np.asarray(alphas, dtype=float)
        self.scores = np.asarray(scores, dtype=float)
        self.score_name = score_name

    @classmethod
    def from_search(
        cls, search: Any, *, metric: str | None = None, ax: Any = None
    ) -> AlphaCurveDisplay:
        """Draw the α curve of a fitted search.

        Other parameters of the grid are those of the best candidate.

        Parameters
        ----------
        search : MixupSearchCV or GridSearchCV
            A fitted search with α in its grid.
        metric : str, default=None
            Which of several metrics; None takes the one that decided.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AlphaCurveDisplay

        Raises
        ------
        ValueError
            If α is not in the grid or the metric is not there.
        """
        check_is_fitted(search)
        results = search.cv_results_
        name = _alpha_name(search.estimator)
        if any(name not in params for params in results["params"]):
            raise ValueError(f"The search's param_grid has no {name!r}: nothing to draw.")
        key = metric_key(search, metric)
        best = getattr(search, "best_index_", None)
        if best is None or metric is not None:
            best = int(np.nanargmax(results[f"mean_test_{key}"]))
        others = without(results["params"][best], name)
        rows = [
            row
            for row, params in enumerate(results["params"])
            if repr(without(params, name)) == repr(others)
        ]
        alphas = [results["params"][row][name] for row in rows]
        if "auto" in alphas:
            raise ValueError(f"{name}='auto' among the values has no place on the curve.")
        rows.sort(key=lambda row: results["params"][row][name])
        scores = [
            [results[f"split{fold}_test_{key}"][row] for fold in range(search.n_splits_)]
            for row in rows
        ]
        alphas = [results["params"][row][name] for row in rows]
        shown = key if key != "score" else name_of_score(search)
        return cls(alphas, scores, score_name=shown).plot(ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> AlphaCurveDisplay:
        """Draw the α curve of an estimator that was fitted with ``alpha="auto"``.

        Parameters
        ----------
        estimator : MixupClassifier or MixupRegressor
            Fitted.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AlphaCurveDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "alpha_scores_"):
            raise ValueError(
                f"The estimator was fitted with alpha={estimator.alpha!r} and has no curve. "
                "Fit it with alpha='auto'."
            )
        scores = estimator.alpha_scores_
        kind = "log-loss" if hasattr(estimator, "classes_") else "squared error"
        curve = cls(list(scores), list(scores.values()), score_name=f"minus the {kind}")
        return curve.plot(ax)

    def plot(self, ax: Any = None) -> AlphaCurveDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AlphaCurveDisplay
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 3.5), layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        # Even steps: the values that people try are spaced by a factor, and one is 0.
        place = np.arange(len(self.alphas))
        mean, spread = self.scores.mean(axis=1), self.scores.std(axis=1)
        self.band_ = ax.fill_between(
            place, mean - spread, mean + spread, alpha=0.2, linewidth=0, label="±1 sd, folds"
        )
        (self.line_,) = ax.plot(place, mean, marker="o", label="mean")
        self.erm_ = None
        erm = mean[self.alphas == 0]
        if np.isfinite(erm).any():
            self.erm_ = ax.axhline(
                erm[0], color="0.4", linestyle="--", linewidth=1, label="ERM (α = 0)"
            )
        ax.set_xticks(place, [f"{alpha:g}" for alpha in self.alphas])
        ax.set(xlabel="α", ylabel=self.score_name)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(framealpha=0.8, edgecolor="none")
        return self


def _alpha_name(estimator: Any) -> str:
    if isinstance(estimator, Pipeline):
        return f"{estimator.steps[-1][0]}__alpha"
    return "alpha"
