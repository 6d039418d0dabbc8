"""What the paper protocol says: table 4 of the mixup paper with our figures beside it."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mixup_tab.displays import AlphaCurveDisplay
from mixup_tab.evaluation.protocols.paper import CHOSEN, ERM, PUBLISHED, TEST_SHARE
from mixup_tab.evaluation.protocols.scores import Report, Shown, facts_of, set_details
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.statistics import holm, resampled_interval, resampled_test
from mixup_tab.page import Page

FORMATS = dict.fromkeys(("ERM %", "mixup %", "paper's ERM %", "paper's mixup %"), "{:.2f}") | {
    "difference": "{:+.2f}",
    "low": "{:+.2f}",
    "high": "{:+.2f}",
    "p": "{:.3g}",
    "p_holm": "{:.3g}",
}
NOTE = (
    "Test errors in percent, means over repeats. difference: mixup minus ERM on the same rows "
    "with the same seed, with its corrected resampled 95 % interval and t test (Nadeau and "
    "Bengio 2003); p_holm is corrected for the number of tables. The paper states no α, split, "
    "repeats or scaling, so the direction can be compared and not the digits."
)


def summarize_paper(results: pd.DataFrame) -> pd.DataFrame:
    """Return paired differences of every kind of mixup to ERM.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.

    Returns
    -------
    DataFrame
        One row per ``inputs`` (unscaled, scaled), ``dataset`` and ``method``: number of
        ``repeats`` that both have; errors ``ERM %`` and ``mixup %``; their ``difference`` in
        points with the ends ``low`` and ``high`` of its 95 % interval; ``p`` of the corrected
        resampled t test, and ``p_holm``, corrected over the tables; the paper's errors.
    """
    rows = []
    for (protocol, dataset), part in results.groupby(["protocol", "dataset"], sort=False):
        wide = 100 * part.pivot(index="fold", columns="method", values="error")
        for method in (name for name in wide.columns if name != ERM and ERM in wide):
            pair = wide[[ERM, method]].dropna()
            if len(pair):
                inputs = protocol.removeprefix("paper-")
                rows.append(
                    {"inputs": inputs, "dataset": dataset, "method": method} | _pair(pair)
                )
    summary = pd.DataFrame(rows)
    if len(summary):
        tested = summary.groupby(["inputs", "method"], sort=False)["p"]
        summary["p_holm"] = tested.transform(lambda p: holm(p.to_numpy()))
        published = [PUBLISHED[name] for name in summary["dataset"]]
        summary[["paper's ERM %", "paper's mixup %"]] = published
    return summary


def _pair(pair: pd.DataFrame) -> dict[str, Any]:
    erm, mixup = (pair[name] for name in pair.columns)
    differences = (mixup - erm).to_numpy()
    mean, low, high = resampled_interval(differences, TEST_SHARE)
    return {
        "repeats": len(pair),
        "ERM %": erm.mean(),
        "mixup %": mixup.mean(),
        "difference": mean,
        "low": low,
        "high": high,
        "p": resampled_test(differences, TEST_SHARE),
    }


def report_paper(session: Session) -> Report:
    """Sum up a run and make its page.

    Parameters
    ----------
    session : Session
        The run.

    Returns
    -------
    Report
    """
    summary = summarize_paper(session.results)
    chosen = summary[summary["method"] == CHOSEN] if len(summary) else summary
    if chosen.empty:
        sentence = "No table has a result of both ERM and mixup with α chosen yet."
        page = Page("Table 4 of the mixup paper", sentence, facts_of(session))
        return Report(sentence, [], page)
    chosen = chosen.drop(columns="method")
    sentence = _sentence(chosen)
    page = Page("Table 4 of the mixup paper", sentence, facts_of(session))
    page.add_table(
        "Mixup, α chosen on the training rows, against ERM",
        chosen.reset_index(drop=True),
        NOTE,
        formats=FORMATS,
        best={("ERM %", "mixup %"): "low", ("paper's ERM %", "paper's mixup %"): "low"},
    )
    page.add_picture(
        "Accuracy against α",
        alpha_curves(session.results),
        name="alpha-curves",
        alt="For each table and kind of inputs, test accuracy against α.",
        caption="Mean over repeats with one standard deviation of the repeats; α = 0 is ERM.",
    )
    page.add_table("Every α", summary, NOTE, formats=FORMATS)
    page.add_details("Table by table", set_details(session.results))
    return Report(
        sentence, [Shown("Mixup, α chosen, against ERM", _told(chosen), FORMATS, NOTE)], page
    )


def _told(chosen: pd.DataFrame) -> pd.DataFrame:
    """What fits into a terminal."""
    table = chosen[["inputs", "dataset", "ERM %", "mixup %"]].copy()
    ends = zip(chosen["difference"], chosen["low"], chosen["high"], strict=True)
    table["difference, 95 %"] = [
        f"{d:+.2f} ({low:+.1f} to {high:+.1f})" for d, low, high in ends
    ]
    table["p_holm"] = chosen["p_holm"]
    both = zip(chosen["paper's ERM %"], chosen["paper's mixup %"], strict=True)
    table["paper's"] = [f"{erm}/{mixup}" for erm, mixup in both]
    return table


def alpha_curves(results: pd.DataFrame) -> Figure:
    """Draw accuracy against α, a row of pictures per table and a column per kind of inputs.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.

    Returns
    -------
    matplotlib Figure
    """
    single = results[results["method"] != CHOSEN]
    datasets, kinds = single["dataset"].unique(), single["protocol"].unique()
    figure = Figure(figsize=(5 * len(kinds), 2.8 * len(datasets)), layout="constrained")
    axes = figure.subplots(len(datasets), len(kinds), squeeze=False)
    for row, dataset in zip(axes, datasets, strict=True):
        for ax, kind in zip(row, kinds, strict=True):
            part = single[(single["dataset"] == dataset) & (single["protocol"] == kind)]
            part = part.assign(alpha=part["alpha"].astype(float))
            wide = part.pivot(index="alpha", columns="fold", values="accuracy").dropna(axis=1)
            if wide.size:
                AlphaCurveDisplay(wide.index, wide, score_name="test accuracy").plot(ax)
            ax.set_title(f"{dataset}, {kind.removeprefix('paper-')} inputs", loc="left")
    return figure


def _sentence(chosen: pd.DataFrame) -> str:
    """Say on how many tables mixup is better, and on how many that can be shown."""
    told = []
    for inputs, part in chosen.groupby("inputs", sort=False):
        lower = int((part["difference"] <= 0).sum())
        shown = int(((part["difference"] < 0) & (part["p_holm"] < 0.05)).sum())
        harm = int(((part["difference"] > 0) & (part["p_holm"] < 0.05)).sum())
        told.append(
            f"With {inputs} inputs, mixup with α chosen inside has a lower or equal mean error "
            f"than ERM on {lower} of {len(part)} tables; it is shown to be better on {shown} "
            f"and worse on {harm} (5 %, Holm)."
        )
    return " ".join(told)
