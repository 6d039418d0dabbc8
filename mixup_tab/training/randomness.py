"""Random numbers of a fit: every member of a stack has its own streams."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils import check_random_state

from mixup_tab._torch_private import (
    TorchDispatchMode,
    is_global_generator,
    with_generator,
    without_compile_wrapper,
)


class Streams(NamedTuple):
    """Independent generators of one member.

    Plain training and mixup with the same seed share initial weights, batches and dropout
    masks.

    Attributes
    ----------
    init, order, mix, noise, augment : torch.Generator
        For initial weights, the order of the rows, mixing, random layers such as dropout, and
        random changes of the inputs before they are mixed.
    """

    init: torch.Generator
    order: torch.Generator
    mix: torch.Generator
    noise: torch.Generator
    augment: torch.Generator

    def states(self) -> list[torch.Tensor]:
        """Return the states of all generators."""
        return [generator.get_state() for generator in self]

    def set_states(self, states: Sequence[torch.Tensor]) -> None:
        """Set the states of all generators."""
        for generator, state in zip(self, states, strict=True):
            generator.set_state(state)

    @classmethod
    def from_seed(cls, seed: int, device: str | torch.device, epoch: int = 0) -> Streams:
        """Make the streams of the member with this seed, starting at an epoch.

        Initial weights are always drawn on the CPU, so that they are the same on every device.
        MPS lacks some random operations and uses generators of the CPU.
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


def member_seeds(random_state: Any, n_members: int) -> list[int]:
    """Return the seed of every member; that of member k does not depend on ``n_members``."""
    if isinstance(random_state, Sequence):
        if len(random_state) != n_members:
            raise ValueError(
                f"random_state has {len(random_state)} seeds for n_members={n_members}. Give "
                "one seed, or one per member."
            )
        return list(random_state)
    if not isinstance(random_state, (int, np.integer)):
        random_state = check_random_state(random_state).randint(2**31 - 1)
    seed = int(random_state)
    return [
        int(np.random.SeedSequence((seed, k)).generate_state(1, np.uint64)[0]) >> 1
        for k in range(n_members)
    ]


# torch's global generators are shared by all threads: one borrower at a time.
_global_lock = threading.Lock()


class _Redirect(TorchDispatchMode):
    """Makes random operations of this thread use our generator unless they name another.

    torch calls a dispatch mode for every operation of the thread, below autograd. Operations
    that draw are tagged ``nondeterministic_seeded``. There are four cases:

    1. Most have an overload with an argument ``generator``, which is called instead.
    2. Dropout has none. It is written out as a Bernoulli mask, in the form of
       ``native_dropout``, whose backward pass torch knows.
    3. Others without one (attention, recurrent nets, some samplers) run with torch's global
       generator, seeded by ours and restored afterwards, one thread at a time.
    4. So do all operations on MPS: a generator must be on the device of the operation, and the
       streams for MPS are on the CPU.
    """

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
        if _device_of(args, kwargs).type != self.generator.device.type:
            return self._lend_global(func, args, kwargs)
        if func is torch.ops.aten.native_dropout.default:
            return self._dropout(*args)
        seeded = with_generator(func)
        if seeded is None:
            return self._lend_global(func, args, kwargs)
        return seeded(*args, **{**kwargs, "generator": self.generator})

    def _lend_global(self, func: Any, args: tuple, kwargs: dict) -> Any:
        """Run an operation with torch's global generators seeded by ours."""
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
        """Return what ``native_dropout`` does: scaled values, and the mask."""
        if train is False or p == 0:
            return x, torch.ones_like(x, dtype=torch.bool)
        mask = torch.empty_like(x).bernoulli_(1 - p, generator=self.generator)
        return x * mask / max(1 - p, 1e-12), mask.bool()


# torch wraps this for torch.compile, which takes seconds to import on first use.
_Redirect.__torch_dispatch__ = without_compile_wrapper(  # type: ignore[method-assign]
    _Redirect.__torch_dispatch__
)


def _has_generator(args: tuple, kwargs: dict) -> bool:
    """Whether the arguments contain a generator other than torch's global one."""
    given = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Generator)]
    return bool(given) and not is_global_generator(given[0])


def _device_of(args: tuple, kwargs: dict) -> torch.device:
    """Return the device of an operation."""
    tensors = [x for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
    return tensors[0].device if tensors else torch.device(kwargs.get("device") or "cpu")


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[_Redirect]:
    """Redirect torch's random operations in this thread to ``generator``.

    Modules such as ``torch.nn.Dropout`` and the initialisers of ``torch.nn.Linear`` know only
    the global generator. Inside this context they do not touch it. Operations with an explicit
    generator keep it. The attribute ``used`` of the yielded object says whether anything was
    redirected.

    Parameters
    ----------
    generator : torch.Generator
        Source of the random numbers.

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
