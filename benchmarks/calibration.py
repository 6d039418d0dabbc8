"""How good probabilities are with and without mixup, before and after temperature scaling.

``CalibratedClassifierCV`` fits a temperature on predictions of a 3-fold cross-validation within
the training rows; it then divides the logits of the same net, trained on all of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from ranks import holm, paired_tests
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from study import (
    InnerFolds,
    chosen,
    comparable,
    mean_scores,
    number_seen_first,
    options,
    pooled_bins,
    raw_names,
    run,
    score_with_bins,
    start,
)

from mixup_tab import MixupClassifier, RescaledClassifier, TableEncoder
from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, stratified_folds
from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.metrics import calibration_error_interval, expected_calibration_error

INNER_FOLDS = 3
# Nets to compare; the last one mixes as MixupClassifier does by default.
NETS: dict[str, dict[str, Any]] = {
    "plain training": {"alpha": 0},
    "mixup": {"mixing": "mixup"},
    "mixup+cutmix": {"mixing": "mixup+cutmix"},
}
PLAIN, TEMPERED, RESCALED = "plain training", " tempered", " rescaled"
# Calibration of a net; none is the net itself.
BEFORE = {**{name + TEMPERED: name for name in NETS}, "mixup" + RESCALED: "mixup"}
# Comparisons: nets with plain training, a net after calibration with before, both after.
PAIRS = (
    *((net, PLAIN) for net in NETS if net != PLAIN),
    *BEFORE.items(),
    *((net + TEMPERED, PLAIN + TEMPERED) for net in NETS if net != PLAIN),
)
FORMATS = {"accuracy %": "{:.2f}", "log-loss": "{:.4f}", "too confident": "{:+.3f}"}
FORMATS |= dict.fromkeys(("ECE", "ECE pooled", "from", "to"), "{:.3f}")
PAIR_FORMATS = {"change": "{:+.4f}", "p (Holm)": "{:.3f}"}
NOTE = (
    "Accuracy, log-loss and ECE: means over tables, the ECE of a table over all its test rows. "
    "ECE pooled: all test rows of all tables at once, with a 95 % interval (from, to); too "
    "sure: their mean confidence minus their accuracy."
)


def model(seed: int, *, method: str) -> Any:
    """Return a net, calibrated or not, behind our encoder."""
    params = NETS[BEFORE.get(method, method)]
    net = MixupClassifier(**params, random_state=seed, device="cpu")
    if method.endswith(TEMPERED):
        folds = InnerFolds(INNER_FOLDS, seed)
        net = CalibratedClassifierCV(net, method="temperature", cv=folds, ensemble=False)
    elif method.endswith(RESCALED):
        net = RescaledClassifier(net)
    return make_pipeline(TableEncoder(random_state=seed), net)


# Every net without calibration, then with it.
METHODS = {
    method: partial(model, method=method)
    for net in NETS
    for method in (net, *(after for after in BEFORE if BEFORE[after] == net))
}


def score(net: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any) -> dict[str, Any]:
    """Score with the classes of training rows numbered first, as temperatures need."""
    y_train, y_test = number_seen_first(y_train, y_test)
    return score_with_bins(net, X_train, y_train, X_test, y_test)


def table_errors(results: pd.DataFrame) -> pd.DataFrame:
    """Return the calibration error of every method on every table, over all folds together.

    The mean over folds would be larger, because a fold has fewer rows.
    """
    groups = results[~results["failed"]].groupby(["table", "method"], sort=False)
    errors = {key: expected_calibration_error(pooled_bins(part)) for key, part in groups}
    order = mean_scores(results, "error")
    return pd.Series(errors).unstack().reindex(index=order.index, columns=order.columns)


def summarize(results: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return scores of every method over the tables that all methods have."""
    errors, lost = comparable(mean_scores(results, "error"))
    rows, eces = {}, table_errors(results)
    for method in errors.columns if len(errors) else ():
        part = results[(results["method"] == method) & results["table"].isin(errors.index)]
        bins = pooled_bins(part)
        ece, low, high = calibration_error_interval(bins)
        over = (bins["confidence"] - bins["correct"]).sum() / bins["count"].sum()
        rows[method] = {
            "accuracy %": 100 * (1 - errors[method].mean()),
            "log-loss": mean_scores(results, "log_loss").loc[errors.index, method].mean(),
            "ECE": eces.loc[errors.index, method].mean(),
            **{"ECE pooled": ece, "from": low, "to": high, "too confident": over},
        }
    summary = pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")
    return summary, f"{NOTE} {len(errors)} tables. {lost}".strip()


def compare_pairs(results: pd.DataFrame) -> pd.DataFrame:
    """Compare pairs of methods, on the tables that both have, by ECE and log-loss."""
    rows = []
    scores = {"ECE": table_errors(results), "log-loss": mean_scores(results, "log_loss")}
    for metric, table in scores.items():
        pairs = [pair for pair in PAIRS if set(pair) <= set(table.columns)]
        tests = [paired_tests(table[[m, other]], other, False).loc[m] for m, other in pairs]
        corrected = holm([test["p"] for test in tests])
        rows += [
            (metric, *pair, *test[["difference", "wins", "losses"]], p)
            for pair, test, p in zip(pairs, tests, corrected, strict=True)
        ]
    names = ["metric", "method", "against", "change", "better on", "worse on", "p (Holm)"]
    return pd.DataFrame(rows, columns=names).astype({"better on": int, "worse on": int})


def report(results: pd.DataFrame, output: Path) -> None:
    """Write all methods, the effect of each change, and a reliability diagram."""
    summary, note = summarize(results)
    texts = [markdown_table(summary, FORMATS), note, "## Which change helps"]
    texts += [markdown_table(compare_pairs(results), PAIR_FORMATS)]
    texts += ["On the tables that both have; a negative change is better. Wilcoxon's "]
    texts[-1] += "signed-rank test over tables, corrected after Holm within each metric."
    title = "Calibration with and without mixup"
    write_text(output, title, *(texts if len(summary) else []), failures(results))
    if len(summary):
        groups = results[~results["failed"]].groupby("method", sort=False)
        bins = {method: pooled_bins(part) for method, part in groups if method in summary.index}
        figure = ReliabilityDisplay.from_bins(bins).figure_
        figure.savefig(output / "results.png", dpi=120)


def main() -> None:
    """Run the study."""
    args = options("calibration", __doc__, folds=4, max_rows=20_000).parse_args()
    wanted = chosen("methods", args.methods, METHODS)
    wanted = {*wanted, *(BEFORE[name] for name in wanted if name in BEFORE)}
    names = raw_names(args, args.max_rows).index
    run(
        args,
        {name: make for name, make in METHODS.items() if name in wanted},
        {name: partial(load_uci, name, args.data_home) for name in names},
        stratified_folds(args.folds, args.seed),
        "calibration-1",
        report,
        score,
    )


if __name__ == "__main__":
    start(main)
