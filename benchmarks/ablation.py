"""What each choice behind the defaults and behind MixupEnsembleClassifier is worth.

Measured on training rows only: the training part of the 121-set study's first fold, at most
2,500 rows of it, is split again into 75 % to fit on and 25 % to score on. No test row of that
fold is used, but where a set has four folds, these rows are test rows of the other three.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ranks import paired_tests
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from study import (
    InnerFolds,
    chosen,
    mean_scores,
    number_seen_first,
    options,
    run,
    signed,
    start,
)

from mixup_tab import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.benchmark import markdown_table, score_classifier, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import random_splits
from mixup_tab.datasets import fetch_delgado, list_delgado
from mixup_tab.metrics import resampled_interval
from mixup_tab.mixing import Mixup
from mixup_tab.nets import MLP
from mixup_tab.training import LearningRate

MAX_ROWS, TEST_SHARE = 2500, 0.25
MIN_ROWS = 50  # fewer leave a dozen rows to score on, where one bad guess rules the mean
DEFAULTS, ENSEMBLE = "MixupClassifier", "MixupEnsembleClassifier"
# Column of the results, what it is called, what it is multiplied by, its decimals.
METRICS = (("error", "error %", 100, 2), ("log_loss", "log-loss", 1, 4))
NOTE = (
    "Means over sets of means over repeats. Δ: variant minus {reference}, on the sets that "
    "both have, with the 95 % t interval over sets. won/even/lost: sets on which the variant "
    "is better, equal, worse. p: Wilcoxon's signed-rank test with Holm's correction for the "
    "number of variants. time: median over sets of the time to fit, relative to {reference}."
)


class Variant(NamedTuple):
    """What makes one from a seed, and the variant that it is compared with."""

    make: Callable[[int], BaseEstimator]
    against: str


def _net(seed: int, **params: Any) -> BaseEstimator:
    return MixupClassifier(**params, random_state=seed, device="cpu")


def _ensemble(seed: int, **params: Any) -> BaseEstimator:
    return MixupEnsembleClassifier(**params, random_state=seed, device="cpu")


def _standardised(seed: int) -> BaseEstimator:
    return make_pipeline(StandardScaler(), _net(seed, module=MLP))


def _tempered(seed: int) -> BaseEstimator:
    folds = InnerFolds(5, 0)
    return CalibratedClassifierCV(_net(seed), method="temperature", cv=folds, ensemble=False)


CHANGES: dict[str, dict[str, Any]] = {
    "plain training": {"alpha": 0},
    "alpha=0.4": {"alpha": 0.4},
    "mixup": {"mixing": "mixup"},
    "cutmix": {"mixing": "cutmix"},
    "folded": {"mixing": Mixup(folded=True)},
    "n_estimators=1": {"n_estimators": 1},
    "n_estimators=8": {"n_estimators": 8},
    "learning_rate_init=0.002": {"learning_rate_init": 0.002},
    "binned": {"embedding": "quantile"},
    "weight_decay=0": {"weight_decay": 0},
    "weight_decay=1": {"weight_decay": 1},
    "dropout=0.2": {"dropout": 0.2},
    "constant rate": {"callbacks": [LearningRate("constant")]},
    "hidden 256x256": {"hidden_layer_sizes": (256, 256)},
    "early stopping": {"early_stopping": True},
    "alpha=auto": {"alpha": "auto"},
}
PARTS: dict[str, dict[str, Any]] = {"cv=10": {"cv": 10}}
VARIANTS: dict[str, Variant] = {
    DEFAULTS: Variant(_net, DEFAULTS),
    **{name: Variant(partial(_net, **p), DEFAULTS) for name, p in CHANGES.items()},
    "standardised": Variant(_standardised, DEFAULTS),
    "temperature": Variant(_tempered, DEFAULTS),
    ENSEMBLE: Variant(_ensemble, DEFAULTS),
    **{name: Variant(partial(_ensemble, **p), ENSEMBLE) for name, p in PARTS.items()},
}


def summarize(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare variants with what they change, in a table of texts, the reference first."""
    names = [n for n in results["method"].unique() if VARIANTS[n].against == reference != n]
    names = [reference, *names]
    part = results[results["method"].isin(names)]
    if mean_scores(part, "error").get(reference, pd.Series(dtype=float)).isna().all():
        return pd.DataFrame()
    seconds = mean_scores(part, "fit_seconds")[names]
    table = pd.DataFrame(index=pd.Index(names, name="variant"))
    table["sets"] = seconds.notna().mul(seconds[reference].notna(), axis=0).sum()
    for metric, name, factor, decimals in METRICS:
        scores = factor * mean_scores(part, metric)[names]
        scores = scores[scores[reference].notna()]
        tests = paired_tests(scores, reference, higher_is_better=False).reindex(names)
        short = name.removesuffix(" %")
        table[name] = [f"{mean:.{decimals}f}" for mean in scores.mean()]
        table[f"Δ {short}"] = [_difference(scores[[n, reference]], decimals) for n in names]
        table[f"{short} won/even/lost"] = [
            "" if pd.isna(row.p) else f"{row.wins:.0f}/{row.ties:.0f}/{row.losses:.0f}"
            for row in tests.itertuples()
        ]
        table[f"{short} p"] = ["" if pd.isna(p) else f"{p:.2g}" for p in tests["p_holm"]]
    times = seconds.div(seconds[reference], axis=0).median()
    return table.assign(time=[f"{time:.2g}" for time in times])


def _difference(pair: pd.DataFrame, decimals: int) -> str:
    """Return the mean difference of two columns with its interval over sets, as text."""
    if pair.columns[0] == pair.columns[1]:
        return ""
    differences = pair.diff(axis=1, periods=-1).iloc[:, 0].dropna().to_numpy()
    # Sets share no rows, unlike the splits that the correction is made for.
    return signed(*resampled_interval(differences, test_share=0), decimals)


def report(results: pd.DataFrame, output: Path) -> None:
    """Write a table of the defaults' variants and one of the ensemble's."""
    texts = []
    for reference in (DEFAULTS, ENSEMBLE):
        table = summarize(results, reference)
        if len(table) > 1:
            texts += [f"## Variants of {reference}", markdown_table(table)]
            texts += [NOTE.format(reference=reference)]
    write_text(output, "What each choice is worth", *texts, failures(results))


def score(model: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any) -> dict[str, Any]:
    """Score with the classes of the training rows numbered first, as a temperature needs."""
    y_train, y_test = number_seen_first(y_train, y_test)
    return score_classifier(model, X_train, y_train, X_test, y_test)


def training_rows(
    name: str, data_home: Path | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and classes of the first training part of a set."""
    data = fetch_delgado(name, data_home=data_home)
    rows, _ = data.folds[0]
    if len(rows) > MAX_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False))
    return data.data[rows], data.target[rows]


def main() -> None:
    """Run the study."""
    args = options("ablation", __doc__, repeats=3).parse_args()
    names = chosen("datasets", args.datasets, dict.fromkeys(list_delgado(args.data_home)))
    tables = {name: training_rows(name, args.data_home, args.seed) for name in names}
    if args.datasets is None:
        tables = {name: data for name, data in tables.items() if len(data[1]) >= MIN_ROWS}
    methods = chosen("methods", args.methods, VARIANTS)
    wanted = {DEFAULTS, *methods, *(variant.against for variant in methods.values())}
    run(
        args,
        {name: variant.make for name, variant in VARIANTS.items() if name in wanted},
        tables,
        random_splits(args.repeats, args.seed, TEST_SHARE),
        "ablation-1",
        report,
        score,
    )


if __name__ == "__main__":
    start(main)
