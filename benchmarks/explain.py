"""What explaining a net costs, and whether gradients could replace it.

Prints two tables of ``docs/user_guide/explaining.rst``: seconds of processor time for the
permutation importance of all columns, for the partial dependence on three and for SHAP values
(if shap is installed); and how columns ranked by gradients agree with the permutation
importance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.model_selection import train_test_split

from mixup_tab import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.robustness._gradients import _gradient, _log_odds_against, _log_proba

REPEATS, BACKGROUND, EXPLAINED = 10, 100, 20


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a table of 30 columns, one of 64, and one of the size of TabPFN#787."""
    yield "breast cancer", *load_breast_cancer(return_X_y=True)
    yield "digits", *load_digits(return_X_y=True)
    made = make_classification(2000, 70, n_informative=20, random_state=0)
    yield "2,000 x 70, made", *made


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of a call, which other processes do not lengthen."""
    start = time.process_time()
    work()
    return time.process_time() - start


def importance(clf: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the rise of the log-loss if a column is shuffled."""
    settings = {"scoring": "neg_log_loss", "n_repeats": REPEATS, "random_state": 0}
    return permutation_importance(clf, X, y, **settings).importances_mean


def steepness(clf: Any, X: np.ndarray) -> np.ndarray:
    """Return mean |gradient of the predicted class's log-odds| × standard deviation."""
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        log_proba = _log_proba(clf, x)
        gradient = _gradient(_log_odds_against(log_proba, log_proba.argmax(1)), x)
    return gradient.abs().mean(0).numpy() * X.std(0)


def explain(clf: Any, train: np.ndarray, X: np.ndarray) -> float:
    """Return the processor time of SHAP values per row, once shap has compiled itself."""
    import shap

    background = shap.sample(train, BACKGROUND, random_state=0)
    explainer = shap.Explainer(clf.predict_proba, background, seed=0)
    explainer(X[:1], silent=True)
    return seconds(lambda: explainer(X[:EXPLAINED], silent=True)) / EXPLAINED


def main() -> None:
    """Print both tables."""
    matplotlib.use("Agg")
    costs, ranks = [], []
    for name, X, y in tables():
        train, test, y_train, y_test = train_test_split(
            X, y, stratify=y, test_size=0.2, random_state=0
        )
        for kind in (MixupClassifier, MixupEnsembleClassifier):
            clf = kind(random_state=0).fit(train, y_train)
            cost = {
                "table": name,
                "model": kind.__name__,
                "importance": seconds(lambda: importance(clf, test, y_test)),  # noqa: B023
                "dependence": seconds(
                    lambda: PartialDependenceDisplay.from_estimator(
                        clf, test, [0, 1, 2], target=0
                    )  # noqa: B023
                ),
            }
            if find_spec("shap"):
                cost["SHAP, a row"] = explain(clf, train, test)
            costs.append(cost)
        for embedding in ("auto", "none"):
            clf = MixupClassifier(embedding=embedding, random_state=0).fit(train, y_train)
            shuffled, steep = importance(clf, test, y_test), steepness(clf, test)
            best = [set(np.argsort(values)[-5:]) for values in (shuffled, steep)]
            rank = spearmanr(shuffled, steep).statistic
            common = len(best[0] & best[1])
            ranks.append({"table": name, "embedding": embedding, "rank": rank, "top 5": common})
    for rows in (costs, ranks):
        print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".2f"), "", sep="\n")


if __name__ == "__main__":
    main()
