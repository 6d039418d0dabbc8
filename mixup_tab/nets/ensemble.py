"""A stack of nets of any kind."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Independent nets of any architecture behind the interface of a stack.

    Parameters
    ----------
    members : sequence of nn.Module
        Nets with equal input and output shapes.

    Notes
    -----
    Shape: inputs ``(members, batch, *features)`` or, for all members alike, the
    inputs of a single member; outputs ``(members, batch, outputs)``.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def n_members(self) -> int:
        """Number of nets."""
        return len(self.members)

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        """Return one member's parameters and buffers by name."""
        return self.members[member].state_dict()

    def forward(self, x: Tensor, *, stacked: bool = False) -> Tensor:
        """Return the outputs of every member.

        Parameters
        ----------
        x : Tensor
            Inputs.
        stacked : bool, default=False
            Whether the first axis of ``x`` is the model axis.

        Returns
        -------
        Tensor, shape (members, batch, outputs)
        """
        inputs = x if stacked else [x] * self.n_members
        return torch.stack([net(part) for net, part in zip(self.members, inputs, strict=True)])
