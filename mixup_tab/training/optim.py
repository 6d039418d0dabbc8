"""AdamW without torch's Python overhead, which exceeds the update of a small net; and Muon.

All classes bind a step once and repeat it: the lists of parameters, gradients, moments and step
counts for the fused kernel stay the same objects for a whole epoch, so that a step is one
addition to a counter and one call into torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from mixup_tab._torch_private import fused_adamw, without_compile_wrapper

OPTIONS = ("lr", "betas", "eps", "weight_decay")
# Muon: momentum of kernels, and the relative learning rate of everything else.
_MOMENTUM, _ADAM_SHARE = 0.6, 0.08
_LEAST_NORM = 1e-12


class LeanAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) as one fused call.

    The kernel is that of ``torch.optim.AdamW(fused=True)``, called without its Python side,
    which takes eight times as long as the update of a 30-128-128-2 net.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups, dense and of a floating point type.
    lr : float, default=1e-3
        Learning rate.
    betas : tuple of float, default=(0.9, 0.999)
        Decay of the two moment estimates.
    eps : float, default=1e-8
        Added to the denominator.
    weight_decay : float, default=0.0
        Decoupled weight decay: every step shrinks the parameters by ``lr * weight_decay``.
    """

    # torch wraps these for torch.compile, which takes seconds to import on first use.
    add_param_group = without_compile_wrapper(torch.optim.Optimizer.add_param_group)
    load_state_dict = without_compile_wrapper(torch.optim.Optimizer.load_state_dict)
    state_dict = without_compile_wrapper(torch.optim.Optimizer.state_dict)
    zero_grad = without_compile_wrapper(torch.optim.Optimizer.zero_grad)

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """Update the parameters, after calling ``closure`` if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self.bind()()
        return loss

    @torch.inference_mode(False)  # moments outlive the loop, which may be in inference mode
    def bind(self) -> Callable[[], None]:
        """Return a function that makes a step, for a loop.

        It caches the current gradient tensors and settings, for a loop that writes gradients in
        place. Call it where no gradient is recorded.
        """
        groups = [
            (g, [p for p in g["params"] if p.grad is not None]) for g in self.param_groups
        ]
        updates = [self._bind_group(group, params) for group, params in groups if params]
        if len(updates) == 1:
            return updates[0]

        def update_all() -> None:
            for update in updates:
                update()

        return update_all

    def _bind_group(self, group: dict, params: list[Tensor]) -> Callable[[], None]:
        # Parameters that start together share one counter tensor: adding 1 to six of them
        # takes longer than the update itself. The kernel only reads it.
        fresh = torch.zeros((), device=params[0].device)
        for parameter in params:
            if not self.state[parameter]:
                self.state[parameter] = {**self.fresh_state(parameter), "step": fresh}
        states = [self.state[p] for p in params]
        if len(params) < len(group["params"]):
            # Parameters without a gradient make no step, so the others get their own counter.
            for state in states:
                state["step"] = state["step"].clone()
        update = fused_adamw(
            params,
            [p.grad for p in params if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            **{name: group[name] for name in OPTIONS},
        )
        counters = list({id(state["step"]): state["step"] for state in states}.values())

        def run() -> None:
            for counter in counters:
                counter.add_(1)
            update()

        return run

    def fresh_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the initial state of a parameter."""
        like = parameter.detach()
        return {
            "step": torch.zeros((), device=like.device),
            "exp_avg": torch.zeros_like(like),
            "exp_avg_sq": torch.zeros_like(like),
        }


class Muon(LeanAdamW):
    """Muon for the kernels of two-dimensional convolutions, AdamW for everything else.

    A step orthogonalises the momentum of a kernel's gradient, as a matrix with a row per output
    channel, so that all directions are learned at the same pace (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon). Kernels keep a fixed norm; use a normalisation
    after them, so that their scale does not matter.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups, dense and of a floating point type.
    lr : float, default=0.05
        Step of a kernel relative to its norm. The rate of all other parameters is 0.08 times
        this.
    **options
        ``betas``, ``eps`` and ``weight_decay`` for them; see :class:`LeanAdamW`.
    """

    def __init__(self, params: Iterable, lr: float = 0.05, **options: Any) -> None:
        super().__init__(params, lr, **options)

    def fresh_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """Return the initial state of a parameter."""
        if parameter.dim() != 4:
            return super().fresh_state(parameter)
        return {"momentum": torch.zeros_like(parameter.detach())}

    def _bind_group(self, group: dict, params: list[Tensor]) -> Callable[[], None]:
        kernels = [(p, p.grad) for p in params if p.dim() == 4 and p.grad is not None]
        for kernel, _ in kernels:
            if not self.state[kernel]:
                self.state[kernel] = self.fresh_state(kernel)
        updates = []
        if others := [p for p in params if p.dim() != 4]:
            every = [p for p in group["params"] if p.dim() != 4]
            theirs = {**group, "params": every, "lr": group["lr"] * _ADAM_SHARE}
            updates.append(super()._bind_group(theirs, others))

        def run() -> None:
            for kernel, gradient in kernels:
                self._turn(kernel, gradient, group["lr"])
            for update in updates:
                update()

        return run

    def _turn(self, kernel: Tensor, gradient: Tensor, lr: float) -> None:
        """Make a step for a kernel of shape (outputs, inputs, height, width)."""
        momentum, rows = self.state[kernel]["momentum"], len(kernel)
        momentum.mul_(_MOMENTUM).add_(gradient)
        ahead = gradient.add(momentum, alpha=_MOMENTUM)
        kernel.mul_(rows**0.5 / kernel.norm().clamp(min=_LEAST_NORM))
        direction = orthogonalized(ahead.reshape(rows, -1))
        kernel.sub_(direction.view(kernel.shape), alpha=lr)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return approximately U Vᵀ of a matrix U S Vᵀ, with singular values near 1.

    Three Newton-Schulz steps with Jordan's coefficients, which need only matrix products.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    wide = wide / wide.norm().clamp(min=_LEAST_NORM)
    for _ in range(3):
        square = wide @ wide.mT
        wide = 3.4445 * wide + (2.0315 * square @ square - 4.7750 * square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.mT


class StackAdamW:
    """AdamW for a stack whose members differ in learning rate and weight decay.

    The kernel takes one learning rate per call, so neighbouring members with equal settings
    share a call, on slices of the stacked parameters and moments.

    Parameters
    ----------
    params : sequence of Tensor
        Parameters with a leading model axis and a gradient each.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        self.moments = [[torch.zeros_like(p.detach()) for p in self.params] for _ in range(2)]
        # One counter for all: members of a stack start together.
        self.step = torch.zeros((), device=self.params[0].device)

    def bind(self, settings: Sequence[dict]) -> Callable[[], None]:
        """Return a function that updates every member."""
        calls, start = [], 0
        for options, same in groupby(settings, lambda s: tuple(s[name] for name in OPTIONS)):
            part = slice(start, start + len(list(same)))
            start = part.stop
            grads = [p.grad for p in self.params if p.grad is not None]
            means, squares = self.moments
            params, grads, means, squares = (
                [tensor.detach()[part] for tensor in each]
                for each in (self.params, grads, means, squares)
            )
            steps = [self.step] * len(self.params)
            settings_ = dict(zip(OPTIONS, options, strict=True))
            calls.append(fused_adamw(params, grads, means, squares, steps, **settings_))

        def run() -> None:
            self.step.add_(1)
            for call in calls:
                call()

        return run

    def resume(self, other: StackAdamW, members: Tensor) -> None:
        """Continue with the moments of some members of another stack."""
        self.moments = [[m[members] for m in each] for each in other.moments]
        self.step = other.step
