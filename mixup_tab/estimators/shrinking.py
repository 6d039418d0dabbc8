"""What mixup does to inputs on average: it moves them towards their mean."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import betainc

from mixup_tab.mixing._draw import check_alpha
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training import MixupNet


def mean_larger_weight(alpha: float) -> float:
    """Return θ = E[λ | λ > ½] for λ ~ Beta(α, α): the mean weight of the heavier example.

    θ = 1 − I_½(α + 1, α) with the regularised incomplete beta function I.

    Parameters
    ----------
    alpha : float
        Parameter of the Beta distribution, 0 ≤ α < ∞; 0 mixes nothing.

    Returns
    -------
    float
        In (½, 1].

    Raises
    ------
    TypeError, ValueError
        If ``alpha`` is not such a number.

    Examples
    --------
    >>> from mixup_tab.estimators.shrinking import mean_larger_weight
    >>> mean_larger_weight(0), round(mean_larger_weight(1), 6)
    (1.0, 0.75)
    """
    alpha = check_alpha(alpha)
    return 1 - float(betainc(alpha + 1, alpha, 0.5)) if alpha else 1.0


@torch.inference_mode()
def mean_prepared(net: MixupNet, X: np.ndarray) -> np.ndarray:
    """Return the mean of training inputs as they are mixed.

    Parameters
    ----------
    net : MixupNet
        Fitted.
    X : ndarray of shape (rows, *features)
        Training inputs, as the net takes them.

    Returns
    -------
    ndarray of float64, shape (*prepared)
        Of a table after the net's own scaling of the columns, for a
        :class:`~mixup_tab.nets.PreparedNet` after its ``prepare``.
    """
    prepare, _ = as_stack(net.module_).halves()[0]
    sums = [prepare(part).sum(0).cpu().double() for part in net.input_chunks(X)]
    return torch.stack(sums).sum(0).numpy() / len(X)


@torch.inference_mode()
def shrunk_outputs(net: MixupNet, X: np.ndarray, mean: np.ndarray, theta: float) -> np.ndarray:
    """Return outputs for θ x + (1 − θ) x̄, where x are inputs as they are mixed.

    Parameters
    ----------
    net : MixupNet
        Fitted.
    X : ndarray of shape (rows, *features)
        Inputs, as the net takes them.
    mean : ndarray of shape (*prepared)
        The mean x̄.
    theta : float
        θ, in [0, 1]; 1 gives the outputs of the net.

    Returns
    -------
    ndarray of float64, shape (members, rows, outputs)
    """
    parts = []
    for part in net.input_chunks(X):
        outputs = []
        for prepare, body in as_stack(net.module_).halves():
            x = prepare(part)
            moved = torch.lerp(torch.as_tensor(mean).to(x), x, theta)
            outputs.append(body(moved).reshape(-1, len(x), net.n_outputs_))
        parts.append(torch.cat(outputs).cpu().double())
    return torch.cat(parts, 1).numpy()
