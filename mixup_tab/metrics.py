"""Scores of predicted probabilities, and calibration as counts that add up over folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import brier_score_loss, log_loss

BIN_COLUMNS = ("low", "high", "count", "confidence", "correct")


def calibration_bins(y: ArrayLike, proba: ArrayLike, n_bins: int = 15) -> pd.DataFrame:
    """Count how often predictions of like confidence are right.

    The confidence is the largest probability of a row (Guo et al. 2017, arXiv 1706.04599,
    section 2). Bins of several folds or tables may be put below each other with
    ``pandas.concat``: whoever takes bins adds those of equal ends.

    Parameters
    ----------
    y : array-like of int of shape (rows,)
        Classes as column numbers of ``proba``.
    proba : array-like of shape (rows, classes)
        Predicted probabilities.
    n_bins : int, default=15
        Number of bins (low, high] of equal width over (0, 1].

    Returns
    -------
    DataFrame
        One row per bin: its ends ``low`` and ``high``, the ``count`` of rows, and the sums of
        ``confidence`` and of ``correct`` (how many were right) over them.

    Raises
    ------
    ValueError
        If the arguments are not as described here.

    Examples
    --------
    >>> from mixup_tab.metrics import calibration_bins
    >>> bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], n_bins=2)
    >>> bins[["count", "correct"]].to_numpy().tolist()
    [[0, 0], [3, 2]]
    """
    y, proba = check_predictions(y, proba)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins!r}.")
    confidence = proba.max(axis=1)
    edges = np.linspace(0, 1, n_bins + 1)
    bin_of_row = np.searchsorted(edges[1:-1], confidence, side="left")
    correct = proba.argmax(axis=1) == y
    values = (
        edges[:-1],
        edges[1:],
        np.bincount(bin_of_row, minlength=n_bins),
        np.bincount(bin_of_row, confidence, minlength=n_bins),
        np.bincount(bin_of_row[correct], minlength=n_bins),
    )
    return pd.DataFrame(dict(zip(BIN_COLUMNS, values, strict=True)))


def pool_bins(bins: pd.DataFrame) -> pd.DataFrame:
    """Add the bins of equal ends.

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`, or several of these below each other.

    Returns
    -------
    DataFrame
        One row per bin, in rising order.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    lacking = [name for name in BIN_COLUMNS if name not in bins]
    if lacking:
        raise ValueError(
            f"bins has no column {lacking[0]!r}. Take what calibration_bins returns."
        )
    # Ends may have been through a text file.
    ends = [bins["low"].round(9), bins["high"].round(9)]
    return bins.groupby(ends)[list(BIN_COLUMNS[2:])].sum().reset_index()


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Return the mean distance of confidence and accuracy over bins, weighted by rows.

    ``ECE = Σ (n_b / n) |accuracy_b − confidence_b|`` (Guo et al. 2017, equation 3).

    Parameters
    ----------
    bins : DataFrame
        From :func:`calibration_bins`, or several of these below each other.

    Returns
    -------
    float
        In [0, 1]; nan where the bins hold no row.

    Examples
    --------
    >>> from mixup_tab.metrics import calibration_bins, expected_calibration_error
    >>> bins = calibration_bins([0, 1], [[0.9, 0.1], [0.9, 0.1]])
    >>> round(expected_calibration_error(bins), 3)
    0.4
    """
    pooled = pool_bins(bins)
    if not pooled["count"].sum():
        return float("nan")
    gap = (pooled["confidence"] - pooled["correct"]).abs().sum()
    return float(gap / pooled["count"].sum())


def classification_scores(y: ArrayLike, proba: ArrayLike) -> dict[str, float]:
    """Score predicted probabilities.

    Parameters
    ----------
    y : array-like of int of shape (rows,)
        Classes as column numbers of ``proba``. Classes that no row has are fine.
    proba : array-like of shape (rows, classes)
        Predicted probabilities; rows are brought to the sum 1.

    Returns
    -------
    dict of str to float
        ``error`` (share of wrong rows), ``log_loss`` (nats; probabilities below 2.2e-16 count
        as that), ``brier`` (squared distance, summed over classes) and ``ece`` (15 bins).

    Raises
    ------
    ValueError
        If the arguments are not as described here.

    Examples
    --------
    >>> from mixup_tab.metrics import classification_scores
    >>> scores = classification_scores([0, 1], [[0.9, 0.1], [0.6, 0.4]])
    >>> {name: round(score, 3) for name, score in scores.items()}
    {'error': 0.5, 'log_loss': 0.511, 'brier': 0.37, 'ece': 0.35}
    """
    y, proba = check_predictions(y, proba)
    labels = np.arange(proba.shape[1])
    return {
        "error": float(np.mean(proba.argmax(axis=1) != y)),
        "log_loss": float(log_loss(y, proba, labels=labels)),
        "brier": float(brier_score_loss(y, proba, labels=labels, scale_by_half=False)),
        "ece": expected_calibration_error(calibration_bins(y, proba)),
    }


def check_predictions(y: ArrayLike, proba: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and probabilities as arrays, in float64 and with rows of sum 1.

    Parameters
    ----------
    y : array-like of int of shape (rows,)
        Classes as column numbers of ``proba``.
    proba : array-like of shape (rows, classes)
        Predicted probabilities.

    Returns
    -------
    y : ndarray of int of shape (rows,)
    proba : ndarray of float64 of shape (rows, classes)

    Raises
    ------
    ValueError
        If they are not as described here.
    """
    y, proba = np.asarray(y), np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            f"proba must have the shape (rows, classes) with 2 classes or more, got "
            f"{proba.shape}."
        )
    if y.shape != proba.shape[:1] or not len(y):
        raise ValueError(
            f"y must hold one class for each of the {len(proba)} rows of proba, one at least; "
            f"its shape is {y.shape}."
        )
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= proba.shape[1]:
        raise ValueError(
            f"y must hold whole numbers from 0 to {proba.shape[1] - 1}, columns of proba. "
            "Encode labels with searchsorted(classes_, y)."
        )
    total = proba.sum(axis=1, keepdims=True)
    if not np.isfinite(proba).all() or (proba < 0).any() or (abs(total - 1) > 1e-3).any():
        raise ValueError(
            "proba must hold probabilities: finite, not negative, rows of sum 1. Take "
            "predict_proba, not decision_function."
        )
    return y, proba / total
