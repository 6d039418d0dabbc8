"""All mixing rules against mixup and plain training, on raw UCI tables, without tuning."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from ranks import average_ranks, paired_tests
from sklearn.pipeline import make_pipeline
from study import chosen, comparable, mean_scores, options, raw_names, run, signed, start

from mixup_tab import MixupClassifier, TableEncoder
from mixup_tab.benchmark import markdown_table, summarize, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, stratified_folds
from mixup_tab.metrics import resampled_interval
from mixup_tab.mixing import DirichletMixup

ALPHA, REFERENCE = 0.2, "mixup"
N_TABLES, LEAST_ROWS, MOST_ROWS = 10, 300, 5000
METRICS = (("error", "error %", 100, 2), ("log_loss", "log-loss", 1, 4))
NOTE = (
    "Means over tables of means over folds. Δ: difference to mixup on the same folds with the "
    "same seeds, below 0 is better, with its 95 % t interval over tables. p: Wilcoxon's "
    "signed-rank test over tables with Holm's correction for the number of rules. rank: "
    "average over tables, 1 is best."
)
TABLE_NOTE = (
    "The rule minus mixup on the folds of one table, with the corrected resampled 95 % t "
    "interval (Nadeau and Bengio 2003); below 0 is better than mixup."
)
RULES: dict[str, dict[str, Any]] = {
    REFERENCE: {"mixing": "mixup"},
    "plain training": {"mixing": "mixup", "alpha": 0},
    "folded": {"mixing": "folded"},
    "same class": {"mixing": "same_class"},
    "3 examples": {"mixing": DirichletMixup(3)},
    "5 examples": {"mixing": DirichletMixup(5)},
    "cutmix": {"mixing": "cutmix"},
    "mixup+cutmix": {"mixing": "mixup+cutmix"},
    "cutout": {"mixing": "cutout"},
    "featmix": {"mixing": "featmix"},
    "manifold": {"mixing": "manifold"},
    "manifold α=2": {"mixing": "manifold", "alpha": 2.0},
    "regmixup α=10": {"mixing": "regmixup", "alpha": 10.0},
    "remix": {"mixing": "remix"},
    "off at end": {"mixing": "mixup", "mixing_span": (0, 0.9)},
}


def net(seed: int, *, alpha: float = ALPHA, **params: Any) -> Any:
    """Return a net with our defaults, except for the rule, behind our encoder."""
    model = MixupClassifier(alpha, n_estimators=1, random_state=seed, device="cpu", **params)
    return make_pipeline(TableEncoder(random_state=seed), model)


def default_tables(sizes: pd.DataFrame) -> list[str]:
    """Return the first ten tables that are neither small nor large.

    Of tables with equal numbers of rows and columns, only the first is used: they are the same
    rows with other labels.
    """
    sizes = sizes[sizes["rows"].between(LEAST_ROWS, MOST_ROWS)].sort_index()
    return list(sizes.drop_duplicates().index[:N_TABLES])


def compare(results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Compare every rule with mixup over the tables that all have, lowest error first."""
    whole, lost = comparable(mean_scores(results, "error"))
    if REFERENCE not in whole or whole.empty:
        return pd.DataFrame(), lost
    order = whole.mean().sort_values(kind="stable").index
    table = pd.DataFrame(index=pd.Index(order, name="rule"))
    for metric, name, factor, decimals in METRICS:
        scores = factor * mean_scores(results, metric).loc[whole.index, order]
        differences = scores.sub(scores[REFERENCE], axis=0)
        p = paired_tests(scores, REFERENCE, higher_is_better=False).get("p_holm", pd.Series())
        short = name.removesuffix(" %")
        table[name] = [f"{mean:.{decimals}f}" for mean in scores.mean()]
        # Tables share no rows, so the correction for overlapping splits does not apply.
        table[f"Δ {short}"] = [
            "" if rule == REFERENCE else signed(*resampled_interval(d.to_numpy(), 0), decimals)
            for rule, d in differences.items()
        ]
        table[f"{short} p"] = [f"{p[rule]:.2g}" if rule in p else "" for rule in order]
        ranks = average_ranks(scores, higher_is_better=False)
        table[f"{short} rank"] = [f"{ranks[rule]:.1f}" for rule in order]
    return table, f"{NOTE} {len(whole)} tables. {lost}".strip()


def table_by_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return every rule's difference to mixup on every table."""
    summary = summarize(results, REFERENCE, [metric for metric, *_ in METRICS])
    summary = summary[summary["method"] != REFERENCE]
    columns = {"table": summary["table"], "rule": summary["method"], "folds": summary["splits"]}
    for metric, name, factor, decimals in METRICS:
        ends = (factor * summary[f"{metric}_diff{end}"] for end in ("", "_low", "_high"))
        columns[f"Δ {name}"] = [signed(*values, decimals) for values in zip(*ends, strict=True)]
    return pd.DataFrame(columns)


def report(results: pd.DataFrame, output: Path) -> None:
    """Write a table of all rules, and one of every table."""
    table, note = compare(results)
    texts = [markdown_table(table), note] if len(table) else ["Mixup has no whole result yet."]
    details = ("## Table by table", markdown_table(table_by_table(results)), TABLE_NOTE)
    write_text(output, "Mixing rules against mixup", *texts, failures(results), *details)


def main() -> None:
    """Run the study."""
    args = options("rules", __doc__, folds=4, repeats=3).parse_args()
    sizes = raw_names(args)
    names = default_tables(sizes) if args.datasets is None else sizes.index
    rules = {name: partial(net, **params) for name, params in RULES.items()}
    methods = chosen("methods", args.methods, rules)
    run(
        args,
        {REFERENCE: rules[REFERENCE], **methods},
        {name: partial(load_uci, name, args.data_home) for name in names},
        stratified_folds(args.folds, args.seed, args.repeats),
        "rules-1",
        report,
    )


if __name__ == "__main__":
    start(main)
