"""What the 121-set protocol says: our accuracy beside the 179 published classifiers."""

from __future__ import annotations

import pandas as pd

from mixup_tab.datasets import published_accuracies
from mixup_tab.evaluation.critical_difference import CriticalDifferenceDisplay
from mixup_tab.evaluation.protocols.scores import (
    Report,
    Shown,
    facts_of,
    mean_scores,
    set_details,
)
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.statistics import average_ranks, share_of_best
from mixup_tab.page import Page, Table

BEST_PUBLISHED = 10
FORMATS = {
    "mean accuracy %": "{:.2f}",
    "average rank": "{:.2f}",
    "P90": "{:.1f}",
    "P95": "{:.1f}",
    "PMA": "{:.2f}",
}
BEST = {
    "mean accuracy %": "high",
    "average rank": "low",
    "P90": "high",
    "P95": "high",
    "PMA": "high",
}
NOTE = (
    "Each of ours is ranked alone among the published classifiers, those among themselves; a "
    "classifier without a result on a set has the last rank there, and the mean of the others. "
    "P90 and P95: percentage of the sets with at least 90 or 95 % of the best accuracy; PMA: "
    "mean percentage of the best accuracy."
)


def beside_published(results: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return our accuracies and the published ones.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.
    published : DataFrame of shape (datasets, classifiers)
        Accuracies in percent.

    Returns
    -------
    DataFrame of shape (datasets, ours + classifiers)
        In percent, on the sets that are published and that all of ours have finished.
    """
    ours = 100 * mean_scores(results, "accuracy").dropna()
    return ours.join(published, how="inner").rename_axis("dataset")


def summarize_delgado(scores: pd.DataFrame, ours: list[str]) -> pd.DataFrame:
    """Return the figures of the study for all classifiers.

    Parameters
    ----------
    scores : DataFrame of shape (datasets, methods)
        From :func:`beside_published`.
    ours : list of str
        Which of its columns are ours.

    Returns
    -------
    DataFrame
        One row per classifier, best average rank first: ``mean accuracy %`` over the sets that
        it has, ``average rank``, ``P90``, ``P95``, ``PMA`` and the number of ``sets``. Each of
        ours is ranked among the published ones alone.
    """
    published = scores.drop(columns=ours)
    ranks = average_ranks(published, missing="last")
    for name in ours:
        alone = pd.concat([scores[[name]], published], axis=1).round(9)
        ranks[name] = average_ranks(alone, missing="last")[name]
    table = pd.DataFrame({"mean accuracy %": scores.mean(), "average rank": ranks})
    table = table.join(share_of_best(scores)).rename_axis("classifier")
    # Ours come first among equals: a reader looks for them.
    return table.loc[[*ours, *published.columns]].sort_values("average rank", kind="stable")


def report_delgado(session: Session) -> Report:
    """Sum up a run and make its page.

    Parameters
    ----------
    session : Session
        The run.

    Returns
    -------
    Report
    """
    results = session.results
    published = published_accuracies()
    ours = list(results["method"].unique())
    scores = beside_published(results, published)
    if scores.empty:
        return _without_published(session)
    summary = summarize_delgado(scores, ours)
    sentence = _sentence(summary, ours)
    lead = [name for name in summary.index if name not in ours][:BEST_PUBLISHED]
    page = Page(
        "The 121-set study: mixup nets beside 179 classifiers", sentence, facts_of(session)
    )
    table = pd.concat([summary.loc[ours], summary.loc[lead]]).sort_values("average rank")
    page.add_table("Ours and the best published", table, NOTE, formats=FORMATS, best=BEST)
    shown = scores[[*ours, *lead]]
    if len(shown) > 1:
        page.add_picture(
            "Which differences can be shown",
            CriticalDifferenceDisplay.from_scores(
                shown.round(9), missing="last", highlight=ours
            ).figure_,
            name="critical-difference",
            alt="Critical-difference diagram of ours and the best published classifiers.",
            caption=f"Ours and the {len(lead)} published classifiers of the best average rank, "
            "ranked among themselves. They were picked by their results on these sets, which "
            "flatters them.",
        )
    page.add_table(
        "Accuracy of every set",
        _per_set(scores, ours, lead),
        f"In percent: ours, the best of {published.shape[1]} published, the place of the first "
        f"of ours among them, and the {len(lead)} best by rank.",
    )
    page.add_details("Set by set", set_details(results))
    whole = Table(summary, NOTE, formats=FORMATS, best=BEST)
    page.add_details("All classifiers", [(f"Ours and {published.shape[1]} published", [whole])])
    return Report(sentence, [Shown("Ours and the best published", table, FORMATS, NOTE)], page)


def _per_set(scores: pd.DataFrame, ours: list[str], lead: list[str]) -> pd.DataFrame:
    published = scores.drop(columns=ours)
    table = scores[ours].copy()
    table["best published"] = published.max(axis=1)
    better = published.gt(scores[ours[0]] + 1e-9, axis=0).sum(axis=1)
    table[f"place of {ours[0]}"] = 1 + better
    return table.join(scores[lead])


def _without_published(session: Session) -> Report:
    """Report on sets of which nothing is published."""
    accuracy = 100 * mean_scores(session.results, "accuracy")
    summary = pd.DataFrame({"mean accuracy %": accuracy.mean(), "sets": accuracy.count()})
    sentence = "Nothing is published of these sets, so there is nothing to compare with."
    page = Page("Mixup nets on sets in the study's form", sentence, facts_of(session))
    page.add_table("Ours", summary.rename_axis("method"), formats={"mean accuracy %": "{:.2f}"})
    page.add_details("Set by set", set_details(session.results))
    return Report(sentence, [Shown("Ours", summary.rename_axis("method"), FORMATS)], page)


def _sentence(summary: pd.DataFrame, ours: list[str]) -> str:
    published = summary.drop(index=ours)
    top = published["mean accuracy %"].idxmax()
    told = []
    for name in ours:
        row = summary.loc[name]
        before = int((published["average rank"] < row["average rank"] - 1e-9).sum())
        told.append(
            f"{name}: {row['mean accuracy %']:.2f} % mean accuracy on {row['sets']:.0f} sets, "
            f"average rank {row['average rank']:.1f}, place {1 + before} beside "
            f"{len(published)} published classifiers."
        )
    told.append(
        f"The best published mean accuracy is {published.loc[top, 'mean accuracy %']:.2f} % "
        f"({top}), the best average rank {published['average rank'].min():.1f} "
        f"({published['average rank'].idxmin()})."
    )
    return " ".join(told)
