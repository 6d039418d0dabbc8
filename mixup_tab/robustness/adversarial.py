"""Adversarial examples: small changes of the inputs that mislead a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length, column_or_1d

from mixup_tab._plain import shown
from mixup_tab.estimators.data import check_X, scales_integers
from mixup_tab.robustness._gradients import differentiable, loss_direction
from mixup_tab.sampling._tables import like

ATTACKS = ("fgsm", "ifgsm")


def adversarial_examples(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    eps: float,
    attack: str = "fgsm",
    *,
    n_steps: int = 10,
    clip: tuple[Any, Any] | None = None,
) -> np.ndarray:
    r"""Change inputs by at most ε so that a classifier gets their labels wrong.

    The fast gradient sign method (FGSM, Goodfellow et al. 2015, arXiv 1412.6572) takes one
    step,

    .. math:: x' = x + \epsilon\,\mathrm{sign}\,\nabla_x\bigl(-\log p(y \mid x)\bigr),

    and its iterative form (I-FGSM, Kurakin et al. 2017, arXiv 1607.02533) ``n_steps`` steps of
    ε / ``n_steps``, each along the gradient at the current point. p is the probability that
    ``predict_proba`` returns: for an ensemble, the mean over its members.

    Parameters
    ----------
    estimator : MixupClassifier or MixupEnsembleClassifier
        Fitted classifier whose ``module`` is differentiable, or a fitted search over one.
    X : array-like of float of shape (n_samples, *features)
        Inputs.
    y : array-like of shape (n_samples,)
        Their true labels.
    eps : float
        Largest change of every feature, ≥ 0, in the unit of ``X``. Scale the features first.
    attack : {"fgsm", "ifgsm"}, default="fgsm"
        "fgsm" takes one step, "ifgsm" several.
    n_steps : int, default=10
        Number of steps of "ifgsm", ≥ 1.
    clip : tuple (low, high), default=None
        Range of valid inputs, as numbers or as one number per feature. None does not clip.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, *features)
        The changed inputs: a DataFrame with the same columns if ``X`` is one; float32 if ``X``
        is, else float64.

    Raises
    ------
    TypeError
        If the estimator has no gradients. In a pipeline, attack the last step.
    ValueError
        If an argument is invalid, a label was not in the training rows, or no gradient reaches
        the inputs.

    Notes
    -----
    If the output is not linear within ε, as with the narrow bins of ``embedding="target"``, a
    single step has the wrong direction, and robustness against "fgsm" says little.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.robustness import adversarial_examples
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MixupClassifier(n_estimators=1, max_epochs=20, random_state=0).fit(X, y)
    >>> changed = adversarial_examples(clf, X, y, eps=0.5)
    >>> round(float(abs(changed - X).max()), 6), bool(clf.score(changed, y) < clf.score(X, y))
    (0.5, True)
    """
    estimator, given = differentiable(estimator), X
    X, codes, clip = _check(estimator, X, y, attack, n_steps, clip)
    eps = _check_eps(eps)
    steps = n_steps if attack == "ifgsm" else 1
    changed = X
    for _ in range(steps if eps else 0):
        changed = changed + eps / steps * loss_direction(estimator, changed, codes)
        changed = np.clip(changed, X - eps, X + eps)  # n_steps · (ε / n_steps) may exceed ε
        if clip is not None:
            changed = np.clip(changed, *clip)
        changed = changed.astype(X.dtype, copy=False)
    if hasattr(given, "columns"):
        return like(given, changed)
    return changed.copy() if changed is X else changed


def evaluate_adversarial(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    eps: float | Sequence[float],
    attack: str = "fgsm",
    source: BaseEstimator | None = None,
    *,
    n_steps: int = 10,
    clip: tuple[Any, Any] | None = None,
) -> pd.DataFrame:
    """Measure the error of a classifier on adversarial examples.

    The experiment of section 3.5 of the mixup paper (Zhang et al. 2017, arXiv 1710.09412).
    Compare classifiers only if their clean errors are about the same.

    Parameters
    ----------
    estimator : classifier
        Fitted. Any classifier if ``source`` is given; otherwise it must have gradients, as in
        :func:`adversarial_examples`.
    X : array-like of float of shape (n_samples, *features)
        Test rows.
    y : array-like of shape (n_samples,)
        Their labels.
    eps : float or sequence of float
        Largest change of every feature, ≥ 0, in the unit of ``X``.
    attack : {"fgsm", "ifgsm"}, default="fgsm"
        As in :func:`adversarial_examples`.
    source : estimator, default=None
        Another fitted classifier that the examples are computed for: a black-box attack,
        without access to ``estimator``. None uses ``estimator`` itself: a white-box attack.
    n_steps, clip
        As in :func:`adversarial_examples`.

    Returns
    -------
    DataFrame
        One row per ε: ``box`` ("white" or "black"), ``attack``, ``eps``, and the shares of
        wrong predictions ``clean_error`` (at ε = 0) and ``adversarial_error``.

    Raises
    ------
    TypeError, ValueError
        As in :func:`adversarial_examples`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.robustness import evaluate_adversarial
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MixupClassifier(n_estimators=1, max_epochs=20, random_state=0).fit(X, y)
    >>> results = evaluate_adversarial(clf, X, y, eps=[0, 0.5], attack="ifgsm")
    >>> bool(results["adversarial_error"][0] == results["clean_error"][0])
    True
    """
    made_on = differentiable(*((estimator,) if source is None else (source, "source")))
    amounts = [_check_eps(one) for one in np.atleast_1d(eps).tolist()]
    if not amounts:
        raise ValueError(f"eps must hold at least one number, such as 0.1, got {shown(eps)}.")
    checked, _, _ = _check(made_on, X, y, attack, n_steps, clip)
    X, y = X if hasattr(X, "columns") else checked, column_or_1d(y)
    clean = float(np.mean(estimator.predict(X) != y))
    rows = []
    for one in amounts:
        changed = adversarial_examples(made_on, X, y, one, attack, n_steps=n_steps, clip=clip)
        rows.append(
            {
                "box": "white" if source is None else "black",
                "attack": attack,
                "eps": one,
                "clean_error": clean,
                "adversarial_error": float(np.mean(estimator.predict(changed) != y)),
            }
        )
    return pd.DataFrame(rows)


def _check_eps(eps: float) -> float:
    if not isinstance(eps, Real) or isinstance(eps, bool):
        raise TypeError(f"eps must be a number or a list of numbers, got {shown(eps)}.")
    if not 0 <= eps < np.inf:
        raise ValueError(f"eps must be a finite number of at least 0, got {shown(eps)}.")
    return float(eps)


def _check(
    estimator: Any, X: ArrayLike, y: ArrayLike, attack: str, n_steps: int, clip: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return inputs as floats, positions of the labels in classes_, and the valid range."""
    if attack not in ATTACKS:
        raise ValueError(f"attack must be one of {list(ATTACKS)}, got {attack!r}.")
    if not isinstance(n_steps, Integral) or n_steps < 1:
        raise ValueError(f"n_steps must be an integer of at least 1, got {shown(n_steps)}.")
    if scales_integers(estimator.module) and (kind := np.asarray(X).dtype).kind in "iu":
        raise ValueError(
            f"X must hold floats in the range that the net scales integers to, got {kind}."
        )
    if getattr(estimator, "is_categorical_", None) is not None:
        raise ValueError(
            "X has categorical columns, which cannot change by small amounts. Fit the "
            "estimator to numbers only."
        )
    X = check_X(estimator, X, reset=False, dtype=(np.float64, np.float32))
    y = column_or_1d(y)
    check_consistent_length(X, y)
    classes = estimator.classes_
    codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    if unknown := np.unique(y[classes[codes] != y]).tolist():
        raise ValueError(
            f"y holds the label {unknown[0]!r}, which was not in the training rows. Drop rows "
            "with other labels."
        )
    return X, codes, None if clip is None else _check_clip(X, clip)


def _check_clip(X: np.ndarray, clip: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        low, high = (np.asarray(end, dtype=X.dtype) for end in clip)
        outside = not (np.all(low <= X) and np.all(high >= X))  # NaN fails both
    except (TypeError, ValueError) as error:
        raise ValueError(
            "clip must be a pair of the lowest and the highest valid input, as numbers or one "
            f"per feature, got {shown(clip)}."
        ) from error
    if outside:
        raise ValueError(
            f"clip must include all values of X, from {X.min():g} to {X.max():g}, got "
            f"{shown(clip)}."
        )
    return low, high
