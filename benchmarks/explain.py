"""The cost of explaining a net, and whether gradients can replace permutation importance.

Prints two tables of ``docs/user_guide/explaining.rst``: processor seconds for the permutation
importance of all columns, the partial dependence on three columns, and SHAP values (if shap is
installed); and the agreement of gradient-based rankings of columns with permutation importance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
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

REPEATS, BACKGROUND, EXPLAINED = 10, 100, 5


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield tables of 30 columns, of 64, and of the size of TabPFN#787."""
    yield "breast cancer", *load_breast_cancer(return_X_y=True)
    yield "digits", *load_digits(return_X_y=True)
    made = make_classification(2000, 70, n_informative=20, random_state=0)
    yield "2,000 x 70, made", *made


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of a call, which other load does not lengthen."""
    start = time.process_time()
    work()
    return time.process_time() - start


def importance(clf: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the increase of the log-loss when a column is shuffled."""
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
    """Return the processor time of SHAP values per row, after shap has compiled itself."""
    import shap

    background = shap.sample(train, BACKGROUND, random_state=0)
    explainer = shap.Explainer(clf.predict_proba, background, seed=0)
    explainer(X[:1], silent=True)
    return seconds(lambda: explainer(X[:EXPLAINED], silent=True)) / EXPLAINED


def dependence(clf: Any, X: np.ndarray) -> None:
    """Compute and draw the partial dependence on three columns."""
    PartialDependenceDisplay.from_estimator(clf, X, [0, 1, 2], target=clf.classes_[0])


def costs(name: str, X: np.ndarray, y: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the processor time of explaining each of our classifiers."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    # Ensembles of 40 nets take many minutes on more columns.
    for kind in (MixupClassifier, MixupEnsembleClassifier)[: 1 + (X.shape[1] <= 30)]:
        clf = kind(random_state=0).fit(train, y_train)
        yield {
            "table": name,
            "model": kind.__name__,
            "importance": seconds(partial(importance, clf, test, y_test)),
            "dependence": seconds(partial(dependence, clf, test)),
            "SHAP, a row": explain(clf, train, test) if find_spec("shap") else np.nan,
        }


def agreement(name: str, X: np.ndarray, y: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield how gradients and permutation rank the columns."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    for embedding in ("auto", "none"):
        clf = MixupClassifier(embedding=embedding, random_state=0).fit(train, y_train)
        values = importance(clf, test, y_test), steepness(clf, test)
        best = [{*np.argsort(value)[-5:]} for value in values]
        yield {
            "table": name,
            "embedding": embedding,
            "rank correlation": spearmanr(*values).statistic,
            "common among the first 5": len(best[0] & best[1]),
        }


def main() -> None:
    """Print both tables."""
    matplotlib.use("Agg")
    for rows in (costs, agreement):
        found = pd.DataFrame([row for table in tables() for row in rows(*table)])
        print(found.to_markdown(index=False, floatfmt=".2f"), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
