"""CutMix and Cutout: swap or blank columns of a table, or boxes of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab.mixing._draw import draw_lam, draw_partners
from mixup_tab.mixing.rule import MixingRule, take_partners

AXES = ("both", "time", "frequency")


class Cut(NamedTuple):
    """The random decisions of one draw of CutMix, MixupCutMix, FeatMix or Cutout.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Weight of the example's own target.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    keep : Tensor, shape (..., batch, features) or (..., batch, 1, ..., height, width)
        Share of every value that the example keeps: bool, or float in [0, 1] with
        :class:`MixupCutMix`. The same for all channels of an image.
    """

    lam: Tensor
    partner: Tensor
    keep: Tensor


@dataclass(frozen=True)
class CutMix(MixingRule):
    """Combines two examples: columns of a table, or a box of an image, come from a partner.

    Every column of a table is kept with probability p ~ Beta(α, α) and otherwise taken from
    the partner; ỹ = λ y_i + (1 − λ) y_j, where λ is the share of columns kept: CutMix (Yun et
    al. 2019, arXiv 1905.04899) on tables (Kadra et al. 2021, arXiv 2106.11189). Every mixed
    value occurs in its column of the data, which suits categories and step functions.

    Examples with at least two axes, (..., height, width), are images as in Yun et al.: a box
    over the last two axes comes from the partner, in all channels. Its sides are √(1 − p) of
    the axes, its centre is uniform, and it is clipped at the edges of the image; λ is the
    share of the image kept. Spectrograms need their axes (frequencies, times) for this:
    flattened ones are treated as rows of a table.

    Parameters
    ----------
    axes : {"both", "time", "frequency"}, default="both"
        Axes that limit the box. A "time" box spans all frequencies (the second-last axis),
        a "frequency" box all times (the last axis), and 1 − p of the other axis. Not used for
        tables.

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

    swaps_columns = True

    def __post_init__(self) -> None:
        _check_axes(self.axes)

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and the values to keep; see :meth:`MixingRule.draw`."""
        lam = draw_lam(alpha, shape, generator=generator)
        share, keep = draw_keep(lam, features, generator=generator, axes=self.axes)
        return Cut(share, draw_partners(lam.shape, generator=generator), keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Take values that are not kept from the partner; see :meth:`MixingRule.mix_x`."""
        return torch.where(mix.keep, x, take_partners(x, mix.partner))


@dataclass(frozen=True)
class MixupCutMix(CutMix):
    """mixup for some examples of a batch, CutMix for the others.

    Every example is mixed either by mixup, which suits smooth functions, or by
    :class:`CutMix`, which suits categories and step functions. Touvron et al. 2021 (arXiv
    2012.12877) choose once per batch of images.

    Parameters
    ----------
    cutmix : float, default=0.5
        Probability of CutMix, in [0, 1].
    axes : {"both", "time", "frequency"}, default="both"
        Axes that limit the box, as in :class:`CutMix`.

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
            raise ValueError(f"cutmix must be in [0, 1], got {shown(self.cutmix)}.")

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and the share of every value to keep; see :meth:`MixingRule.draw`."""
        cut = super().draw(alpha, shape, features=features, generator=generator)
        lam = draw_lam(alpha, cut.lam.shape, generator=generator)
        drawn = torch.rand(cut.lam.shape, generator=generator, device=generator.device)
        cuts = drawn < self.cutmix
        # Where mixup is chosen, every value of the example keeps the same share λ.
        one_per_example = (*lam.shape, *(1,) * (cut.keep.dim() - lam.dim()))
        keep = torch.where(
            cuts.view(one_per_example), cut.keep.to(lam.dtype), lam.view(one_per_example)
        )
        return Cut(torch.where(cuts, cut.lam, lam), cut.partner, keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Mix every value by its own share; see :meth:`MixingRule.mix_x`."""
        return torch.lerp(take_partners(x, mix.partner), x, mix.keep.to(x.dtype))


@dataclass(frozen=True)
class Cutout(MixingRule):
    """Blanks a part of every example and keeps its target.

    DeVries and Taylor 2017 (arXiv 1708.04552), with boxes of random size. The blanked share is
    1 − max(λ, 1 − λ) with λ ~ Beta(α, α), at most half because the target is kept; a larger α
    blanks more. Examples with at least two axes lose a box as in :class:`CutMix`. Rows of a
    table lose columns, each with that probability.

    Parameters
    ----------
    fill : float, default=0.0
        Value of the blanked part: 0 is the mean of standardised inputs.
    axes : {"both", "time", "frequency"}, default="both"
        Axes that limit the box, as in :class:`CutMix`.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import Cutout
    >>> rule, source = Cutout(), torch.Generator().manual_seed(6)
    >>> cut = rule.draw(5.0, (1,), features=(3, 6), generator=source)
    >>> rule.mix_x(torch.ones(1, 3, 6), cut)
    tensor([[[1., 1., 1., 1., 1., 1.],
             [0., 0., 0., 1., 1., 1.],
             [1., 1., 1., 1., 1., 1.]]])
    """

    fill: float = 0.0
    axes: str = "both"

    swaps_columns = True

    def __post_init__(self) -> None:
        _check_axes(self.axes)

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw the values to keep; see :meth:`MixingRule.draw`.

        Every example is its own partner, with a λ of 1.
        """
        lam = draw_lam(alpha, shape, generator=generator)
        lam = torch.maximum(lam, 1 - lam)
        _, keep = draw_keep(lam, features, generator=generator, axes=self.axes)
        itself = torch.arange(lam.shape[-1], device=lam.device).expand(lam.shape)
        return Cut(torch.ones_like(lam), itself, keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Blank the values that are not kept; see :meth:`MixingRule.mix_x`."""
        return x.masked_fill(~mix.keep, self.fill)

    def mix_y(self, y: Tensor, mix: Cut) -> Tensor:
        """Return the targets unchanged."""
        return y


def _check_axes(axes: str) -> None:
    if axes not in AXES:
        raise ValueError(f"axes must be one of {list(AXES)}, got {shown(axes)}.")


def draw_keep(
    lam: Tensor,
    features: Sequence[int],
    *,
    generator: torch.Generator,
    axes: str = "both",
) -> tuple[Tensor, Tensor]:
    """Draw for every example which values it keeps, and return their share as well.

    Parameters
    ----------
    lam : Tensor, shape (..., batch)
        Shares to keep, in [0, 1], before boxes are clipped at the edges.
    features : sequence of int
        Shape of one example: ``(columns,)``, or ``(..., height, width)``.
    generator : torch.Generator
        Source of randomness.
    axes : {"both", "time", "frequency"}, default="both"
        As in :class:`CutMix`.

    Returns
    -------
    share : Tensor, shape (..., batch)
        Share of the values that are kept.
    keep : Tensor of bool, shape (..., batch, columns) or (..., batch, 1, ..., height, width)
        The values that are kept.
    """
    features = tuple(features)
    if not features:
        raise ValueError(
            "Only columns of a table or boxes of an image can be cut out, but an example is "
            "a single value. Use mixing='mixup'."
        )
    if len(features) == 1:
        shape = (*lam.shape, *features)
        drawn = torch.rand(shape, generator=generator, device=generator.device)
        keep = drawn < lam.unsqueeze(-1)
        return keep.float().mean(-1), keep
    share, keep = _draw_boxes(lam, features[-2], features[-1], generator, axes)
    channels = (1,) * (len(features) - 2)
    return share, keep.reshape(*lam.shape, *channels, *features[-2:])


def _draw_boxes(
    lam: Tensor, height: int, width: int, generator: torch.Generator, axes: str
) -> tuple[Tensor, Tensor]:
    """Yun et al. 2019, section 3.1: a box of area 1 − λ with a uniform centre."""
    if axes == "both" and 1 in (height, width):  # an axis of length 1 cannot be cut
        axes = "time" if height == 1 else "frequency"
    part = (1 - lam).sqrt() if axes == "both" else 1 - lam
    sides = []
    for axis, length in (("frequency", height), ("time", width)):
        if axes in ("both", axis):
            sides.append(_draw_side(part, length, generator))
        else:
            sides.append((torch.zeros_like(part), torch.full_like(part, length)))
    rows, columns = (end - begin for begin, end in sides)
    share = 1 - rows * columns / (height * width)
    in_rows, in_columns = map(_between, sides, (height, width))
    return share, ~(in_rows.unsqueeze(-1) & in_columns.unsqueeze(-2))


def _draw_side(part: Tensor, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the first place of a box and the first place after it."""
    side = (part * length).floor()
    uniform = torch.rand(part.shape, generator=generator, device=part.device)
    begin = (uniform * length).floor() - (side / 2).floor()
    return begin.clamp(min=0), (begin + side).clamp(max=length)


def _between(side: tuple[Tensor, Tensor], length: int) -> Tensor:
    place = torch.arange(length, device=side[0].device)
    begin, end = (bound.unsqueeze(-1) for bound in side)
    return (place >= begin) & (place < end)
