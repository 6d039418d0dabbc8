"""Training steps: without autograd for an MLP, with autograd for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mixup_tab.nets.stacked import as_stack, weights_dtype
from mixup_tab.training.batches import Batch
from mixup_tab.training.device import precision_for
from mixup_tab.training.hidden import INPUT, HiddenMix, mixed_inside, mixed_layers
from mixup_tab.training.randomness import drawing_from
from mixup_tab.training.state import TrainingState


def manual_epoch(net: Any, batches: Any, state: TrainingState) -> tuple[list[Tensor], int, int]:
    """Run an epoch without autograd, block by block.

    Returns the summed losses of the batches, shape (batches, members) each, and the numbers of
    rows and batches.
    """
    noise = [stream.noise for stream in state.streams]
    step, update = net.module_.bind(net.criterion_, noise), net.optimizer_.bind()
    losses, rows, count = [], 0, 0
    with torch.inference_mode():
        for x, targets in batches.blocks():
            outputs = []
            for inputs, wanted in zip(x.unbind(0), targets.unbind(0), strict=True):
                outputs.append(step(inputs, wanted))
                update()
            # The loss is only reported, so it is computed for all steps of a block at once.
            losses.append(net.criterion_.rows(torch.stack(outputs), targets).mean(-1))
            losses[-1] *= x.shape[2]
            rows, count = rows + x.shape[0] * x.shape[2], count + len(x)
    return losses, rows, count


def manual_step(net: Any, batch: Batch, state: TrainingState) -> dict:
    """Run one step without autograd, for callbacks that are called for every batch."""
    noise = [stream.noise for stream in state.streams]
    outputs = net.module_.backward(batch.x, batch.targets, net.criterion_, noise)
    losses = net.criterion_.rows(outputs, batch.targets).mean(-1)
    return {"loss": losses.sum(), "member_losses": losses, "y_pred": outputs}


def batch_losses(net: Any, batch: Batch, state: TrainingState, **fit_params: Any) -> dict:
    """Compute the losses of a batch, mixing a hidden layer where the rule does."""
    targets, mixes = batch.targets, None
    if state.hidden is not None and net.module_.training:
        mixes = state.hidden.draw(targets)
    outputs = _outputs(net, batch.x, state, mixes, **fit_params)
    if mixes is not None:
        targets = torch.stack([mix.mixed_targets() for mix in mixes])
    if hasattr(net.criterion_, "rows"):
        losses = net.criterion_.rows(outputs, targets).mean(-1)
    else:
        pairs = zip(outputs, targets, strict=True)
        losses = torch.stack([net.get_loss(*pair) for pair in pairs])
    return {"loss": losses.sum(), "member_losses": losses, "y_pred": outputs}


def _outputs(
    net: Any, x: Tensor, state: TrainingState, mixes: list[HiddenMix] | None, **fit_params: Any
) -> Tensor:
    """Return outputs, shape (members, batch, outputs), for prepared inputs of all members."""
    module, stack = net.module_, as_stack(net.module_)
    noise = [stream.noise for stream in state.streams]
    if stack.one_call:
        return module.body(x, noise, mixed_layers(mixes) if mixes else None)
    redirect = module.training and state.draws_noise
    drawn, outputs = False, []
    # skorch lets users override infer, which calls the whole module.
    bodies = [net.infer if body is module else body for _, body in stack.halves()]
    every: Sequence[HiddenMix | None] = mixes or [None] * len(x)
    parts = zip(stack.nets(), bodies, x, noise, every, strict=True)
    for member, body, part, generator, mix in parts:
        part = mix(part) if mix is not None and mix.layer == INPUT else part
        random: AbstractContextManager[Any] = nullcontext()
        if redirect:
            random = drawing_from(generator)
        with random as mode, precision_for(member, net.device), mixed_inside(member, mix):
            outputs.append(body(part, **fit_params).to(weights_dtype(module)))
        drawn = drawn or (mode is not None and mode.used)
    if module.training:
        state.draws_noise = drawn
    return torch.stack(outputs)
