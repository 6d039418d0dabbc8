"""How much each choice behind the defaults and MixupEnsembleClassifier improves the scores.

Measured on training rows only. Small sets: the training part of the 121-set study's first fold,
at most 2,500 rows. Medium tables of at least 2,500 rows: the training part of ``medium.py``, at
most ``--max-rows``. Both are split again into 75 % for fitting and 25 % for scoring. No test
row of those splits is used, but in sets with four folds, these rows are test rows of the other
three.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from medium import MIN_ROWS, split_once
from ranks import paired_tests
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler, TargetEncoder
from skrub import tabular_pipeline
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

from mixup_tab import MixupClassifier, MixupEnsembleClassifier, TableEncoder
from mixup_tab.benchmark import markdown_table, score_classifier, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, random_splits
from mixup_tab.datasets import fetch_delgado, list_delgado, list_uci
from mixup_tab.estimators.fitting import batch_size, n_epochs, stops_early
from mixup_tab.metrics import resampled_interval
from mixup_tab.nets import MLP, PiecewiseLinear

SMALL_ROWS, TEST_SHARE = 2500, 0.25
RAW = " (raw)"  # behind the names of medium tables
LEAST_ROWS = 50  # fewer leave a dozen rows for scoring, where one bad guess dominates the mean
DEFAULTS, ENSEMBLE = "MixupClassifier", "MixupEnsembleClassifier"
# Column of the results, its name, factor and decimals.
METRICS = (("error", "error %", 100, 2), ("log_loss", "log-loss", 1, 4))
NOTE = (
    "Means over sets of means over repeats. Δ: variant minus {reference}, on the sets that "
    "both have, with the 95 % t interval over sets. won/even/lost: sets on which the variant "
    "is better, equal, worse. p: Wilcoxon's signed-rank test with Holm's correction for the "
    "number of variants. time: median over sets of the CPU time to fit, as a multiple of "
    "{reference}'s."
)


class Variant(NamedTuple):
    """Constructor of a model from a seed, and the variant to compare it with."""

    make: Callable[[int], BaseEstimator]
    against: str


class HalfTheEpochs(MixupClassifier):
    """The defaults with half the epochs; with early stopping, at most that many."""

    factor = 0.5

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> HalfTheEpochs:
        """Fit for a fraction of the epochs that "auto" would run."""
        stops = stops_early(self, len(X))
        auto = n_epochs(self, len(X), batch_size(self, len(X)), stops)
        self.max_epochs = max(1, round(self.factor * auto))
        return super().fit(X, y, sample_weight)


class DoubleTheEpochs(HalfTheEpochs):
    """The defaults with twice their epochs."""

    factor = 2


class Bins(TransformerMixin, BaseEstimator):
    """Columns as bins of a decision tree per column, as ``embedding="target"`` makes them.

    Columns without bins, such as those of two values, stay as they are.
    """

    def fit(self, X: Any, y: np.ndarray) -> Bins:
        """Find the bins."""
        self.layer_ = PiecewiseLinear.fit(_tensor(X), np.asarray(y), bins=32)
        self.rest_ = np.setdiff1d(np.arange(X.shape[1]), self.layer_.column.numpy())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return one column per bin, each between 0 and 1, then the others."""
        X = _tensor(X)
        return np.hstack([self.layer_(X).numpy(), X[:, self.rest_].numpy()])


def _tensor(X: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(X, dtype=float))


def _net(seed: int, *, kind: Any = None, **params: Any) -> BaseEstimator:
    return (kind or MixupClassifier)(**params, random_state=seed, device="cpu")


def _behind(seed: int, *steps: BaseEstimator, one_hot: bool = False, **params: Any) -> Any:
    """Return a net behind the recommended encoder and further steps."""
    encoder = TableEncoder("one-hot" if one_hot else "category", random_state=seed)
    return make_pipeline(encoder, *steps, _net(seed, **params))


def _only(dtype: str, transformer: BaseEstimator) -> Any:
    columns = make_column_transformer(
        (transformer, make_column_selector(dtype_include=dtype)),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    return columns.set_output(transform="pandas")


def _quantile_normal(seed: int) -> Any:
    normal = QuantileTransformer(output_distribution="normal", random_state=seed)
    return _behind(seed, _only("number", normal))


def _target_encoded(seed: int) -> Any:
    folds = KFold(5, shuffle=True, random_state=seed)
    return _behind(seed, _only("category", TargetEncoder(cv=folds)))


def _text_encoded(seed: int) -> Any:
    return tabular_pipeline(_net(seed))


def _unscaled_bins(seed: int) -> Any:
    return _behind(seed, Bins(), one_hot=True, module=MLP)


def _standardised(seed: int) -> Any:
    return _behind(seed, StandardScaler(), one_hot=True, module=MLP)


def _tempered(seed: int) -> Any:
    folds = InnerFolds(5, 0)
    model = CalibratedClassifierCV(_net(seed), method="temperature", cv=folds, ensemble=False)
    return make_pipeline(TableEncoder(random_state=seed), model)


# One changed parameter each.
CHANGES: dict[str, dict[str, Any]] = {
    "embedding=none": {"embedding": "none"},
    "embedding=quantile": {"embedding": "quantile"},
    "embedding=target": {"embedding": "target"},
    "embedding=periodic": {"embedding": "periodic"},
    "n_estimators=4": {"n_estimators": 4},
    "early_stopping=True": {"early_stopping": True},
    "early_stopping=False": {"early_stopping": False},
    "mixing to the end": {"mixing_span": (0.0, 1.0)},
    "plain training": {"alpha": 0},
    "mixup": {"mixing": "mixup"},
    "cutmix": {"mixing": "cutmix"},
    "mixup+cutmix": {"mixing": "mixup+cutmix"},
    "alpha=0.4": {"alpha": 0.4},
    "weight_decay=0": {"weight_decay": 0},
    "dropout=0.2": {"dropout": 0.2},
    "hidden 256x256": {"hidden_layer_sizes": (256, 256)},
}
# Several changed parameters each.
STEPS: dict[str, Callable[[int], Any]] = {
    "half the epochs": partial(_behind, kind=HalfTheEpochs),
    "double the epochs": partial(_behind, kind=DoubleTheEpochs),
    "categories: one-hot": partial(_behind, one_hot=True),
    "categories: text encoder": _text_encoded,
    "categories: target encoding": _target_encoded,
    "scaling: quantile-normal": _quantile_normal,
    "scaling: standardised": _standardised,
    "scaling: none after bins": _unscaled_bins,
    "temperature": _tempered,
}
PACK: dict[str, dict[str, Any]] = {
    "n_candidates=6": {"n_candidates": 6},
    "n_candidates=24": {"n_candidates": 24},
}
_ensemble = partial(_behind, kind=MixupEnsembleClassifier, n_jobs=1)
VARIANTS: dict[str, Variant] = {
    DEFAULTS: Variant(_behind, DEFAULTS),
    **{name: Variant(partial(_behind, **p), DEFAULTS) for name, p in CHANGES.items()},
    **{name: Variant(make, DEFAULTS) for name, make in STEPS.items()},
    ENSEMBLE: Variant(_ensemble, DEFAULTS),
    **{name: Variant(partial(_ensemble, **p), ENSEMBLE) for name, p in PACK.items()},
}


def summarize(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare variants with their reference, which comes first, in a table of texts."""
    names = [n for n in results["method"].unique() if VARIANTS[n].against == reference != n]
    names = [reference, *names]
    part = results[results["method"].isin(names)]
    if mean_scores(part, "error").get(reference, pd.Series(dtype=float)).isna().all():
        return pd.DataFrame()
    seconds = mean_scores(part, "fit_cpu_seconds")[names]
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
    # Sets share no rows, so the correction for overlapping splits does not apply.
    return signed(*resampled_interval(differences, test_share=0), decimals)


def report(results: pd.DataFrame, output: Path) -> None:
    """Write tables of the variants of the defaults and of the ensemble, by size of the set."""
    texts, medium = [], results["table"].str.endswith(RAW)
    for title, part in (("small sets", results[~medium]), ("medium tables", results[medium])):
        for reference in (DEFAULTS, ENSEMBLE):
            table = summarize(part, reference)
            if len(table) > 1:
                texts += [f"## Variants of {reference}, {title}", markdown_table(table)]
                texts += [NOTE.format(reference=reference)]
    write_text(output, "What each choice is worth", *texts, failures(results))


def score(model: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any) -> dict[str, Any]:
    """Score with the classes of training rows numbered first, as temperatures need."""
    y_train, y_test = number_seen_first(y_train, y_test)
    return score_classifier(model, X_train, y_train, X_test, y_test)


def small_set(name: str, data_home: Path | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and classes of the first training part of a set."""
    data = fetch_delgado(name, data_home=data_home)
    rows, _ = data.folds[0]
    if len(rows) > SMALL_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SMALL_ROWS, replace=False))
    return data.data[rows], data.target[rows]


def medium_names(data_home: Path | None) -> list[str]:
    """Return names of raw tables of at least 2,500 rows that need no download."""
    listed = list_uci(data_home).query("task == 'classification' and local")
    return list(listed.loc[listed["rows"] >= MIN_ROWS, "name"])


def medium_table(
    name: str, data_home: Path | None, seed: int, max_rows: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the training part of a raw table, or some of its rows."""
    X, y = load_uci(name, data_home)
    ((rows, _),) = split_once(X, y, seed=seed, max_rows=max_rows, stratified=True)
    return X.iloc[rows].reset_index(drop=True), y[rows]


def main() -> None:
    """Run the study."""
    args = options("ablation", __doc__, repeats=3, max_rows=10_000).parse_args()
    known: dict[str, Any] = dict.fromkeys(list_delgado(args.data_home))
    known |= {f"{name}{RAW}": name for name in medium_names(args.data_home)}
    tables = {
        name: medium_table(raw, args.data_home, args.seed, args.max_rows)
        if raw
        else small_set(name, args.data_home, args.seed)
        for name, raw in chosen("datasets", args.datasets, known).items()
    }
    if args.datasets is None:
        tables = {name: data for name, data in tables.items() if len(data[1]) >= LEAST_ROWS}
    methods = chosen("methods", args.methods, VARIANTS)
    needed = {DEFAULTS, *methods, *(variant.against for variant in methods.values())}
    run(
        args,
        {name: variant.make for name, variant in VARIANTS.items() if name in needed},
        tables,
        random_splits(args.repeats, args.seed, TEST_SHARE),
        "ablation-2",
        report,
        score,
    )


if __name__ == "__main__":
    start(main)
