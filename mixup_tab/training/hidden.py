"""Mixing of hidden layers (manifold mixup)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mixup_tab.mixing import MixingRule
from mixup_tab.mixing.rule import draw_by_column
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training.randomness import Streams

INPUT = "input"
_DRAWN_AT_ONCE = 256


class HiddenMixing:
    """Hidden-layer mixing of all members, for an epoch."""

    def __init__(
        self,
        rule: MixingRule,
        alphas: Sequence[float],
        module: nn.Module,
        streams: Sequence[Streams],
    ) -> None:
        names = _chosen_layers(rule, module)
        self._rule, self._alphas = rule, alphas
        self._groups = as_stack(module).groups
        self._generators = [stream.mix for stream in streams]
        self._layers = [_LayerDraw(names, generator) for generator in self._generators]

    def draw(self, targets: Tensor) -> list[HiddenMix]:
        """Draw the mixing of one step for every member."""
        parts = zip(self._alphas, self._layers, targets, self._generators, strict=True)
        return [
            HiddenMix(self._rule, alpha, layers.next(), part, generator, self._groups)
            for alpha, layers, part, generator in parts
        ]


class _LayerDraw:
    """Draws the layer of every batch, many at a time to avoid waiting for the device."""

    def __init__(self, names: Sequence[str], generator: torch.Generator) -> None:
        self.names = names
        self.generator = generator
        self._drawn: list[int] = []

    def next(self) -> str:
        """Return the name of the next batch's layer."""
        if not self._drawn:
            source, count = self.generator, len(self.names)
            size = (_DRAWN_AT_ONCE,)
            drawn = torch.randint(count, size, generator=source, device=source.device)
            self._drawn = drawn.tolist()
        return self.names[self._drawn.pop()]


def _chosen_layers(rule: MixingRule, module: nn.Module) -> list[str]:
    stack = as_stack(module)
    layers = getattr(rule, "layers", None)
    if layers is None:  # the input and two blocks, as in the paper
        return [INPUT, *stack.blocks()[:2]]
    known = [INPUT, *stack.hidden_layers()]
    for name in layers:
        if name not in known:
            raise ValueError(
                f"The net has no layer {name!r}. Set ManifoldMixup(layers=...) to some of: "
                f"{', '.join(map(repr, known))}."
            )
    return list(layers)


class HiddenMix:
    """One member's mixing in one step: inputs and targets get the same draw."""

    def __init__(
        self,
        rule: MixingRule,
        alpha: float,
        layer: str,
        targets: Tensor,
        generator: torch.Generator,
        groups: tuple[Tensor, int] | None = None,
    ) -> None:
        self.rule, self.alpha, self.layer = rule, alpha, layer
        self._groups = groups if layer == INPUT else None
        self.targets, self.generator = targets, generator
        self._mix: Any = None

    def __call__(self, state: Any) -> Any:
        """Mix a state, shape (batch, *features), unless one was mixed in this step."""
        if self._mix is not None or not self.alpha:
            return state
        if not isinstance(state, Tensor) or state.shape[:1] != self.targets.shape[:1]:
            what = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise ValueError(
                f"Layer {self.layer!r} returns {what} for {len(self.targets)} examples, which "
                "cannot be mixed. Choose layers with one output per example in "
                "ManifoldMixup(layers=...)."
            )
        mix = draw_by_column(
            self.rule,
            self.alpha,
            state.shape[:1],
            self._groups,
            features=state.shape[1:],
            generator=self.generator,
            labels=self._labels() if self.rule.needs_labels else None,
        )
        self._mix = type(mix)(*(part.to(state.device) for part in mix))
        return self.rule.mix_x(state, self._mix)

    def _labels(self) -> Tensor:
        """Return class codes, or values, of target rows."""
        if self.rule.task == "regression":  # rows of MixedValueLoss end with the weight
            return self.targets[:, :-1] / self.targets[:, -1:]
        return self.targets.argmax(-1)

    def mixed_targets(self) -> Tensor:
        """Return the targets, mixed like the state."""
        if not self.alpha:
            return self.targets
        if self._mix is None:
            raise ValueError(
                f"Layer {self.layer!r} was not called in a training step, so nothing was "
                "mixed. Choose layers that forward calls in ManifoldMixup(layers=...)."
            )
        return self.rule.mix_y(self.targets, self._mix)


@contextmanager
def mixed_inside(net: nn.Module, mix: HiddenMix | None) -> Iterator[None]:
    """Mix the output of a layer of any net inside the block, through a hook."""
    if mix is None or mix.layer == INPUT:
        yield
        return
    layer = net.get_submodule(mix.layer)
    handle = layer.register_forward_hook(lambda layer, inputs, output: mix(output))
    try:
        yield
    finally:
        handle.remove()


def mixed_layers(mixes: Sequence[HiddenMix]) -> Any:
    """Return a function that mixes layers of an MLP; see ``change`` of :meth:`MLP.body`."""

    def change(k: int, x: Tensor) -> Tensor:
        name = f"layer{k}" if k else INPUT
        if all(mix.layer != name for mix in mixes):
            return x
        pairs = zip(mixes, x, strict=True)
        return torch.stack([mix(part) if mix.layer == name else part for mix, part in pairs])

    return change
