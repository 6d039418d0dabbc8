"""Devices, threads and precision of training."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache

import torch
from torch import nn

from mixup_tab._plain import shown
from mixup_tab._torch_private import has_native_bfloat16


def pick_device(device: str | torch.device) -> str:
    """Resolve a ``device`` argument.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA, then MPS, then the CPU; any other device must exist.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If torch does not know the device or the machine does not have it.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(device).type
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise ValueError(_unavailable(device)) from error
    if kind == "meta":
        raise ValueError(_unavailable(device))
    return str(device)


def _unavailable(device: str | torch.device) -> str:
    """Return the message for a device that cannot be used."""
    here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    here += ["mps"] * torch.backends.mps.is_available()
    return (
        f"device={shown(device)} cannot be used here. Use 'auto', or one that torch finds: "
        f"{', '.join(map(repr, here))}."
    )


def input_device(dtype: torch.dtype, device: str | torch.device) -> str | torch.device:
    """Return the device of the inputs of a net: the CPU for float64 on MPS."""
    return "cpu" if dtype == torch.float64 and str(device).startswith("mps") else device


class _ThreadLimit:
    """Limits threads of this process to one OpenMP thread each, and restores the number.

    OpenMP keeps the number per thread, but a thread that starts meanwhile inherits the limit;
    so the number from before the first limit is restored.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = threading.local()
        self._holders = 0
        self._before = 1

    def is_idle_at_one(self) -> bool:
        """Whether there is only one thread even without this limit."""
        return torch.get_num_threads() == 1 and not self._holders

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                self._before = torch.get_num_threads()
            self._holders += 1
        depth = self._depth.value = getattr(self._depth, "value", 0) + 1
        torch.set_num_threads(1)
        try:
            yield
        finally:
            self._depth.value = depth - 1
            with self._lock:
                self._holders -= 1
                if depth == 1:
                    torch.set_num_threads(self._before)


_limit = _ThreadLimit()


def _use_one_thread() -> None:
    global _limit
    _limit = _ThreadLimit()  # another thread may have held the lock
    torch.set_num_threads(1)


# OpenMP's threads do not survive a fork, and the child would wait for them forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_thread)

# Below this many multiplications in a step, starting threads costs more than they save.
WORTH_THREADS = 100_000_000


def threads_for(multiplications: int) -> AbstractContextManager[None]:
    """Return a context with one CPU thread for small work, the usual number for large."""
    if multiplications >= WORTH_THREADS or _limit.is_idle_at_one():
        return nullcontext()
    return _limit.one()


def keep_freed_memory() -> None:
    """Make glibc keep memory that a step frees for the next one, in blocks of up to 32 MB.

    Otherwise it returns to the system at every step, and comes back page by page. This holds
    for the whole process. Settings in the environment (``MALLOC_…``, ``GLIBC_TUNABLES``) are
    left as they are. Elsewhere this does nothing.
    """
    own = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if sys.platform == "linux" and not own:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # malloc.h: M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1
            mallopt(-3, 32 * 2**20)
            mallopt(-1, 64 * 2**20)


@lru_cache
def has_fast_bfloat16(kind: str) -> bool:
    """Whether a kind of device multiplies bfloat16 faster than float32."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and has_native_bfloat16()


def precision_for(net: nn.Module, device: str) -> AbstractContextManager[object]:
    """Return a context for mixed precision, if the net wants it and the device is faster."""
    kind = torch.device(device).type
    wanted = net.training and getattr(net, "mixed_precision", False)
    if not wanted or not has_fast_bfloat16(kind):
        return nullcontext()
    return torch.autocast(kind, torch.bfloat16)
