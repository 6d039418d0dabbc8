"""What the scores of all splits show, in a sentence and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mixup_tab.compare.fitting import MIXUP, PLAIN
from mixup_tab.metrics import LEAST_SPLITS, Interval, resampled_interval

# Columns of scores, first those of classification, then those of regression.
SCORES = ("error", "log_loss", "brier", "ece", "rmse", "r2")


# A sign test over fewer rows cannot reach 5 %.
LEAST_ROWS = 6


class Verdict(NamedTuple):
    """The answer.

    Attributes
    ----------
    sentence : str
        In words.
    word : {"helps", "harms", "unclear", "too few"}
        In one word. "helps" and "harms" are said where the 95 % interval of the difference
        excludes 0; "too few" where there are fewer than 5 splits, where every split shows the
        same difference, or where the interval excludes 0 but the errors differ by fewer than 6
        test rows; "unclear" otherwise.
    alpha : float
        The α that was chosen most often.
    difference : Interval
        Mixup minus plain training: of the error, or of the RMSE relative to that of plain
        training. Its ends are infinite where every split shows the same difference.
    """

    sentence: str
    word: str
    alpha: float
    difference: Interval


def differences(results: pd.DataFrame, score: str, method: str = MIXUP) -> np.ndarray:
    """Return a method's score minus that of plain training, split by split."""
    wide = results.pivot(index=["repeat", "fold"], columns="method", values=score)
    return (wide[method] - wide[PLAIN]).to_numpy()


def judge(results: pd.DataFrame, test_share: float) -> Verdict:
    """Say whether mixup helps.

    Parameters
    ----------
    results : DataFrame
        One row per split and method, with ``error`` or ``rmse``.
    test_share : float
        Mean share of test rows among the rows of a split; the interval is corrected by it
        for splits that share rows (Nadeau and Bengio 2003).
    """
    score = "error" if "error" in results else "rmse"
    means = results.groupby("method")[score].mean()
    chosen = results.loc[results["method"] == MIXUP, "alpha"].mode()
    scale = 1.0 if score == "error" else float(means[PLAIN]) or 1.0
    values = differences(results, score) / scale
    interval = resampled_interval(values, test_share)
    word = "helps" if interval.high < 0 else "harms" if interval.low > 0 else "unclear"
    lacking = _lacking(results, values, score, word)
    word = "too few" if lacking else word
    alpha = float(chosen.min())
    sentence = _sentence(word, lacking, alpha, score, means[PLAIN], means[MIXUP], interval)
    return Verdict(sentence, word, alpha, interval)


def _lacking(results: pd.DataFrame, values: np.ndarray, score: str, word: str) -> str:
    """Say what there is too little of for a verdict, and how much it takes."""
    if len(values) < LEAST_SPLITS:
        return (
            f"Too few splits to tell: {len(values)}, and it takes {LEAST_SPLITS}. Give more "
            "--folds or --repeats."
        )
    if np.allclose(values, values[0], rtol=1e-9, atol=1e-12) and abs(values[0]) > 1e-12:
        return (
            "Too few rows to tell: every split shows the same difference, so chance cannot be "
            "estimated. Add rows, or give more --repeats."
        )
    if score != "error" or word == "unclear":
        return ""
    tested = results[results["method"] == PLAIN].groupby("repeat")["n_test"].sum().mean()
    if abs(values.mean()) * tested >= LEAST_ROWS - 0.5:
        return ""
    return (
        f"Too few rows to tell: the errors differ by {abs(values.mean()) * tested:.1f} of "
        f"{tested:.0f} test rows, and fewer than {LEAST_ROWS} can be chance. A difference of "
        f"this size takes about {LEAST_ROWS / abs(values.mean()):.0f} rows."
    )


def _sentence(
    word: str,
    lacking: str,
    alpha: float,
    score: str,
    plain: float,
    mixup: float,
    interval: Interval,
) -> str:
    if score == "error":
        digits = 1 if min(plain, mixup) >= 0.01 else 2
        name, unit, end = "error", " points", ""
        before, after = (f"{100 * value:.{digits}f} %" for value in (plain, mixup))
    else:
        digits, name, unit, end = 1, "RMSE", " %", " %"
        before, after = (f"{value:.4g}" for value in (plain, mixup))
    mean, low, high = (signed(100 * value, digits) for value in interval)
    shown = f"difference {mean}{unit}"
    if np.isfinite(interval).all():
        shown += f", 95 % interval {low} to {high}{end}"
    if word in ("helps", "harms"):
        does = "lowers" if word == "helps" else "raises"
        return (
            f"mixup at α ≈ {alpha:g} {does} the {name} from {before} to {after}; {shown}: "
            f"it {word}."
        )
    return (
        f"{lacking or 'No difference can be shown:'} {'M' if lacking else 'm'}ixup at "
        f"α ≈ {alpha:g} has an {name} of {after}, plain training {before}; {shown}."
    )


def signed(value: float, digits: int) -> str:
    """Return a rounded number with a minus as wide as a plus, and no sign for 0."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def summarize(results: pd.DataFrame, scores: Sequence[str], test_share: float) -> pd.DataFrame:
    """Return means and intervals by method.

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
            values[f"{score}_diff"] = differences(results, score, str(method))
            for name, each in values.items():
                interval = resampled_interval(each, test_share)
                row |= {name: interval.mean}
                row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows[method] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
