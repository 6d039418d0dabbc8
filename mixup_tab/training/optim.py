"""AdamW without the bookkeeping that costs more than the update of a tiny net.

Both classes bind a step once and repeat it: the fused kernel gets lists of parameters,
gradients, both moments and step counts that stay the same objects for a whole epoch, so that a
step is one addition to a counter and one call into torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from mixup_tab._torch_private import fused_adamw, without_compile_wrapper

OPTIONS = ("lr", "betas", "eps", "weight_decay")


class LeanAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) as one fused call.

    The update is ``torch.optim.AdamW(fused=True)``'s own kernel. What is left out is
    its Python side, which takes eight times as long as the update of a 30-128-128-2
    net.

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

        It holds on to the present gradients and settings, so it serves a loop that writes
        gradients in place, without looking everything up in every step. Call it where no
        gradient is recorded.
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
        states = [self.state[p] or self._start(p, fresh) for p in params]
        if len(params) < len(group["params"]):
            # Parameters without a gradient make no step, so from here on the others count
            # on a copy of their own.
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

    def _start(self, parameter: Tensor, step: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        state["step"] = step
        state["exp_avg"] = torch.zeros_like(parameter.detach())
        state["exp_avg_sq"] = torch.zeros_like(parameter.detach())
        return state


class StackAdamW:
    """The same update for a stack whose members differ in learning rate and weight decay.

    The kernel takes one learning rate per call. So members with equal settings that lie next to
    each other share a call, on slices of the stacked parameters and moments.

    Parameters
    ----------
    params : sequence of Tensor
        Parameters with a leading model axis and a gradient each.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        self.moments = [[torch.zeros_like(p.detach()) for p in self.params] for _ in range(2)]
        # One counter for all: members of a stack begin together.
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
