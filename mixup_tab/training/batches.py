"""Mixed batches for training: cut on the device from arrays, or taken from a loader.

Batches are made in blocks of shape (batches, members, batch, ...): drawing, gathering and
mixing a block takes hardly longer than one batch, and the training loop uses views of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mixup_tab.losses import MixedCrossEntropy, MixedValueLoss
from mixup_tab.mixing import MixingRule
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.mixing._names import as_rule
from mixup_tab.mixing.rule import draw_by_column
from mixup_tab.training.randomness import Streams, drawing_from
from mixup_tab.training.table import Examples

# Size of a block: enough batches to make the cost of calls negligible, few enough to stay in
# the cache.
BLOCK_BATCHES = 64
BLOCK_VALUES = 1 << 17


class Batch(NamedTuple):
    """One training step: inputs and target rows with a leading model axis."""

    x: Tensor
    targets: Tensor


def rule_for(mixing: str | MixingRule, criterion: nn.Module) -> MixingRule:
    """Return the mixing rule; raise ValueError if it is for the other task."""
    rule, name = as_rule(mixing), type(criterion).__name__
    others = {"classification": MixedValueLoss, "regression": MixedCrossEntropy}
    if isinstance(criterion, others.get(rule.task, ())):
        raise ValueError(
            f"mixing={mixing!r} is for {rule.task}, but criterion={name} is not. Use "
            "mixing='mixup'."
        )
    return rule


def member_alphas(alpha: float | Sequence[float], n_members: int) -> list[float]:
    """Return α of every member, from one for all or a sequence."""
    several = isinstance(alpha, Sequence) and not isinstance(alpha, str)
    alphas: list[Any] = [*alpha] if several else [alpha] * n_members  # type: ignore[misc]
    if len(alphas) != n_members:
        raise ValueError(
            f"alpha has {len(alphas)} values for n_members={n_members}. Pass one number, or "
            "one per member."
        )
    return [check_alpha(value) for value in alphas]


@dataclass
class Mixing:
    """How a stack is mixed: the rule and one α per member."""

    rule: MixingRule
    alphas: Sequence[float]
    # The table column of each input, and the number of columns.
    groups: tuple[Tensor, int] | None = field(default=None, compare=False)

    def apply(
        self,
        member: int,
        x: Tensor,
        targets: Tensor,
        labels: Tensor | None,
        stream: Streams,
    ) -> tuple[Tensor, Tensor]:
        """Mix batches of one member, shapes (..., batch, *features) and (..., batch, columns).

        With α = 0, and if the rule mixes hidden layers, they are returned unchanged.
        """
        alpha, rule = self.alphas[member], self.rule
        # If the rule enlarges batches, those of all members must have the same size.
        if rule.mixes_hidden or not (alpha or (rule.enlarges_batch and any(self.alphas))):
            return x, targets
        labels = labels if rule.needs_labels else None
        mix = draw_by_column(
            rule,
            alpha,
            targets.shape[:-1],
            self.groups,
            features=x.shape[targets.dim() - 1 :],
            generator=stream.mix,
            labels=labels,
        )
        mix = type(mix)(*(part.to(x.device) for part in mix))
        return rule.mix_x(x, mix), rule.mix_y(targets, mix)


class MixedBatches:
    """Shuffled and mixed batches of a table, one epoch per iteration.

    Every member has its own order of the rows and its own mixing, so it gets the same batches
    in a stack as alone.

    Parameters
    ----------
    examples : Examples
        Rows to draw from.
    rows : Tensor of int64, shape (n,), or None
        Rows to use; None means all.
    batch_size : int
        Rows per batch, -1 for all; the last batch may be smaller.
    streams : sequence of Streams
        Random streams, one per member.
    augment : callable, default=None
        ``augment(member, x)`` changes rows, shape (rows, *features), at random before mixing.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        rows: Tensor | None,
        batch_size: int,
        streams: Sequence[Streams],
        augment: Callable[[int, Tensor], Tensor] | None = None,
    ) -> None:
        self.examples = examples
        self.augment = augment
        self.rows = rows
        self.n_rows = len(examples) if rows is None else len(rows)
        self.batch_size = self.n_rows if batch_size == -1 else min(batch_size, self.n_rows)
        self.streams = streams
        self._mixing: Mixing | None = None
        self._ahead: list[deque[list[tuple[Tensor, Tensor]]]] = [deque() for _ in streams]
        self._epochs_at_once = [1] * len(streams)
        # The number of epochs made ahead at once, and the states of the streams before that.
        self._made: list[tuple[int, list[Tensor]]] = [(1, []) for _ in streams]

    def __len__(self) -> int:
        return -(-self.n_rows // self.batch_size)

    @property
    def mixing(self) -> Mixing | None:
        """How the batches are mixed; None for plain training."""
        return self._mixing

    @mixing.setter
    def mixing(self, mixing: Mixing | None) -> None:
        if mixing != self._mixing:
            for epochs in self._ahead:
                epochs.clear()
        self._mixing = mixing

    def fit_rule(self, rule: MixingRule) -> MixingRule:
        """Return a rule fitted to the rows.

        Random changes of the rows are drawn from a fixed seed here, so that it does not matter
        when the rule is fitted.
        """
        rows = self.rows
        if rows is None:
            rows = torch.arange(self.n_rows, device=self.examples.device)

        def take(positions: Tensor) -> Tensor:
            if rule.swaps_columns and self.examples.sources is not None:
                return self.examples.sources(rows[positions])
            x, _ = self.examples.take(rows[positions])
            if self.augment is None:
                return x
            generator = self.streams[0].augment
            state = generator.get_state()
            try:
                generator.manual_seed(0)
                parts = x.split(self.batch_size)  # as many as fit in training
                return torch.cat([self.augment(0, part) for part in parts])
            finally:
                generator.set_state(state)

        return rule.fit(take, self.examples.labels(rows))

    def position(self) -> list[dict[str, Any]]:
        """Return every member's position in the epochs that were made ahead."""
        parts = zip(self._ahead, self._made, self._epochs_at_once, strict=True)
        return [
            {"left": len(ahead), "made": made if ahead else [], "at_once": at_once}
            for ahead, made, at_once in parts
        ]

    def resume(self, position: Sequence[dict[str, Any]]) -> None:
        """Continue at a saved position, for the same ``mixing`` as in its last epoch.

        Epochs that were made ahead are made again from the saved states of the streams. Raises
        ValueError or TypeError for an impossible position.
        """
        for member, at in zip(range(len(self.streams)), position, strict=True):
            left, ahead, counts = at["left"], self._ahead[member], self._possible_counts()
            at_once = counts[counts.index(at["at_once"])]
            if left not in range(at_once):
                raise ValueError(f"{left} of {at_once} epochs cannot be left")
            self._epochs_at_once[member] = at_once
            if left:
                count, states = at["made"]
                if count not in (at_once, at_once // 2) or left >= count:
                    raise ValueError(f"{left} of {count} epochs cannot be left")
                self.streams[member].set_states(states)
                self._make_ahead(member, count)
            while len(ahead) > left:
                ahead.popleft()

    def _possible_counts(self) -> list[int]:
        """Return the possible numbers of epochs per call: 1, 2, 4, ..., up to a block."""
        most = max(self._batches_per_block() // len(self), 1)
        return [2**power for power in range(most.bit_length())]

    def __iter__(self) -> Iterator[Batch]:
        for block in self.blocks():
            yield from map(Batch, *(part.unbind(0) for part in block))

    def blocks(self) -> Iterator[Batch]:
        """Yield an epoch in blocks of batches."""
        members = [self._member_blocks(member) for member in range(len(self.streams))]
        if len(members) == 1:
            for block in members[0]:
                yield Batch(*(part.unsqueeze(1) for part in block))
            return
        for blocks in zip(*members, strict=True):
            yield Batch(*(torch.stack(parts, 1) for parts in zip(*blocks, strict=True)))

    def _member_blocks(self, member: int) -> Iterator[tuple[Tensor, Tensor]]:
        # A few batches cost as much as a block, so several short epochs are made at a time: 1,
        # 2, 4, ..., which does not depend on when training will end.
        ahead, count = self._ahead[member], self._epochs_at_once[member]
        if not ahead and count > 1:
            self._make_ahead(member, count)
        if 2 * count in self._possible_counts():
            self._epochs_at_once[member] = 2 * count
        if ahead:
            yield from ahead.popleft()
            return
        order, size = self._order(self.streams[member]), self.batch_size
        full = self.n_rows // size * size
        for part in order[:full].split(self._batches_per_block() * size):
            yield self._block(member, part.view(-1, size))
        if full < self.n_rows:
            yield self._block(member, order[full:].unsqueeze(0))

    def _make_ahead(self, member: int, count: int) -> None:
        self._made[member] = count, self.streams[member].states()
        self._ahead[member].extend(self._epochs(member, count))

    @torch.inference_mode(False)  # a later epoch may be trained with autograd
    def _epochs(self, member: int, count: int) -> list[list[tuple[Tensor, Tensor]]]:
        """Make several epochs as one block, plus one block of their last, smaller batches."""
        orders = torch.stack([self._order(self.streams[member]) for _ in range(count)])
        size = self.batch_size
        full = self.n_rows // size * size
        blocks = [self._block(member, orders[:, :full].reshape(-1, size))]
        if full < self.n_rows:
            blocks.append(self._block(member, orders[:, full:]))
        epochs = [zip(*(part.chunk(count) for part in block), strict=True) for block in blocks]
        return [list(epoch) for epoch in zip(*epochs, strict=True)]

    def _order(self, stream: Streams) -> Tensor:
        """Positions of the rows in this epoch's order."""
        generator = stream.order
        order = torch.randperm(self.n_rows, generator=generator, device=generator.device)
        order = order.to(self.examples.device)
        return order if self.rows is None else self.rows[order]

    def _batches_per_block(self) -> int:
        # Independent of the number of members: a block draws λ and partners in one call, so its
        # size decides which random numbers a member gets.
        values = self.batch_size * self.examples.row_size
        return min(max(BLOCK_VALUES // values, 1), BLOCK_BATCHES)

    def _block(self, member: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        x, targets = self.examples.take(rows)
        if self.augment is not None:
            x = self.augment(member, x.flatten(0, 1)).unflatten(0, x.shape[:2])
        if self.mixing is None:
            return x, targets
        labels = self.examples.labels(rows) if self.mixing.rule.needs_labels else None
        return self.mixing.apply(member, x, targets, labels, self.streams[member])


class PlainBatches:
    """Chunks of a table, in order and unmixed, the same for all members."""

    def __init__(
        self,
        examples: Examples,
        *,
        rows: Tensor | None,
        batch_size: int,
        members: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.examples = examples
        self.prepare = prepare
        self.rows = (
            torch.arange(len(examples), device=examples.device) if rows is None else rows
        )
        self.batch_size = batch_size
        self.members = members

    def __iter__(self) -> Iterator[Batch]:
        for rows in self.rows.split(self.batch_size):
            x, targets = self.examples.take(rows)
            x = x if self.prepare is None else self.prepare(x)
            yield Batch(*(part.expand(self.members, *part.shape) for part in (x, targets)))


class LoaderBatches:
    """Batches of a torch ``DataLoader``, moved to the device and mixed one by one."""

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

    def fit_rule(self, rule: MixingRule) -> MixingRule:
        """Return the rule unfitted: a loader does not give all rows at once."""
        return rule

    def position(self) -> list[dict[str, Any]]:
        """Nothing is made ahead."""
        return []

    def resume(self, position: Sequence[dict[str, Any]]) -> None:
        """Nothing to do; see :meth:`MixedBatches.resume`."""

    def __iter__(self) -> Iterator[Batch]:
        for x, y in self._loaded():
            if not isinstance(x, Tensor):
                raise TypeError(f"A loader must yield one tensor per batch, got {type(x)!r}.")
            x, y = (part.to(self.device, non_blocking=True) for part in (x, y))
            parts = [self._part(member, x, y) for member in range(len(self.streams))]
            yield Batch(*map(torch.stack, zip(*parts, strict=True)))

    def blocks(self) -> Iterator[Batch]:
        """Yield an epoch in blocks of one batch; see :meth:`MixedBatches.blocks`."""
        for batch in self:
            yield Batch(*(part.unsqueeze(0) for part in batch))

    def _part(self, member: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch as one member gets it."""
        x, targets = self.prepare(member, x), self.encode(y, None)
        if self.mixing is None:
            return x, targets
        return self.mixing.apply(member, x, targets, y, self.streams[member])

    def _loaded(self) -> Iterator[tuple[Any, Any]]:
        """Load batches; loader and dataset draw random numbers from the first stream."""
        done: Any = object()
        with drawing_from(self.streams[0].init):
            batches = iter(self.loader)
        while True:
            with drawing_from(self.streams[0].init):
                batch = next(batches, done)
            if batch is done:
                return
            yield batch
