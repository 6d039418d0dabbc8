"""The interface of a mixing rule: draw parameters, apply them to x, apply them to y."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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
    other methods apply them. Subclasses are frozen dataclasses that compare by their fields.

    Attributes
    ----------
    needs_labels : bool
        Whether :meth:`draw` looks at the targets of the examples: class codes, or values
        where ``kind`` is "values".
    kind : {"any", "classes", "values"}
        What targets the rule is for; "classes" rules it out for regression and "values" for
        classification.
    hidden : bool
        Whether inputs are left alone and a hidden layer of the net is mixed.
    grows : bool
        Whether a mixed batch has more examples than the batch it was made of.
    """

    needs_labels: bool = False
    kind: str = "any"
    hidden: bool = False
    grows: bool = False

    def learn(self, take: Callable[[Tensor], Tensor], y: Tensor) -> MixingRule:
        """Return the rule with what it must know of the training rows.

        Parameters
        ----------
        take : callable
            Gives the inputs, as they are mixed, at positions of training rows.
        y : Tensor, shape (rows,) or (rows, outputs)
            Class codes, or values.

        Returns
        -------
        MixingRule
            The rule itself where there is nothing to know.
        """
        return self

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
