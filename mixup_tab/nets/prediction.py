"""Fast predictions of an MLP on the CPU, in double precision, with lookup tables.

Training mixes every output of :class:`Columns`. Prediction needs only the sum that the first
layer makes of them. For bins, that is a piecewise linear function per column: at the edges of
the bins its values are cumulative sums of weights, and in between they are interpolated. Two
table rows per column replace a product with all inputs.

For a row of C = 30 columns with 32 bins each and H = 128 units, the product has 990 H = 127,000
multiplications, which take 4.9 µs at 26 · 10⁹ per second, plus 3 µs to compute its inputs.
Here there are 3 C H = 11,500: reading 2 C rows of 1 kB takes 1.3 µs, finding them 0.8 µs.

Nothing is rounded to single precision, so outputs differ from those of :meth:`MLP.forward` in
about the eighth digit.
"""

from __future__ import annotations

import threading
from operator import is_
from types import SimpleNamespace
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from mixup_tab._torch_private import hooks_of, parts_of, versions
from mixup_tab.nets.columns import Columns, PiecewiseLinear
from mixup_tab.nets.mlp import MLP
from mixup_tab.nets.scaling import RobustScale

# Values of a hidden layer of all members in a chunk of rows.
_CHUNK_VALUES = 1 << 16
# Parameters of up to this many values are compared one by one.
_FEW = 1024
# Maximum weights of a net with a predictor: for larger nets the overhead hardly matters. Also
# the maximum values in all cached predictors: a hundred nets of the default size.
_MOST = 1 << 24

# Arrays, because they are three times as fast in NumPy as numbers.
_ZERO, _ONE = np.array(0.0), np.array(1.0)

# The nets with a predictor, oldest first. Not a WeakKeyDictionary: it would swallow a Ctrl-C
# that comes while it removes a net.
_nets: list[ref[MLP]] = []
_lock = threading.Lock()


def predictor_of(net: nn.Module) -> Predictor | None:
    """Return the predictor of a net, rebuilt if the net has changed.

    Parameters
    ----------
    net : nn.Module
        Any net.

    Returns
    -------
    Predictor or None
        None if the net itself must be called: it is not a plain float32 MLP on the CPU, or its
        layers have hooks.
    """
    if type(net) is not MLP:
        return None
    found = getattr(net, "_predictor", None)
    if found is None or not found.is_current():
        found = net._predictor = Predictor(net)
        _drop_old_predictors(net)
    return found if found.is_possible else None


def probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return softmax over the last axis of outputs of nets, float64 of any shape."""
    if outputs.shape[-1] != 2:
        return torch.from_numpy(outputs).softmax(-1).numpy()
    from scipy.special import expit  # imported late: it takes longer than most predictions

    # The same, in a third of the time for one row and a tenth for many.
    difference = outputs[..., 1] - outputs[..., 0]
    proba = np.empty_like(outputs)
    expit(difference, out=proba[..., 1])
    expit(-difference, out=proba[..., 0])
    return proba


def _drop_old_predictors(net: MLP) -> None:
    """Delete the oldest predictors if there are many, as after a search."""
    with _lock:
        alive = [other for other in (known() for known in _nets) if other not in (None, net)]
        alive.append(net)
        total = sum(one._predictor.size for one in alive)
        while total > _MOST and len(alive) > 1:
            oldest = alive.pop(0)
            total -= oldest._predictor.size
            del oldest._predictor
        _nets[:] = map(ref, alive)


class Predictor:
    """A snapshot of an MLP in a form that is fast to evaluate.

    Parameters
    ----------
    net : MLP
        The net.

    Attributes
    ----------
    is_possible : bool
        Whether it can predict in place of the net.
    rows_per_chunk : int
        Best number of rows per call.
    size : int
        Number of values in memory.
    """

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, net: MLP) -> None:
        self._source = _Source(net)
        self.is_possible = self._source.is_plain
        self.rows_per_chunk = max(_CHUNK_VALUES // (net.width * net.n_members), 16)
        self.size = 0
        if not self.is_possible:
            return
        layers = [(w.double().mT.contiguous(), b.double()) for w, b in net.layers()]
        layer = net.input_layer
        tables = _can_look_up(layer)
        self._first: Any = (_Tables if tables else _Product)(layer, *layers[0])
        # Other dtypes that are predicted in double precision: all with tables, which are faster
        # than a product in single precision.
        self._kinds = "fiub" if tables else "iub" * (layer is not None)
        self._later = layers[1:]
        self.size = self._first.size + sum(weight.numel() for weight, _ in self._later)
        self._columns = _columns_of(net)
        self._shape = net.n_members, layers[-1][1].shape[-1]
        # NumPy views of the same memory: for one row, NumPy takes half the time.
        self._arrays = [(weight.numpy(), bias.numpy()) for weight, bias in self._later]

    def is_current(self) -> bool:
        """Whether the net is unchanged."""
        return self._source.is_unchanged()

    def takes(self, x: np.ndarray) -> bool:
        """Whether the inputs are a table that is predicted in double precision."""
        fits = x.ndim == 2 and x.shape[1] == self._columns and len(x) > 0
        return fits and (x.dtype == np.float64 or x.dtype.kind in self._kinds)

    def shape(self, rows: int) -> tuple[int, int, int]:
        """Return the shape of the outputs for a number of rows."""
        members, outputs = self._shape
        return members, rows, outputs

    def rows(self, x: Tensor) -> Tensor:
        """Return the outputs for raw inputs.

        Parameters
        ----------
        x : Tensor, shape (rows, columns)
            Inputs of any dtype that the input layer takes; without one, in double precision.

        Returns
        -------
        Tensor of float64, shape (members, rows, outputs)
        """
        hidden = self._first.rows(x)
        for weight, bias in self._later:
            hidden = torch.baddbmm(bias, hidden.relu_(), weight)
        return hidden

    @np.errstate(all="ignore")  # as torch does
    def row(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs for one row, equal to those of :meth:`rows` up to rounding.

        Parameters
        ----------
        x : ndarray of float64, shape (1, columns)
            Inputs.

        Returns
        -------
        ndarray of float64, shape (members, 1, outputs)
        """
        hidden = self._first.row(x)
        for weight, bias in self._arrays:
            np.maximum(hidden, 0, out=hidden)
            hidden = hidden @ weight
            hidden += bias
        return hidden


class _Source:
    """The parts of a net that a predictor was made from; detects changes in them.

    PyTorch counts changes of a tensor, but not those through ``tensor.data`` or NumPy. So the
    content of parameters is compared too: small ones byte by byte, large ones by the sum of
    their bits, read as 64-bit integers. Together that takes 8 µs.
    """

    def __init__(self, net: MLP) -> None:
        hooks = [part for module in net.modules() for part in hooks_of(module)]
        self._dicts: list[dict[Any, Any]] = [
            *hooks,
            *(part for one in net.modules() for part in parts_of(one)),
        ]
        self._parts = self._parts_now()
        self._tensors = [part for part in self._parts if isinstance(part, Tensor)]
        self._weights = [weight for layer in net.layers() for weight in layer]
        self.is_plain = (
            not any(hooks)
            and net.multiplications(None) <= _MOST
            and all(tensor.is_cpu and not tensor.is_inference() for tensor in self._tensors)
            and all(w.dtype == torch.float32 and w.is_contiguous() for w in self._weights)
        )
        if self.is_plain:
            flat = [weight.detach().view(-1) for weight in self._weights]
            large = [part for part in flat if len(part) > _FEW and not len(part) % 2]
            self._large = [part.view(torch.int64) for part in large]
            self._small = [part.numpy() for part in flat if all(part is not p for p in large)]
            self._stamp = self._stamp_now()

    def is_unchanged(self) -> bool:
        """Whether the net still has the same parts with the same content."""
        parts = self._parts_now()
        same = len(parts) == len(self._parts) and all(map(is_, parts, self._parts))
        return same and (not self.is_plain or self._stamp_now() == self._stamp)

    def _parts_now(self) -> list[Any]:
        return [part for parts in self._dicts for part in parts.values()]

    def _stamp_now(self) -> list[Any]:
        return [
            *versions(self._tensors),
            *[weight.data_ptr() for weight in self._weights],
            *[part.sum().item() for part in self._large],
            *[part.tobytes() for part in self._small],
        ]


class _Product:
    """The first layer behind any input layer, as a matrix product."""

    def __init__(self, layer: nn.Module | None, weight: Tensor, bias: Tensor) -> None:
        self._layer, self._weight, self._bias = layer, weight, bias
        self._arrays, self.size = (weight.numpy(), bias.numpy()), weight.numel()

    def rows(self, x: Tensor) -> Tensor:
        x = x if self._layer is None else self._layer(x).double()
        return torch.baddbmm(self._bias, x.expand(len(self._bias), *x.shape), self._weight)

    def row(self, x: np.ndarray) -> np.ndarray:
        weight, bias = self._arrays
        if self._layer is not None:
            x = self._layer(torch.from_numpy(x)).detach().double().numpy()
        return x @ weight + bias


class _Tables:
    """The first layer behind a RobustScale, or Columns without cosines.

    Shapes: R rows, c columns with bins, g columns of codes, U units of all members together.
    """

    def __init__(self, layer: Any, weight: Tensor, bias: Tensor) -> None:
        self._scale: RobustScale = layer.scale if isinstance(layer, Columns) else layer
        n, limit = self._scale.width, self._scale.limit
        # z / √(1 + (z / limit)²) = limit · sin(arctan(z / limit))
        parts = {"center": self._scale.center, "spread": self._scale.scale}
        parts |= {"linear": weight[:, :n] * limit, "bias": bias}
        if isinstance(layer, Columns):
            units = weight[:, n : n + len(layer.gain)].transpose(0, 1).flatten(1)
            # The contribution of inputs of 0 is the same for all rows. A product by torch would
            # round differently for another number of threads, on some processors.
            offset = np.einsum("i,iu->u", layer.offset.double().numpy(), units.numpy())
            parts["bias"] = bias + torch.from_numpy(offset).view_as(bias)
            parts |= _make_table(layer, units * layer.gain.unsqueeze(1))
        self._has_bins, self._has_codes = "low" in parts, "coded" in parts
        self._tensors = SimpleNamespace(**parts)
        self.size = sum(part.numel() for part in parts.values())
        # NumPy views of the same memory: for one row, NumPy takes half the time.
        self._arrays = SimpleNamespace(**{name: part.numpy() for name, part in parts.items()})

    def rows(self, x: Tensor) -> Tensor:
        own, limit = self._tensors, self._scale.limit
        numbers = self._scale.exact(x.index_select(1, own.numbers) if self._has_codes else x)
        scaled = (numbers - own.center).div_(own.spread).div_(limit).atan_().sin_()
        units = torch.baddbmm(own.bias, scaled.expand(len(own.bias), *scaled.shape), own.linear)
        places, shares = [], []
        if self._has_bins:
            values = numbers.mT.index_select(0, own.binned).double()  # (c, R)
            k = torch.searchsorted(own.low, values, right=True).sub_(1).clamp_(min=0)
            k = torch.minimum(k, own.last)  # NaN and infinity are above all edges
            share = (values - own.low.gather(1, k)).div_(own.step.gather(1, k)).clamp_(0, 1)
            k += own.start.unsqueeze(1)
            places, shares = [k, k + 1], [1 - share, share]
        if self._has_codes:
            codes = x.mT.index_select(0, own.coded).double()  # (g, R)
            known = (codes >= 0) & (codes < own.count) & (codes == codes.floor())
            places.append(torch.where(known, codes.long() + own.first, len(own.table) - 1))
            shares.append(torch.ones_like(codes))
        if places:
            place, share = (torch.cat(part).mT.contiguous() for part in (places, shares))
            found = embedding_bag(place, own.table, per_sample_weights=share, mode="sum")
            units += found.view(len(x), len(units), -1).transpose(0, 1)
        return units

    def row(self, x: np.ndarray) -> np.ndarray:
        own, x = self._arrays, x[0]
        numbers = x.take(own.numbers) if self._has_codes else x
        numbers = numbers if self._scale.shift is None else numbers - self._scale.shift.numpy()
        scaled = numbers - own.center
        scaled /= own.spread
        scaled /= self._scale.limit
        np.sin(np.arctan(scaled, out=scaled), out=scaled)
        units = scaled[None] @ own.linear
        units += own.bias
        places, shares = [], []
        if self._has_bins:
            values = numbers.take(own.binned)
            # The first edge that is not below the value, or the NaN after the last one.
            k = (own.low_or_nan <= values[:, None]).argmin(1)
            k += own.before
            np.maximum(k, own.start, out=k)
            share = values - own.low.take(k)
            share /= own.step.take(k)
            np.maximum(np.minimum(share, _ONE, out=share), _ZERO, out=share)
            places, shares = [k, k + 1], [_ONE - share, share]
        if self._has_codes:
            codes = x.take(own.coded)
            known = (codes >= 0) & (codes < own.count[:, 0]) & (codes == np.floor(codes))
            place = np.where(known, codes + own.first[:, 0], len(own.table) - 1)
            places.append(place.astype(np.int64))
            shares.append(np.ones_like(codes))
        if places:
            found = np.concatenate(shares) @ own.table.take(np.concatenate(places), 0)
            units += found.reshape(units.shape)
        return units


def _make_table(layer: Columns, units: Tensor) -> dict[str, Tensor]:
    """Return the lookup table of a layer, and the arrays needed to read it.

    ``units`` are the weights of the standardised outputs of the layer, times their gain, shape
    (outputs, U). A row of the table is what a column adds to the units: for the c binned
    columns one row per edge, the sum of the bins below; for categories one row per level; and
    a last row of zeros for unknown codes.
    """
    count = len(units) - len(layer.level)
    parts, table = {}, []
    if isinstance(layer.encoding, PiecewiseLinear) and count:
        bins, places = layer.encoding, torch.arange(count)
        found = bins.column.unique_consecutive(return_inverse=True, return_counts=True)
        binned, block, bins_of = found
        within = places - (bins_of.cumsum(0) - bins_of)[block]
        edges = int(bins_of.max()) + 1
        rises = units.new_zeros(len(binned), edges, units.shape[1])
        rises[block, within + 1] = units[:count]
        table.append(rises.cumsum(1).flatten(0, 1))
        low, step = units.new_full((2, len(binned), edges), torch.inf)
        low[block, within], step[block, within] = bins.low, bins.step
        start = edges * torch.arange(len(binned))
        parts = {"binned": binned, "low": low, "step": step, "start": start}
        parts |= {"last": bins_of.unsqueeze(1) - 1, "before": start - 1}
        parts["low_or_nan"] = torch.where(low.isinf(), torch.nan, low)
    if layer.categories:
        coded, levels = torch.tensor(layer.categories).mT.contiguous()
        first = levels.cumsum(0) - levels + sum(map(len, table))
        parts |= {"numbers": layer.numbers, "coded": coded}
        parts |= {"count": levels.unsqueeze(1).double(), "first": first.unsqueeze(1)}
    nothing = units.new_zeros(1, units.shape[1])
    return {**parts, "table": torch.cat([*table, units[count:], nothing])}


def _columns_of(net: MLP) -> int:
    """Return the number of columns of the table that a net takes."""
    layer = net.input_layer
    if isinstance(layer, Columns):
        return layer.n_columns
    return layer.width if isinstance(layer, RobustScale) else net.weight0.shape[-1]


def _can_look_up(layer: nn.Module | None) -> bool:
    """Whether _Tables supports an input layer."""
    if type(layer) is not Columns:
        return type(layer) is RobustScale
    bins = layer.encoding
    if type(bins) is not PiecewiseLinear:
        return bins is None
    # A value in a bin must be past all lower bins, in the same arithmetic.
    same = bins.column[1:] == bins.column[:-1]
    behind = bins.low[1:] - bins.low[:-1] >= bins.step[:-1]
    together = len(bins.column.unique_consecutive()) == len(bins.column.unique())
    return together and bool((behind | ~same).all()) and bool((bins.step > 0).all())
