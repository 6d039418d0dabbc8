"""Wrong training labels and adversarial examples: plain training, dropout and mixup.

Sections 3.4 and 3.5 of the mixup paper, on tables of numbers of at least six classes. Nets have
two hidden layers of 256 units and no weight decay; every split trains 18 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.preprocessing import QuantileTransformer
from study import chosen, options, run, start

from mixup_tab import MixupClassifier
from mixup_tab.benchmark import markdown_table, summarize, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.benchmark.uci import load_uci, random_splits
from mixup_tab.robustness import evaluate_adversarial, evaluate_corruption

PLAIN, MIXUP = "plain training", "mixup"
# Shares of wrong labels, with the paper's α for each (its table 2).
ALPHAS = {0.2: 8.0, 0.5: 32.0, 0.8: 32.0}
# A usual dropout rate, and one as high as the paper's for wrong labels.
DROPOUTS = (0.5, 0.8)
# α of the attacked nets: the paper's for ImageNet and for CIFAR.
ATTACKED = {PLAIN: 0.0, "mixup α=0.2": 0.2, "mixup α=1": 1.0}
EPS = (0.02, 0.05, 0.1, 0.2)
# No weight decay, and long enough for plain training to fit wrong labels.
NET = {
    "mixing": "mixup",
    "hidden_layer_sizes": (256, 256),
    "n_estimators": 1,
    "learning_rate_init": 0.002,
    "weight_decay": 0.0,
    "batch_size": 32,
}
DATASETS = ("digits", "statlog-image")
NOTE = (
    "Errors in percent, means over splits; in brackets the difference to the first method on "
    "the same splits ± half its corrected resampled 95 % interval (Nadeau and Bengio 2003)."
)
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def load(name: str, data_home: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and classes of a table: pixels in [0, 1] for digits, else a UCI table."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return X / 16, y
    X, y = load_uci(name, data_home)
    numbers = all(map(pd.api.types.is_numeric_dtype, X.dtypes)) and X.notna().all(axis=None)
    # With fewer classes, 80 % wrong labels would make the right one less frequent than others.
    if not numbers or y.max() < 5:
        raise ValueError(
            f"{name}: only tables of numbers, without missing values, and of at "
            "least six classes can be used."
        )
    return X.to_numpy(dtype=float), y


def on_common_scale(rows: Rows) -> tuple[Rows, tuple[float, float] | None]:
    """Return rows scaled so that one ε suits all columns, and the range of valid inputs.

    Pixels are unchanged. Other columns are mapped to a standard normal distribution by their
    quantiles on the training rows, because heavy tails have no common scale.
    """
    X, y, X_test, y_test = rows
    if X.min() == 0 and X.max() == 1:
        return rows, (0.0, 1.0)
    scaler = QuantileTransformer(
        n_quantiles=min(200, len(X)), output_distribution="normal", random_state=0
    ).fit(X)
    return (scaler.transform(X), y, scaler.transform(X_test), y_test), None


def corrupt(net: MixupClassifier, rate: float, *rows: Any) -> dict[str, Any]:
    """Return the errors of a net trained with a share of wrong labels."""
    (X, y, X_test, y_test), _ = on_common_scale(rows)
    results = evaluate_corruption(
        net, X, y, rate, X_test=X_test, y_test=y_test, random_state=net.random_state
    )
    return results.iloc[0].drop(["split", "n_train", "n_test"]).to_dict()


def attack(net: MixupClassifier, other: MixupClassifier, *rows: Any) -> pd.DataFrame:
    """Return the errors of a net on adversarial examples for itself and for another net."""
    (X, y, X_test, y_test), clip = on_common_scale(rows)
    net.fit(X, y)
    sources = (None, other.fit(X, y))
    parts = [
        evaluate_adversarial(net, X_test, y_test, EPS, kind, source, clip=clip)
        for source in sources
        for kind in ("fgsm", "ifgsm")
    ]
    return pd.concat(parts)


def methods(epochs: int, device: str) -> dict[str, Callable[[int], Any]]:
    """Return methods by name: every way to train at every rate, and attacks on nets."""

    def net(seed: int, **params: Any) -> MixupClassifier:
        common = {"max_epochs": epochs, "random_state": seed, "device": device}
        return MixupClassifier(**NET, **common, **params)

    def corrupted(rate: float, params: dict[str, float], seed: int) -> Any:
        return partial(corrupt, net(seed, **params), rate)

    def attacked(alpha: float, seed: int) -> Any:
        return partial(attack, net(seed, alpha=alpha), net(seed + 1_000_000, alpha=0.0))

    chosen: dict[str, Callable[[int], Any]] = {}
    for rate, alpha in ALPHAS.items():
        dropouts = {f"dropout {p:g}": {"alpha": 0.0, "dropout": p} for p in DROPOUTS}
        for name, params in {
            PLAIN: {"alpha": 0.0},
            **dropouts,
            MIXUP: {"alpha": alpha},
        }.items():
            chosen[f"{rate:.0%} wrong labels: {name}"] = partial(corrupted, rate, params)
    for name, alpha in ATTACKED.items():
        chosen[f"attacked: {name}"] = partial(attacked, alpha)
    return chosen


def score(model: Callable[..., Any], *rows: Any) -> Any:
    """Run one of :func:`methods`."""
    return model(*rows)


def report(results: pd.DataFrame, output: Path) -> None:
    """Write means and paired differences with their intervals."""
    done = results[~results["failed"]]
    names = done["method"].str.split(": ", expand=True)
    done = done.assign(method=names[1], table=done["table"] + ", " + names[0])
    wrong, attacks = (done[(names[0] == "attacked") == attacked] for attacked in (False, True))
    kinds = [f", {row.box} box, {row.attack}, ε = {row.eps:g}" for row in attacks.itertuples()]
    clean = attacks.drop_duplicates(["table", "method", "split"])
    attacks = attacks.assign(table=attacks["table"] + kinds)
    tables = {
        "Wrong labels, after the last epoch": (wrong, "last_test_error", MIXUP),
        "Wrong labels, best epoch, chosen by the test rows": (wrong, "best_test_error", MIXUP),
        "Training rows with a wrong label, against it; the lower, the more was memorised": (
            wrong,
            "train_error_corrupted",
            MIXUP,
        ),
        "Attacked nets, unchanged test rows": (clean, "clean_error", PLAIN),
        "Attacked nets, adversarial examples": (attacks, "adversarial_error", PLAIN),
    }
    parts = [
        f"## {title}\n\n{wide(*about)}" for title, about in tables.items() if len(about[0])
    ]
    write_text(output, "Robustness", NOTE, *parts, failures(results))


def wide(results: pd.DataFrame, metric: str, reference: str) -> str:
    """Return a Markdown table of one error, tables by methods."""
    summary = summarize(results, reference, [metric])
    columns = [metric, f"{metric}_diff", f"{metric}_diff_high"]
    texts = []
    for mean, change, high in 100 * summary[columns].to_numpy():
        half = f" ± {high - change:.1f}" if np.isfinite(high) else ""
        texts.append(f"{mean:.1f}" + (f" ({change:+.1f}{half})" if np.isfinite(change) else ""))
    cells = summary.assign(text=texts).pivot(index="table", columns="method", values="text")
    methods = sorted(summary["method"].unique(), key=lambda name: name != reference)
    return markdown_table(cells.loc[summary["table"].unique(), methods])


def main() -> None:
    """Run the study."""
    parser = options("robustness", __doc__, repeats=5, epochs=200, device="cpu")
    args = parser.parse_args()
    run(
        args,
        chosen("methods", args.methods, methods(args.epochs, args.device)),
        {name: partial(load, name, args.data_home) for name in args.datasets or DATASETS},
        random_splits(args.repeats, args.seed),
        "robustness-1",
        report,
        score=score,
    )


if __name__ == "__main__":
    start(main)
