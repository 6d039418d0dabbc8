"""Random numbers of a fit: every member of a stack has streams of its own."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Streams(NamedTuple):
    """Generators of one member, so that what one does never moves another.

    ERM and mixup with the same seed share initial weights, batches and dropout masks.

    Attributes
    ----------
    init, order, mix, noise, augment : torch.Generator
        For initial weights, the order of the rows, mixing, the net's own randomness in
        training (dropout), and what it does to its inputs before they are mixed.
    """

    init: torch.Generator
    order: torch.Generator
    mix: torch.Generator
    noise: torch.Generator
    augment: torch.Generator

    @classmethod
    def from_seed(cls, seed: int, device: str | torch.device, epoch: int = 0) -> Streams:
        """Make the streams of the member with this seed that goes on at an epoch.

        Initial weights are always drawn on the CPU, so that they are the same
        everywhere. MPS cannot draw everything that is needed and uses the CPU's.
        """
        place = "cpu" if torch.device(device).type == "mps" else device
        sequence = np.random.SeedSequence(seed, spawn_key=(epoch,))
        children = sequence.generate_state(5, np.uint64)
        places = ("cpu", place, place, place, place)
        return cls(
            *(
                torch.Generator(where).manual_seed(int(child) >> 1)
                for where, child in zip(places, children, strict=True)
            )
        )


def member_seeds(seed: int, n_members: int) -> list[int]:
    """Return the seeds of ensemble members; member k's does not depend on their number."""
    return [
        int(np.random.SeedSequence((seed, k)).generate_state(1, np.uint64)[0]) >> 1
        for k in range(n_members)
    ]


_global_lock = threading.Lock()


class _Redirect(TorchDispatchMode):
    """Gives every random operation of this thread that names no generator ours."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.used = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or _has_generator(args, kwargs):
            return func(*args, **kwargs)
        self.used = True
        if _device_of(args, kwargs).type != self.generator.device.type:  # MPS
            return self._lend_global(func, args, kwargs)
        if func is torch.ops.aten.native_dropout.default:
            return self._dropout(*args)
        original, func = func, _with_generator(func)
        if func is not None:
            return func(*args, **{**kwargs, "generator": self.generator})
        return self._lend_global(original, args, kwargs)

    def _lend_global(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run an operation that takes no generator with torch's global ones seeded by ours."""
        seed = torch.randint(2**62, (), generator=self.generator, device=self.generator.device)
        device = _device_of(args, kwargs)
        others = device.type in ("cuda", "mps")
        fork = {"devices": [device], "device_type": device.type} if others else {"devices": []}
        with _global_lock, torch.random.fork_rng(**fork):
            torch.manual_seed(int(seed))
            return func(*args, **kwargs)

    def _dropout(
        self, x: torch.Tensor, p: float, train: bool | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if train is False or p == 0:
            return x, torch.ones_like(x, dtype=torch.bool)
        mask = torch.empty_like(x).bernoulli_(1 - p, generator=self.generator)
        return x * mask / max(1 - p, 1e-12), mask.bool()


# torch wraps this for torch.compile, which takes seconds to import on first use.
_Redirect.__torch_dispatch__ = inspect.unwrap(_Redirect.__torch_dispatch__)


def _has_generator(args: tuple, kwargs: dict) -> bool:
    """Whether an operation was called with a generator that is not torch's global one."""
    given = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Generator)]
    # Python sees a new object in every call; what is behind it stays the same.
    return bool(given) and given[0]._cdata != torch.default_generator._cdata


def _device_of(args: tuple, kwargs: dict) -> torch.device:
    """Where an operation computes."""
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
    return tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")


def _with_generator(func: Any) -> Any:
    """Return the overload of an operation that takes a generator beside the same arguments."""
    names = [argument.name for argument in func._schema.arguments]
    if "generator" in names:
        return func
    for name in func.overloadpacket.overloads():
        other = getattr(func.overloadpacket, name)
        others = [argument.name for argument in other._schema.arguments]
        if "generator" in others and sorted(names) == sorted(set(others) - {"generator"}):
            return other
    return None


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[_Redirect]:
    """Redirect torch's random operations in this thread to ``generator``.

    Modules such as ``torch.nn.Dropout`` and the initialisers of ``torch.nn.Linear``
    know only the global generator. Inside this context they leave it alone. What is given
    a generator keeps it. The object that is yielded says in ``used`` whether anything was
    redirected.

    Parameters
    ----------
    generator : torch.Generator
        Where random numbers come from instead.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.training.randomness import drawing_from
    >>> before = torch.get_rng_state()
    >>> with drawing_from(torch.Generator().manual_seed(0)):
    ...     layer = torch.nn.Linear(3, 2)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    with _Redirect(generator) as mode:
        yield mode
