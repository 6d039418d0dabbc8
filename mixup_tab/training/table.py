"""Arrays that are put on the device once and handed out by row."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import Subset

# Share of a GPU's free memory that a table may take before it streams from the host.
RESIDENT_SHARE = 0.5


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """Wrap an array without copying it, also one that is read-only or memory-mapped."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if any(step < 0 for step in array.strides) or not array.dtype.isnative:
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():  # Nothing here writes to it.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def is_array(values: Any) -> bool:
    """Whether data can be cut into batches as it is."""
    return isinstance(values, (np.ndarray, Tensor))


def as_arrays(dataset: Any) -> tuple[Any, Any, np.ndarray | None] | None:
    """Return the arrays behind a skorch dataset and the rows of them that it shows.

    Parameters
    ----------
    dataset : Dataset
        A skorch dataset, or a subset of one.

    Returns
    -------
    tuple (X, y, rows) or None
        ``rows`` is None for all of them; the result is None where the dataset holds
        anything but arrays or tensors, or changes them on the way.
    """
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
    """Rows that can be picked by position and arrive on the device.

    The data is put on the device once if it takes at most half of its free memory;
    otherwise it stays on the host and rows travel in blocks through pinned memory.

    Parameters
    ----------
    values : ndarray or Tensor, shape (rows, ...)
        The data.
    device : str or torch.device
        Where batches are wanted.
    """

    def __init__(self, values: np.ndarray | Tensor, device: str | torch.device) -> None:
        data = as_tensor(values)
        self.device = torch.device(device)
        self.data = data.to(self.device) if _fits(data, self.device) else data
        self.streams = self.data.device.type != self.device.type

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: Tensor) -> Tensor:
        """Return the rows at positions of any shape, on the device.

        Parameters
        ----------
        rows : Tensor of int64, shape (...)
            Positions, on the device.

        Returns
        -------
        Tensor, shape (..., *row)
        """
        picked = self.data.index_select(0, rows.flatten().to(self.data.device))
        if self.streams:
            if self.device.type == "cuda":
                picked = picked.pin_memory()
            picked = picked.to(self.device, non_blocking=True)
        return picked.view(*rows.shape, *self.data.shape[1:])


def _fits(data: Tensor, device: torch.device) -> bool:
    if device.type != "cuda" or data.device == device:
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return data.numel() * data.element_size() <= RESIDENT_SHARE * free
