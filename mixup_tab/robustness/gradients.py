"""Which way to move inputs so that a classifier is less sure of their labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from mixup_tab.estimators import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.nets.stacked import as_stack

# Rows that go through a net and back at once.
_CHUNK = 1024
# The logarithm of the least double: a class that a net has never seen.
_NEVER = -708.0


def differentiable(estimator: Any, argument: str = "estimator") -> Any:
    """Return the classifier whose gradients are meant, or say why there are none.

    Parameters
    ----------
    estimator : MixupClassifier, MixupEnsembleClassifier, or a fitted search for one
        What is to be attacked.
    argument : str, default="estimator"
        Its name, for messages.

    Returns
    -------
    MixupClassifier or MixupEnsembleClassifier

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.
    """
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        raise TypeError(
            f"{argument} is a Pipeline: it is not said whether eps counts before or after its "
            "first steps. Attack what the net sees: give pipeline[-1], and "
            "pipeline[:-1].transform(X) for X."
        )
    if not isinstance(estimator, (MixupClassifier, MixupEnsembleClassifier)):
        raise TypeError(
            f"{argument}={type(estimator).__name__} has no gradients that are known here. Give "
            "a fitted MixupClassifier or MixupEnsembleClassifier."
        )
    return estimator


def loss_direction(estimator: Any, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the sign of the gradient of the log-loss with respect to inputs.

    What is differentiated is log((1 − p) / p) for the probability p of the label, which rises
    with the log-loss −log p: the gradients have the same sign everywhere. But where a net is
    sure of itself, the gradient of the log-loss is rounded to zero, and this one is not.

    Parameters
    ----------
    estimator : MixupClassifier or MixupEnsembleClassifier
        Fitted.
    X : ndarray of float of shape (n_samples, *features)
        Inputs.
    codes : ndarray of int of shape (n_samples,)
        Positions of the labels in ``classes_``.

    Returns
    -------
    ndarray of shape (n_samples, *features), -1, 0 or 1
        In the type of ``X``.

    Raises
    ------
    ValueError
        If no gradient reaches the inputs.
    """
    signs = np.empty_like(X)
    for start in range(0, len(X), _CHUNK):
        part = slice(start, start + _CHUNK)
        x = torch.tensor(X[part], requires_grad=True)
        with torch.enable_grad():
            log_proba = _log_proba(estimator, x)
            odds = _log_odds_against(log_proba, torch.from_numpy(codes[part]))
            signs[part] = _gradient(odds, x).sign().numpy()
    if len(X) and not signs.any():
        raise ValueError(
            "The gradient with respect to the inputs is zero for every row, so that there is "
            "no direction to attack in: the net rounds its inputs or does not look at them. "
            "Make examples on another net and give it as source."
        )
    return signs


def _gradient(odds: Tensor, x: Tensor) -> Tensor:
    try:
        return torch.autograd.grad(odds.sum(), x)[0]
    except RuntimeError as error:
        raise ValueError(
            f"No gradient gets from the outputs of the net to its inputs ({error}). Its module "
            "must not detach them; or make examples on another net and give it as source."
        ) from error


def _log_odds_against(log_proba: Tensor, codes: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the labels, shape (rows,)."""
    label = torch.nn.functional.one_hot(codes, log_proba.shape[1]).bool()
    others = log_proba.masked_fill(label, -math.inf).logsumexp(1)
    return others - log_proba[label]


def _log_proba(estimator: Any, x: Tensor) -> Tensor:
    """Log-probabilities of all classes in double precision, shape (rows, classes)."""
    if isinstance(estimator, MixupClassifier):
        outputs = _outputs(estimator, x).double().log_softmax(-1)
        return outputs.logsumexp(0) - math.log(len(outputs))
    weights = estimator.weights_[estimator.weights_ > 0]
    parts = []
    for weight, nets in zip(weights, estimator.estimators_, strict=True):
        for net in nets:  # which has seen some of the classes, by their numbers
            seen = torch.from_numpy(np.asarray(net.classes_))
            columns = [_NEVER] * len(estimator.classes_)
            part = torch.tensor(columns, dtype=torch.float64).expand(len(x), -1)
            part = part.index_copy(1, seen, _log_proba(net, x))
            parts.append(part + math.log(weight / len(nets)))
    mean = torch.stack(parts).logsumexp(0)
    return (mean / estimator.temperature_).log_softmax(-1)


def _outputs(estimator: MixupClassifier, x: Tensor) -> Tensor:
    """Outputs of every member as in prediction, but differentiable; on the CPU."""
    net = estimator.net_
    net.module_.eval()
    dtype = as_stack(net.module_).input_dtype(x.dtype, training=False, device=net.device)
    outputs = net.module_(x.to(net.device, dtype)).cpu()
    return outputs if net.n_members > 1 else outputs.unsqueeze(0)
