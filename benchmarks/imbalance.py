"""Mixing, class weights and resampling on imbalanced tables: decisions and probabilities.

The task is a table's rarest class against all others. Every fit is scored with its own
decisions and probabilities, and again after a repair that needs no other fit: a threshold at
the class shares, or a correction for the class frequencies that were trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from ranks import paired_tests
from scipy.stats import gmean
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.model_selection import train_test_split
from study import chosen, comparable, mean_scores, options, raw_names, run, signed, start

from mixup_tab import MixupClassifier, TableEncoder, VicinalSampler
from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import PLAIN, failures
from mixup_tab.benchmark.runner import fit_and_predict
from mixup_tab.benchmark.uci import load_uci, strata, stratified_folds
from mixup_tab.metrics import classification_scores, resampled_interval

# Classes of fewer rows are left out: no split could score them. A table is imbalanced if its
# rarest class then has at most a fifth of the rows, and a quarter of those of the largest. Of
# larger tables a sample is taken, to bound the time.
ROWS_OF_CLASS, MOST_SHARE, MOST_RATIO = 20, 0.2, 0.25
LEAST_ROWS, MOST_ROWS, SAMPLE = 200, 20_000, 2_000
MOVED, CORRECTED, SIGMOID = ", threshold", ", corrected", "SMOTE, sigmoid"
METRICS = {
    "auc": ("AUC", 3),
    "g_mean": ("G-mean", 3),
    "balanced_accuracy": ("balanced accuracy", 3),
    "log_loss": ("log-loss", 3),
    "ece": ("ECE", 3),
    "rare_ratio": ("rare: predicted / real", 2),
}
HIGHER = {"auc", "g_mean", "balanced_accuracy"}
NOTE = (
    "Means over tables of means over folds. Rare: predicted / real is the mean probability of "
    "the rarest class divided by its share of the test rows (geometric mean over tables). "
    "Threshold: the class whose probability is the largest multiple of its share of the "
    "training rows. Corrected: probabilities multiplied by these shares, decisions as before. "
    "SMOTE, sigmoid: calibrated on rows that were not resampled, and with the threshold."
)
PAIR_NOTE = (
    f"The method minus {PLAIN} on the same folds, with the 95 % t interval over tables; p: "
    "Wilcoxon's signed-rank test over tables with Holm's correction for the number of methods."
)


def net(seed: int, **params: Any) -> MixupClassifier:
    """Return one net with our defaults but for what is given."""
    return MixupClassifier(**params, random_state=seed, device="cpu")


def resampled(seed: int, *, sampler: Any, **params: Any) -> Any:
    """Return plain training on resampled rows."""
    return make_pipeline(sampler(**params, random_state=seed), net(seed, alpha=0))


def calibrated(seed: int) -> CalibratedClassifierCV:
    """Return SMOTE calibrated on the rows left out of three folds, which are not resampled."""
    model = resampled(seed, sampler=SMOTE)
    return CalibratedClassifierCV(model, method="sigmoid", cv=3, ensemble=False)


# What makes a model, and whether it learns as if all classes were equally frequent.
METHODS: dict[str, tuple[Callable[..., Any], bool]] = {
    PLAIN: (partial(net, alpha=0), False),
    "mixup": (net, False),
    "same class": (partial(net, mixing="same_class"), False),
    "Remix": (partial(net, mixing="remix"), False),
    "class weights": (partial(net, alpha=0, class_weight="balanced"), True),
    "mixup, class weights": (partial(net, class_weight="balanced"), True),
    "VicinalSampler": (partial(resampled, sampler=VicinalSampler, balance=True), True),
    "SMOTE": (partial(resampled, sampler=SMOTE), True),
    SIGMOID: (calibrated, False),
}


class Trial(NamedTuple):
    """A model and the method it belongs to."""

    method: str
    model: Any


def trial(seed: int, *, method: str) -> Trial:
    """Return a method's model behind our encoder; samplers need a table of numbers."""
    model = METHODS[method][0](seed)
    return Trial(method, make_pipeline(TableEncoder("one-hot", random_state=seed), model))


def score(
    trial: Trial, X_train: Any, y_train: Any, X_test: Any, y_test: Any
) -> list[dict[str, Any]]:
    """Fit once; return a row of scores as it is, and one for the repair of its method."""
    method, model = trial
    times, y, proba = fit_and_predict(model, X_train, y_train, X_test, y_test)
    shares = np.bincount(y_train) / len(y_train)
    decisions, moved = proba.argmax(axis=1), (proba / shares).argmax(axis=1)
    rows = {method: (proba, decisions), method + MOVED: (proba, moved)}
    if METHODS[method][1]:
        corrected = proba * shares / (proba @ shares)[:, None]
        rows = {method: (proba, decisions), method + CORRECTED: (corrected, decisions)}
    elif method == SIGMOID:
        rows = {method: (proba, moved)}
    times = {name: value for name, value in times.items() if name.endswith("seconds")}
    return [{"method": m, **scores(y, *row, shares), **times} for m, row in rows.items()]


def scores(
    y: np.ndarray, proba: np.ndarray, decisions: np.ndarray, shares: np.ndarray
) -> dict[str, float]:
    """Score probabilities and decisions; ``auc`` is the mean over classes against the rest."""
    rare = shares.argmin()
    recalls = recall_score(y, decisions, average=None, labels=range(len(shares)))
    return {
        **classification_scores(y, proba),
        "auc": float(np.mean([roc_auc_score(y == k, p) for k, p in enumerate(proba.T)])),
        "g_mean": float(gmean(recalls)),
        "balanced_accuracy": float(recalls.mean()),
        "rare_ratio": float(proba[:, rare].mean() / np.mean(y == rare)),
    }


def load(name: str, data_home: Path | None) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return rows of common classes, 1 for the rarest of them, and the rows of each class."""
    X, y = load_uci(name, data_home)
    if len(y) > SAMPLE:
        X, _, y, _ = train_test_split(
            X, y, train_size=SAMPLE, stratify=strata(y, 2), random_state=0
        )
    kept = np.bincount(y)[y] >= ROWS_OF_CLASS
    classes, counts = np.unique(y[kept], return_counts=True)
    rarest = classes[counts.argmin()] if len(classes) else -1
    return X[kept].reset_index(drop=True), (y[kept] == rarest).astype(int), counts


def imbalanced_tables(args: argparse.Namespace) -> dict[str, Any]:
    """Return the imbalanced tables, none twice with other labels."""
    sizes = raw_names(args).sort_index()
    sizes = sizes[sizes["rows"].between(LEAST_ROWS, MOST_ROWS)].drop_duplicates()
    found = {}
    for name in sizes.index:
        X, y, counts = load(name, args.data_home)
        if len(counts) > 1 and counts.min() <= min(
            MOST_SHARE * counts.sum(), MOST_RATIO * counts.max()
        ):
            found[name] = (X, y)
    return found


def summarize(results: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return means over the tables that all methods have, and differences to plain training."""
    whole, lost = comparable(mean_scores(results, "error"))
    means, pairs = (pd.DataFrame(index=pd.Index(whole.columns, name="method")) for _ in "ab")
    for metric, (name, decimals) in METRICS.items():
        table = mean_scores(results, metric).loc[whole.index, whole.columns]
        center = gmean(table) if metric == "rare_ratio" else table.mean()
        means[name] = [f"{mean:.{decimals}f}" for mean in center]
        if metric not in ("g_mean", "log_loss", "auc") or PLAIN not in table:
            continue
        p = paired_tests(table, PLAIN, metric in HIGHER).get("p_holm", pd.Series())
        changes = table.sub(table[PLAIN], axis=0)
        pairs[f"Δ {name}"] = [
            signed(*resampled_interval(change.to_numpy(), 0), decimals) if change.any() else ""
            for _, change in changes.items()
        ]
        pairs[f"{name} p"] = [f"{p[m]:.2g}" if m in p else "" for m in table]
    return means, pairs.drop(index=PLAIN, errors="ignore"), f"{len(whole)} tables. {lost}"


def report(results: pd.DataFrame, output: Path) -> None:
    """Write means, and differences to plain training."""
    means, pairs, lost = summarize(results)
    parts = [markdown_table(means), f"{NOTE} {lost}".strip(), markdown_table(pairs), PAIR_NOTE]
    write_text(output, "Imbalanced classes", *parts, failures(results))


def main() -> None:
    """Run the study."""
    args = options("imbalance", __doc__, folds=3, repeats=1).parse_args()
    wanted = chosen("methods", args.methods, METHODS)
    run(
        args,
        {name: partial(trial, method=name) for name in METHODS if name in {PLAIN, *wanted}},
        imbalanced_tables(args),
        stratified_folds(args.folds, args.seed, args.repeats),
        "imbalance-1",
        report,
        score,
    )


if __name__ == "__main__":
    start(main)
