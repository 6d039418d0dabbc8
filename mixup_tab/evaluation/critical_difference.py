"""A picture of average ranks over data sets, and of which differences can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mixup_tab._extras import import_extra
from mixup_tab.evaluation.ranking import average_ranks, rankable_losses

LEVEL = 0.05


class CriticalDifferenceDisplay:
    """Average ranks on a line; a bar joins methods that no test can tell apart.

    After Demšar (2006, JMLR 7): Friedman's test over all methods and, where it finds a
    difference, Nemenyi's test of every pair, both at the level of 5 %. Drawn by
    scikit-posthocs, which comes with the extra ``benchmark``.

    Parameters
    ----------
    ranks : Series
        Average rank by method.
    p_values : DataFrame of shape (methods, methods)
        p value of every pair.
    n_sets : int
        Number of data sets behind the ranks.
    friedman : float
        p value of Friedman's test; nan for two methods, which it is not made for.
    n_left_out : int, default=0
        Number of data sets left out because they lack the score of a method.
    highlight : sequence of str, default=()
        Methods in colour; always shown.
    max_methods : int, default=20
        Number of methods shown: the highlighted and the best of the others.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    shown_ : list of str
        Methods in the picture, best first.
    artists_ : dict of str to list
        What scikit-posthocs drew: markers, elbows, labels, crossbars.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mixup_tab.evaluation import CriticalDifferenceDisplay
    >>> scores = pd.DataFrame(np.random.default_rng(0).random((9, 3)), columns=list("abc"))
    >>> display = CriticalDifferenceDisplay.from_scores(scores, highlight=["b"])
    >>> sorted(display.shown_)
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        ranks: pd.Series,
        p_values: pd.DataFrame,
        *,
        n_sets: int,
        friedman: float = np.nan,
        n_left_out: int = 0,
        highlight: Sequence[str] = (),
        max_methods: int = 20,
    ) -> None:
        self.ranks = ranks
        self.p_values = p_values
        self.n_sets = n_sets
        self.friedman = friedman
        self.n_left_out = n_left_out
        self.highlight = highlight
        self.max_methods = max_methods

    @classmethod
    def from_scores(
        cls,
        scores: pd.DataFrame,
        *,
        higher_is_better: bool = True,
        missing: str = "drop",
        highlight: Sequence[str] = (),
        max_methods: int = 20,
        ax: Any = None,
    ) -> CriticalDifferenceDisplay:
        """Rank and test scores, and draw the result.

        Parameters
        ----------
        scores : DataFrame of shape (datasets, methods)
            One score per data set and method; two of each at least.
        higher_is_better : bool, default=True
            Whether a high score is good.
        missing : {"drop", "last"}, default="drop"
            What becomes of data sets that lack the score of a method: "drop" leaves them out,
            "last" gives that method the last rank there.
        highlight : sequence of str, default=()
            Methods in colour; always shown.
        max_methods : int, default=20
            Number of methods shown. Ranks and tests are over all of ``scores``.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        CriticalDifferenceDisplay

        Raises
        ------
        ValueError
            If there are too few scores or a method to highlight is not there.
        ImportError
            If the extra ``benchmark`` is not installed.
        """
        losses = rankable_losses(scores, higher_is_better, missing)
        if min(losses.shape) < 2:
            raise ValueError(
                "scores must hold two complete data sets and two methods at least, got "
                f"{losses.shape[0]} and {losses.shape[1]}."
            )
        friedman, p_values = _tests(losses.rank(axis=1))
        return cls(
            average_ranks(losses.replace(np.inf, np.nan), False, missing=missing),
            p_values,
            n_sets=len(losses),
            friedman=friedman,
            n_left_out=len(scores) - len(losses),
            highlight=highlight,
            max_methods=max_methods,
        ).plot(ax)

    def plot(self, ax: Any = None) -> CriticalDifferenceDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        CriticalDifferenceDisplay
        """
        posthocs = import_extra("scikit_posthocs", "benchmarks")
        self.shown_ = self._choose()
        if ax is None:
            from matplotlib.figure import Figure

            height = 1.6 + 0.16 * len(self.shown_)
            ax = Figure(figsize=(9, height), layout="constrained").subplots()
        self.ax_, self.figure_ = ax, ax.figure
        colors = {name: "C0" if name in self.highlight else "0.25" for name in self.shown_}
        ranks = self.ranks[self.shown_]
        self.artists_ = posthocs.critical_difference_diagram(
            ranks,
            self.p_values.loc[self.shown_, self.shown_],
            alpha=LEVEL,
            ax=ax,
            color_palette=colors,
            label_fmt_left="{label}  {rank:.1f} ",
            label_fmt_right=" {rank:.1f}  {label}",
            crossbar_props={"color": "0.45"},
            elbow_props={"linewidth": 1},
            text_h_margin=0.02 * float(np.ptp(ranks)) + 1e-3,
        )
        ax.set_title(self._title(), loc="left", fontsize="medium")
        return self

    def _choose(self) -> list[str]:
        unknown = [name for name in self.highlight if name not in self.ranks.index]
        if unknown:
            raise ValueError(f"highlight={unknown[0]!r} is not a method of scores.")
        ranks = self.ranks.sort_values(kind="stable")
        room = max(self.max_methods - len(self.highlight), 0)
        others = ranks.index.drop(list(self.highlight))[:room]
        return [name for name in ranks.index if name in others or name in self.highlight]

    def _title(self) -> str:
        shown, n_methods = len(self.shown_), len(self.ranks)
        title = (
            f"Average rank among {n_methods} methods on {self.n_sets} data sets, left is better"
        )
        if shown < n_methods:
            title += f" (shown: {shown})"
        if self.n_left_out:
            title += f"; {self.n_left_out} left out for missing scores"
        if np.isfinite(self.friedman):
            small = self.friedman < 0.001
            title += f"\nFriedman p {'< 0.001' if small else f'= {self.friedman:.2g}'}"
            if self.friedman >= LEVEL:
                return title + ": no difference can be shown"
        return title + f"; joined: no difference at {LEVEL:.0%} (Nemenyi)"


def _tests(ranks: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Return Friedman's p value and Nemenyi's of every pair, 1 where Friedman finds nothing."""
    posthocs = import_extra("scikit_posthocs", "benchmarks")
    p_values = posthocs.posthoc_nemenyi_friedman(ranks)
    friedman = np.nan
    if ranks.shape[1] > 2:
        tied = (ranks.nunique(axis=1) == 1).all()
        friedman = 1.0 if tied else stats.friedmanchisquare(*ranks.to_numpy().T).pvalue
        if friedman >= LEVEL:
            p_values[:] = 1.0
    return float(friedman), p_values
