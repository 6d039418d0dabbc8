"""Feat-Mix: CutMix whose labels are weighed by what the kept features tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mixup_tab.mixing.constants import shares_on_device
from mixup_tab.mixing.cutmix import Cut, CutMix
from mixup_tab.mixing.information import information_of


@dataclass(frozen=True)
class FeatMix(CutMix):
    """Swapped columns or boxes, weighed by the information that is kept.

    Examples are mixed as by :class:`CutMix`, and ỹ = λ y_i + (1 − λ) y_j where λ is the
    share of mutual information with the target, Σ I(kept) / Σ I(all), instead of the share
    of columns: swapping a column that tells nothing leaves the label as it is. Feat-Mix of
    ExcelFormer (Chen et al. 2023, arXiv 2301.02819). In images λ is the information of the
    values outside of the box.

    Parameters
    ----------
    information : tuple of float, default=None
        Mutual information of every feature with the target, at least 0, of one example
        flattened. None lets training estimate it, from the rows that it trains on only.
        Where all of it is 0, every feature counts the same.
    axes : {"both", "time", "frequency"}, default="both"
        Axes along which a box ends, as in :class:`CutMix`.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import FeatMix
    >>> rule, source = FeatMix(information=(3.0, 1.0)), torch.Generator().manual_seed(4)
    >>> cut = rule.draw(1.0, (3,), features=(2,), generator=source)
    >>> cut.keep.int().tolist(), cut.lam.tolist()
    ([[0, 1], [1, 0], [0, 0]], [0.25, 0.75, 0.0])
    """

    information: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.information is None:
            return
        object.__setattr__(self, "information", tuple(map(float, self.information)))
        if not all(math.isfinite(one) and one >= 0 for one in self.information):
            raise ValueError(
                "information must hold finite numbers of at least 0, one for every feature, "
                f"got {self.information!r}."
            )

    def learn(self, take: Callable[[Tensor], Tensor], y: Tensor) -> FeatMix:
        """Return the rule with the information of the training rows.

        Parameters
        ----------
        take : callable
            Gives the inputs, as they are mixed, at positions of training rows.
        y : Tensor, shape (rows,) or (rows, outputs)
            Class codes, or values.

        Returns
        -------
        FeatMix
            The rule itself where ``information`` is given.
        """
        if self.information is not None:
            return self
        return replace(self, information=tuple(information_of(take, y).tolist()))

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and what is kept.

        Parameters
        ----------
        alpha, shape, features, generator, labels
            As in :meth:`CutMix.draw`.

        Returns
        -------
        Cut
            ``lam`` is the share of information that is kept.

        Raises
        ------
        ValueError
            If the information is not known, or is that of other features.
        """
        cut = super().draw(alpha, shape, features=features, generator=generator)
        # Boxes are the same in all channels.
        places = tuple(features) if len(features) == 1 else tuple(features)[-2:]
        share = self._shares(features, cut.lam.device).view(-1, math.prod(places)).sum(0)
        gone = (~cut.keep).reshape(*cut.lam.shape, -1).to(share.dtype)
        return cut._replace(lam=(1 - gone @ share).clamp(0, 1))

    def _shares(self, features: Sequence[int], device: torch.device) -> Tensor:
        if self.information is None:
            raise ValueError(
                "FeatMix does not know the information of the features yet. fit learns it from "
                "a table; elsewhere call learn, or pass FeatMix(information=...)."
            )
        if len(self.information) != math.prod(features):
            raise ValueError(
                f"information must hold {math.prod(features)} numbers, one for every feature, "
                f"got {len(self.information)}."
            )
        return shares_on_device(self.information, device)
