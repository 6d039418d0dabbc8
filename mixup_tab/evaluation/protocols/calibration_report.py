"""What the calibration protocol says: how far probabilities can be believed, by method."""

from __future__ import annotations

import pandas as pd

from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.evaluation.protocols.calibration import BEFORE, NETS, TEMPERED
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
from mixup_tab.evaluation.statistics import holm, paired_tests
from mixup_tab.metrics import calibration_error_interval, expected_calibration_error
from mixup_tab.page import Page

FORMATS = {
    "accuracy %": "{:.2f}",
    "log-loss": "{:.4f}",
    "ECE": "{:.3f}",
    "ECE pooled": "{:.3f}",
    "from": "{:.3f}",
    "to": "{:.3f}",
    "too sure": "{:+.3f}",
}
PAIR_FORMATS = {"change": "{:+.4f}", "p (Holm)": "{:.3f}"}
BEST = {
    "accuracy %": "high",
    "log-loss": "low",
    "ECE": "low",
    "ECE pooled": "low",
}
# Whom a method is compared with: the net before it was mended, and ERM in the same state.
PAIRS: tuple[tuple[str, str], ...] = (
    *((net, "ERM") for net in NETS if net != "ERM"),
    *BEFORE.items(),
    *((net + TEMPERED, "ERM" + TEMPERED) for net in NETS if net != "ERM"),
)
NOTE = (
    "Accuracy, log-loss and ECE: means over tables, the ECE of a table over all its test rows. "
    "ECE pooled: all test rows of all tables at once, with a 95 % interval (from, to); too "
    "sure: their mean confidence minus their accuracy."
)


def table_errors(reliability: pd.DataFrame) -> pd.DataFrame:
    """Return the calibration error of every method on every table, over all its folds.

    Parameters
    ----------
    reliability : DataFrame
        Bins of a run.

    Returns
    -------
    DataFrame of shape (datasets, methods)
        In the order of the rows. The folds of a table are counted together: the mean of their
        own errors would be larger, as each has fewer rows.
    """
    parts = reliability.groupby(["dataset", "method"], sort=False)
    errors = pd.Series({key: expected_calibration_error(part) for key, part in parts})
    order = reliability["dataset"].unique(), reliability["method"].unique()
    return errors.unstack().reindex(index=order[0], columns=order[1])


def summarize_calibration(results: pd.DataFrame, reliability: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of every method over the tables that all have in common.

    Parameters
    ----------
    results, reliability : DataFrame
        Rows of a run.

    Returns
    -------
    DataFrame
        One row per method, in the order of the run: number of ``tables``; means over tables of
        ``accuracy %``, ``log-loss`` and ``ECE``; ``ECE pooled`` over all rows of all tables,
        its 95 % interval ``from`` and ``to``, and their mean confidence minus their accuracy as
        ``too sure``.
    """
    common = comparable(mean_scores(results, "accuracy"))
    log_loss = mean_scores(results, "log_loss").loc[common.index, common.columns]
    errors = table_errors(reliability).loc[common.index, common.columns]
    summary = pd.DataFrame(
        {
            "tables": len(common),
            "accuracy %": 100 * common.mean(),
            "log-loss": log_loss.mean(),
            "ECE": errors.mean(),
        }
    )
    bins = bins_of(reliability, common)
    pooled = pd.DataFrame.from_dict(
        {method: calibration_error_interval(part) for method, part in bins.items()},
        orient="index",
        columns=["ECE pooled", "from", "to"],
    )
    over = {
        method: (part["confidence"] - part["correct"]).sum() / part["count"].sum()
        for method, part in bins.items()
        if len(part)
    }
    summary = summary.join(pooled).assign(**{"too sure": pd.Series(over, dtype=float)})
    return summary.rename_axis("method")


def bins_of(reliability: pd.DataFrame, common: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the bins of every method over common tables.

    Parameters
    ----------
    reliability : DataFrame
        Bins of a run.
    common : DataFrame of shape (datasets, methods)
        The tables and methods.

    Returns
    -------
    dict of str to DataFrame
    """
    part = reliability[reliability["dataset"].isin(common.index)]
    return {method: part[part["method"] == method] for method in common.columns}


def compare_pairs(results: pd.DataFrame, reliability: pd.DataFrame) -> pd.DataFrame:
    """Compare methods in pairs, on the tables that both have.

    Parameters
    ----------
    results, reliability : DataFrame
        Rows of a run.

    Returns
    -------
    DataFrame
        One row per metric ("ECE" or "log-loss") and pair of ``PAIRS`` that was run: ``method``
        and what it is ``against``; ``tables``; mean ``change``, method minus the other;
        on how many tables the method is ``better`` and ``worse``; p of Wilcoxon's signed-rank
        test, corrected after Holm within the metric.
    """
    metrics = {
        "ECE": table_errors(reliability),
        "log-loss": mean_scores(results, "log_loss"),
    }
    rows = []
    for metric, scores in metrics.items():
        tests = [
            (method, other, paired_tests(scores[[method, other]], other, False).loc[method])
            for method, other in PAIRS
            if method in scores and other in scores
        ]
        corrected = holm([test["p"] for _, _, test in tests])
        rows += [
            (metric, method, other, *test[["sets", "difference", "wins", "losses"]], p)
            for (method, other, test), p in zip(tests, corrected, strict=True)
        ]
    names = ["metric", "method", "against", "tables", "change", "better", "worse"]
    table = pd.DataFrame(rows, columns=[*names, "p (Holm)"])
    return table.astype(dict.fromkeys(("tables", "better", "worse"), int))


def report_calibration(session: Session) -> Report:
    """Sum up a run and make its page.

    Parameters
    ----------
    session : Session
        The run, with one finished table at least.

    Returns
    -------
    Report
    """
    results, reliability = session.results, session.reliability
    summary = summarize_calibration(results, reliability)
    pairs = compare_pairs(results, reliability)
    accuracy = mean_scores(results, "accuracy")
    common = comparable(accuracy)
    note = f"{NOTE} {left_out(accuracy, common)}".strip()
    sentence = _sentence(summary, pairs)
    page = Page("Calibration: nets with and without mixup", sentence, facts_of(session))
    page.add_table("All methods", summary, note, formats=FORMATS, best=BEST)
    if len(common):
        _add_pictures(page, bins_of(reliability, common))
    page.add_table(
        "Which change helps",
        pairs,
        "On the tables that both have; a negative change is for the method. Wilcoxon's "
        "signed-rank test over tables, corrected after Holm within each metric.",
        formats=PAIR_FORMATS,
    )
    errors = table_errors(reliability).rename_axis("table")
    page.add_table("ECE of every table", errors, best={tuple(errors.columns): "low"})
    page.add_details("Table by table", set_details(results))
    shown = [Shown("Calibration", summary.drop(columns="tables"), FORMATS, note)]
    for metric, part in pairs.groupby("metric", sort=False):
        told = part.drop(columns="metric").set_index("method")
        shown.append(Shown(f"Which change helps, by {metric}", told, PAIR_FORMATS))
    return Report(sentence, shown, page)


def _add_pictures(page: Page, bins: dict[str, pd.DataFrame]) -> None:
    """Add one diagram of the nets as they are, one with a temperature, one of mixup."""
    groups = {
        "as they are": [net for net in NETS if net in bins],
        "with a temperature": [net + TEMPERED for net in NETS if net + TEMPERED in bins],
        "mixup before and after": [
            name for name in bins if "mixup" in (name, BEFORE.get(name))
        ],
    }
    for title, methods in groups.items():
        if methods:
            page.add_picture(
                f"How far probabilities can be believed: {title}",
                ReliabilityDisplay.from_bins({name: bins[name] for name in methods}).figure_,
                name=f"reliability-{title.replace(' ', '-')}",
                alt=f"Reliability diagram, {title}: {', '.join(methods)}.",
                caption="All test rows of all common tables pooled, so large tables weigh "
                "more. Bands are 95 % intervals of each bin alone.",
            )


def _sentence(summary: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Say how large the errors are, and on how many tables each change lowers them."""
    if not summary["tables"].any():
        return "No table has results of all methods yet."
    count = int(summary["tables"].iloc[0])
    told = [f"Calibration error (ECE) on {count} table{'s' * (count > 1)}:"]
    errors = pairs[pairs["metric"] == "ECE"].drop(columns="metric")
    for method, other, tables, change, better, _, p in errors.itertuples(index=False):
        told.append(f"{method} below {other} on {better} of {tables}{_verdict(change, p)};")
    return " ".join(told).rstrip(";:") + "."


def _verdict(change: float, p: float) -> str:
    if not p < 0.05:
        return ", no difference shown"
    return ", lower on average" if change < 0 else ", higher on average"
