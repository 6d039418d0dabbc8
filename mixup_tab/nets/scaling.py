"""Scaling of table columns inside the net."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RobustScale(nn.Module):
    """Robust scaling with smooth clipping (Holzmüller et al. 2024, arXiv 2407.04491, 3.1).

    z = (x − median) / (q₇₅ − q₂₅), clipped smoothly to (−3, 3) by z / √(1 + (z/3)²).
    Columns whose quartiles coincide are scaled by half their range; constant columns
    become zero.

    Parameters
    ----------
    center, scale : Tensor, shape (features,)
        What is subtracted from each column, and what it is then multiplied by.

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

    def __init__(self, center: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)

    @property
    def width(self) -> int:
        """Number of outputs."""
        return len(self.center)

    @classmethod
    def fit(cls, x: Tensor, *, max_rows: int = 65536) -> RobustScale:
        """Read centre and scale off a table.

        Parameters
        ----------
        x : Tensor, shape (rows, features)
            Training rows, on any device.
        max_rows : int, default=65536
            From more rows than this, evenly spaced ones are used.

        Returns
        -------
        RobustScale
        """
        sample = x[:: -(-len(x) // max_rows)].double()
        low, center, high = torch.quantile(sample, sample.new_tensor([0.25, 0.5, 0.75]), dim=0)
        least, most = sample.amin(0), sample.amax(0)
        width = torch.where(high > low, high - low, (most - least) / 2)
        scale = torch.where(width > 0, 1 / width, 0.0)
        return cls(center.to(x.dtype), scale.to(x.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Scale and clip inputs of shape (..., features)."""
        z = (x - self.center).mul_(self.scale)
        return z * torch.rsqrt_((z / self.limit).square_().add_(1))
