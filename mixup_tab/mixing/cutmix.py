"""CutMix of tables: columns of two rows, swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab.mixing.draw import beta, partners
from mixup_tab.mixing.rule import MixingRule, blend, take_partners


class Cut(NamedTuple):
    """What one draw decided for a number of batches.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Share of the columns that an example keeps, the weight of its own target.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    keep : Tensor of bool, shape (..., batch, features)
        Columns that an example keeps; the others come from its partner.
    """

    lam: Tensor
    partner: Tensor
    keep: Tensor


@dataclass(frozen=True)
class CutMix(MixingRule):
    """Rows of a table whose columns come from two examples.

    Every column is kept with probability p ~ Beta(α, α) and else taken from the partner;
    ỹ = λ y_i + (1 − λ) y_j, where λ is the share of columns that were kept. CutMix (Yun
    et al. 2019, arXiv 1905.04899) on tables (Kadra et al. 2021, arXiv 2106.11189).
    No value appears that was not in its column before, which suits categories and
    functions with steps.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab import CutMix
    >>> x, y = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), torch.eye(2)
    >>> rule, source = CutMix(), torch.Generator().manual_seed(1)
    >>> cut = rule.draw(1.0, (2,), features=(4,), generator=source)
    >>> rule.mix_x(x, cut)
    tensor([[1., 6., 3., 4.],
            [1., 6., 3., 8.]])
    """

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and the columns that are kept.

        Parameters
        ----------
        alpha : float
            Parameter of Beta(α, α); 0 keeps every column.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example, ``(features,)``.
        generator : torch.Generator
            Source of randomness.
        labels : None
            Not used.

        Returns
        -------
        Cut

        Raises
        ------
        ValueError
            If the examples are not rows of a table.
        """
        if len(features) != 1:
            raise ValueError(
                "CutMix swaps columns of a table, but one example has the shape "
                f"{tuple(features)}. Use mixing='mixup'."
            )
        shape = tuple(shape)
        kept = beta(alpha, shape, generator=generator).unsqueeze(-1)
        place = {"generator": generator, "device": generator.device}
        keep = torch.rand((*shape, *features), **place) < kept
        partner = partners(shape, generator=generator)
        return Cut(keep.float().mean(-1), partner, keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Swap columns.

        Parameters
        ----------
        x : Tensor, shape (..., batch, features)
            Examples.
        mix : Cut
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``x``
        """
        return torch.where(mix.keep, x, take_partners(x, mix.partner))

    def mix_y(self, y: Tensor, mix: Cut) -> Tensor:
        """Mix targets by the share of columns.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            One-hot rows, soft targets or values.
        mix : Cut
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``y``
        """
        return blend(y, take_partners(y, mix.partner), mix.lam)
