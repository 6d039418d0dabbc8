"""Signs of the gradient of a classifier's loss with respect to its inputs."""

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
from mixup_tab.training.torch_state import with_torch_defaults

# Rows that go through a net and back at once.
_CHUNK = 1024
# log p of a class without training rows in a fold: the log of the smallest double.
_NEVER = -708.0


def differentiable(estimator: Any, argument: str = "estimator") -> Any:
    """Return the classifier to differentiate; raise TypeError if it has no gradients."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if isinstance(estimator, Pipeline):
        raise TypeError(
            f"{argument} is a Pipeline, so it is unclear whether eps applies before or after "
            "its first steps. Attack the inputs of the net: pass pipeline[-1], and "
            "pipeline[:-1].transform(X) for X."
        )
    if not isinstance(estimator, (MixupClassifier, MixupEnsembleClassifier)):
        raise TypeError(
            f"{argument} must be a fitted MixupClassifier or MixupEnsembleClassifier, or a "
            f"search over one, because it needs gradients, got {type(estimator).__name__}."
        )
    members = [one for row in getattr(estimator, "estimators_", ()) for one in row]
    others = [one for one in members if not isinstance(one, MixupClassifier)]
    if others:
        raise TypeError(
            f"{argument} is an ensemble that contains {others[0]!r}, which has no gradients. "
            "Fit an ensemble of nets only: use n_candidates=6 ('auto' adds boosting from 2,000 "
            "rows on), and no classifiers in candidates."
        )
    return estimator


@with_torch_defaults
def loss_direction(estimator: Any, X: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the sign of the gradient of the log-loss with respect to the inputs.

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
    ndarray of shape (n_samples, *features)
        -1, 0 or 1, in the dtype of ``X``.

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
            "The gradient with respect to the inputs is zero for every row: the net rounds its "
            "inputs or ignores them. Pass another net as source."
        )
    return signs


def _gradient(odds: Tensor, x: Tensor) -> Tensor:
    try:
        return torch.autograd.grad(odds.sum(), x)[0]
    except RuntimeError as error:
        raise ValueError(
            f"No gradient reaches the inputs of the net ({error}). Use a module that does not "
            "detach them, or pass another net as source."
        ) from error


def _log_odds_against(log_proba: Tensor, codes: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the labels, shape (rows,).

    It increases with the log-loss −log p, so both gradients have the same sign; but that of the
    log-loss underflows to 0 if a net is very confident.
    """
    label = torch.nn.functional.one_hot(codes, log_proba.shape[1]).bool()
    others = log_proba.masked_fill(label, -math.inf).logsumexp(1)
    return others - log_proba[label]


def _log_proba(estimator: Any, x: Tensor) -> Tensor:
    """Return log-probabilities in double precision, shape (rows, classes)."""
    if isinstance(estimator, MixupClassifier):
        outputs = _outputs(estimator, x).double().log_softmax(-1)
        return outputs.logsumexp(0) - math.log(len(outputs))
    weights = estimator.weights_[estimator.weights_ > 0]
    parts = []
    for weight, nets in zip(weights, estimator.estimators_, strict=True):
        for net in nets:
            seen = torch.from_numpy(np.asarray(net.classes_))  # some of the classes, as codes
            columns = [_NEVER] * len(estimator.classes_)
            part = torch.tensor(columns, dtype=torch.float64).expand(len(x), -1)
            part = part.index_copy(1, seen, _log_proba(net, x))
            parts.append(part + math.log(weight / len(nets)))
    mean = torch.stack(parts).logsumexp(0)
    return (mean / estimator.temperature_).log_softmax(-1)


def _outputs(estimator: MixupClassifier, x: Tensor) -> Tensor:
    """Return differentiable outputs of every member, on the CPU."""
    net = estimator.net_
    net.module_.eval()
    dtype = as_stack(net.module_).input_dtype(x.dtype, training=False, device=net.device)
    outputs = net.module_(x.to(net.device, dtype)).cpu()
    return outputs if net.n_members > 1 else outputs.unsqueeze(0)
