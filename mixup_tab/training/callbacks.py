"""Learning rate, best weights and progress, as skorch callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from skorch.callbacks import Callback

from mixup_tab._plain import shown
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training.stopping import StopTraining


class EpochProgress(Callback):
    """Reports every finished epoch.

    Parameters
    ----------
    on_epochs : callable
        Called with 1 at the end of every epoch. What it raises ends training; see
        :mod:`mixup_tab.training.stopping`.
    """

    def __init__(self, on_epochs: Callable[[int], None]) -> None:
        self.on_epochs = on_epochs

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Report the epoch."""
        self.on_epochs(1)


class LearningRate(Callback):
    """Sets the learning rate of every epoch.

    Parameters
    ----------
    policy : {"cosine", "constant", "step"}, default="cosine"
        - "cosine": from the initial rate towards zero along half a cosine over the
          epochs of this fit (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5
          without restarts).
        - "constant": the initial rate throughout.
        - "step": multiplied by ``factor`` every ``every`` epochs.
    every : int, default=10
        Epochs between two steps, ≥ 1; only with "step".
    factor : float, default=0.1
        What a step multiplies the rate by, > 0; only with "step".
    """

    def __init__(self, policy: str = "cosine", every: int = 10, factor: float = 0.1) -> None:
        self.policy = policy
        self.every = every
        self.factor = factor

    def initialize(self) -> LearningRate:
        """Check the policy."""
        policies = ("cosine", "constant", "step")
        if self.policy not in policies:
            raise ValueError(
                f"policy must be one of {list(policies)}, got {shown(self.policy)}."
            )
        if self.every < 1 or not self.factor > 0:
            raise ValueError(
                "every must be at least 1 and factor positive, got "
                f"{shown(self.every)} and {shown(self.factor)}."
            )
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Remember where this fit starts."""
        self.start_ = len(net.history)
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the rate for the epoch that begins."""
        epoch = len(net.history) - 1 - self.start_
        factor = 1.0
        if self.policy == "cosine":
            factor = (1 + math.cos(math.pi * epoch / max(net.max_epochs, 1))) / 2
        elif self.policy == "step":
            factor = self.factor ** (epoch // self.every)
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate * factor

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Put the initial rates back, for further training."""
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate


class KeepBestWeights(Callback):
    """Keeps the weights with the lowest validation loss, in memory, for every member.

    Needs a validation part (``train_split``). A member of a stack that has not improved for
    ``patience`` epochs is done; training ends when all are. The best weights are put back at
    the end, also after Ctrl-C.

    Parameters
    ----------
    patience : int, default=10
        Epochs without improvement after which a member is done.
    tol : float, default=0.0
        Smaller decreases of the loss do not count as improvement.

    Raises
    ------
    ValueError
        At fit, without a validation part.
    """

    def __init__(self, patience: int = 10, tol: float = 0.0) -> None:
        self.patience = patience
        self.tol = tol

    def initialize(self) -> KeepBestWeights:
        """Start without kept weights."""
        self.states_: list[dict | None] = []
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Start afresh."""
        members = net.n_members
        self.start_ = len(net.history)
        self.best_loss_ = torch.full((members,), math.inf)
        self.best_epoch_ = [0] * members
        self.states_ = [None] * members

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Keep what improved; raise StopTraining when all are done."""
        if dataset_valid is None:
            raise ValueError(
                "KeepBestWeights needs a validation part, but train_split=None makes none. Use "
                "train_split=skorch.dataset.ValidSplit(5)."
            )
        epoch = len(net.history) - self.start_
        loss = net.epoch_losses_["valid"]
        done = [epoch - best > self.patience for best in self.best_epoch_]
        for k in range(len(loss)):
            # A member that is done stays done, as if it had been trained alone.
            if not done[k] and loss[k] < self.best_loss_[k] - self.tol:
                self.best_loss_[k] = loss[k]
                self.best_epoch_[k] = epoch
                self.states_[k] = member_state(net.module_, k)
        if all(epoch - best >= self.patience for best in self.best_epoch_):
            raise StopTraining

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Put the best weights back and let go of the copies."""
        self.put_back(net)

    def put_back(self, net: Any) -> None:
        """Put the best weights back, unless that has been done."""
        for k, state in enumerate(self.states_):
            if state is not None:
                load_member_state(net.module_, k, state)
        self.states_ = []


def member_state(module: torch.nn.Module, k: int) -> dict[str, torch.Tensor]:
    """Return a copy of the parameters and buffers of member ``k``."""
    tensors = as_stack(module).member_tensors(k)
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def load_member_state(module: torch.nn.Module, k: int, state: dict[str, torch.Tensor]) -> None:
    """Put a copy made by :func:`member_state` back."""
    for name, tensor in as_stack(module).member_tensors(k).items():
        tensor.copy_(state[name])
