"""What the raw protocol says: accuracy, log-loss and calibration of all methods."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.protocols.contestants import BEST_EFFORT, OURS
from mixup_tab.evaluation.protocols.scores import (
    Report,
    Shown,
    comparable,
    facts_of,
    left_out,
    mean_scores,
    set_details,
)
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.statistics import average_ranks, paired_tests
from mixup_tab.metrics import expected_calibration_error
from mixup_tab.page import Page

FORMATS = {
    "accuracy %": "{:.2f}",
    "accuracy rank": "{:.2f}",
    "log-loss": "{:.4f}",
    "log-loss rank": "{:.2f}",
    "Brier": "{:.4f}",
    "ECE": "{:.4f}",
    "ECE pooled": "{:.4f}",
    "fit s": "{:.2f}",
    "predict s": "{:.3f}",
}
BEST = {
    "accuracy %": "high",
    "accuracy rank": "low",
    "log-loss": "low",
    "log-loss rank": "low",
    "Brier": "low",
    "ECE": "low",
    "ECE pooled": "low",
    "fit s": "low",
    "predict s": "low",
}

# What fits into a terminal.
TOLD = ("accuracy %", "accuracy rank", "log-loss", "log-loss rank", "ECE", "fit s")


def summarize_raw(results: pd.DataFrame, reliability: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of every method over the tables that all have in common.

    Parameters
    ----------
    results, reliability : DataFrame
        Rows of a run.

    Returns
    -------
    DataFrame
        One row per method, best log-loss first: number of ``tables``; means over tables of the
        means over folds; average ranks; ``ECE pooled`` over all rows of all tables at once,
        as in the reliability diagram. Methods that lack many tables are left out, see
        :func:`~mixup_tab.evaluation.protocols.scores.comparable`.
    """
    common = comparable(mean_scores(results, "accuracy"))
    means = {
        metric: mean_scores(results, metric).loc[common.index, common.columns]
        for metric in ("log_loss", "brier", "ece", "fit_seconds", "predict_seconds")
    }
    bins = _bins_of(reliability, common)
    summary = pd.DataFrame(
        {
            "tables": len(common),
            "accuracy %": 100 * common.mean(),
            "accuracy rank": _ranks(common, True),
            "log-loss": means["log_loss"].mean(),
            "log-loss rank": _ranks(means["log_loss"], False),
            "Brier": means["brier"].mean(),
            "ECE": means["ece"].mean(),
            "ECE pooled": pd.Series(
                {m: expected_calibration_error(b) for m, b in bins.items()}
            ),
            "fit s": means["fit_seconds"].mean(),
            "predict s": means["predict_seconds"].mean(),
        }
    )
    return summary.loc[common.columns].sort_values("log-loss").rename_axis("method")


def _ranks(scores: pd.DataFrame, higher_is_better: bool) -> pd.Series:
    return average_ranks(scores.round(12), higher_is_better) if len(scores) else np.nan


def _bins_of(reliability: pd.DataFrame, common: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Calibration bins of every method over the common tables."""
    part = reliability[reliability["dataset"].isin(common.index)]
    return {method: part[part["method"] == method] for method in common.columns}


def against(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare every method with one of them, on the tables that both have.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.
    reference : str
        A method.

    Returns
    -------
    DataFrame
        One row per other method and metric; see
        :func:`~mixup_tab.evaluation.statistics.paired_tests`. ``fit time`` is the median over
        tables of the method's time divided by the reference's.
    """
    seconds = mean_scores(results, "fit_seconds")
    times = seconds.div(seconds[reference], axis=0).median().rename("fit time")
    parts = {}
    for metric, name in (("accuracy", "accuracy"), ("log_loss", "log-loss"), ("ece", "ECE")):
        scores = mean_scores(results, metric)
        parts[name] = paired_tests(scores, reference, metric == "accuracy").join(times)
    return (
        pd.concat(parts, names=["metric", "method"])
        .reset_index()
        .sort_values(
            "method", key=lambda names: names.map(list(seconds.columns).index), kind="stable"
        )
    )


def report_raw(session: Session) -> Report:
    """Sum up a run and make its page.

    Parameters
    ----------
    session : Session
        The run, with one finished table at least.

    Returns
    -------
    Report
    """
    results = session.results
    summary = summarize_raw(results, session.reliability)
    accuracy = mean_scores(results, "accuracy")
    common = comparable(accuracy)
    note = "Means over tables of means over folds. " + left_out(accuracy, common)
    sentence = _sentence(summary)
    page = Page("Raw tables: mixup nets and their peers", sentence, facts_of(session))
    page.add_table("All methods", summary, note, formats=FORMATS, best=BEST)
    _add_pictures(page, session, common)
    reference = BEST_EFFORT if BEST_EFFORT in accuracy else accuracy.columns[0]
    if accuracy.shape[1] > 1:
        page.add_table(
            f"Every method against {reference}",
            against(results, reference).reset_index(drop=True),
            f"On the tables that both have; differences are method minus {reference}, wins are "
            "the method's. Wilcoxon's signed-rank test; Holm's correction within each metric.",
        )
    for metric, title, way in (
        ("accuracy", "Accuracy", "high"),
        ("log_loss", "Log-loss", "low"),
    ):
        scores = mean_scores(results, metric).rename_axis("table")
        page.add_table(f"{title} of every table", scores, best={tuple(scores.columns): way})
    page.add_details("Table by table", set_details(results))
    return Report(sentence, [Shown("Raw tables", summary[list(TOLD)], FORMATS, note)], page)


def _add_pictures(page: Page, session: Session, common: pd.DataFrame) -> None:
    log_loss = mean_scores(session.results, "log_loss").loc[common.index, common.columns]
    ours = [name for name in OURS if name in common.columns]
    for name, scores in (("accuracy", common), ("log-loss", log_loss)):
        if min(common.shape) > 1:
            page.add_picture(
                f"{name.capitalize()}: which differences can be shown",
                CriticalDifferenceDisplay.from_scores(
                    scores.round(12), higher_is_better=name == "accuracy", highlight=ours
                ).figure_,
                name=f"critical-difference-{name}",
                alt=f"Critical-difference diagram of all methods, by {name}.",
            )
    if len(common):
        page.add_picture(
            "How far probabilities can be believed",
            ReliabilityDisplay.from_bins(_bins_of(session.reliability, common)).figure_,
            name="reliability",
            alt="Reliability diagram of all methods, all tables pooled.",
            caption="All test rows of all common tables pooled, so large tables weigh more.",
        )


def _sentence(summary: pd.DataFrame) -> str:
    """Say who comes first, and where ours stand."""
    if not summary["tables"].any():
        return "No table has results of all methods yet."
    told = [f"On {summary['tables'].iloc[0]} tables:"]
    ours = [name for name in (BEST_EFFORT, *OURS) if name in summary.index]
    for name in dict.fromkeys(ours):
        places = {
            "accuracy": summary["accuracy %"].rank(ascending=False),
            "log-loss": summary["log-loss"].rank(),
            "ECE": summary["ECE"].rank(),
        }
        stands = ", ".join(f"{place[name]:.0f} in {what}" for what, place in places.items())
        told.append(
            f"{name} has {summary.loc[name, 'accuracy %']:.2f} % accuracy and a log-loss of "
            f"{summary.loc[name, 'log-loss']:.4f}; its places among {len(summary)} methods are "
            f"{stands}."
        )
    first = summary["accuracy %"].idxmax(), summary["log-loss"].idxmin()
    if first[0] == first[1]:
        told.append(f"{first[0]} has the best mean accuracy and the best mean log-loss.")
    else:
        told.append(f"{first[0]} has the best mean accuracy, {first[1]} the best log-loss.")
    return " ".join(told)
