"""Several methods on several data sets: ranks, shares of the best, paired tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from mixup_tab._extras import import_extra

MISSING = ("drop", "last")


def average_ranks(
    scores: pd.DataFrame, higher_is_better: bool = True, *, missing: str = "drop"
) -> pd.Series:
    """Return the average rank of every method, 1 is best; ties share their mean rank.

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        One score per data set and method.
    higher_is_better : bool, default=True
        Whether a high score is good.
    missing : {"drop", "last"}, default="drop"
        What becomes of data sets that lack the score of a method: "drop" leaves them out,
        "last" gives that method the last rank there.

    Returns
    -------
    Series
        Average rank by method, best first.

    Raises
    ------
    ValueError
        If scores are infinite or no data set is left.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab.evaluation.statistics import average_ranks
    >>> scores = pd.DataFrame({"net": [0.9, 0.8], "forest": [0.7, 0.8]}, ["iris", "wine"])
    >>> average_ranks(scores).to_dict()
    {'net': 1.25, 'forest': 1.75}
    """
    losses = rankable_losses(scores, higher_is_better, missing)
    ranks = losses.rank(axis=1).mean()
    return ranks.sort_values(kind="stable").rename("average rank")


def rankable_losses(
    scores: pd.DataFrame, higher_is_better: bool = True, missing: str = "drop"
) -> pd.DataFrame:
    """Return scores as losses without missing cells, for ranking.

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        One score per data set and method.
    higher_is_better : bool, default=True
        Whether a high score is good.
    missing : {"drop", "last"}, default="drop"
        See :func:`average_ranks`.

    Returns
    -------
    DataFrame
        Low is good; ``inf`` for missing cells that count as last.

    Raises
    ------
    ValueError
        If scores are infinite or no data set is left.
    """
    if missing not in MISSING:
        raise ValueError(f"missing={missing!r} not known. Known are: {', '.join(MISSING)}.")
    # Noise of floating point must not break ties.
    scores = _checked(scores).round(12)
    losses = -scores if higher_is_better else scores
    if missing == "last":
        return losses.fillna(np.inf)
    complete = losses.dropna()
    if complete.empty:
        lacking = ", ".join(map(str, losses.columns[losses.isna().any()][:5]))
        raise ValueError(
            f"scores has no data set with a score of every method; some of {lacking} are "
            "missing. Leave such methods out or pass missing='last'."
        )
    return complete


def share_of_best(scores: pd.DataFrame) -> pd.DataFrame:
    """Return how close every method comes to the best one of each data set.

    These are the figures of Fernández-Delgado et al. (2014, JMLR 15, section 3).

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        Accuracies.

    Returns
    -------
    DataFrame
        One row per method. ``P90`` and ``P95``: percentage of the data sets on which the
        accuracy is at least 90 or 95 % of the best; a missing cell falls short. ``PMA``: mean
        percentage of the best accuracy, over the cells that are there. ``sets``: their number.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab.evaluation.statistics import share_of_best
    >>> scores = pd.DataFrame({"net": [0.90, 0.80], "forest": [0.72, 0.80]})
    >>> share_of_best(scores)
              P90    P95    PMA  sets
    net     100.0  100.0  100.0     2
    forest   50.0   50.0   90.0     2
    """
    scores = _checked(scores)
    share = scores.div(scores.max(axis=1), axis=0)
    reached = {
        f"P{percent}": 100 * (share >= percent / 100 - 1e-12).mean() for percent in (90, 95)
    }
    return pd.DataFrame({**reached, "PMA": 100 * share.mean(), "sets": share.notna().sum()})


def paired_tests(
    scores: pd.DataFrame, reference: str, higher_is_better: bool = True
) -> pd.DataFrame:
    """Test every method against one of them over the data sets that both have.

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        One score per data set and method.
    reference : str
        The method that the others are compared with.
    higher_is_better : bool, default=True
        Whether a high score is good.

    Returns
    -------
    DataFrame
        One row per other method: ``sets`` that both have; mean ``difference`` of the scores,
        method minus reference; ``wins``, ``ties`` and ``losses`` of the method;
        ``effect_size``, the matched-pairs rank-biserial correlation (Kerby 2014), 1 where the
        method is better everywhere and -1 where it is worse; ``p`` of Wilcoxon's signed-rank
        test, two-sided, ties left out; ``p_holm``, corrected for the number of methods.

    Raises
    ------
    ValueError
        If the reference is not among the methods.
    ImportError
        If the extra ``benchmark`` is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab.evaluation.statistics import paired_tests
    >>> scores = pd.DataFrame({"net": [0.9, 0.8, 0.7], "forest": [0.8, 0.6, 0.7]})
    >>> paired_tests(scores, "net")[["sets", "wins", "ties", "losses", "effect_size"]]
            sets  wins  ties  losses  effect_size
    forest     3     0     1       2         -1.0
    """
    scores = _checked(scores)
    if reference not in scores:
        raise ValueError(
            f"reference={reference!r} is not a method of scores. Its methods are: "
            f"{', '.join(map(str, scores.columns[:10]))}."
        )
    sign = 1 if higher_is_better else -1
    rows = {
        method: _paired((scores[method] - scores[reference]).dropna().to_numpy(), sign)
        for method in scores.columns.drop(reference)
    }
    tests = pd.DataFrame.from_dict(rows, orient="index")
    if len(tests):
        tests["p_holm"] = holm(tests["p"])
    return tests


def holm(p_values: ArrayLike) -> np.ndarray:
    """Correct p values of several tests after Holm (1979), by statsmodels.

    Parameters
    ----------
    p_values : array-like of shape (n_tests,)
        May hold nan for tests that could not be made.

    Returns
    -------
    ndarray of shape (n_tests,)

    Raises
    ------
    ImportError
        If statsmodels, which comes with the extra ``benchmark``, is not installed.

    Examples
    --------
    >>> from mixup_tab.evaluation.statistics import holm
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    multitest = import_extra("statsmodels.stats.multitest", "benchmarks")
    corrected = np.array(p_values, dtype=float)
    made = np.isfinite(corrected)
    if made.any():
        corrected[made] = multitest.multipletests(corrected[made], method="holm")[1]
    return corrected


def _paired(differences: np.ndarray, sign: int) -> dict[str, float]:
    # Noise of floating point must not break ties.
    gains = np.round(sign * differences, 12)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    effect, p = (0.0, 1.0) if len(gains) else (np.nan, np.nan)
    if moved := wins + losses:
        rank_sum = stats.wilcoxon(gains, alternative="greater").statistic
        effect = 4 * rank_sum / (moved * (moved + 1)) - 1
        p = stats.wilcoxon(gains).pvalue
    return {
        "sets": len(gains),
        "difference": float(differences.mean()) if len(gains) else np.nan,
        "wins": wins,
        "ties": len(gains) - wins - losses,
        "losses": losses,
        "effect_size": float(effect),
        "p": float(p),
    }


def _checked(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores as floats, refusing what cannot be ranked."""
    if scores.empty:
        raise ValueError(f"scores must hold a data set and a method, got {scores.shape}.")
    if scores.columns.has_duplicates:
        twice = scores.columns[scores.columns.duplicated()][0]
        raise ValueError(f"scores has the method {twice!r} twice. Name each method once.")
    scores = scores.astype(float)
    if np.isinf(scores.to_numpy()).any():
        raise ValueError("scores must be finite, or nan where a score is missing.")
    return scores
