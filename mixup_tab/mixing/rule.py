"""The interface of a mixing rule: draw parameters, apply them to x, apply them to y."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """What one draw decided for a number of batches.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Weight of the example itself; its partner gets ``1 - lam``.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    """

    lam: Tensor
    partner: Tensor


class MixingRule(ABC):
    """How examples are mixed.

    A rule is a value without state: :meth:`draw` makes the random decisions, the two
    other methods apply them. ``needs_labels`` says whether :meth:`draw` looks at the
    classes of the examples, which rules a rule out for regression.
    """

    needs_labels: bool = False

    @abstractmethod
    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Mix:
        """Draw weights and partners for batches of shape ``(..., batch, *features)``."""

    @abstractmethod
    def mix_x(self, x: Tensor, mix: Mix) -> Tensor:
        """Mix inputs of shape ``(..., batch, *features)``."""

    @abstractmethod
    def mix_y(self, y: Tensor, mix: Mix) -> Tensor:
        """Mix targets of shape ``(..., batch, outputs)``: one-hot rows or values."""


def take_partners(x: Tensor, partner: Tensor) -> Tensor:
    """Return the partner of every example.

    Parameters
    ----------
    x : Tensor, shape (..., batch, *rest)
        Examples.
    partner : Tensor of int64, shape (..., batch)
        Positions along the batch axis.

    Returns
    -------
    Tensor, shape of ``x``
    """
    batch = partner.shape[-1]
    rows = partner.reshape(-1, batch) + _starts(partner.numel(), batch, partner.device)
    flat = x.reshape(-1, *x.shape[partner.dim() :])
    return flat.index_select(0, rows.flatten()).view(x.shape)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _starts(total: int, batch: int, device: torch.device) -> Tensor:
    """Positions of the first example of every batch, as a column."""
    return torch.arange(0, total, max(batch, 1), device=device).unsqueeze(1)


def blend(own: Tensor, other: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam * own + (1 - lam) * other``, exactly ``own`` where ``lam`` is 1.

    Parameters
    ----------
    own, other : Tensor, shape (..., batch, *rest)
        What is mixed.
    lam : Tensor, shape (..., batch)
        Weights in [0, 1].

    Returns
    -------
    Tensor, shape of ``own``
    """
    weight = lam.to(own.dtype).reshape(lam.shape + (1,) * (own.dim() - lam.dim()))
    return torch.lerp(other, own, weight)
