"""mixup and CutMix side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixup_tab.mixing.cutmix import Cut, CutMix
from mixup_tab.mixing.draw import beta
from mixup_tab.mixing.rule import take_partners


@dataclass(frozen=True)
class MixupCutMix(CutMix):
    """mixup for some examples, swapped columns or boxes for the others.

    Each example is mixed by :class:`CutMix` with probability ``cutmix``, and else by
    :class:`Mixup`: between neighbours where the answer is smooth, without values that no
    row has where it is not. As is usual for images (Touvron et al. 2021, arXiv 2012.12877),
    but drawn for every example rather than for a batch.

    Parameters
    ----------
    cutmix : float, default=0.5
        Probability of CutMix, in [0, 1].
    axes : {"both", "time", "frequency"}, default="both"
        Axes along which a box ends, as in :class:`CutMix`.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab import MixupCutMix
    >>> x, source = torch.eye(3), torch.Generator().manual_seed(0)
    >>> rule = MixupCutMix()
    >>> mix = rule.draw(1.0, (3,), features=(3,), generator=source)
    >>> rule.mix_x(x, mix).shape
    torch.Size([3, 3])
    """

    cutmix: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.cutmix <= 1:
            raise ValueError(f"cutmix must lie in [0, 1], got {self.cutmix!r}.")

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and the share that every value keeps.

        Parameters
        ----------
        alpha, shape, features, generator, labels
            As in :meth:`CutMix.draw`.

        Returns
        -------
        Cut
            ``keep`` holds λ everywhere in an example that is mixed by mixup.
        """
        cut = super().draw(alpha, shape, features=features, generator=generator)
        lam = beta(alpha, cut.lam.shape, generator=generator)
        drawn = torch.rand(cut.lam.shape, generator=generator, device=generator.device)
        cuts = drawn < self.cutmix
        spread = (*lam.shape, *(1,) * (cut.keep.dim() - lam.dim()))
        keep = torch.where(cuts.view(spread), cut.keep.to(lam.dtype), lam.view(spread))
        return Cut(torch.where(cuts, cut.lam, lam), cut.partner, keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Mix inputs, value by value.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Examples.
        mix : Cut
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``x``
        """
        return torch.lerp(take_partners(x, mix.partner), x, mix.keep.to(x.dtype))
