"""Scaling of table columns inside the net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

# Integers that double precision cannot hold beyond 2⁵³, and their lower half.
_WIDE = (torch.int64, torch.uint64)
_LOWER = 0xFFFFFFFF

# Scaled values beyond this equal the limit exactly.
_FAR = 1e9

LARGEST = torch.finfo(torch.float64).max

# Values of a table that are converted at a time.
_AT_ONCE = 1 << 19

# Rows of a stream, or quantiles of them, that determine its scaling.
_KEPT = 256


class DoubleLayer(nn.Module):
    """A layer that stays in double precision when its net is cast or moved."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # torch calls this to cast or move a module. A cast is meant for weights, and MPS has no
        # double precision: there the layer stays on the CPU.
        device = fn(torch.empty(0, device="cpu")).device
        device = torch.device("cpu") if device.type == "mps" else device
        return super()._apply(lambda buffer: buffer.to(device), recurse)


class RobustScale(DoubleLayer):
    """Robust scaling with smooth clipping (Holzmüller et al. 2024, arXiv 2407.04491, 3.1).

    z = (x − median) / (q₇₅ − q₂₅), clipped smoothly to (−3, 3) by z / √(1 + (z/3)²).
    Columns whose quartiles coincide are scaled by half their range; constant columns
    become zero.

    Columns may hold any finite numbers. They are centred and scaled in double precision, whole
    numbers beyond 2⁵³ are centred as integers, and only the result is in single precision.
    Differences beyond float64 count as infinite. The layer stays in double precision when its
    net is cast.

    Parameters
    ----------
    center, scale : Tensor of float64, shape (features,)
        Subtracted from each column, and then its divisor.
    shift : Tensor of float64, shape (features,), default=None
        Whole numbers to subtract first, for tables with whole numbers beyond 2⁴⁴.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import RobustScale
    >>> x = torch.arange(5.0).unsqueeze(1)
    >>> RobustScale.fit(x)(x).flatten()
    tensor([-0.9487, -0.4932,  0.0000,  0.4932,  0.9487])
    """

    limit = 3.0
    center: Tensor
    scale: Tensor
    shift: Tensor | None
    seen: Tensor | None
    n_seen: Tensor | None
    one: Tensor

    def __init__(self, center: Tensor, scale: Tensor, shift: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("center", center.double())
        self.register_buffer("scale", scale.double())
        self.register_buffer("shift", shift)
        # Quantiles of all rows passed to follow, and the number of rows.
        self.register_buffer("seen", None)
        self.register_buffer("n_seen", None)
        self.register_buffer(
            "one", torch.ones((), dtype=torch.float32, device=center.device), persistent=False
        )
        self.register_load_state_dict_pre_hook(_expect_buffers)

    @property
    def width(self) -> int:
        """Number of outputs."""
        return len(self.center)

    @classmethod
    def fit(cls, x: Tensor, *, max_rows: int = 65536) -> Self:
        """Fit centre and scale to a table.

        Parameters
        ----------
        x : Tensor, shape (rows, features)
            Training rows of any dtype, on any device.
        max_rows : int, default=65536
            Larger tables are thinned to evenly spaced rows.

        Returns
        -------
        RobustScale
        """
        sample = x[:: -(-len(x) // max_rows)]
        # A few columns at a time: the whole sample in double precision may take gigabytes.
        width = max(_AT_ONCE // max(len(sample), 1), 1)
        parts = sample.split(width, 1)
        shift = _shift_of(parts)
        shifts = [None] * len(parts) if shift is None else shift.split(width)
        doubles = (in_double(*each).double() for each in zip(parts, shifts, strict=True))
        found = zip(*(_center_and_scale(double / 4) for double in doubles), strict=True)
        center, scale = map(torch.cat, found)
        return cls(center, scale, shift)

    def follow(self, x: Tensor, *, first: bool = False, max_rows: int = 65536) -> None:
        """Update centre and scale with the next rows of a stream.

        They are those of all rows of the stream so far, of which 256 quantiles per column are
        kept. A layer that was fitted to a table before does not change, except for columns that
        were constant in the table.

        Parameters
        ----------
        x : Tensor, shape (rows, features)
            The rows.
        first : bool, default=False
            Whether they are the first of the stream.
        max_rows : int, default=65536
            Larger tables are thinned to evenly spaced rows.
        """
        values = self.exact(x[:: -(-len(x) // max_rows)]).double() / 4
        if self.seen is None and not first:
            constant = self.scale == LARGEST
            center, scale = _center_and_scale(values)
            self.center = torch.where(constant, center, self.center)
            self.scale = torch.where(constant, scale, self.scale)
            return
        weight = values.new_full((len(values),), len(x) / len(values))
        if self.seen is not None and self.n_seen is not None:
            values = torch.cat([self.seen, values])
            weight = torch.cat([(self.n_seen / len(self.seen)).expand(len(self.seen)), weight])
        self.n_seen = weight.sum()
        self.seen = _quantiles(values, weight, _KEPT) if len(values) > _KEPT else values
        self.center, self.scale = _center_and_scale(self.seen)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and clip inputs of shape (..., features)."""
        return self.scaled(self.exact(x))

    def exact(self, x: Tensor) -> Tensor:
        """Return inputs as floats, minus ``shift`` if there is one."""
        return in_double(x.cpu() if x.is_mps else x, self.shift)

    def scaled(self, x: Tensor) -> Tensor:
        """Scale and clip the result of :meth:`exact`."""
        z = (x - self.center).div_(self.scale).clamp_(-_FAR, _FAR).float()
        return z * torch.addcmul(self.one, z, z, value=1 / self.limit**2).rsqrt_()


def _center_and_scale(sample: Tensor) -> tuple[Tensor, Tensor]:
    """Return both for a sample divided by 4, so that all differences are finite."""
    if not sample.shape[1]:
        return sample.new_zeros(0), sample.new_ones(0)
    low, center, high = torch.quantile(sample, sample.new_tensor([0.25, 0.5, 0.75]), dim=0)
    least, most = sample.amin(0), sample.amax(0)
    scale = torch.where(high > low, high - low, (most - least) / 2)
    # Whatever is divided by the largest number is zero in single precision.
    scale = torch.where(most > least, scale * 4, LARGEST).clamp(max=LARGEST)
    return center * 4, scale


def _quantiles(values: Tensor, weight: Tensor, count: int) -> Tensor:
    """Return evenly spaced quantiles of the columns of weighted rows, and their extremes."""
    values, order = values.sort(0)
    reached = weight[order].cumsum(0).mT.contiguous()
    steps = torch.arange(count, dtype=weight.dtype, device=weight.device) + 0.5
    levels = steps * (weight.sum() / count)
    place = torch.searchsorted(reached, levels.expand(len(reached), count).contiguous())
    chosen = values.gather(0, place.mT.clamp(max=len(values) - 1))
    chosen[0], chosen[-1] = values[0], values[-1]  # no rare value is lost
    return chosen


def in_double(x: Tensor, shift: Tensor | None) -> Tensor:
    """Return floats unchanged and whole numbers as float64, minus ``shift``."""
    if x.dtype not in _WIDE or shift is None:
        x = x if x.is_floating_point() else x.double()
        return x if shift is None else x - shift
    # The halves of 32 bits are subtracted one by one, so that nothing overflows.
    bits = x.view(torch.int64)
    upper = bits >> 32 if x.dtype == torch.int64 else bits >> 32 & _LOWER
    shift_upper = (shift / 2**32).floor()
    lower = (bits & _LOWER) - (shift - shift_upper * 2**32)
    return (upper - shift_upper).mul_(2**32).add_(lower)


def _shift_of(parts: Sequence[Tensor]) -> Tensor | None:
    """Return whole numbers near the medians of columns, if some of these are large."""
    # Quantiles between whole numbers need some bits of the 53 for their fractions.
    if parts[0].dtype not in _WIDE or all(p.double().abs().max() <= 2**44 for p in parts):
        return None
    return torch.cat([part.double().median(0).values for part in parts])


def _expect_buffers(layer: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before a state is loaded, create the optional buffers that it contains."""
    for name in ("shift", "seen", "n_seen"):
        found = state.get(f"{prefix}{name}")
        like = None if found is None else torch.zeros_like(found, device=layer.center.device)
        setattr(layer, name, like)
