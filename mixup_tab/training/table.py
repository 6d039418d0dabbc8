"""Tables on the device, from which batches of rows are taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor, nn
from torch.utils.data import Subset

from mixup_tab.losses import MixedCrossEntropy, MixedValueLoss
from mixup_tab.nets.stacked import as_stack, weights_dtype
from mixup_tab.training.device import input_device

# Largest share of a GPU's free memory for a table; larger tables stay on the host.
RESIDENT_SHARE = 0.5

# Tables of up to this many values are scaled and encoded once instead of in every epoch.
PREPARED_VALUES = 1 << 22


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """Wrap an array without copying it, even if it is read-only or memory-mapped."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if any(step < 0 for step in array.strides) or not array.dtype.isnative:
        # Not np.ascontiguousarray: for it, a single row is contiguous whatever its strides.
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():  # Nothing here writes to it.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def is_array(values: Any) -> bool:
    """Whether data can be cut into batches directly."""
    return isinstance(values, (np.ndarray, Tensor))


def as_arrays(dataset: Any) -> tuple[Any, Any, np.ndarray | None] | None:
    """Return the arrays of a skorch dataset, and the rows that it selects."""
    if isinstance(dataset, Subset):
        arrays = as_arrays(dataset.dataset)
        if arrays is None:
            return None
        rows = np.asarray(dataset.indices)
        return (*arrays[:2], rows if arrays[2] is None else arrays[2][rows])
    if type(dataset) is not Dataset or not is_array(dataset.X):
        return None
    return dataset.X, dataset.y, None


class Table:
    """A table whose rows can be taken by position, on the device.

    The table is copied to the device once if it takes at most half of the free memory;
    otherwise it stays on the host, and blocks of rows are copied through pinned memory.
    """

    def __init__(self, values: np.ndarray | Tensor, device: str | torch.device) -> None:
        data = as_tensor(values)
        self.device = torch.device(input_device(data.dtype, device))
        self.data = data.to(self.device) if _fits(data, self.device) else data
        self.streams = self.data.device.type != self.device.type

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows at positions (of any shape), on the device."""
        picked = self.data.index_select(0, rows.flatten().to(self.data.device))
        if self.streams:
            if self.device.type == "cuda":
                picked = picked.pin_memory()
            picked = picked.to(self.device, non_blocking=True)
        return picked.view((*rows.shape, *self.data.shape[1:]))


class Examples:
    """Training examples: prepared inputs and target rows.

    A small table is prepared once; a large one block by block, which saves memory.
    """

    def __init__(
        self,
        x: Table,
        y: Table,
        weight: Table | None,
        *,
        encode: Callable[[Tensor, Tensor | None], Tensor],
        prepare: Callable[[Tensor], Tensor] = lambda x: x,
        columns: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._y, self._columns = y, columns
        self._raw = x, y, weight, prepare, encode
        self.device = y.device
        self.row_size = max(prepare(x.data[:1].to(x.device)).numel(), 1)
        self._ready: tuple[Table, Table] | None = None
        if len(y) * self.row_size <= PREPARED_VALUES and not x.streams:
            targets = encode(y.data, None if weight is None else weight.data)
            self._ready = Table(prepare(x.data), y.device), Table(targets, y.device)

    def __len__(self) -> int:
        return len(self._y)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and target rows at positions (of any shape)."""
        if self._ready is not None:
            x, targets = self._ready
            return x.take(rows), targets.take(rows)
        x, y, weight, prepare, encode = self._raw
        weights = None if weight is None else weight.take(rows)
        return prepare(x.take(rows)), encode(y.take(rows), weights)

    @property
    def sources(self) -> Callable[[Tensor], Tensor] | None:
        """Function that returns rows with one value per column; None without embedding."""
        columns, x = self._columns, self._raw[0]
        return None if columns is None else lambda rows: columns(x.take(rows))

    def labels(self, rows: Tensor) -> Tensor:
        """Return the class codes or values at positions (of any shape)."""
        return self._y.take(rows)


def examples_of(
    arrays: tuple[Any, Any, Any],
    state: Any,
    module: nn.Module,
    *,
    encode: TargetEncoder,
    device: str,
) -> Examples:
    """Make training examples from inputs, targets and weights, once per fit or stack."""
    stack, tables = as_stack(module), state.tables

    def table(values: Any) -> Any:
        if values is not None and id(values) not in tables:
            tables[id(values)] = Table(values, device)
        return None if values is None else tables[id(values)]

    @torch.no_grad()
    def prepare(x: Tensor) -> Tensor:
        return stack.prepare(x.to(stack.input_dtype(x.dtype, training=True, device=device)))

    # Everything that examples depend on; arrays and layers by identity, because they exist as
    # long as the fit.
    layer = getattr(module, "input_layer", None)
    key = (*map(id, (*arrays, layer)), weights_dtype(module), str(device), encode.key)
    if key not in tables:
        columns = getattr(layer, "sources", None)
        tables[key] = Examples(
            *map(table, arrays), encode=encode, prepare=prepare, columns=columns
        )
    return tables[key]


class TargetEncoder:
    """Makes target rows for a criterion from class codes or values."""

    def __init__(
        self, criterion: nn.Module, n_outputs: int, dtype: torch.dtype, *, one_column: bool
    ) -> None:
        # Criteria without a method ``encode`` get rows of class probabilities.
        self.criterion: Any = criterion if hasattr(criterion, "encode") else MixedCrossEntropy()
        self.n_outputs, self.dtype = n_outputs, dtype
        self.widens = one_column and isinstance(criterion, MixedValueLoss)
        self.key = (getattr(criterion, "key", type(criterion)), n_outputs)

    def __call__(self, y: Tensor, weight: Tensor | None) -> Tensor:
        """Return target rows, shape (..., columns)."""
        y = y.to(self.dtype) if y.is_floating_point() else y.long()
        y = y.unsqueeze(-1) if self.widens else y
        weight = None if weight is None else weight.to(self.dtype)
        return self.criterion.encode(y, weight, self.n_outputs).to(self.dtype)


def count_outputs(y: Any) -> int:
    """Return the number of classes in codes from 0, or of columns in values."""
    if y is None:
        raise ValueError("n_outputs is needed if targets come from a dataset. Pass n_outputs.")
    if getattr(y, "ndim", 1) > 1:
        return y.shape[1]
    floating = y.dtype.is_floating_point if isinstance(y, Tensor) else y.dtype.kind == "f"
    return 1 if floating else int(y.max()) + 1


def _fits(data: Tensor, device: torch.device) -> bool:
    if device.type != "cuda" or data.device == device:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return data.numel() * data.element_size() <= RESIDENT_SHARE * free
