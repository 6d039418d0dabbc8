"""Raw UCI tables: our nets and their peers, each with its own columns, on the same folds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
from peers import ENSEMBLE, OURS, raw_methods
from ranks import average_ranks, critical_difference, paired_tests
from study import (
    chosen,
    comparable,
    mean_scores,
    options,
    pooled_bins,
    raw_names,
    run,
    score_with_bins,
    start,
)

from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, stratified_folds
from mixup_tab.metrics import expected_calibration_error

FORMATS = dict.fromkeys(("accuracy %", "accuracy rank", "log-loss rank"), "{:.2f}")
FORMATS |= dict.fromkeys(("log-loss", "Brier", "ECE", "ECE pooled"), "{:.4f}")
FORMATS |= {"fit, CPU s": "{:.2f}", "predict, CPU s": "{:.3f}"}
TESTS = {"difference": "{:+.4f}", "p": "{:.2g}", "p_holm": "{:.2g}", "fit time": "{:.2g}"}


def summarize(results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return scores of every method over the tables that all have, best log-loss first."""
    errors, lost = comparable(mean_scores(results, "error"))
    means = {
        metric: mean_scores(results, metric).loc[errors.index, errors.columns]
        for metric in ("log_loss", "brier", "ece", "fit_cpu_seconds", "predict_cpu_seconds")
    }
    if errors.empty:
        return pd.DataFrame(), lost
    part = results[results["table"].isin(errors.index) & results["method"].isin(errors)]
    pooled = {
        method: expected_calibration_error(pooled_bins(rows))
        for method, rows in part.groupby("method", sort=False)
    }
    summary = pd.DataFrame(
        {
            "accuracy %": 100 * (1 - errors.mean()),
            "accuracy rank": average_ranks(errors, higher_is_better=False),
            "log-loss": means["log_loss"].mean(),
            "log-loss rank": average_ranks(means["log_loss"], higher_is_better=False),
            "Brier": means["brier"].mean(),
            "ECE": means["ece"].mean(),
            "ECE pooled": pd.Series(pooled),
            "fit, CPU s": means["fit_cpu_seconds"].mean(),
            "predict, CPU s": means["predict_cpu_seconds"].mean(),
        }
    )
    note = (
        f"Means over {len(errors)} tables of means over folds; ECE pooled: over all rows of all"
        f" tables at once; CPU s: processor time of all threads. {lost}"
    )
    return summary.sort_values("log-loss").rename_axis("method"), note


def against(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare every method with a reference, on the tables that both have."""
    seconds = mean_scores(results, "fit_cpu_seconds")
    times = seconds.div(seconds[reference], axis=0).median().rename("fit time")
    parts = {
        metric: paired_tests(mean_scores(results, metric), reference, False).join(times)
        for metric in ("error", "log_loss", "ece")
    }
    return pd.concat(parts, names=["metric", "method"]).reset_index()


def report(results: pd.DataFrame, output: Path) -> None:
    """Write all methods, tests against our best, scores of every table, pictures of ranks."""
    summary, note = summarize(results)
    title, texts = "Raw tables: mixup nets and their peers", []
    if summary.empty:
        write_text(output, title, "No table has results of all methods yet.", failures(results))
        return
    losses = mean_scores(results, "log_loss")
    reference = ENSEMBLE if ENSEMBLE in losses else losses.columns[0]
    if losses.shape[1] > 1:
        texts = [f"## Every method against {reference}"]
        texts += [markdown_table(against(results, reference), TESTS)]
        texts += [
            "Differences are method minus reference. Wilcoxon's signed-rank test, Holm's "
        ]
        texts[-1] += "correction within each metric; fit time: median ratio over tables."
    for metric, form in (("error", "{:.3f}"), ("log_loss", "{:.4f}")):
        scores = mean_scores(results, metric).rename_axis("table")
        texts += [
            f"## {metric} of every table",
            markdown_table(scores, dict.fromkeys(scores, form)),
        ]
        whole, _ = comparable(scores)
        if min(whole.shape) > 1:
            ours = [name for name in OURS if name in whole]
            figure = critical_difference(whole, higher_is_better=False, highlight=ours)
            figure.savefig(output / f"ranks-{metric}.png", dpi=120)
    write_text(output, title, markdown_table(summary, FORMATS), note, failures(results), *texts)


def main() -> None:
    """Run the study."""
    parser = options("raw", __doc__, folds=4, max_rows=20_000)
    parser.add_argument("--every", type=int, default=1, help="2: every second table by name")
    parser.add_argument("--first", type=int, help="only so many of the folds [all]")
    args = parser.parse_args()
    names = sorted(raw_names(args, args.max_rows).index)[args.every - 1 :: args.every]
    run(
        args,
        chosen("methods", args.methods, raw_methods()),
        {name: partial(load_uci, name, args.data_home) for name in names},
        lambda X, y: stratified_folds(args.folds, args.seed)(X, y)[: args.first],
        "raw-1",
        report,
        score_with_bins,
    )


if __name__ == "__main__":
    start(main)
