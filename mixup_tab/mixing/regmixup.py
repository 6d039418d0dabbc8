"""RegMixup: mixup as a term beside the usual loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mixup_tab.mixing.rule import Mix
from mixup_tab.mixing.wrapper import Wrapper


@dataclass(frozen=True)
class RegMixup(Wrapper):
    """Every batch twice: as it is, and mixed.

    The loss is (L(batch) + η L(mixed batch)) / (1 + η): that of RegMixup (Pinto et al. 2022,
    arXiv 2206.14502) up to the factor 1 + η, which makes no difference to Adam. A step costs
    twice as much as one on the batch alone. The authors use α of 10 to 20, far more than
    suits mixup alone: pass ``alpha=10``.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        How the second half is mixed.
    eta : float, default=1.0
        η > 0, what the mixed half weighs beside the other.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import RegMixup
    >>> rule, source = RegMixup(), torch.Generator().manual_seed(0)
    >>> mix = rule.draw(10.0, (4,), generator=source)
    >>> rule.mix_x(torch.eye(4), mix).shape
    torch.Size([8, 4])
    """

    eta: float = 1.0

    grows = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule.hidden or self.rule.grows:
            raise ValueError(
                f"rule={self.rule!r} cannot be used beside the batch itself. Give one that "
                "mixes inputs and keeps their number, such as Mixup()."
            )
        if not (math.isfinite(self.eta) and self.eta > 0):
            raise ValueError(f"eta must be a finite number above 0, got {self.eta!r}.")

    def mix_x(self, x: Tensor, mix: Mix) -> Tensor:
        """Return the batch and, behind it, the mixed batch.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Examples.
        mix : Mix
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape (..., 2 · batch, *features)
        """
        return torch.cat((x, self.rule.mix_x(x, mix)), mix.lam.dim() - 1)

    def mix_y(self, y: Tensor, mix: Mix) -> Tensor:
        """Return the targets and, behind them, the mixed ones, so that their mean is right.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            Target rows; the loss of a row must be linear in them.
        mix : Mix
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape (..., 2 · batch, outputs)
            The first half times 2 / (1 + η), the second times 2η / (1 + η).
        """
        clean = 2 / (1 + self.eta)
        halves = clean * y, clean * self.eta * self.rule.mix_y(y, mix)
        return torch.cat(halves, mix.lam.dim() - 1)
