"""Adam without the bookkeeping that costs more than the update of a tiny net."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor


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
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)

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

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update the parameters, after calling ``closure`` if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self.update()
        return loss

    def update(self) -> None:
        """Update the parameters; to be called where no gradient is recorded."""
        for run in self.updates():
            run()

    @torch.inference_mode(False)
    def updates(self) -> list[Callable[[], None]]:
        """Return one function per group that updates its parameters.

        They hold on to the present gradients, so they serve a loop that writes those in
        place, without looking everything up in every step.
        """
        groups = [
            (g, [p for p in g["params"] if p.grad is not None]) for g in self.param_groups
        ]
        return [self._bind(group, params) for group, params in groups if params]

    def _bind(self, group: dict, params: list[Tensor]) -> Callable[[], None]:
        fresh = torch.zeros((), device=params[0].device)
        states = [self.state[p] or self._start(p, fresh) for p in params]
        if len(params) < len(group["params"]):
            for state in states:  # those that sit this step out are not to be counted
                state["step"] = state["step"].clone()
        update = _fused_update(
            params,
            [p.grad for p in params],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [state["step"] for state in states],
            group,
        )
        # Parameters that started together share one counter: adding to many costs more
        # than the update itself.
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

    Parameters
    ----------
    params : sequence of Tensor
        Parameters with a leading model axis and a gradient each.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        self.moments = [[torch.zeros_like(p.detach()) for p in self.params] for _ in range(2)]
        self.step = torch.zeros((), device=self.params[0].device)

    def updates(self, settings: Sequence[dict]) -> Callable[[], None]:
        """Return a function that updates every member.

        Parameters
        ----------
        settings : sequence of dict
            Options of :class:`LeanAdamW`, one per member. Neighbours with equal ones
            are updated in one call.

        Returns
        -------
        callable
        """
        names = ("lr", "betas", "eps", "weight_decay")
        calls, start = [], 0
        for options, same in groupby(settings, lambda s: tuple(s[name] for name in names)):
            part = slice(start, start + len(list(same)))
            start = part.stop
            tensors = (self.params, [p.grad for p in self.params], *self.moments)
            sliced = [[tensor.detach()[part] for tensor in each] for each in tensors]
            steps = [self.step] * len(self.params)
            calls.append(_fused_update(*sliced, steps, dict(zip(names, options, strict=True))))

        def run() -> None:
            self.step.add_(1)
            for call in calls:
                call()

        return run

    def take(self, other: StackAdamW, members: Tensor) -> None:
        """Go on with the moments of some members of another stack."""
        self.moments = [[m[members] for m in each] for each in other.moments]
        self.step = other.step


def _fused_update(
    params: list[Tensor],
    grads: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    options: dict,
) -> Callable[[], None]:
    return partial(
        torch._fused_adamw_,
        params,
        grads,
        means,
        squares,
        [],
        steps,
        lr=options["lr"],
        beta1=options["betas"][0],
        beta2=options["betas"][1],
        weight_decay=options["weight_decay"],
        eps=options["eps"],
        amsgrad=False,
        maximize=False,
    )
