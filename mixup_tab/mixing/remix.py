"""Remix: mixup for classes of unequal size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab.mixing.constants import on_device
from mixup_tab.mixing.draw import beta, partners
from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.rule import MixingRule, blend, take_partners


class Rebalanced(NamedTuple):
    """What one draw decided for a number of batches.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Weight of the example's own inputs.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    lam_y : Tensor, shape (..., batch)
        Weight of the example's own target.
    """

    lam: Tensor
    partner: Tensor
    lam_y: Tensor


@dataclass(frozen=True)
class Remix(MixingRule):
    """mixup whose labels lean to the rarer class.

    Inputs are mixed as by :class:`Mixup`. With n_i and n_j rows of the two classes, the label
    of the example weighs 0 if n_i / n_j ≥ κ and λ < τ, 1 if n_i / n_j ≤ 1/κ and 1 − λ < τ,
    else λ (Chou et al. 2020, arXiv 2007.03943, equation 4).

    Parameters
    ----------
    kappa : float, default=3.0
        κ ≥ 1: how many times as large a class must be to count as the larger one.
    tau : float, default=0.5
        τ in [0, 1]: the larger class loses its label where its weight is below. 0 is mixup.
    class_counts : tuple of int, default=None
        Rows of every class, by code. None lets training count the rows that it trains on.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import Remix
    >>> rule, labels = Remix(class_counts=(90, 10)), torch.tensor([0, 0, 0, 1])
    >>> source = torch.Generator().manual_seed(0)
    >>> mix = rule.draw(1.0, (4,), generator=source, labels=labels)
    >>> rule.mix_y(torch.eye(2)[labels], mix).sum(dim=1)
    tensor([1., 1., 1., 1.])
    """

    kappa: float = 3.0
    tau: float = 0.5
    class_counts: tuple[int, ...] | None = None

    needs_labels = True
    kind = "classes"

    def __post_init__(self) -> None:
        if not self.kappa >= 1:
            raise ValueError(f"kappa must be at least 1, got {self.kappa!r}.")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"tau must lie in [0, 1], got {self.tau!r}.")
        if self.class_counts is None:
            return
        object.__setattr__(self, "class_counts", tuple(self.class_counts))
        if not all(count >= 0 for count in self.class_counts):
            raise ValueError(
                f"class_counts must hold numbers of rows, got {self.class_counts!r}."
            )

    def learn(self, take: Callable[[Tensor], Tensor], y: Tensor) -> Remix:
        """Return the rule with the number of training rows of every class.

        Parameters
        ----------
        take : callable
            Not used.
        y : Tensor of int, shape (rows,)
            Class codes.

        Returns
        -------
        Remix
            The rule itself where ``class_counts`` is given.

        Raises
        ------
        ValueError
            If ``class_counts`` holds too few numbers.
        """
        if self.class_counts is not None:
            n_classes = int(y.max()) + 1
            if len(self.class_counts) < n_classes:
                raise ValueError(
                    f"class_counts must hold {n_classes} numbers of rows, one for every class, "
                    f"got {self.class_counts!r}."
                )
            return self
        return replace(self, class_counts=tuple(torch.bincount(y).tolist()))

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Rebalanced:
        """Draw weights and partners.

        Parameters
        ----------
        alpha : float
            Parameter of Beta(α, α); 0 gives λ = 1.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example; makes no difference.
        generator : torch.Generator
            Source of randomness.
        labels : Tensor of int, shape ``shape``
            Class codes.

        Returns
        -------
        Rebalanced

        Raises
        ------
        ValueError
            If the labels are missing or the sizes of the classes are not known.
        """
        if labels is None:
            raise ValueError("Remix needs class labels; use 'mixup' for regression.")
        if self.class_counts is None:
            raise ValueError(
                "Remix does not know the sizes of the classes yet. fit counts them in a table; "
                "elsewhere call learn, or pass Remix(class_counts=...)."
            )
        lam = beta(alpha, shape, generator=generator)
        partner = partners(shape, generator=generator)
        own = on_device(self.class_counts, lam.device)[labels.to(lam.device)]
        other = take_partners(own, partner)
        to_partner = (own >= self.kappa * other) & (lam < self.tau)
        to_itself = (other >= self.kappa * own) & (1 - lam < self.tau)
        lam_y = lam.masked_fill(to_itself, 1).masked_fill(to_partner, 0)
        return Rebalanced(lam, partner, lam_y)

    mix_x = Mixup.mix_x

    def mix_y(self, y: Tensor, mix: Rebalanced) -> Tensor:
        """Mix targets, by weights of their own.

        Parameters
        ----------
        y : Tensor, shape (..., batch, classes)
            One-hot rows or soft targets.
        mix : Rebalanced
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``y``
        """
        return blend(y, take_partners(y, mix.partner), mix.lam_y)
