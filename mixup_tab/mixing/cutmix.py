"""CutMix: columns of two rows of a table, or boxes of two images, swapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab.mixing.boxes import check_axes, draw_keep
from mixup_tab.mixing.draw import beta, partners
from mixup_tab.mixing.rule import MixingRule, blend, take_partners


class Cut(NamedTuple):
    """What one draw decided for a number of batches.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Share of its values that an example keeps, the weight of its own target.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    keep : Tensor of bool, shape (..., batch, features), or (..., batch, 1, ..., frequencies, \
times) for all channels
        Values that an example keeps; the others come from its partner.
    """

    lam: Tensor
    partner: Tensor
    keep: Tensor


@dataclass(frozen=True)
class CutMix(MixingRule):
    """Examples whose values come from two: columns of a table, boxes of a spectrogram.

    Every column of a table is kept with probability p ~ Beta(α, α) and else taken from
    the partner; ỹ = λ y_i + (1 − λ) y_j, where λ is the share of columns that were kept.
    CutMix (Yun et al. 2019, arXiv 1905.04899) on tables (Kadra et al. 2021, arXiv
    2106.11189). No value appears that was not in its column before, which suits categories
    and functions with steps.

    Examples with at least two axes, (..., frequencies, times), are images as in Yun et al.:
    a box over the last two axes comes from the partner, in all channels. Its sides are
    √(1 − p) of the axes, its centre is uniform, what lies outside is cut off, and λ is the
    share that was kept. Flattened spectrograms are rows of a table here: for boxes, pass
    them with their axes.

    Parameters
    ----------
    axes : {"both", "time", "frequency"}, default="both"
        Axes along which a box ends. With "time" it holds all frequencies of a stretch of
        time, with "frequency" all times of a band, 1 − p of the axis. Makes no difference
        for tables.

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

    axes: str = field(default="both", kw_only=True)

    def __post_init__(self) -> None:
        check_axes(self.axes)

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
        alpha : float
            Parameter of Beta(α, α); 0 keeps everything.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example, ``(features,)`` or ``(..., frequencies, times)``.
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
            If examples are single values.
        """
        kept = beta(alpha, shape, generator=generator)
        share, keep = draw_keep(kept, features, generator=generator, axes=self.axes)
        return Cut(share, partners(kept.shape, generator=generator), keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Swap columns or boxes.

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
        return torch.where(mix.keep, x, take_partners(x, mix.partner))

    def mix_y(self, y: Tensor, mix: Cut) -> Tensor:
        """Mix targets by the share that was kept.

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
