"""Batches that a torch ``DataLoader`` gives, mixed one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mixup_tab.mixing import MixingRule
from mixup_tab.training.batches import Batch, Mixing
from mixup_tab.training.randomness import Streams, drawing_from


class LoaderBatches:
    """Batches of a torch ``DataLoader``, moved to the device and mixed one by one.

    Parameters
    ----------
    loader : iterable of (x, y)
        Batches.
    encode : callable
        Makes target rows of ``(y, None)``.
    device : str
        Where the batches go.
    streams : sequence of Streams
        Random streams; all members see the same rows, each mixed in its own way.
    prepare : callable, default=no change
        ``prepare(member, x)`` prepares a batch before it is mixed.
    """

    def __init__(
        self,
        loader: Iterable,
        encode: Callable[[Tensor, Tensor | None], Tensor],
        device: str,
        streams: Sequence[Streams],
        prepare: Callable[[int, Tensor], Tensor] = lambda member, x: x,
    ) -> None:
        self.loader = loader
        self.encode = encode
        self.device = device
        self.streams = streams
        self.prepare = prepare
        self.mixing: Mixing | None = None

    def teach(self, rule: MixingRule) -> MixingRule:
        """Return the rule: a loader does not give all rows at once."""
        return rule

    def __iter__(self) -> Iterator[Batch]:
        for x, y in self._loaded():
            if not isinstance(x, Tensor):
                raise TypeError(f"Only one tensor per batch can be mixed, got {type(x)!r}.")
            x, y = (part.to(self.device, non_blocking=True) for part in (x, y))
            parts = [self._part(member, x, y) for member in range(len(self.streams))]
            yield Batch(*map(torch.stack, zip(*parts, strict=True)))

    def _part(self, member: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a member sees of a batch."""
        x, targets = self.prepare(member, x), self.encode(y, None)
        if self.mixing is None:
            return x, targets
        return self.mixing.apply(member, x, targets, y, self.streams[member])

    def _loaded(self) -> Iterator[tuple[Any, Any]]:
        """Load batches, with all randomness of loader and dataset from the first stream."""
        done = object()
        with drawing_from(self.streams[0].init):
            batches = iter(self.loader)
        while True:
            with drawing_from(self.streams[0].init):
                batch = next(batches, done)
            if batch is done:
                return
            yield batch
