"""Verdicts from the scores of all splits, as sentences and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mixup_tab.compare.fitting import ENSEMBLE, MIXUP, PLAIN
from mixup_tab.metrics import (
    LEAST_SPLITS,
    Interval,
    expected_calibration_error,
    resampled_interval,
)

# Score columns in the order of tables, and those that verdicts are about. α is chosen by
# log-loss, or by squared error for a regressor.
SCORES = ("log_loss", "error", "brier", "rmse", "r2")
_JUDGED = {"log_loss": "log-loss", "error": "error", "rmse": "RMSE"}

# A sign test over fewer rows cannot reach 5 %.
LEAST_ROWS = 6


class Verdict(NamedTuple):
    """How two methods differ by one score; lower scores are better.

    Attributes
    ----------
    method, other : str
        The methods.
    score : {"log_loss", "error", "rmse"}
        The score.
    word : {"better", "worse", "unclear", "too few"}
        Verdict on ``method``: "better" or "worse" if the 95 % interval of the difference
        excludes 0; "too few" if there are fewer than 5 splits, if all splits give the same
        difference, or if the interval excludes 0 but the errors differ by fewer than 6 test
        rows; else "unclear".
    means : tuple of float
        Mean scores of ``method`` and ``other``.
    difference : Interval
        ``method`` minus ``other``; for the RMSE, relative to that of ``other``. Its ends are
        infinite if all splits give the same difference.
    lacking : str
        What is missing for a verdict; empty if nothing is.
    """

    method: str
    other: str
    score: str
    word: str
    means: tuple[float, float]
    difference: Interval
    lacking: str = ""

    @property
    def significant(self) -> bool:
        """Whether the verdict is "better" or "worse"."""
        return self.word in ("better", "worse")

    def swapped(self) -> Verdict:
        """Return the verdict on the other method."""
        word = {"better": "worse", "worse": "better"}.get(self.word, self.word)
        mean, low, high = self.difference
        turned = Interval(-mean, -high, -low)
        return self._replace(
            method=self.other,
            other=self.method,
            word=word,
            means=self.means[::-1],
            difference=turned,
        )


def differences(
    results: pd.DataFrame, score: str, method: str = MIXUP, other: str = PLAIN
) -> np.ndarray:
    """Return a method's score minus that of another one, split by split."""
    wide = results.pivot(index=["repeat", "fold"], columns="method", values=score)
    return (wide[method] - wide[other]).to_numpy()


def most_chosen(results: pd.DataFrame) -> float:
    """Return the α chosen on most splits; the smallest if several are tied."""
    return float(results.loc[results["method"] == MIXUP, "alpha"].mode().min())


def judge(
    results: pd.DataFrame, test_share: float, method: str = MIXUP, other: str = PLAIN
) -> list[Verdict]:
    """Compare two methods by log-loss and error, or by RMSE.

    Parameters
    ----------
    results : DataFrame
        One row per split and method.
    test_share : float
        Mean fraction of test rows in a split, which corrects the interval for splits that
        share rows (Nadeau and Bengio 2003).
    method, other : str
        The methods.
    """
    scores = [score for score in _JUDGED if score in results]
    return [_judge_by(results, score, test_share, method, other) for score in scores]


def _judge_by(
    results: pd.DataFrame, score: str, test_share: float, method: str, other: str
) -> Verdict:
    means = results.groupby("method")[score].mean()
    scale = float(means[other]) or 1.0 if score == "rmse" else 1.0
    values = differences(results, score, method, other) / scale
    interval = resampled_interval(values, test_share)
    word = "better" if interval.high < 0 else "worse" if interval.low > 0 else "unclear"
    lacking = _lacking(results, values, score, word)
    pair = float(means[method]), float(means[other])
    return Verdict(
        method, other, score, "too few" if lacking else word, pair, interval, lacking
    )


def _lacking(results: pd.DataFrame, values: np.ndarray, score: str, word: str) -> str:
    """Return what is missing for a verdict, and how much it takes."""
    if len(values) < LEAST_SPLITS:
        return (
            f"A verdict needs {LEAST_SPLITS} splits, but there are {len(values)}: use more "
            "--folds or --repeats."
        )
    if np.allclose(values, values[0], rtol=1e-9, atol=1e-12) and abs(values[0]) > 1e-12:
        return (
            "All splits give the same difference, so chance cannot be estimated: add rows, or "
            "use more --repeats."
        )
    if score != "error" or word == "unclear":
        return ""
    tested = results[results["method"] == PLAIN].groupby("repeat")["n_test"].sum().mean()
    gap = abs(values.mean())
    if gap * tested >= LEAST_ROWS - 0.5:
        return ""
    return (
        f"The errors differ by {gap * tested:.1f} of {tested:.0f} test rows; fewer than "
        f"{LEAST_ROWS} may be chance. A difference of this size needs about "
        f"{LEAST_ROWS / gap:.0f} rows."
    )


# ----------------------------------------------------------------------------- in words


def describe_all(pairs: Sequence[Sequence[Verdict]], alpha: float) -> list[str]:
    """Describe the verdicts on each pair of methods, each missing condition only once.

    The first pair is mixup at ``alpha`` and plain training.
    """
    said: set[str] = set()
    sentences = []
    for number, verdicts in enumerate(pairs):
        new = [one._replace(lacking="") if one.lacking in said else one for one in verdicts]
        sentences.append(describe(new, None if number else alpha))
        said |= {one.lacking for one in verdicts}
    return sentences


def describe(verdicts: Sequence[Verdict], alpha: float | None = None) -> str:
    """Describe the verdicts on two methods, significant differences first.

    Parameters
    ----------
    verdicts : sequence of Verdict
        Log-loss before error.
    alpha : float, default=None
        The α of ``method``, if it is mixup and ``other`` is plain training.
    """
    clear = [verdict for verdict in verdicts if verdict.significant]
    if not clear:
        return _no_difference(verdicts, alpha)
    sentences = _effects(clear, alpha) if alpha is not None else _wins(clear)
    sentences += [_left_open(verdict) for verdict in verdicts if not verdict.significant]
    return " ".join(sentences)


def _no_difference(verdicts: Sequence[Verdict], alpha: float | None) -> str:
    first = verdicts[0]
    few = all(verdict.word == "too few" for verdict in verdicts)
    lead = (
        "Too little data to tell {} from {}" if few else "No clear difference between {} and {}"
    )
    at = "" if alpha is None else f" at α ≈ {alpha:g}"
    parts = []
    for verdict in verdicts:
        value, other, difference = _formatted(verdict)
        parts.append(f"{_JUDGED[verdict.score]} {value} and {other} ({difference})")
    lacking = dict.fromkeys(verdict.lacking for verdict in verdicts if verdict.lacking)
    lead = lead.format(f"{_the(first.method)}{at}", _the(first.other))
    return " ".join([f"{lead}: {', '.join(parts)}.", *lacking])


def _effects(clear: Sequence[Verdict], alpha: float) -> list[str]:
    """Describe how mixup changes the scores of plain training."""
    words = list(dict.fromkeys(verdict.word for verdict in clear))
    does = " and ".join({"better": "helps", "worse": "harms"}[word] for word in words)
    sentences = []
    for number, verdict in enumerate(clear):
        value, other, difference = _formatted(verdict)
        verb = "lowers" if verdict.word == "better" else "raises"
        what = f"{verb} the {_JUDGED[verdict.score]} from {other} to {value} ({difference})"
        if verdict.score == "log_loss":
            degree = "more" if verdict.word == "better" else "less"
            what += f", so its probabilities can be trusted {degree}"
        lead = f"Mixup {does}: at α ≈ {alpha:g} it"
        if number:
            lead = "But it" if len(words) > 1 else "It also"
        sentences.append(f"{lead} {what}.")
    return sentences


def _wins(clear: Sequence[Verdict]) -> list[str]:
    """Describe which of two methods is better by which score; the winner's value is first."""
    won = [verdict if verdict.word == "better" else verdict.swapped() for verdict in clear]
    winner, sentences = won[0].method, []
    for number, verdict in enumerate(won):
        value, other, difference = _formatted(verdict)
        lead = f"{_the(verdict.method)} is better than {_the(verdict.other)}"
        if number:
            again = verdict.method == winner
            lead = "it is also better" if again else f"but {_the(verdict.method)} is better"
        by = f"by {_JUDGED[verdict.score]}: {value} against {other} ({difference})"
        sentences.append(f"{_capital(lead)} {by}.")
    return sentences


def _left_open(verdict: Verdict) -> str:
    value, other, difference = _formatted(verdict)
    few = verdict.word == "too few"
    lead = "there is too little data to tell" if few else "there is no clear difference"
    values = f"{_the(verdict.method)} {value}, {_the(verdict.other)} {other}"
    sentence = f"By {_JUDGED[verdict.score]}, {lead}: {values} ({difference})."
    return f"{sentence} {verdict.lacking}".rstrip()


def _the(method: str) -> str:
    return f"the {method}" if method == ENSEMBLE else method


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _formatted(verdict: Verdict) -> tuple[str, str, str]:
    """Return the score of both methods, and their difference with its interval."""
    mean, low, high = verdict.difference
    ends = [low / 2, high / 2] if verdict.significant else []
    if verdict.score == "log_loss":
        digits = _digits([*(value / 10 for value in verdict.means), *ends], 2)
        texts = [f"{value:.{digits}f}" for value in verdict.means]
        factor, unit, end = 1, "", ""
    elif verdict.score == "error":
        digits = _digits([100 * value for value in (*np.divide(verdict.means, 10), *ends)], 1)
        texts = [f"{100 * value:.{digits}f} %" for value in verdict.means]
        factor, unit, end = 100, " points", ""
    else:
        digits = _digits([100 * value for value in ends], 1)
        texts = [f"{value:.4g}" for value in verdict.means]
        factor, unit, end = 100, " %", " %"
    difference = f"difference {signed(factor * mean, digits)}{unit}"
    if np.isfinite([low, high]).all():
        low_text, high_text = (signed(factor * value, digits) for value in (low, high))
        difference += f", 95 % interval {low_text} to {high_text}{end}"
    return texts[0], texts[1], difference


def _digits(values: Sequence[float], least: int) -> int:
    """Return the number of decimals, up to two more than least, that show no value as 0."""
    for digits in (least, least + 1):
        if all(round(abs(value), digits) > 0 for value in values if value):
            return digits
    return least + 2


def signed(value: float, digits: int) -> str:
    """Return a rounded number with a minus as wide as a plus, and no sign for 0."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


# --------------------------------------------------------------------------- as a table


def summarize(
    results: pd.DataFrame, test_share: float, bins: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return means and intervals by method.

    Returns
    -------
    DataFrame
        Methods by ``<score>``, ``<score>_low``, ``<score>_high`` and, for the difference to
        plain training, ``<score>_diff``, ``<score>_diff_low``, ``<score>_diff_high``;
        ``ece``, the expected calibration error over the test rows of all splits together,
        where there are ``bins``; and ``fit_seconds``.
    """
    rows = {}
    for method, part in results.groupby("method", sort=False):
        row: dict[str, float] = {}
        for score in [score for score in SCORES if score in results]:
            values = {score: part[score].to_numpy()}
            values[f"{score}_diff"] = differences(results, score, str(method))
            for name, each in values.items():
                interval = resampled_interval(each, test_share)
                row |= {name: interval.mean}
                row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        if bins:
            row["ece"] = expected_calibration_error(bins[str(method)])
        rows[method] = {**row, "fit_seconds": part["fit_seconds"].mean()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
