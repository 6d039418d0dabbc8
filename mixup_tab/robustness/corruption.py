"""Training on wrong labels: how much of them a classifier believes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_consistent_length, column_or_1d
from skorch.callbacks import Callback

from mixup_tab.estimators import MixupClassifier
from mixup_tab.robustness.wrong_labels import (
    check_labels,
    check_rate,
    corrupt_labels,
)

_Split = tuple[Any, np.ndarray, Any, np.ndarray]


def evaluate_corruption(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike,
    rates: float | Sequence[float] = (0.2, 0.5, 0.8),
    *,
    cv: Any = 5,
    X_test: Any = None,
    y_test: ArrayLike | None = None,
    random_state: Any = None,
    return_curves: bool = False,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Train on labels of which a share is wrong, and test on right ones.

    The experiment of table 2 of the mixup paper (Zhang et al. 2017, arXiv 1710.09412, section
    3.4): :func:`corrupt_labels` changes a share of the training labels, the labels of the test
    rows stay as they are.

    Parameters
    ----------
    estimator : classifier
        Not changed. The test error of every epoch is known for
        :class:`~mixup_tab.MixupClassifier` and a ``Pipeline`` that ends in one and draws no
        rows; any other classifier has its last error only.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Labels of any kind.
    rates : float or sequence of float, default=(0.2, 0.5, 0.8)
        Shares of wrong labels, in [0, 1].
    cv : int or splitter, default=5
        How rows are split into training and test rows, as in scikit-learn.
    X_test, y_test : array-like, default=None
        Test rows and their labels; all of ``X`` is then trained on, and ``cv`` is not used.
    random_state : int, RandomState or None, default=None
        Seed of the wrong labels. With the same integer, all estimators get the same ones.
    return_curves : bool, default=False
        Whether to return the test errors of all epochs as well.

    Returns
    -------
    results : DataFrame
        One row per ``rate`` and ``split``. Errors are shares in [0, 1]:

        - ``last_test_error``: of the estimator when training is over. The honest figure.
        - ``best_test_error``, ``best_epoch``: the lowest of all epochs, which counts from 1.
          It is chosen by the test rows themselves, as in the paper's table: a reading of the
          curve that says what memorising costs, not a choice that anybody could make. nan
          where epochs are not known.
        - ``train_error_real``: on training rows whose label is right.
        - ``train_error_corrupted``: on training rows whose label is wrong, against this label;
          the lower, the more the estimator has memorised. Both are nan where there is no such
          row.
        - ``epochs``, ``n_train``, ``n_corrupted``, ``n_test``: counts.
    curves : DataFrame
        ``test_error`` by ``rate``, ``split`` and ``epoch``; only with ``return_curves``.

    Raises
    ------
    TypeError
        If the estimator is not a classifier, or a rate no number.
    ValueError
        For rates out of range, missing labels, one of ``X_test`` and ``y_test`` without the
        other, or such as do not fit together.

    Warns
    -----
    UserWarning
        If there are so few classes that a wrong label is more frequent than the right one.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.robustness import evaluate_corruption
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MixupClassifier(alpha=8, n_estimators=1, max_epochs=10, random_state=0)
    >>> results = evaluate_corruption(clf, X, y, rates=0.2, cv=3, random_state=0)
    >>> results[["rate", "split", "epochs", "n_corrupted"]].to_numpy().tolist()
    [[0.2, 0.0, 10.0, 20.0], [0.2, 1.0, 10.0, 20.0], [0.2, 2.0, 10.0, 20.0]]
    """
    if not hasattr(estimator, "fit") or not is_classifier(estimator):
        raise TypeError(
            f"estimator={type(estimator).__name__} is not a classifier; labels can only be "
            "corrupted for one that learns labels. Give a MixupClassifier."
        )
    rates = [check_rate(rate) for rate in np.atleast_1d(rates).tolist()]
    if not rates:
        raise ValueError("rates holds no number. Give one at least, such as 0.2.")
    y = check_labels(y)
    check_consistent_length(X, y)
    _warn_of_few_classes(y, rates)
    random = check_random_state(random_state)
    rows, curves = [], []
    for number, split in enumerate(_splits(X, y, cv, X_test, y_test)):
        seed = random.randint(2**31 - 1)
        for rate in rates:
            row, errors = _train(estimator, split, rate, seed)
            rows.append({"rate": rate, "split": number, **row})
            curves += [
                {"rate": rate, "split": number, "epoch": epoch, "test_error": error}
                for epoch, error in enumerate(errors, 1)
            ]
    results = pd.DataFrame(rows)
    columns = ["rate", "split", "epoch", "test_error"]
    return (results, pd.DataFrame(curves, columns=columns)) if return_curves else results


def _warn_of_few_classes(y: np.ndarray, rates: Sequence[float]) -> None:
    n_classes = len(np.unique(y))
    limit = (n_classes - 1) / n_classes
    if max(rates) > limit:
        warnings.warn(
            f"rates={max(rates)!r} with {n_classes} classes: beyond {limit:.2f} the right "
            "label is the rarest one that a row can have, so that nothing can learn it. Give "
            "lower rates.",
            UserWarning,
            stacklevel=3,
        )


def _splits(X: Any, y: np.ndarray, cv: Any, X_test: Any, y_test: Any) -> Iterator[_Split]:
    """Yield training rows, their labels, test rows and theirs."""
    if (X_test is None) != (y_test is None):
        lacking = "X_test" if X_test is None else "y_test"
        raise ValueError(f"{lacking} is missing. Give both X_test and y_test, or neither.")
    if X_test is not None:
        y_test = column_or_1d(y_test)
        check_consistent_length(X_test, y_test)
        if np.shape(X_test)[1:] != np.shape(X)[1:] or not len(y_test):
            raise ValueError(
                f"X_test has the shape {np.shape(X_test)}, but X has {np.shape(X)}. Give test "
                "rows, one at least, with the same features."
            )
        yield X, y, X_test, y_test
        return
    for train, test in check_cv(cv, y, classifier=True).split(X, y):
        parts = (train, test)
        X_train, X_rest = (_safe_indexing(X, part) for part in parts)
        yield X_train, y[train], X_rest, y[test]


class _WatchErrors(Callback):
    """Notes the test error at the end of every epoch.

    Parameters
    ----------
    X : array-like
        Test rows.
    codes : ndarray of int
        Their classes as columns of the outputs, -1 for those that are not among them.
    """

    def __init__(self, X: Any, codes: np.ndarray) -> None:
        self.X, self.codes = X, codes

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Start afresh; by now it is known that rows of this kind can be trained on."""
        rows = np.asarray(self.X)
        kind = np.float32 if rows.dtype == np.float32 else np.float64
        self.rows_ = rows.astype(kind, copy=False)
        self.errors_: list[float] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Predict; nothing random is drawn, so training goes on as if nobody had looked."""
        best = net.predict_proba(self.rows_).argmax(1)
        self.errors_.append(float(np.mean(best != self.codes)))


def _train(
    estimator: BaseEstimator, split: _Split, rate: float, seed: int
) -> tuple[dict[str, Any], list[float]]:
    """Train on one split at one rate; return a row of results and the errors by epoch."""
    X_train, y_train, X_test, y_test = split
    y_given, changed = corrupt_labels(y_train, rate, seed)
    model = clone(estimator)
    if isinstance(model, Pipeline) and not _draws_rows(model):
        # The front first: epochs are tested on what the net sees.
        front, model = model[:-1], model[-1]
        if len(front):
            X_train = front.fit_transform(X_train, y_given)
            X_test = front.transform(X_test)
    errors = _fit_watched(model, X_train, y_given, X_test, y_test)
    wrong = np.asarray(model.predict(X_train)) != y_given
    best = int(np.argmin(errors)) if errors else None
    row = {
        "best_test_error": np.nan if best is None else errors[best],
        "last_test_error": float(np.mean(np.asarray(model.predict(X_test)) != y_test)),
        "best_epoch": np.nan if best is None else best + 1,
        "train_error_real": wrong[~changed].mean() if not changed.all() else np.nan,
        "train_error_corrupted": wrong[changed].mean() if changed.any() else np.nan,
        "epochs": len(errors) if errors else np.nan,
        "n_train": len(y_given),
        "n_corrupted": int(changed.sum()),
        "n_test": len(y_test),
    }
    return row, errors


def _draws_rows(pipeline: Pipeline) -> bool:
    """Whether a step is a sampler of imbalanced-learn's kind."""
    return any(hasattr(step, "fit_resample") for _, step in pipeline.steps)


def _fit_watched(
    model: BaseEstimator, X: Any, y: np.ndarray, X_test: Any, y_test: np.ndarray
) -> list[float]:
    """Fit, and return test errors by epoch; none for a model without epochs of ours."""
    if not isinstance(model, MixupClassifier):
        model.fit(X, y)
        return []
    classes = np.unique(y)
    codes = np.searchsorted(classes, y_test).clip(max=len(classes) - 1)
    codes = np.where(classes[codes] == y_test, codes, -1)
    model._validate_params()
    watch = _WatchErrors(X_test, codes)
    model.set_params(callbacks=[*(model.callbacks or ()), watch]).fit(X, y)
    return watch.errors_
