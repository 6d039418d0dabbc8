"""Ensemble selection and temperature scaling on held-out predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

# Smaller probabilities are clipped: a net may predict 0 and be wrong.
_LEAST = 1e-7
# Limits against overfitting on small tables.
_TEMPERATURES = (0.25, 4.0)


def log_losses(proba: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the mean log-loss of each model."""
    return -np.average(np.log(np.clip(proba, _LEAST, 1)), axis=-1, weights=weight)


def select_greedily(
    evidence: np.ndarray,
    losses: Callable[[np.ndarray, np.ndarray | None], np.ndarray] = log_losses,
    weight: np.ndarray | None = None,
    *,
    rounds: int = 25,
) -> np.ndarray:
    """Choose weights of models so that their weighted mean has a low loss.

    In every round the model that lowers the loss of the mean most is added, with replacement;
    the weights are those of the best round (Caruana et al. 2004, "Ensemble selection from
    libraries of models", section 2.2). Ties go to the first model.

    Parameters
    ----------
    evidence : ndarray of shape (models, rows, ...)
        Held-out probabilities of the true classes, or errors of values.
    losses : callable, default=log_losses
        ``losses(evidence, weight)`` returns the loss of each model.
    weight : ndarray of shape (rows,), default=None
        Weights of the rows.
    rounds : int, default=25
        Number of rounds.

    Returns
    -------
    ndarray of shape (models,)
        Weights that sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab.estimators.selection import select_greedily
    >>> select_greedily(np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.2]]), rounds=2)
    array([0.5, 0.5, 0. ])
    """
    chosen: list[int] = []
    lowest: list[float] = []
    total = np.zeros(evidence.shape[1:])
    for count in range(1, rounds + 1):
        found = losses((total + evidence) / count, weight)
        chosen.append(int(found.argmin()))
        lowest.append(found.min())
        total = total + evidence[chosen[-1]]
    best = chosen[: int(np.argmin(lowest)) + 1]
    return np.bincount(best, minlength=len(evidence)) / len(best)


def temper(proba: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities proportional to ``proba ** (1 / temperature)``."""
    logits = np.log(np.clip(proba, _LEAST, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(
    proba: np.ndarray, codes: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Return the temperature with the lowest log-loss, between ¼ and 4.

    Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        tempered = temper(proba, np.exp(log_temperature))
        return float(log_losses(tempered[rows, codes], weight))

    found = minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded")
    return float(np.exp(found.x))
