"""What the scores of all splits allow to say, in a sentence and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mixup_tab.compare.nested import ERM, MIXUP
from mixup_tab.metrics import Interval, resampled_interval

SCORES = {
    "classification": ("error", "log_loss", "brier", "ece"),
    "regression": ("rmse", "r2"),
}


class Verdict(NamedTuple):
    """The answer.

    Attributes
    ----------
    sentence : str
        In words.
    word : {"helps", "harms", "unclear"}
        In short.
    alpha : float
        The α that was chosen most often.
    difference : Interval
        Mixup minus plain training, of the error, or of the RMSE in parts of plain
        training's.
    """

    sentence: str
    word: str
    alpha: float
    difference: Interval


def differences(results: pd.DataFrame, score: str, method: str = MIXUP) -> np.ndarray:
    """Return a method's score minus plain training's, split by split.

    Parameters
    ----------
    results : DataFrame
        A row per split and method.
    score : str
        A column.
    method : str, default="mixup"
        Which method.

    Returns
    -------
    ndarray of shape (splits,)
    """
    wide = results.pivot(index=["repeat", "fold"], columns="method", values=score)
    return (wide[method] - wide[ERM]).to_numpy()


def judge(results: pd.DataFrame, test_share: float) -> Verdict:
    """Say whether mixup helps.

    The interval is the corrected resampled one of Nadeau and Bengio; see
    :func:`~mixup_tab.metrics.resampled_interval`.

    Parameters
    ----------
    results : DataFrame
        A row per split and method, with ``error`` or ``rmse``.
    test_share : float
        Mean share of the test rows among the rows of a split.

    Returns
    -------
    Verdict
    """
    score = "error" if "error" in results else "rmse"
    means = results.groupby("method")[score].mean()
    chosen = results.loc[results["method"] == MIXUP, "alpha"].mode()
    scale = 1.0 if score == "error" else float(means[ERM]) or 1.0
    interval = resampled_interval(differences(results, score) / scale, test_share)
    word = "helps" if interval.high < 0 else "harms" if interval.low > 0 else "unclear"
    alpha = float(chosen.min())
    sentence = _sentence(word, alpha, score, means[ERM], means[MIXUP], interval)
    return Verdict(sentence, word, alpha, interval)


def _sentence(
    word: str, alpha: float, score: str, erm: float, mixup: float, interval: Interval
) -> str:
    subject = f"mixup at α ≈ {alpha:g}"
    if score == "error":
        digits = 1 if min(erm, mixup) >= 0.01 else 2
        name, before, after = (
            "error",
            f"{100 * erm:.{digits}f} %",
            f"{100 * mixup:.{digits}f} %",
        )
    else:
        digits, name, before, after = 1, "RMSE", f"{erm:.4g}", f"{mixup:.4g}"
    mean, low, high = (signed(100 * value, digits) for value in interval)
    unit, end = (" points", "") if score == "error" else (" %", " %")
    told = f"difference {mean}{unit}, 95 % interval {low} to {high}{end}"
    if word == "unclear":
        return (
            f"No difference can be shown: {subject} has an {name} of {after}, plain training "
            f"{before}; {told}."
        )
    does = "lowers" if word == "helps" else "raises"
    return f"{subject} {does} the {name} from {before} to {after}; {told}: it {word}."


def signed(value: float, digits: int) -> str:
    """Return a number with its sign, and a minus that is as wide as a plus.

    Parameters
    ----------
    value : float
        The number.
    digits : int
        After the point.

    Returns
    -------
    str
    """
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def summarize(results: pd.DataFrame, scores: Sequence[str], test_share: float) -> pd.DataFrame:
    """Return means and intervals by method.

    Parameters
    ----------
    results : DataFrame
        A row per split and method.
    scores : sequence of str
        Columns to summarise.
    test_share : float
        Mean share of the test rows among the rows of a split.

    Returns
    -------
    DataFrame
        Methods by ``<score>``, ``<score>_low``, ``<score>_high`` and, for the difference to
        plain training, ``<score>_diff``, ``<score>_diff_low``, ``<score>_diff_high``; and
        ``fit_seconds``.
    """
    rows = {}
    for method, part in results.groupby("method", sort=False):
        row = {"fit_seconds": part["fit_seconds"].mean()}
        for score in scores:
            values = {score: part[score].to_numpy()}
            values[f"{score}_diff"] = differences(results, score, method)
            for name, each in values.items():
                interval = resampled_interval(each, test_share)
                row |= {name: interval.mean}
                row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows[method] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
