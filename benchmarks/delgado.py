"""The 121-set study (Fernández-Delgado et al. 2014): our nets beside its 179 classifiers.

Uses the study's folds; methods choose hyperparameters on the training rows of a fold only. Sets
with separate files for training and testing have that one split. ``--methods`` also accepts
xRFM (with its defaults, and xRFM-HPO, the best of 50 settings), which is not a mixup net.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
from peers import DEFAULTS, ENSEMBLE, OURS, XRFM
from ranks import average_ranks, critical_difference, share_of_best
from study import chosen, mean_scores, options, run, start

from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.datasets import fetch_delgado, list_delgado, published_accuracies

BEST = 10  # published classifiers to show
FORMATS = dict.fromkeys(("mean accuracy %", "average rank", "PMA"), "{:.2f}")
FORMATS |= {"P90": "{:.1f}", "P95": "{:.1f}"}
NOTE = (
    "Each method run here is ranked alone among the published ones, those among themselves; a "
    "classifier without a result on a set has the last rank there, and the mean of the others. "
    "P90 and P95: percentage of the sets with at least 90 or 95 % of the best accuracy; PMA: "
    f"mean percentage of the best accuracy. The picture shows the {BEST} published classifiers "
    "of the best average rank; they were picked by their results on these sets, which flatters "
    "them."
)


def beside_published(results: pd.DataFrame) -> pd.DataFrame:
    """Return accuracies in percent on the published sets that ours finished."""
    ours = 100 * (1 - mean_scores(results, "error").dropna())
    return ours.join(published_accuracies(), how="inner").rename_axis("set")


def summarize(scores: pd.DataFrame, ours: list[str]) -> pd.DataFrame:
    """Return the study's scores of all classifiers, best average rank first."""
    published = scores.drop(columns=ours)
    ranks = average_ranks(published, missing="last")
    for name in ours:
        alone = pd.concat([scores[[name]], published], axis=1)
        ranks[name] = average_ranks(alone, missing="last")[name]
    table = pd.DataFrame({"mean accuracy %": scores.mean(), "average rank": ranks})
    table = table.join(share_of_best(scores)).rename_axis("classifier")
    # Ours come first among ties, because readers look for them.
    return table.loc[[*ours, *published.columns]].sort_values("average rank", kind="stable")


def report(results: pd.DataFrame, output: Path) -> None:
    """Write the best classifiers, a picture of their ranks, and the accuracy of every set."""
    title, ours = (
        "Mixup nets beside 179 published classifiers",
        list(results["method"].unique()),
    )
    scores = beside_published(results)
    if scores.empty:
        write_text(output, title, "No published set is finished yet.", failures(results))
        return
    summary = summarize(scores, ours)
    lead = [name for name in summary.index if name not in ours][:BEST]
    best = summary.loc[[name for name in summary.index if name in ours or name in lead]]
    per_set = scores[ours].assign(**{"best published": scores.drop(columns=ours).max(axis=1)})
    per_set = markdown_table(per_set.round(2), dict.fromkeys(per_set, "{:.2f}"))
    sentence = " ".join(_place(summary, name, ours) for name in ours)
    table = markdown_table(best, FORMATS)
    write_text(output, title, sentence, table, NOTE, failures(results), per_set)
    if len(scores) > 1:
        figure = critical_difference(scores[[*ours, *lead]], missing="last", highlight=ours)
        figure.savefig(output / "results.png", dpi=120)


def _place(summary: pd.DataFrame, name: str, ours: list[str]) -> str:
    row, published = summary.loc[name], summary.drop(index=ours)
    place = 1 + int((published["average rank"] < row["average rank"] - 1e-9).sum())
    return (
        f"{name}: {row['mean accuracy %']:.2f} % mean accuracy on {row['sets']:.0f} sets, "
        f"average rank {row['average rank']:.1f}, place {place} beside {len(published)} "
        "published classifiers."
    )


def main() -> None:
    """Run the study."""
    args = options("delgado", __doc__).parse_args()
    methods = {name: partial(make, raw=False) for name, make in OURS.items()}
    methods |= XRFM
    known = dict.fromkeys(list_delgado(args.data_home))
    names = chosen("datasets", args.datasets, known)
    sets = {name: fetch_delgado(name, data_home=args.data_home) for name in names}
    run(
        args,
        chosen("methods", args.methods or [DEFAULTS, ENSEMBLE], methods),
        sets,
        {name: data["folds"] for name, data in sets.items()},
        "delgado-1",
        report,
    )


if __name__ == "__main__":
    start(main)
