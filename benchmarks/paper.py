"""Table 4 of the mixup paper: plain training against mixup on six UCI tables, in its setting.

The paper does not state α, split, repeats or scaling, so inputs are used both raw and
standardised. Every method of a repeat gets the same rows and the same seed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from ranks import holm, resampled_test
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from study import chosen, options, run, signed, start

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.benchmark import markdown_table, summarize, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, random_splits, with_columns

TEST_SHARE, INNER_FOLDS = 0.25, 5
ALPHAS = (0.1, 0.2, 0.4, 1.0)
PLAIN, CHOSEN = "plain training", "mixup α chosen"
# Test errors in percent, plain training and mixup (Zhang et al. 2017, table 4).
PUBLISHED = {
    "abalone": (74.0, 73.6),
    "arcene": (57.6, 48.0),
    "arrhythmia": (56.6, 46.3),
    "htru2": (2.0, 2.0),
    "iris": (21.3, 17.3),
    "phishing-websites": (16.3, 15.2),
}
NOTE = (
    "Test errors in percent, means over repeats. Δ: mixup minus plain training on the same "
    "rows with the same seed, with its corrected resampled 95 % interval and t test (Nadeau "
    "and Bengio 2003); p is corrected for the number of tables (Holm). The paper states no α, "
    "split, repeats or scaling, so the direction can be compared and not the digits."
)


def net(seed: int, *, alpha: float | None, scaled: bool) -> Any:
    """Return a net in the paper's setting; without α, it is chosen by cross-validation."""
    steps = [StandardScaler()] if scaled else []
    single = MixupClassifier.from_paper(alpha or 0.0, random_state=seed, device="cpu")
    model = with_columns(*steps, single)
    if alpha is not None:
        return model
    folds = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
    grid = {"mixupclassifier__alpha": list(ALPHAS)}
    return MixupSearchCV(model, grid, scoring="accuracy", cv=folds, n_jobs=1)


SINGLE: dict[str, float | None] = {PLAIN: 0.0, **{f"mixup α={a:g}": a for a in ALPHAS}}
METHODS = {
    f"{name} ({inputs})": partial(net, alpha=alpha, scaled=inputs == "scaled")
    for inputs in ("unscaled", "scaled")
    for name, alpha in {**SINGLE, CHOSEN: None}.items()
}


def compare(results: pd.DataFrame) -> pd.DataFrame:
    """Return differences of every kind of mixup to plain training, by inputs and table."""
    results = results[~results["failed"]].copy()
    results[["method", "inputs"]] = (
        results["method"].str[:-1].str.rsplit(" (", n=1, expand=True).to_numpy()
    )
    parts = []
    for inputs, part in results.groupby("inputs", sort=False):
        summary = summarize(part, PLAIN, ["error"]).assign(inputs=inputs)
        errors = part.pivot(index=["table", "split"], columns="method", values="error")
        plain = summary.loc[summary["method"] == PLAIN].set_index("table")["error"]
        summary["plain"] = summary["table"].map(plain)
        summary = summary.dropna(subset="error_diff")
        summary["p"] = [
            resampled_test((errors[m] - errors[PLAIN]).loc[table].dropna(), TEST_SHARE)
            for table, m in zip(summary["table"], summary["method"], strict=True)
        ]
        summary["p"] = summary.groupby("method")["p"].transform(lambda p: holm(p.to_numpy()))
        parts.append(summary)
    return pd.concat(parts, ignore_index=True) if parts else results


def readable(rows: pd.DataFrame) -> str:
    """Return differences as a Markdown table, beside the paper's."""
    ends = (100 * rows[f"error_diff{end}"] for end in ("", "_low", "_high"))
    published = [PUBLISHED[name] for name in rows["table"]]
    table = rows[["inputs", "table", "method", "splits"]].assign(
        **{
            "plain training %": 100 * rows["plain"],
            "mixup %": 100 * rows["error"],
            "Δ (95 %)": [signed(*values, 2) for values in zip(*ends, strict=True)],
            "p": rows["p"],
            "the paper's plain %": [errors[0] for errors in published],
            "its mixup %": [errors[1] for errors in published],
        }
    )
    form = {"plain training %": "{:.2f}", "mixup %": "{:.2f}", "p": "{:.3g}"}
    return markdown_table(table, form)


def report(results: pd.DataFrame, output: Path) -> None:
    """Write table 4 with our results, every α, and a picture of error against α."""
    rows, title = compare(results), "Table 4 of the mixup paper"
    if rows.empty or CHOSEN not in set(rows["method"]):
        write_text(output, title, "No table has a result of both yet.", failures(results))
        return
    best = rows[rows["method"] == CHOSEN]
    sentence = " ".join(_sentence(*group) for group in best.groupby("inputs", sort=False))
    every = ("## Every α", readable(rows), failures(results))
    write_text(output, title, sentence, readable(best), NOTE, *every)
    alpha_picture(rows).savefig(output / "results.png", dpi=120)


def _sentence(inputs: str, part: pd.DataFrame) -> str:
    lower = int((part["error_diff"] <= 0).sum())
    better = int(((part["error_diff"] < 0) & (part["p"] < 0.05)).sum())
    worse = int(((part["error_diff"] > 0) & (part["p"] < 0.05)).sum())
    return (
        f"With {inputs} inputs, mixup with α chosen inside has a lower or equal mean error "
        f"than plain training on {lower} of {len(part)} tables; it is shown to be better on "
        f"{better} and worse on {worse} (5 %, Holm)."
    )


def alpha_picture(rows: pd.DataFrame) -> Figure:
    """Draw the difference to plain training against α, one line per table."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (inputs, part) in zip(axes, rows.groupby("inputs", sort=False), strict=False):
        for name, line in part[part["method"] != CHOSEN].groupby("table", sort=False):
            alphas = [SINGLE[method] for method in line["method"]]
            ax.plot([0, *alphas], [0, *100 * line["error_diff"]], marker="o", label=name)
        ax.set(
            title=f"{inputs} inputs", xlabel="α", ylabel="error minus plain training, points"
        )
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def main() -> None:
    """Run the study."""
    args = options("paper", __doc__, repeats=20).parse_args()
    tables = {name: partial(load_uci, name, args.data_home) for name in PUBLISHED}
    run(
        args,
        chosen("methods", args.methods, METHODS),
        chosen("datasets", args.datasets, tables),
        random_splits(args.repeats, args.seed, TEST_SHARE),
        "paper-1",
        report,
    )


if __name__ == "__main__":
    start(main)
