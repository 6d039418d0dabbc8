"""How the epochs of a MixupNet are run: by hand where nobody would notice, else by autograd."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NoReturn

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import Tensor, nn

from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing import as_rule
from mixup_tab.mixing.draw import check_alpha
from mixup_tab.nets import MLP, PreparedNet
from mixup_tab.training.batches import Batch, Mixing
from mixup_tab.training.callbacks import StopTraining
from mixup_tab.training.device import precision_for
from mixup_tab.training.device_net import DeviceNet, members_of
from mixup_tab.training.hidden import (
    INPUT,
    HiddenMix,
    LayerDraw,
    mixed_inside,
    mixed_layers,
)
from mixup_tab.training.optim import LeanAdamW
from mixup_tab.training.randomness import drawing_from
from mixup_tab.training.state import mixed_epochs

# The loss is only looked at, so it is computed for many steps in one call.
_LOSS_STEPS = 64

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")


class EpochNet(DeviceNet):
    """The part of :class:`~mixup_tab.MixupNet` that runs epochs."""

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(
            f"{what} in epoch {len(self.history)}. Lower the learning rate (now {self.lr:g}; "
            "learning_rate_init in the estimators, lr in MixupNet) or bring the inputs to a "
            "common scale."
        )

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call the hooks of one kind, unless nobody listens."""
        if method_name in _BATCH_HOOKS and method_name not in self._heard_:
            return
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **kwargs)
            except KeyboardInterrupt as stop:
                if isinstance(callback, SkorchEarlyStopping):
                    raise StopTraining from stop
                raise

    def _listened_to(self) -> set[str]:
        """Batch hooks that the net or a callback overrides."""
        own = {name for name in _BATCH_HOOKS if overrides(self, NeuralNet, name)}
        return own | {
            name
            for _, callback in self.callbacks_
            for name in _BATCH_HOOKS
            if overrides(callback, Callback, name)
        }

    def run_single_epoch(
        self,
        iterator: Iterable | None,
        training: bool,
        prefix: str,
        step_fn: Callable,
        **fit_params: Any,
    ) -> None:
        """Run one epoch and put its mean loss into the history.

        Raises
        ------
        ValueError
            If the training loss is not finite.
        """
        if iterator is None:
            return
        by_hand = self.goes_by_hand()
        self._set_training(training)
        if training:
            self._begin_epoch(iterator)
            self._uses_noise_ = True  # until the first step of the epoch shows otherwise
        if training and by_hand:
            self._record_epoch(prefix, *self._epoch_by_hand(iterator))
            return
        total, rows, count = torch.zeros(self.n_members, device=self.device), 0, 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            size = batch.x.shape[1]
            total.add_(step["member_losses"].detach(), alpha=size)
            self.notify("on_batch_end", batch=batch, training=training, **step)
            rows, count = rows + size, count + 1
        self._record_epoch(prefix, total, rows, count)

    def _begin_epoch(self, iterator: Any) -> None:
        self.history.new_batch()  # what skorch's callbacks expect there to be
        iterator.mixing = mixing = self._mixing_now(iterator)
        self._inside_ = mixing if mixing is not None and mixing.rule.hidden else None
        if self._inside_ is not None:
            nets = zip(self._members(), self._streams_, strict=True)
            self._layers_ = [LayerDraw(mixing.rule, net, stream.mix) for net, stream in nets]

    def goes_by_hand(self) -> bool:
        """Whether nobody would notice that an epoch runs without autograd and hooks.

        Returns
        -------
        bool
        """
        self._heard_ = self._listened_to()
        return (
            not self._heard_
            and isinstance(self.module_, MLP)
            and not as_rule(self.mixing).hidden
            and isinstance(self.optimizer_, LeanAdamW)
            and hasattr(self.criterion_, "gradient")
            and not overrides(self, EpochNet, "train_step", "train_step_single", "infer")
            and all(p.requires_grad for p in self.module_.parameters())
        )

    def _epoch_by_hand(self, iterator: Iterable[Batch]) -> tuple[Tensor, int, int]:
        """Run an epoch in which the net writes its own gradients."""
        step = self.module_.bind(self.criterion_, [stream.noise for stream in self._streams_])
        total, rows, count = torch.zeros(self.n_members, device=self.device), 0, 0
        updates: list[Callable[[], None]] = []
        seen: list[tuple[Tensor, Tensor]] = []
        with torch.inference_mode():
            for x, targets in iterator:
                if seen and (len(seen) == _LOSS_STEPS or seen[0][1].shape != targets.shape):
                    total += self._summed_loss(seen)
                    seen = []
                seen.append((step(x, targets), targets))
                updates = updates or self.optimizer_.updates()
                for update in updates:
                    update()
                rows, count = rows + x.shape[1], count + 1
            total += self._summed_loss(seen)
        return total, rows, count

    def _summed_loss(self, steps: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Sum the loss of every member over the rows of several steps at once."""
        outputs, targets = (torch.stack(part) for part in zip(*steps, strict=True))
        return self.criterion_.rows(outputs, targets).sum((0, 2))

    def _mixing_now(self, iterator: Any) -> Mixing | None:
        epoch = len(self.history) - 1 - self._before_
        if not mixed_epochs(self.mixing_span, self._end_)[epoch]:
            return None
        if self._rule_ is None:
            self._check_kind()
            self._rule_ = iterator.teach(as_rule(self.mixing))
        return Mixing(self._rule_, self._alphas())

    def _check_kind(self) -> None:
        """Refuse a rule for the other kind of target."""
        kind, name = as_rule(self.mixing).kind, type(self.criterion_).__name__
        others = {"classes": MixedSquaredError, "values": MixedCrossEntropy}
        if isinstance(self.criterion_, others.get(kind, ())):
            raise ValueError(
                f"mixing={self.mixing!r} looks at {kind}, but the targets of criterion={name} "
                "are none. Use 'mixup'."
            )

    def _members(self) -> Sequence[nn.Module]:
        """Return the net of every member; an MLP, which holds them all, once for each."""
        if isinstance(self.module_, MLP):
            return [self.module_] * self.n_members
        return members_of(self.module_)

    def _alphas(self) -> list[float]:
        """Return α of every member."""
        alphas = self.alpha
        if isinstance(alphas, str) or not isinstance(alphas, Sequence):
            alphas = [alphas] * self.n_members
        if len(alphas) != self.n_members:
            raise ValueError(f"alpha has {len(alphas)} values for n_members={self.n_members}.")
        return [check_alpha(alpha) for alpha in alphas]

    def _record_epoch(self, prefix: str, total: Tensor, rows: int, count: int) -> None:
        losses = total.cpu() / rows
        self.epoch_losses_ = {**getattr(self, "epoch_losses_", {}), prefix: losses}
        mean = losses.mean().item()
        least = self._least_.get(prefix)
        if least is None:
            before = [row.get(f"{prefix}_loss", math.inf) for row in self.history[:-1]]
            least = min(before, default=math.inf)
        self._least_[prefix] = min(mean, least)
        self.history.record(f"{prefix}_loss", mean)
        self.history.record(f"{prefix}_loss_best", mean < least)
        self.history.record(f"{prefix}_batch_count", count)
        if prefix == "train" and not torch.isfinite(losses).all():
            self._refuse(f"The training loss became {mean}")

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict:
        """Compute the loss of a mixed batch and its gradients with autograd."""
        step = self._losses(batch, **fit_params)
        step["loss"].backward()
        return step

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict:
        """Compute the loss of an unmixed batch."""
        with torch.no_grad():
            return self._losses(batch, **fit_params)

    def _losses(self, batch: Batch, **fit_params: Any) -> dict:
        mixes = self._draw_inside(batch.targets)
        outputs = self._stacked_outputs(batch.x, mixes, **fit_params)
        targets = batch.targets
        if mixes is not None:
            targets = torch.stack([mix.mixed_targets() for mix in mixes])
        if hasattr(self.criterion_, "rows"):
            losses = self.criterion_.rows(outputs, targets).mean(-1)
        else:
            pairs = zip(outputs, targets, strict=True)
            losses = torch.stack([self.get_loss(*pair) for pair in pairs])
        return {"loss": losses.sum(), "member_losses": losses, "y_pred": outputs}

    def _draw_inside(self, targets: Tensor) -> list[HiddenMix] | None:
        """Return what is done to a hidden layer of every member in this step, if anything."""
        inside = self._inside_
        if inside is None or not self.module_.training:
            return None
        parts = zip(inside.alphas, self._layers_, targets, self._streams_, strict=True)
        return [
            HiddenMix(inside.rule, alpha, layers.next(), part, stream.mix)
            for alpha, layers, part, stream in parts
        ]

    def _stacked_outputs(
        self, x: Tensor, mixes: list[HiddenMix] | None = None, **fit_params: Any
    ) -> Tensor:
        """Outputs, shape (members, batch, outputs), for prepared inputs with that axis."""
        noise = [stream.noise for stream in self._streams_]
        if isinstance(self.module_, MLP):
            return self.module_.body(x, noise, mixed_layers(mixes) if mixes else None)
        redirect = self.module_.training and self._uses_noise_
        used, outputs = False, []
        parts = zip(self._members(), x, noise, mixes or [None] * len(x), strict=True)
        for net, part, generator, mix in parts:
            call = net.body if isinstance(net, PreparedNet) else net
            call = self.infer if call is self.module_ else call
            part = mix(part) if mix is not None and mix.layer == INPUT else part
            random = drawing_from(generator) if redirect else nullcontext()
            with random as mode, precision_for(net, self.device), mixed_inside(net, mix):
                outputs.append(call(part, **fit_params).to(self._dtype_))
            used = used or (redirect and mode.used)
        if self.module_.training:
            self._uses_noise_ = used
        return torch.stack(outputs)


def overrides(thing: object, base: type, *names: str) -> bool:
    """Whether the class of a thing has methods of its own under names of a base."""
    return any(getattr(type(thing), name) is not getattr(base, name) for name in names)
