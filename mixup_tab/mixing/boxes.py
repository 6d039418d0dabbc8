"""What part of an example is kept: columns of a table, or all but a box of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

AXES = ("both", "time", "frequency")


def check_axes(axes: str) -> None:
    """Refuse what does not say along which axes a box is cut.

    Parameters
    ----------
    axes : {"both", "time", "frequency"}
        What is checked.

    Raises
    ------
    ValueError
        For anything else.
    """
    if axes not in AXES:
        raise ValueError(f"axes must be one of {list(AXES)}, got {axes!r}.")


def draw_keep(
    lam: Tensor,
    features: Sequence[int],
    *,
    generator: torch.Generator,
    axes: str = "both",
) -> tuple[Tensor, Tensor]:
    """Draw for every example which of its values are kept.

    A row of a table keeps each column with probability λ. Everything else loses one box
    in its last two axes, frequency and time, the same in all channels. Its sides are
    √(1 − λ) of the axes, and its centre is uniform; what lies outside is cut off (Yun et
    al. 2019, arXiv 1905.04899, section 3.1).

    Parameters
    ----------
    lam : Tensor, shape (..., batch)
        Shares to be kept, in [0, 1], before boxes are cut off at the edges.
    features : sequence of int
        Shape of one example: ``(features,)`` for tables, ``(..., frequencies, times)``.
    generator : torch.Generator
        Source of randomness; the results lie on its device.
    axes : {"both", "time", "frequency"}, default="both"
        The axes along which a box ends. With "time" it holds all frequencies of a stretch
        of time, with "frequency" all times of a band, and its side is 1 − λ of the axis.

    Returns
    -------
    share : Tensor, shape (..., batch)
        Share of the values that are kept.
    keep : Tensor of bool, shape (..., batch, features) or (..., batch, 1, ..., \
frequencies, times)
        Values that are kept, with one entry for all channels.

    Raises
    ------
    ValueError
        If examples are single values.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing.boxes import draw_keep
    >>> source = torch.Generator().manual_seed(0)
    >>> share, keep = draw_keep(torch.tensor([0.5]), (4, 6), generator=source)
    >>> keep.int()
    tensor([[[1, 1, 0, 0, 0, 0],
             [1, 1, 0, 0, 0, 0],
             [1, 1, 1, 1, 1, 1],
             [1, 1, 1, 1, 1, 1]]], dtype=torch.int32)
    >>> share
    tensor([0.6667])
    """
    features = tuple(features)
    if not features:
        raise ValueError(
            "Only columns of a table or boxes of an image can be cut out, but an example is "
            "a single value. Use mixing='mixup'."
        )
    if len(features) == 1:
        place = {"generator": generator, "device": generator.device}
        keep = torch.rand((*lam.shape, *features), **place) < lam.unsqueeze(-1)
        return keep.float().mean(-1), keep
    share, keep = _draw_boxes(lam, features[-2], features[-1], generator, axes)
    channels = (1,) * (len(features) - 2)
    return share, keep.reshape(*lam.shape, *channels, *features[-2:])


def _draw_boxes(
    lam: Tensor, frequencies: int, times: int, generator: torch.Generator, axes: str
) -> tuple[Tensor, Tensor]:
    if axes == "both" and 1 in (frequencies, times):  # nothing to cut along that axis
        axes = "time" if frequencies == 1 else "frequency"
    part = (1 - lam).sqrt() if axes == "both" else 1 - lam
    sides = []
    for axis, length in (("frequency", frequencies), ("time", times)):
        if axes in ("both", axis):
            sides.append(_draw_side(part, length, generator))
        else:
            sides.append((torch.zeros_like(part), torch.full_like(part, length)))
    rows, columns = (high - low for low, high in sides)
    share = 1 - rows * columns / (frequencies * times)
    band, stretch = map(_within, sides, (frequencies, times))
    return share, ~(band.unsqueeze(-1) & stretch.unsqueeze(-2))


def _draw_side(part: Tensor, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return where a box begins, and the first place behind it."""
    side = (part * length).floor()
    uniform = torch.rand(part.shape, generator=generator, device=part.device)
    begin = (uniform * length).floor() - (side / 2).floor()
    return begin.clamp(min=0), (begin + side).clamp(max=length)


def _within(side: tuple[Tensor, Tensor], length: int) -> Tensor:
    place = torch.arange(length, device=side[0].device)
    begin, end = (bound.unsqueeze(-1) for bound in side)
    return (place >= begin) & (place < end)
