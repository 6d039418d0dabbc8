"""Compare methods over tables: ranks, paired tests, critical-difference diagram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import scikit_posthocs
from matplotlib.figure import Figure
from scipy import stats
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05
SHOWN = 20  # methods in a picture


def _losses(scores: pd.DataFrame, higher_is_better: bool, missing: str) -> pd.DataFrame:
    """Return scores as losses; drop tables with a missing score, or rank missing ones last."""
    if scores.columns.has_duplicates:
        raise ValueError("scores has a method twice.")
    # Rounding errors must not break ties.
    losses = scores.astype(float).round(9) * (-1 if higher_is_better else 1)
    losses = losses.fillna(np.inf) if missing == "last" else losses.dropna()
    if losses.empty:
        raise ValueError("scores has no table with a score of every method.")
    return losses


def average_ranks(
    scores: pd.DataFrame, higher_is_better: bool = True, missing: str = "drop"
) -> pd.Series:
    """Return the average rank of every method, best (1) first; ties share their mean rank.

    Tables with a missing score are left out; with ``missing="last"``, it ranks last there.
    """
    ranks = _losses(scores, higher_is_better, missing).rank(axis=1).mean()
    return ranks.sort_values(kind="stable")


def share_of_best(scores: pd.DataFrame) -> pd.DataFrame:
    """Return P90, P95 and PMA of Fernández-Delgado et al. (2014, JMLR 15, section 3).

    P90 and P95: percentage of the tables with an accuracy of at least 90 or 95 % of the best; a
    missing score does not count. PMA: mean percentage of the best accuracy.
    """
    share = scores.div(scores.max(axis=1), axis=0)
    reached = {f"P{p}": 100 * (share >= p / 100 - 1e-12).mean() for p in (90, 95)}
    return pd.DataFrame({**reached, "PMA": 100 * share.mean(), "sets": share.notna().sum()})


def paired_tests(
    scores: pd.DataFrame, reference: str, higher_is_better: bool = True
) -> pd.DataFrame:
    """Test every method against a reference over the tables that both have.

    Returns one row per other method: number of ``tables``; mean ``difference``, method minus
    reference; numbers of ``wins``, ``ties`` and ``losses``; ``p`` of Wilcoxon's signed-rank
    test without ties; ``p_holm``, corrected for the number of methods.
    """
    rows = {}
    for method in scores.columns.drop(reference):
        differences = (scores[method] - scores[reference]).dropna().to_numpy()
        gains = np.round(differences, 12) * (1 if higher_is_better else -1)
        rows[method] = {
            "tables": len(gains),
            "difference": differences.mean() if len(gains) else np.nan,
            "wins": int((gains > 0).sum()),
            "ties": int((gains == 0).sum()),
            "losses": int((gains < 0).sum()),
            "p": stats.wilcoxon(gains).pvalue
            if gains.any()
            else (1.0 if len(gains) else np.nan),
        }
    tests = pd.DataFrame.from_dict(rows, orient="index")
    return tests.assign(p_holm=holm(tests["p"])) if rows else tests


def holm(p_values: Any) -> np.ndarray:
    """Correct p values of several tests after Holm (1979); NaN for missing tests."""
    corrected = np.array(p_values, dtype=float)
    made = np.isfinite(corrected)
    if made.any():
        corrected[made] = multipletests(corrected[made], method="holm")[1]
    return corrected


def resampled_test(differences: Any, test_share: float) -> float:
    """Return the p value of the corrected resampled t test (Nadeau and Bengio 2003).

    It tests whether the mean of paired differences over random splits of one table is 0.
    """
    differences = np.asarray(differences, dtype=float)
    count = len(differences)
    if count < 2:
        return np.nan
    error = np.sqrt(differences.var(ddof=1) * (1 / count + test_share / (1 - test_share)))
    if error == 0:
        return float(differences[0] == 0)
    return float(2 * stats.t.sf(abs(differences.mean()) / error, count - 1))


def critical_difference(
    scores: pd.DataFrame,
    higher_is_better: bool = True,
    missing: str = "drop",
    highlight: Sequence[str] = (),
) -> Figure:
    """Draw average ranks on a line; bars join methods without a significant difference.

    After Demšar (2006, JMLR 7): Friedman's test over all methods and, if it finds a difference,
    Nemenyi's test of every pair, both at the 5 % level.
    """
    losses = _losses(scores, higher_is_better, missing)
    if min(losses.shape) < 2:
        raise ValueError(f"scores must hold two tables and methods, got {losses.shape}.")
    friedman, p_values = friedman_nemenyi(losses.rank(axis=1))
    ranks = losses.rank(axis=1).mean().sort_values(kind="stable")
    others = ranks.index.drop(list(highlight))[: SHOWN - len(highlight)]
    shown = [name for name in ranks.index if name in others or name in highlight]
    figure = Figure(figsize=(9, 1.6 + 0.16 * len(shown)), layout="constrained")
    ax = figure.subplots()
    scikit_posthocs.critical_difference_diagram(
        ranks[shown],
        p_values.loc[shown, shown],
        alpha=LEVEL,
        ax=ax,
        color_palette={name: "C0" if name in highlight else "0.25" for name in shown},
        label_fmt_left="{label}  {rank:.1f} ",
        label_fmt_right=" {rank:.1f}  {label}",
        crossbar_props={"color": "0.45"},
        elbow_props={"linewidth": 1},
        text_h_margin=0.02 * float(np.ptp(ranks[shown])) + 1e-3,
    )
    title = f"Average rank among {len(ranks)} methods on {len(losses)} tables, left is better"
    title += f" (shown: {len(shown)})" if len(shown) < len(ranks) else ""
    if np.isfinite(friedman):
        title += f"\nFriedman p = {friedman:.2g}; "
    title += "joined: no difference at 5 % (Nemenyi)"
    ax.set_title(title, loc="left", fontsize="medium")
    return figure


def friedman_nemenyi(ranks: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Return Friedman's p value and Nemenyi's of every pair, 1 if Friedman finds nothing.

    Friedman's is NaN for two methods, for which the test is not defined.
    """
    p_values = scikit_posthocs.posthoc_nemenyi_friedman(ranks)
    if ranks.shape[1] < 3:
        return np.nan, p_values
    tied = (ranks.nunique(axis=1) == 1).all()
    friedman = 1.0 if tied else float(stats.friedmanchisquare(*ranks.to_numpy().T).pvalue)
    if friedman >= LEVEL:
        p_values[:] = 1.0
    return friedman, p_values
