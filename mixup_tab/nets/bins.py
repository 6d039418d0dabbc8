"""Columns of a table as piecewise-linear bins."""

from __future__ import annotations

import torch
from torch import Tensor

from mixup_tab.nets.mlp import MLP
from mixup_tab.nets.scaling import LARGEST, DoubleLayer, RobustScale

# Widths are filled up to a multiple of this, so that nets on other rows of the same table
# mostly have the same sizes and can be one stack.
_MULTIPLE = 32
_MOST_COLUMNS = 2048


class PiecewiseLinear(DoubleLayer):
    """Scaled columns, and beside them every column spread over bins.

    Bin t of a column with the edges b₀ < b₁ < … is min(max((x − b_{t−1}) / (b_t − b_{t−1}),
    0), 1) − ½ (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1, with quantiles as edges).
    A net on top can follow steps and kinks in single columns, as trees do. Columns of at
    most two values are only scaled.

    Parameters
    ----------
    scale : RobustScale
        Scaling of the columns.
    column : Tensor of int64, shape (bins,)
        The column of each bin.
    low, step : Tensor of float64, shape (bins,)
        Lower edge of each bin, and its width.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import PiecewiseLinear
    >>> x = torch.arange(5.0).unsqueeze(1)
    >>> layer = PiecewiseLinear.fit(x, bins=2)
    >>> layer(torch.tensor([[1.0]]))[:, 1:3]
    tensor([[ 0.0000, -0.5000]])
    """

    column: Tensor
    low: Tensor
    step: Tensor
    scale: RobustScale

    def __init__(self, scale: RobustScale, column: Tensor, low: Tensor, step: Tensor) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("column", column)
        self.register_buffer("low", low)
        self.register_buffer("step", step)

    @property
    def width(self) -> int:
        """Number of outputs, a multiple of 32; what is left over is zero."""
        used = len(self.scale.center) + len(self.column)
        return -(-used // _MULTIPLE) * _MULTIPLE

    @classmethod
    def fit(cls, x: Tensor, *, bins: int = 16, max_rows: int = 65536) -> PiecewiseLinear:
        """Read the edges off a table: quantiles, or all values where they are few.

        Parameters
        ----------
        x : Tensor, shape (rows, features)
            Training rows, on any device.
        bins : int, default=16
            Most bins per column; fewer for tables of many columns, which get about 2048
            bins in all.
        max_rows : int, default=65536
            From more rows than this, evenly spaced ones are used.

        Returns
        -------
        PiecewiseLinear
        """
        scale = RobustScale.fit(x, max_rows=max_rows)
        sample = scale.exact(x[:: -(-len(x) // max_rows)]).double()
        bins = min(bins, _MOST_COLUMNS // max(sample.shape[1], 1))
        column, edges = [], []
        for position, values in enumerate(sample.unbind(1) if bins > 1 else ()):
            cuts = values.unique()
            if len(cuts) > bins + 1:
                steps = torch.linspace(0, 1, bins + 1, dtype=cuts.dtype, device=cuts.device)
                # Quarters, so that all differences are finite.
                cuts = torch.quantile(values / 4, steps).mul_(4).unique()
            if len(cuts) > 2:
                column += [position] * (len(cuts) - 1)
                edges.append(torch.stack([cuts[:-1], cuts.diff().clamp(max=LARGEST)]))
        low, step = torch.cat(edges, 1) if edges else sample.new_empty(2, 0)
        place = torch.tensor(column, dtype=torch.int64, device=x.device)
        return cls(scale, place, low, step)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of shape (..., features) to (..., width)."""
        x = self.scale.exact(x)
        spread = x.index_select(-1, self.column) - self.low
        spread = spread.div_(self.step).clamp_(0, 1).sub_(0.5).float()
        rest = spread.new_zeros((*x.shape[:-1], self.width - x.shape[-1] - spread.shape[-1]))
        return torch.cat([self.scale.scaled(x), spread, rest], -1)


class BinnedMLP(MLP):
    """An :class:`MLP` on :class:`PiecewiseLinear` bins of the columns of a table.

    For ``MixupClassifier(module=BinnedMLP)``: better than plain scaling where the answer
    depends on thresholds in single columns. Everything is as in :class:`MLP`.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from mixup_tab import BinnedMLP, MixupClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> clf = MixupClassifier(module=BinnedMLP, max_epochs=20, random_state=0).fit(X, y)
    >>> bool(clf.score(X, y) > 0.9)
    True
    """

    fit_input_layer = PiecewiseLinear.fit
