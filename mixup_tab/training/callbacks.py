"""skorch callbacks for the learning rate, the best weights and progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import torch
from skorch.callbacks import Callback

from mixup_tab._plain import shown
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training.state import cycle_lengths
from mixup_tab.training.stopping import StopTraining


class EpochProgress(Callback):
    """Reports every finished epoch.

    Parameters
    ----------
    on_epochs : callable
        Called with 1 at the end of every epoch. Its exceptions end training; see
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
          epochs of this fit, or of each of its cycles (Loshchilov and Hutter 2017,
          arXiv 1608.03983, eq. 5).
        - "constant": the initial rate throughout.
        - "step": multiplied by ``factor`` every ``every`` epochs.
    every : int, default=10
        Epochs between two steps, ≥ 1; only with "step".
    factor : float, default=0.1
        Factor of the rate at every step, > 0; only with "step".
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
        """Store the first epoch and the initial rates of this fit."""
        self.start_ = len(net.history)
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Set the rate for the epoch that begins."""
        epoch = len(net.history) - 1 - self.start_
        factor = 1.0
        if self.policy == "cosine":
            for length in cycle_lengths(net.max_epochs, net.first_cycle):
                if epoch < length:
                    break
                epoch -= length
            factor = (1 + math.cos(math.pi * epoch / max(length, 1))) / 2
        elif self.policy == "step":
            factor = self.factor ** (epoch // self.every)
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate * factor

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Restore the initial rates, for further training."""
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate


class KeepBestWeights(Callback):
    """Early stopping that restores the weights with the lowest validation loss.

    Needs validation rows (``train_split``). A member of a stack stops after ``patience`` epochs
    without improvement; training ends when all members have stopped. If training is divided
    into cycles (``first_cycle`` of :class:`~mixup_tab.MixupNet`), cycles are counted instead of
    epochs. The best weights are restored at the end, also after Ctrl-C.

    Parameters
    ----------
    patience : int, default=10
        Epochs, or cycles, without improvement after which a member stops.
    tol : float, default=0.0
        Relative decrease of the lowest loss that counts as improvement.

    Raises
    ------
    ValueError
        In ``fit``, if there are no validation rows.
    """

    _NUMBERS = ("best_loss_", "counted_loss_", "waited_")

    def __init__(self, patience: int = 10, tol: float = 0.0) -> None:
        self.patience = patience
        self.tol = tol

    def initialize(self) -> KeepBestWeights:
        """Start without stored weights."""
        self.states_: list[dict | None] = []
        return self

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Reset all counters."""
        members = net.n_members
        self.start_ = len(net.history)
        self.best_loss_ = torch.full((members,), math.inf)
        # The loss of the last improvement, and epochs or cycles since then.
        self.counted_loss_ = torch.full((members,), math.inf)
        self.waited_ = torch.zeros(members)
        self.states_ = [None] * members
        ends = accumulate(cycle_lengths(net.max_epochs, net.first_cycle))
        self.ends_ = None if net.first_cycle is None else {*ends}

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Store improved weights; raise StopTraining when all members have stopped."""
        if dataset_valid is None:
            raise ValueError(
                "KeepBestWeights needs validation rows, but train_split=None. Use "
                "train_split=skorch.dataset.ValidSplit(5)."
            )
        # A member that has stopped does not improve any more, as if it had been trained alone.
        active = self.waited_ < self.patience
        loss = net.epoch_losses_["valid"].clone()
        loss[~active] = math.inf
        for k in torch.nonzero(loss < self.best_loss_).flatten().tolist():
            self.best_loss_[k] = loss[k]
            self.states_[k] = member_state(net.module_, k)
        if self.ends_ is None or len(net.history) - self.start_ in self.ends_:
            improved = self.best_loss_ < (1 - self.tol) * self.counted_loss_
            self.counted_loss_ = torch.where(improved, self.best_loss_, self.counted_loss_)
            self.waited_ = torch.where(improved, 0, self.waited_ + active)
        if (self.waited_ >= self.patience).all():
            raise StopTraining

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Restore the best weights and free the copies."""
        self.restore(net)

    def memory(self, net: Any) -> list[dict[str, torch.Tensor]]:
        """Return the state of the callback, in tensors whose shapes depend only on the net."""
        numbers = {name: getattr(self, name) for name in self._NUMBERS}
        states = [kept or member_state(net.module_, k) for k, kept in enumerate(self.states_)]
        return [numbers, *states]

    def remember(self, memory: list[dict[str, torch.Tensor]]) -> None:
        """Set the state that :meth:`memory` has returned."""
        for name in self._NUMBERS:
            setattr(self, name, memory[0][name])
        pairs = zip(memory[1:], self.best_loss_.isfinite(), strict=True)
        self.states_ = [state if found else None for state, found in pairs]

    def restore(self, net: Any) -> None:
        """Restore the best weights, once."""
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
    """Load a copy made by :func:`member_state`."""
    for name, tensor in as_stack(module).member_tensors(k).items():
        tensor.copy_(state[name])
