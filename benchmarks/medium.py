"""Medium tables, or regression: our nets and their peers, one thread each, on the same rows.

Classification: every table of at least 2,500 rows in ``--data-home``. With ``--regression``:
the tables in that folder, scikit-learn's own, and abalone's rings as a number. Tables with a
training and a test part are split there; others once, with 70 % of the rows, drawn with the
seed, for training. More methods can be run into the same folder later.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from peers import (
    DEFAULTS,
    ENSEMBLE,
    OUR_REGRESSORS,
    OURS,
    QUANTILES,
    installed,
    mlp,
    regressors,
)
from ranks import average_ranks, paired_tests
from raw import TESTS
from sklearn.datasets import fetch_california_housing, load_diabetes
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from study import chosen, mean_scores, options, raw_names, run, start

from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.runner import fit_and_predict, timed
from mixup_tab.benchmark.uci import Split, load_uci, strata
from mixup_tab.datasets import fetch_uci
from mixup_tab.datasets.tables import plain_names

MIN_ROWS, TEST_SHARE = 2500, 0.3
# By shape of the table: how many of its first rows are the official training part.
OFFICIAL = {
    (48842, 14): 32561,  # adult
    (20000, 16): 16000,  # letter
    (58000, 9): 43500,  # statlog-shuttle
    (10992, 16): 7494,  # pendigits
    (5620, 64): 3823,  # optical
}
COLUMNS = {
    "log_loss": "log-loss",
    "error": "error",
    "auc": "AUC",
    "ece": "ECE",
    "coverage": "coverage of 80 %",
    "fit_cpu_seconds": "fit, CPU s",
    "predict_cpu_seconds": "predict, CPU s",
    "fit_seconds": "fit, clock s",
}
FORMATS = {name: "{:.2f}" if name.endswith(" s") else "{:.4f}" for name in COLUMNS.values()}
FORMATS["RMSE / best"] = "{:.3f}"
NOTE = (
    "Mean ranks: a method without a result on a table is the last there. All other means are "
    "over the tables on which every method has a result. CPU s: processor time of all threads; "
    "clock s: as on the wall, where other work on the machine counts too."
)


def split_once(
    X: Any, y: np.ndarray, *, seed: int, max_rows: int, stratified: bool
) -> list[Split]:
    """Return one split, the official one if there is one, with limited training rows."""
    rows = np.arange(len(y))
    if X.shape in OFFICIAL:
        train, test = np.split(rows, [OFFICIAL[X.shape]])
    else:
        groups = strata(y, 2) if stratified else None
        train, test = train_test_split(
            rows, test_size=TEST_SHARE, stratify=groups, random_state=seed
        )
    some = np.random.default_rng(seed).permutation(train)[: max_rows or None]
    return [(np.sort(some), np.sort(test))]


def within(limit: float, score: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Score a method, or report after how many CPU seconds it was stopped.

    A limit of 0 is none.
    """
    fired: list[Any] = []

    def stop(*signalled: Any) -> None:
        fired.append(signalled)
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    # Repeatedly, because compiled code may swallow the error.
    signal.setitimer(signal.ITIMER_PROF, limit, 0.02)
    try:
        return {"stopped_after": 0.0, **score(*args)}
    except BaseException:  # CatBoost turns it into a KeyboardInterrupt
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        if not fired:
            raise
        return {"stopped_after": limit}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def score_classes(model: Any, *parts: Any) -> dict[str, Any]:
    """Score probabilities; ``auc`` is the mean over classes, each against the rest."""
    scores, y, proba = fit_and_predict(model, *parts)
    areas = [roc_auc_score(y == k, proba[:, k]) for k in np.unique(y)]
    return scores | {"auc": float(np.mean(areas))}


def score_values(
    model: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any
) -> dict[str, Any]:
    """Score predicted values; ``coverage`` is the share of rows in the 80 % interval."""
    _, fit = timed("fit", model.fit, X_train, y_train)
    values, predict = timed("predict", model.predict, X_test)
    scores = {"rmse": float(root_mean_squared_error(y_test, np.ravel(values)))}
    if getattr(model[-1], "quantiles", None) is not None:
        low, high = model.predict(X_test, quantiles=QUANTILES[::2]).T
        scores["coverage"] = float(np.mean((low <= y_test) & (y_test <= high)))
    return scores | fit | predict


def regression_tables(folder: Path, data_home: Path | None) -> dict[str, Callable[[], Any]]:
    """Return loaders of regression tables that need no download, by name."""
    fetch = partial(fetch_uci, return_X_y=True, download_if_missing=False)
    tables = {name: partial(fetch, name, data_home=folder) for name in plain_names(folder)}
    own = {"return_X_y": True, "as_frame": True}
    more: dict[str, Callable[[], Any]] = {
        "diabetes": partial(load_diabetes, **own),
        "california": partial(fetch_california_housing, **own, download_if_missing=False),
        "abalone": partial(fetch, "abalone", data_home=data_home),
    }
    for name, load in more.items():
        with suppress(OSError):
            load()
            tables[name] = load
    return tables


def summarize(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a row per method, best mean rank first; a missing result ranks last."""
    scores = mean_scores(results, metric).dropna(how="all").dropna(axis=1, how="all")
    whole = scores.dropna()
    table = pd.DataFrame(
        {
            "tables": scores.notna().sum(),
            f"rank by {metric}": average_ranks(scores, False, missing="last"),
            "first on": scores.eq(scores.min(axis=1), axis=0).sum(),
        }
    ).rename_axis("method")
    if len(whole):
        table[f"rank on {len(whole)} common"] = average_ranks(whole, False).round(2)
        if metric == "rmse":
            table["RMSE / best"] = whole.div(whole.min(axis=1), axis=0).mean()
        for name in COLUMNS:
            if name in results:
                means = mean_scores(results, name).reindex(whole.index).mean()
                table[COLUMNS[name]] = means
    return table.sort_values(f"rank by {metric}", kind="stable").reset_index()


def stopped(results: pd.DataFrame) -> str:
    """List which methods were stopped on which tables."""
    rows = results.query("stopped_after > 0") if "stopped_after" in results else results[:0]
    return "\n".join(
        f"{method}: not within {limit:g} CPU s on {', '.join(part['table'])}."
        for (method, limit), part in rows.groupby(["method", "stopped_after"], sort=False)
    )


def report(results: pd.DataFrame, output: Path, max_rows: int = 0) -> None:
    """Write all methods, ours against each other one, and the scores of every table."""
    metric = "rmse" if "rmse" in results else "log_loss"
    title = "Regression" if metric == "rmse" else "Medium tables"
    notes = [stopped(results), failures(results)]
    if metric not in results or results[metric].isna().all():
        write_text(output, title, "No result yet.", *notes)
        return
    if max_rows:
        notes += [f"At most {max_rows} training rows of each table, drawn at random."]
    summary, scores = summarize(results, metric), mean_scores(results, metric)
    texts = [markdown_table(summary, FORMATS | {f"rank by {metric}": "{:.2f}"}), NOTE]
    for reference in (ENSEMBLE, DEFAULTS, *OUR_REGRESSORS):
        if reference in scores and scores.shape[1] > 1:
            tests = paired_tests(scores, reference, False).rename_axis("method").reset_index()
            texts += [f"## Every method against {reference}, by {metric}"]
            texts += [markdown_table(tests, TESTS)]
    for name in dict.fromkeys((metric, *COLUMNS)):
        if name in results:
            cells = mean_scores(results, name).dropna(how="all").rename_axis("table")
            cells = cells.reset_index()
            texts += [f"## {name} of every table"]
            texts += [markdown_table(cells, dict.fromkeys(cells.columns[1:], "{:.4g}"))]
    write_text(output, title, *texts[:2], *notes, *texts[2:])


def merged(folders: list[Path]) -> pd.DataFrame:
    """Return the results of several folders; of repeated fits, the last."""
    parts = [pd.read_csv(folder / "results.csv", dtype={"why": str}) for folder in folders]
    whole = pd.concat(parts, ignore_index=True).fillna({"why": ""})
    return whole.drop_duplicates(["table", "split", "method"], keep="last")


def main() -> None:
    """Run the study."""
    parser = options("medium", __doc__, max_rows=0, limit=0.0)
    parser.add_argument("--regression", type=Path, help="folder of tables, target last")
    parser.add_argument("--merge", type=Path, nargs="+", help="folders to report on together")
    args = parser.parse_args()
    if args.merge:
        args.output.mkdir(parents=True, exist_ok=True)
        report(merged(args.merge), args.output, args.max_rows)
        return
    if args.regression:
        known = regression_tables(args.regression, args.data_home)
        methods, tables = regressors(), chosen("datasets", args.datasets, known)
    else:
        found = raw_names(args)
        names = found.index if args.datasets else found.index[found["rows"] >= MIN_ROWS]
        methods = {**OURS, "MLPClassifier": mlp, **installed()}
        tables = {name: partial(load_uci, name, args.data_home) for name in names}
    run(
        args,
        chosen("methods", args.methods, methods),
        tables,
        partial(
            split_once,
            seed=args.seed,
            max_rows=args.max_rows,
            stratified=not args.regression,
        ),
        "medium-1",
        partial(report, max_rows=args.max_rows),
        partial(within, args.limit, score_values if args.regression else score_classes),
    )


if __name__ == "__main__":
    start(main)
