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

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of every member for the same inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Inputs.

        Returns
        -------
        Tensor, shape (members, batch, outputs)
        """
        return torch.stack([net(x) for net in self.members])
