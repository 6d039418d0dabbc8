"""Evaluation of classifiers that are trained on partly wrong labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from numbers import Real
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

from mixup_tab._plain import shown
from mixup_tab.estimators import MixupClassifier

_Split = tuple[Any, np.ndarray, Any, np.ndarray]
_RandomState = int | np.random.RandomState | None


def evaluate_corruption(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike,
    rates: float | Sequence[float] = (0.2, 0.5, 0.8),
    *,
    cv: Any = 5,
    X_test: Any = None,
    y_test: ArrayLike | None = None,
    random_state: _RandomState = None,
    return_curves: bool = False,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Train on partly wrong labels and test on correct ones.

    The experiment of table 2 of the mixup paper (Zhang et al. 2017, arXiv 1710.09412, section
    3.4): :func:`corrupt_labels` changes some of the training labels but no test labels.

    Parameters
    ----------
    estimator : classifier
        Cloned before it is fitted. Test errors by epoch need a
        :class:`~mixup_tab.MixupClassifier`, or a ``Pipeline`` without a sampler that ends in
        one; other classifiers have only a last error.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Inputs.
    y : array-like of shape (n_samples,)
        Labels of any kind.
    rates : float or sequence of float, default=(0.2, 0.5, 0.8)
        Shares of wrong labels, in [0, 1].
    cv : int or splitter, default=5
        How to split the rows into training and test rows, as in scikit-learn.
    X_test, y_test : array-like, default=None
        Test rows and their labels. If given, all of ``X`` is used for training and ``cv`` is
        ignored.
    random_state : int, RandomState or None, default=None
        Seed of the wrong labels. With the same integer, all estimators get the same ones.
    return_curves : bool, default=False
        If True, the test errors of all epochs are returned as well.

    Returns
    -------
    results : DataFrame
        One row per ``rate`` and ``split``. Errors are shares in [0, 1]:

        - ``last_test_error``: error after training. The error to report.
        - ``best_test_error``, ``best_epoch``: lowest error of all epochs, counted from 1. The
          epoch is chosen on the test rows, as in the paper's table: it shows the cost of
          memorising, but cannot be achieved in practice. nan without errors by epoch.
        - ``train_error_real``: error on training rows with a correct label.
        - ``train_error_corrupted``: error on training rows with a wrong label, measured
          against this wrong label; the lower, the more the estimator has memorised. Both are
          nan if there are no such rows.
        - ``epochs``, ``n_train``, ``n_corrupted``, ``n_test``: counts.
    curves : DataFrame
        ``test_error`` by ``rate``, ``split`` and ``epoch``; only with ``return_curves``.

    Raises
    ------
    TypeError
        If the estimator is not a classifier or a rate is not a number.
    ValueError
        If a rate is out of range, labels are missing, only one of ``X_test`` and ``y_test`` is
        given, or shapes do not match.

    Warns
    -----
    UserWarning
        If a wrong label is more frequent than the correct one, which then cannot be learned.

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
            "estimator must be a classifier, such as MixupClassifier(), got "
            f"{type(estimator).__name__}."
        )
    rates = [_check_rate(rate) for rate in np.atleast_1d(rates).tolist()]
    if not rates:
        raise ValueError("rates must hold at least one number, such as 0.2, got none.")
    y = _check_labels(y)
    check_consistent_length(X, y)
    _warn_of_few_classes(y, rates)
    random = check_random_state(random_state)
    rows, curves = [], []
    for number, split in enumerate(_splits(X, y, cv, X_test, y_test)):
        seed = random.randint(2**31 - 1)
        for rate in rates:
            row, errors = _fit_and_score(estimator, split, rate, seed)
            rows.append({"rate": rate, "split": number, **row})
            curves += [
                {"rate": rate, "split": number, "epoch": epoch, "test_error": error}
                for epoch, error in enumerate(errors, 1)
            ]
    results = pd.DataFrame(rows)
    columns = ["rate", "split", "epoch", "test_error"]
    return (results, pd.DataFrame(curves, columns=columns)) if return_curves else results


def corrupt_labels(
    y: ArrayLike, rate: float, random_state: _RandomState = None
) -> tuple[np.ndarray, np.ndarray]:
    """Replace a share of the labels with wrong ones.

    Rows are drawn without replacement, and each gets one of the other classes with equal
    probability. With the same ``random_state``, the changes at a lower rate are also made at a
    higher one.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any kind, of at least 2 classes.
    rate : float
        Share of wrong labels, in [0, 1]; rounded to whole rows.
    random_state : int, RandomState or None, default=None
        Seed of the draw.

    Returns
    -------
    y_corrupted : ndarray of shape (n_samples,)
        The labels.
    changed : ndarray of bool of shape (n_samples,)
        Which of them are wrong.

    Raises
    ------
    ValueError
        If the rate is out of range, a label is missing or there is only one class.
    TypeError
        If the rate is not a number.

    Examples
    --------
    >>> from mixup_tab.robustness import corrupt_labels
    >>> y, changed = corrupt_labels(["a", "b", "a", "b"], rate=0.5, random_state=0)
    >>> y.tolist(), changed.tolist()
    (['a', 'b', 'b', 'a'], [False, False, True, True])
    """
    rate = _check_rate(rate)
    classes, codes = np.unique(_check_labels(y), return_inverse=True)
    random = check_random_state(random_state)
    order = random.permutation(len(codes))
    shift = random.randint(1, len(classes), size=len(codes))
    changed = np.zeros(len(codes), dtype=bool)
    changed[order[: round(rate * len(codes))]] = True
    return classes[np.where(changed, codes + shift, codes) % len(classes)], changed


def _check_labels(y: ArrayLike) -> np.ndarray:
    labels = np.asarray(column_or_1d(y))
    if pd.isna(labels).any():
        raise ValueError("y holds missing labels. Drop rows without a label from X and y.")
    count = len(np.unique(labels))
    if count < 2:
        raise ValueError(f"y must hold labels of at least 2 classes, got {count}.")
    return labels


def _check_rate(rate: Any) -> float:
    if not isinstance(rate, Real) or isinstance(rate, bool):
        raise TypeError(f"rates must be numbers in [0, 1], got {shown(rate)}.")
    if not 0 <= float(rate) <= 1:
        raise ValueError(
            f"rates must be in [0, 1] (0.2 is a fifth of the rows), got {shown(rate)}."
        )
    return float(rate)


def _warn_of_few_classes(y: np.ndarray, rates: Sequence[float]) -> None:
    n_classes = len(np.unique(y))
    limit = (n_classes - 1) / n_classes
    if max(rates) > limit:
        warnings.warn(
            f"rates={max(rates)!r} with {n_classes} classes: above {limit:.2f}, the correct "
            "label of a row is its least likely one and cannot be learned. Use lower rates.",
            UserWarning,
            stacklevel=3,
        )


def _splits(X: Any, y: np.ndarray, cv: Any, X_test: Any, y_test: Any) -> Iterator[_Split]:
    """Yield training rows and labels, and test rows and labels."""
    if (X_test is None) != (y_test is None):
        missing = "X_test" if X_test is None else "y_test"
        raise ValueError(f"{missing} is missing. Pass both X_test and y_test, or neither.")
    if X_test is not None:
        y_test = column_or_1d(y_test)
        check_consistent_length(X_test, y_test)
        if np.shape(X_test)[1:] != np.shape(X)[1:] or not len(y_test):
            raise ValueError(
                "X_test must have at least one row, and the features of X (shape "
                f"{np.shape(X)}), got shape {np.shape(X_test)}."
            )
        yield X, y, X_test, y_test
        return
    for train, test in check_cv(cv, y, classifier=True).split(X, y):
        yield _safe_indexing(X, train), y[train], _safe_indexing(X, test), y[test]


def _fit_and_score(
    estimator: BaseEstimator, split: _Split, rate: float, seed: int
) -> tuple[dict[str, Any], list[float]]:
    """Train on one split at one rate; return a row of results and the errors by epoch."""
    X_train, y_train, X_test, y_test = split
    y_given, changed = corrupt_labels(y_train, rate, seed)
    model = clone(estimator)
    if isinstance(model, Pipeline) and not _has_sampler(model):
        # Fit the first steps separately: test errors by epoch need the inputs of the net.
        steps, model = model[:-1], model[-1]
        if len(steps):
            X_train = steps.fit_transform(X_train, y_given)
            X_test = steps.transform(X_test)
    errors = _fit_with_errors(model, X_train, y_given, X_test, y_test)
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


def _has_sampler(pipeline: Pipeline) -> bool:
    """Whether a step is a sampler as in imbalanced-learn."""
    return any(hasattr(step, "fit_resample") for _, step in pipeline.steps)


def _fit_with_errors(
    model: Any, X: Any, y: np.ndarray, X_test: Any, y_test: np.ndarray
) -> list[float]:
    """Fit, and return the test errors by epoch; an empty list if the model has no epochs."""
    if not isinstance(model, MixupClassifier):
        model.fit(X, y)
        return []
    classes = np.unique(y)
    codes = np.searchsorted(classes, y_test).clip(max=len(classes) - 1)
    codes = np.where(classes[codes] == y_test, codes, -1)
    model._validate_params()
    monitor = _TestErrors(X_test, codes)
    model.set_params(callbacks=[*(model.callbacks or ()), monitor]).fit(X, y)
    return monitor.errors_


class _TestErrors(Callback):
    """Records the test error after every epoch in ``errors_``.

    Parameters
    ----------
    X : array-like
        Test rows.
    codes : ndarray of int
        Their classes as columns of the outputs; -1 for classes without a column.
    """

    def __init__(self, X: Any, codes: np.ndarray) -> None:
        self.X, self.codes = X, codes

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Reset; ``fit`` has already validated rows like these."""
        rows = np.asarray(self.X)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        self.rows_ = rows.astype(dtype, copy=False)
        self.errors_: list[float] = []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Predict; this draws no random numbers, so training is not affected."""
        best = net.predict_proba(self.rows_).argmax(1)
        self.errors_.append(float(np.mean(best != self.codes)))
