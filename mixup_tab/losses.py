r"""Losses against mixed targets.

A target row holds an example's target and its weight. Rows are mixed like inputs, so weights
are mixed with λ too. With normalised weights :math:`w_i` (mean 1 over the training rows), the
loss of a batch of ``B`` examples is, for cross-entropy and squared error,

.. math::
    L = \frac1B \sum_i \lambda_i w_i\,\ell(f(\tilde x_i), y_i)
        + (1 - \lambda_i) w_j\,\ell(f(\tilde x_i), y_j),

up to a term without :math:`f` in regression. The pinball loss is taken against the mixed
value, which is not a mix of two pinball losses. Outputs may have a leading model axis
(a stack of independent nets); their losses are summed, so that every net gets the
gradient it would get alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mixup_tab._plain import shown
from mixup_tab._torch_private import log_softmax_backward


def check_label_smoothing(label_smoothing: float) -> float:
    """Return ``label_smoothing`` if it lies in [0, 1), or raise ValueError."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must lie in [0, 1), got {shown(label_smoothing)}.")
    return float(label_smoothing)


def cross_entropy_rows(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every row against a soft, possibly weighted target.

    Parameters
    ----------
    logits : Tensor, shape (..., classes)
        Outputs of the net.
    targets : Tensor, shape (..., classes)
        Target rows; a row sums to the weight of its example.

    Returns
    -------
    Tensor, shape (...)
    """
    return -(targets * torch.log_softmax(logits, -1)).sum(-1)


def squared_error_rows(values: Tensor, targets: Tensor) -> Tensor:
    """Weighted squared error of every row, averaged over the outputs.

    Parameters
    ----------
    values : Tensor, shape (..., outputs)
        Outputs of the net.
    targets : Tensor, shape (..., outputs + 1)
        Weighted values and, last, the weight: rows of
        :meth:`MixedSquaredError.encode`, mixed or not. A row of zeros has no loss.

    Returns
    -------
    Tensor, shape (...)
    """
    # w (f − wy / w)²: the values come multiplied by their weights, which may be those of a
    # mixture. A row of zeros is padding, and must not be divided by zero.
    weight = targets[..., -1:].clamp_min(torch.finfo(targets.dtype).tiny)
    return (weight * (values - targets[..., :-1] / weight) ** 2).mean(-1)


def check_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles as floats; raise ValueError unless ascending in (0, 1)."""
    levels = np.asarray(quantiles)
    right = levels.ndim == 1 and levels.size and levels.dtype.kind in "fi"
    if not (right and levels[0] > 0 and levels[-1] < 1 and (np.diff(levels) > 0).all()):
        raise ValueError(
            "quantiles must be numbers above 0 and below 1 in ascending order, such as "
            f"(0.1, 0.5, 0.9), got {shown(quantiles)}."
        )
    return tuple(levels.astype(float).tolist())


class _MixedLoss(nn.Module):
    """A loss that is the mean of a row-wise function, summed over stacked nets."""

    @property
    def key(self) -> Hashable:
        """Key of the loss: losses with equal keys compute the same."""
        return (type(self),)

    def rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of every row, shape (..., batch)."""
        raise NotImplementedError

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss: mean over the batch, sum over the model axis if there is one."""
        return self.rows(outputs, targets).mean(-1).sum()


class MixedCrossEntropy(_MixedLoss):
    """Cross-entropy against mixed labels.

    Equals λ·CE(f, y_i) + (1 − λ)·CE(f, y_j), because cross-entropy is linear in the
    target (Zhang et al. 2017, section 2).

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of every label that is spread evenly over all classes, in [0, 1).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = check_label_smoothing(label_smoothing)

    @property
    def key(self) -> Hashable:
        """Key of the loss: losses with equal keys compute the same."""
        return type(self), self.label_smoothing

    def encode(self, y: Tensor, weight: Tensor | None, n_outputs: int) -> Tensor:
        """Return target rows: one-hot, smoothed, times the weight.

        Parameters
        ----------
        y : Tensor of int64, shape (...), or of float, shape (..., classes)
            Class codes from 0, or soft labels.
        weight : Tensor, shape (...), or None
            Weight of each example; None means 1.
        n_outputs : int
            Number of classes.

        Returns
        -------
        Tensor, shape (..., classes)
        """
        if not y.is_floating_point():
            dtype = torch.float32 if weight is None else weight.dtype
            y = (y.unsqueeze(-1) == torch.arange(n_outputs, device=y.device)).to(dtype)
        if self.label_smoothing:
            y = y * (1 - self.label_smoothing) + self.label_smoothing / n_outputs
        return y if weight is None else y * weight.unsqueeze(-1)

    def rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of every row; see :func:`cross_entropy_rows`."""
        return cross_entropy_rows(outputs, targets)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gradient of :meth:`forward` with respect to the outputs."""
        # With p = softmax(outputs), w = Σ_c target_c (the weight) and B rows:
        # ∂/∂output_c of −(1/B) Σ_c target_c log p_c = (w p_c − target_c) / B.
        # The backward pass of log_softmax computes exactly that from −target / B; a target
        # that does not sum to 1 (weighted, or padding of zeros) needs no special case.
        slope = targets * (-1 / outputs.shape[-2])
        return log_softmax_backward(slope, torch.log_softmax(outputs, -1))

    def predict(self, outputs: Tensor) -> Tensor:
        """Turn outputs into probabilities."""
        return torch.softmax(outputs, -1)


class MixedValueLoss(_MixedLoss):
    """Base class of losses against values."""

    def encode(self, y: Tensor, weight: Tensor | None, n_outputs: int) -> Tensor:
        """Return target rows: the values times the weight, and the weight.

        Parameters
        ----------
        y : Tensor of float, shape (..., outputs)
            Values.
        weight : Tensor, shape (...), or None
            Weight of each example, positive; None means 1.
        n_outputs : int
            Number of outputs.

        Returns
        -------
        Tensor, shape (..., outputs + 1)
        """
        if not y.is_floating_point():
            y = y.to(torch.get_default_dtype())
        weight = torch.ones_like(y[..., :1]) if weight is None else weight.unsqueeze(-1)
        return torch.cat((y * weight, weight), -1)

    def predict(self, outputs: Tensor) -> Tensor:
        """Return the outputs as they are."""
        return outputs


class MixedSquaredError(MixedValueLoss):
    """Squared error against mixed values.

    With w̃ = λ w_i + (1 − λ) w_j and ỹ = (λ w_i y_i + (1 − λ) w_j y_j) / w̃ the loss
    of a row is w̃·(f − ỹ)²; without weights ỹ = λ y_i + (1 − λ) y_j.
    """

    def rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of every row; see :func:`squared_error_rows`."""
        return squared_error_rows(outputs, targets)

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gradient of :meth:`forward` with respect to the outputs."""
        # ∂/∂f of (1/B) (1/outputs) Σ w (f − y)² = 2 (w f − w y) / (B · outputs). Here the
        # nothing is divided by the weight, so rows of zeros need no special case.
        error = outputs * targets[..., -1:] - targets[..., :-1]
        return error * (2 / (outputs.shape[-1] * outputs.shape[-2]))


class MixedPinballLoss(MixedValueLoss):
    r"""Pinball loss against mixed values, for quantiles.

    The loss of a row is the mean over outputs and quantiles τ of
    w̃·max(τ (ỹ − f), (τ − 1) (ỹ − f)), with w̃ and ỹ as in :class:`MixedSquaredError`
    (Koenker and Bassett 1978). It is lowest at the τ-quantile of mixed values at mixed inputs,
    not of the values themselves: mixing averages the noise of two examples, so outer quantiles
    are closer together.

    Parameters
    ----------
    quantiles : sequence of float
        τ in (0, 1), ascending. A net has one output per value and quantile, the first value's
        quantiles first.
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.quantiles = check_quantiles(quantiles)

    @property
    def key(self) -> Hashable:
        """Key of the loss: losses with equal keys compute the same."""
        return type(self), self.quantiles

    def rows(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of every row, shape (..., batch)."""
        excess, levels = self._excess(outputs, targets)
        return torch.maximum((1 - levels) * excess, -levels * excess).mean((-2, -1))

    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the gradient of :meth:`forward` with respect to the outputs."""
        # With e = w (f − y): ∂/∂f of w·max((1 − τ) (f − y), −τ (f − y)) is w·([e > 0] − τ).
        # At e = 0, where the slope jumps, it is the mean of both sides, as in autograd; padding
        # has a weight of zero.
        excess, levels = self._excess(outputs, targets)
        above = torch.heaviside(excess, excess.new_tensor(0.5))
        slope = (above - levels) * targets[..., -1:].unsqueeze(-1)
        return slope.flatten(-2) / (outputs.shape[-1] * outputs.shape[-2])

    def _excess(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return w (f − y), shape (..., values, quantiles), and the quantiles."""
        values, weight = targets[..., :-1].unsqueeze(-1), targets[..., -1:].unsqueeze(-1)
        outputs = outputs.unflatten(-1, (-1, len(self.quantiles)))
        return outputs * weight - values, outputs.new_tensor(self.quantiles)


# Losses that a stack of nets may share: what they compute depends on their ``key`` alone.
STACKED_LOSSES = (MixedCrossEntropy, MixedSquaredError, MixedPinballLoss)
