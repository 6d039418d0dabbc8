"""Numbers that a rule holds, as tensors on a device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers as a tensor, the same one in every call: a copy would wait for a device.

    Parameters
    ----------
    values : tuple of float
        The numbers.
    device : torch.device
        Where the tensor is to lie.

    Returns
    -------
    Tensor of float32, shape (len(values),)
        Not to be changed.
    """
    return torch.tensor(values, dtype=torch.float32, device=device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def shares_on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers of at least 0 divided by their sum, or equal shares where all are 0.

    Parameters
    ----------
    values, device
        As in :func:`on_device`.

    Returns
    -------
    Tensor of float32, shape (len(values),)
        Not to be changed.
    """
    numbers = torch.tensor(values, dtype=torch.float64)
    numbers = numbers if numbers.any() else torch.ones_like(numbers)
    return (numbers / numbers.sum()).to(device, torch.float32)
