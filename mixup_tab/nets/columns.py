"""Input layers for tables: numbers are scaled and embedded, categories one-hot encoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixup_tab.nets.scaling import LARGEST, DoubleLayer, RobustScale

# "none" is robust scaling only.
EMBEDDINGS = ("none", "quantile", "target", "periodic")

# Outputs per number and in total; wide tables get fewer per number.
_OUTPUTS = {"quantile": 16, "target": 32, "periodic": 16}
_MOST_OUTPUTS = 2048
# Rows per bin of a tree, and its minimum of bins: more bins would fit noise.
_ROWS_PER_BIN, _LEAST_BINS = 64, 4
# Standard deviation of the frequencies of cosines, for scaled columns.
_SIGMA = 0.1
# Bins are fitted to at most this many values, but always to some thousand rows.
_BIN_VALUES, _LEAST_BIN_ROWS = 1 << 22, 4096
# Least standard deviation that an output is divided by, so that rare levels do not dominate.
_LEAST_STD = 0.1
# Widths are padded to a multiple of this, so that nets for other rows of the same table
# usually have the same sizes and can be stacked.
_MULTIPLE = 32

# Pairs of a column of codes and its number of levels.
Categories = Sequence[tuple[int, int]]


class PiecewiseLinear(DoubleLayer):
    """Piecewise-linear encoding of numbers.

    Bin t of a column with the edges b₀ < b₁ < … is min(max((x − b_{t−1}) / (b_t − b_{t−1}),
    0), 1) (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1, but flat beyond the outer edges). A
    net on top can follow steps and kinks in single columns, as trees do.

    Parameters
    ----------
    column : Tensor of int64, shape (bins,)
        The column of each bin.
    low, step : Tensor of float64, shape (bins,)
        Lower edge of each bin, and its width.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import PiecewiseLinear
    >>> x = torch.arange(5.0, dtype=torch.float64).unsqueeze(1)
    >>> PiecewiseLinear.fit(x, bins=2)(torch.tensor([[1.0]]))
    tensor([[0.5000, 0.0000]])
    """

    column: Tensor
    low: Tensor
    step: Tensor

    def __init__(self, column: Tensor, low: Tensor, step: Tensor) -> None:
        super().__init__()
        self.register_buffer("column", column)
        self.register_buffer("low", low)
        self.register_buffer("step", step)

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        bins: int = 16,
    ) -> PiecewiseLinear:
        """Fit the edges to a table.

        Edges are quantiles, or all values if there are few. With a target they are the
        thresholds of one decision tree per column (section 3.2.2 of the paper). Columns of at
        most two values, and those that a tree cannot split, get no bins.

        Parameters
        ----------
        x : Tensor of float64, shape (rows, features)
            Training rows.
        y : ndarray, shape (rows,) of class codes or (rows, outputs) of values, default=None
            Target.
        weight : ndarray, shape (rows,), default=None
            Weights of the rows, for trees.
        bins : int, default=16
            Maximum number of bins per column.

        Returns
        -------
        PiecewiseLinear
        """
        column, edges = [], []
        for position, values in enumerate(x.unbind(1) if bins > 1 else ()):
            distinct, rank = values.unique(return_inverse=True)
            if len(distinct) < 3:
                continue
            if y is None:
                cuts = _quantile_edges(values, distinct, bins)
            else:
                cuts = _tree_edges(distinct, rank, y, weight, bins)
            if len(cuts) > 2:
                column += [position] * (len(cuts) - 1)
                edges.append(torch.stack([cuts[:-1], cuts.diff().clamp(max=LARGEST)]))
        low, step = torch.cat(edges, 1) if edges else x.new_empty(2, 0)
        return cls(torch.tensor(column, dtype=torch.int64, device=x.device), low, step)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of shape (..., features) to (..., bins)."""
        spread = x.index_select(-1, self.column) - self.low
        return spread.div_(self.step).clamp_(0, 1).float()


def _quantile_edges(values: Tensor, distinct: Tensor, bins: int) -> Tensor:
    if len(distinct) <= bins + 1:
        return distinct
    steps = torch.linspace(0, 1, bins + 1, dtype=values.dtype, device=values.device)
    # Quarters, so that all differences are finite.
    return torch.quantile(values / 4, steps).mul_(4).unique()


def _tree_edges(
    distinct: Tensor, rank: Tensor, y: np.ndarray, weight: np.ndarray | None, bins: int
) -> Tensor:
    """Return the extremes and the thresholds of a tree between them."""
    from sklearn import tree  # not needed to predict, and takes a while to import

    kind = tree.DecisionTreeClassifier if y.ndim == 1 else tree.DecisionTreeRegressor
    least = max(20, len(y) // 1000)
    model = kind(max_leaf_nodes=bins, min_samples_leaf=least, random_state=0)
    # Fitted to ranks, because scikit-learn's trees would cast values to single precision. And
    # by _fit, as in forests: MLflow's autologging records every public fit as a model.
    nodes = model._fit(rank.unsqueeze(1).float().cpu().numpy(), y, weight).tree_
    splits = nodes.threshold[nodes.children_left != nodes.children_right]  # ranks k + ½
    below = torch.as_tensor(np.sort(splits), device=rank.device).long()
    middle = distinct[below] / 2 + distinct[below + 1] / 2
    return torch.cat([distinct[:1], middle, distinct[-1:]]).unique()


class Periodic(DoubleLayer):
    """Cosines cos(2π (f z + b)) of scaled numbers z.

    Frequencies f ~ N(0, σ²) and phases b ~ U(0, 1) are drawn once and stay fixed. The first
    layer of the net is the linear part of the PBLD embedding (Holzmüller et al. 2024, arXiv
    2407.04491, A.1), which also trains f and b.

    Parameters
    ----------
    frequency, phase : Tensor of float32, shape (features, cosines)
        f and b of every column.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import Periodic
    >>> layer = Periodic(torch.tensor([[0.5, 1.0]]), torch.zeros(1, 2))
    >>> layer(torch.tensor([[1.0]]))
    tensor([[-1.,  1.]])
    """

    frequency: Tensor
    phase: Tensor

    def __init__(self, frequency: Tensor, phase: Tensor) -> None:
        super().__init__()
        self.register_buffer("frequency", frequency)
        self.register_buffer("phase", phase)

    @classmethod
    def draw(cls, features: int, cosines: int, *, seed: int, sigma: float = _SIGMA) -> Periodic:
        """Draw frequencies and phases.

        Parameters
        ----------
        features, cosines : int
            Number of columns, and of cosines per column.
        seed : int
            Seed of the generator.
        sigma : float, default=0.1
            Standard deviation of the frequencies.

        Returns
        -------
        Periodic
        """
        source, shape = torch.Generator().manual_seed(seed), (features, cosines)
        frequency = torch.randn(shape, generator=source, dtype=torch.float32) * sigma
        return cls(frequency, torch.rand(shape, generator=source, dtype=torch.float32))

    @property
    def column(self) -> Tensor:
        """The column of each output."""
        features, cosines = self.frequency.shape
        return torch.arange(features, device=self.phase.device).repeat_interleave(cosines)

    def forward(self, z: Tensor) -> Tensor:
        """Map inputs of shape (..., features) to (..., features · cosines)."""
        turns = torch.addcmul(self.phase, z.unsqueeze(-1), self.frequency)
        return torch.cos(turns.mul_(2 * math.pi)).flatten(-2)


class Columns(DoubleLayer):
    """Input layer for a table with numbers and categories.

    Its outputs are the scaled numbers; their embedding, if any; a column of 0 and 1 for every
    level of a category; and zeros as padding. All but the scaled numbers are standardised: the
    mean is subtracted, and the rest is divided by the standard deviation, but at least by 0.1,
    so that rare levels do not dominate. Outputs that are constant in the training rows are 0.
    The code −1, for a missing or unknown category, has no level.

    Parameters
    ----------
    scale : RobustScale
        Scaling of the numbers.
    encoding : PiecewiseLinear or Periodic, default=None
        Embedding of the numbers.
    n_columns : int
        Number of columns of the table.
    categories : sequence of (int, int), default=()
        Pairs of a column of codes 0, 1, … and its number of levels. The other columns are
        numbers.

    Attributes
    ----------
    width : int
        Number of outputs, a multiple of 32.
    groups : Tensor of int64, shape (width,)
        The column of each output, 0 for padding.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import Columns
    >>> x = torch.tensor([[0.1, 0], [0.5, 1], [0.9, 2], [0.4, 1]])
    >>> layer = Columns.fit(x, embedding="none", categories=[(1, 3)])
    >>> layer(x).shape, layer.groups[:4]
    (torch.Size([4, 32]), tensor([0, 1, 1, 1]))
    """

    numbers: Tensor
    level_column: Tensor
    level: Tensor
    gain: Tensor
    offset: Tensor

    def __init__(
        self,
        scale: RobustScale,
        encoding: PiecewiseLinear | Periodic | None = None,
        *,
        n_columns: int,
        categories: Categories = (),
    ) -> None:
        super().__init__()
        self.scale, self.encoding, self.n_columns = scale, encoding, n_columns
        self.categories = tuple(categories)
        codes = {column for column, _ in categories}
        numbers = [column for column in range(n_columns) if column not in codes]
        levels = [(column, level) for column, count in categories for level in range(count)]
        places = torch.tensor(levels, dtype=torch.int64).view(-1, 2).to(scale.center.device)
        # Derived from the arguments, so they are not part of the state.
        for name, value in (
            ("numbers", torch.tensor(numbers, dtype=torch.int64).to(places)),
            ("level_column", places[:, 0].contiguous()),
            ("level", places[:, 1].contiguous()),
        ):
            self.register_buffer(name, value, persistent=False)
        count = len(self._sources()) - len(numbers)
        self.register_buffer("gain", torch.ones(count, device=places.device))
        self.register_buffer("offset", torch.zeros(count, device=places.device))

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        embedding: str = "quantile",
        categories: Categories = (),
        seed: int = 0,
        max_rows: int = 65536,
    ) -> Columns:
        """Fit scaling, embedding and standardisation to training rows.

        Parameters
        ----------
        x : Tensor, shape (rows, columns)
            Training rows of any dtype, on any device.
        y : ndarray, shape (rows,) of class codes or (rows, outputs) of values, default=None
            Target, for ``embedding="target"``.
        weight : ndarray, shape (rows,), default=None
            Weights of the rows, for ``embedding="target"``.
        embedding : {"none", "quantile", "target", "periodic"}, default="quantile"
            "quantile": :class:`PiecewiseLinear` with at most 16 bins per column; "target": with
            one bin per 64 rows, 4 to 32, from a decision tree; "periodic": 16 cosines
            (:class:`Periodic`). Wide tables get fewer, about 2048 in total.
        categories : sequence of (int, int), default=()
            Pairs of a column of codes and its number of levels.
        seed : int, default=0
            Seed of the cosines.
        max_rows : int, default=65536
            Larger tables are thinned to evenly spaced rows.

        Returns
        -------
        Columns
        """
        # First of all, because the table may be larger than memory.
        x = thinned(x, max_rows)
        y, weight = (None if part is None else thinned(part, max_rows) for part in (y, weight))
        codes = {column for column, _ in categories}
        kept = [column for column in range(x.shape[1]) if column not in codes]
        numbers = x[:, kept] if codes else x
        scale = RobustScale.fit(numbers, max_rows=max_rows)
        encoding = _fit_encoding(scale, numbers, y, weight, embedding=embedding, seed=seed)
        layer = cls(scale, encoding, n_columns=x.shape[1], categories=categories)
        layer._standardise(x)
        return layer.to(x.device)

    @torch.no_grad()
    def _standardise(self, x: Tensor) -> None:
        sums = torch.zeros(2, len(self.gain), dtype=torch.float64, device=x.device)
        for part in x.split(4096):
            values = self.parts(part)[1].double()
            sums += torch.stack([values.sum(0), values.square().sum(0)])
        mean, square = sums / len(x)
        variance = square - mean**2
        gain = variance.sqrt().clamp(min=_LEAST_STD).reciprocal()
        gain = torch.where(variance > 1e-9, gain, 0)
        self.gain, self.offset = gain.float(), (-mean * gain).float()

    def _sources(self) -> Tensor:
        """The column of each output, without padding."""
        embedded = [] if self.encoding is None else [self.numbers[self.encoding.column]]
        return torch.cat([self.numbers, *embedded, self.level_column])

    @property
    def groups(self) -> Tensor:
        """The column of each output, 0 for padding."""
        sources = self._sources()
        return torch.cat([sources, sources.new_zeros(self.width - len(sources))])

    @property
    def width(self) -> int:
        """Number of outputs, a multiple of 32."""
        return -(-(len(self.numbers) + len(self.gain)) // _MULTIPLE) * _MULTIPLE

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs of shape (..., columns) to (..., width)."""
        scaled, encoded = self.parts(x)
        encoded = torch.addcmul(self.offset, encoded, self.gain)
        used = scaled.shape[-1] + encoded.shape[-1]
        rest = encoded.new_zeros((*x.shape[:-1], self.width - used))
        return torch.cat([scaled, encoded, rest], -1)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scaled numbers, and embedded numbers and levels before standardisation."""
        x = x.cpu() if x.is_mps else x
        exact = self.scale.exact(self._numbers(x))
        scaled = self.scale.scaled(exact)
        encoded = []
        if self.encoding is not None:
            cosines = isinstance(self.encoding, Periodic)
            encoded.append(self.encoding(scaled if cosines else exact))
        if len(self.level):
            encoded.append((x.index_select(-1, self.level_column) == self.level).float())
        return scaled, torch.cat(encoded, -1) if encoded else scaled[..., :0]

    def _numbers(self, x: Tensor) -> Tensor:
        return x.index_select(-1, self.numbers) if self.categories else x

    def follow(self, x: Tensor, *, first: bool = False) -> None:
        """Update the scaling with the next rows of a stream; see :meth:`RobustScale.follow`.

        Parameters
        ----------
        x : Tensor, shape (rows, columns)
            The rows.
        first : bool, default=False
            Whether they are the first of the stream.
        """
        if len(self.numbers):
            self.scale.follow(self._numbers(x), first=first)

    def sources(self, x: Tensor) -> Tensor:
        """Return one value per column: scaled numbers, and codes as they are.

        Parameters
        ----------
        x : Tensor, shape (..., columns)
            Inputs.

        Returns
        -------
        Tensor of float32, shape (..., columns)
        """
        values = (x.cpu() if x.is_mps else x).float()
        if len(self.numbers):
            values = values.index_copy(-1, self.numbers, self.scale(self._numbers(x)))
        return values


def _fit_encoding(
    scale: RobustScale,
    numbers: Tensor,
    y: np.ndarray | None,
    weight: np.ndarray | None,
    *,
    embedding: str,
    seed: int,
) -> PiecewiseLinear | Periodic | None:
    features = numbers.shape[1]
    if embedding == "none" or not features:
        return None
    count = min(_OUTPUTS[embedding], _MOST_OUTPUTS // features)
    if embedding == "periodic":
        return Periodic.draw(features, count, seed=seed)
    most = max(_BIN_VALUES // features, _LEAST_BIN_ROWS)
    target: list[Any] = [None, None]
    if embedding == "target":
        count = min(count, max(len(numbers) // _ROWS_PER_BIN, _LEAST_BINS))
        if y is None:
            raise ValueError("embedding='target' needs y, got None. Pass y.")
        target = [None if part is None else thinned(part, most) for part in (y, weight)]
    sample = scale.exact(thinned(numbers, most)).double()
    return PiecewiseLinear.fit(sample, *target, bins=count)


def thinned(rows: Any, most: int) -> Any:
    """Return at most ``most`` rows, evenly spaced."""
    return rows[:: -(-len(rows) // most)]
