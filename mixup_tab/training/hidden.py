"""Mixing of hidden layers: what is drawn for a batch, and where it enters the net."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mixup_tab.mixing import ManifoldMixup
from mixup_tab.nets import MLP

INPUT = "input"
_DRAWN_AT_ONCE = 256


def hidden_layers(net: nn.Module) -> list[str]:
    """Return the names of a net's hidden layers, first those that are drawn by default.

    Parameters
    ----------
    net : nn.Module
        One net, or an MLP of any number of members.

    Returns
    -------
    list of str
        "layer1", "layer2", … for an MLP. Else names of submodules: the blocks, which are
        the outermost submodules with weights but for the last one, and then all others.

    Examples
    --------
    >>> from torch import nn
    >>> from mixup_tab.training.hidden import hidden_layers
    >>> hidden_layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    ['0', '1', '2']
    """
    if isinstance(net, MLP):
        return [f"layer{k}" for k in range(1, len(list(net.layers())))]
    blocks = _blocks(net)
    others = [name for name, _ in net.named_modules() if name and name not in blocks]
    return [*blocks, *others]


def default_layers(net: nn.Module) -> list[str]:
    """Return the layers among which mixing draws where none are named.

    Parameters
    ----------
    net : nn.Module
        One net, or an MLP of any number of members.

    Returns
    -------
    list of str
        The input and the first two blocks; see :func:`hidden_layers`.
    """
    blocks = hidden_layers(net) if isinstance(net, MLP) else _blocks(net)
    return [INPUT, *blocks[:2]]


def _blocks(net: nn.Module) -> list[str]:
    """Names of the outermost submodules with weights, without the last one."""
    prefix, children = "", _with_weights(net)
    while len(children) == 1:  # a net inside of a shell
        name, only = children[0]
        prefix, children = f"{prefix}{name}.", _with_weights(only)
    return [prefix + name for name, _ in children[:-1]]


def _with_weights(net: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, child)
        for name, child in net.named_children()
        if next(child.parameters(), None) is not None
    ]


class LayerDraw:
    """Draws the layer of every batch, many at a time so as not to wait for the device.

    Parameters
    ----------
    rule : ManifoldMixup
        Names the layers.
    net : nn.Module
        Has them.
    generator : torch.Generator
        Source of randomness.
    """

    def __init__(self, rule: ManifoldMixup, net: nn.Module, generator: torch.Generator) -> None:
        self.names = _chosen(rule, net)
        self.generator = generator
        self._drawn: list[int] = []

    def next(self) -> str:
        """Return the name of the next batch's layer."""
        if not self._drawn:
            place = {"generator": self.generator, "device": self.generator.device}
            self._drawn = torch.randint(len(self.names), (_DRAWN_AT_ONCE,), **place).tolist()
        return self.names[self._drawn.pop()]


def _chosen(rule: ManifoldMixup, net: nn.Module) -> list[str]:
    if rule.layers is None:
        return default_layers(net)
    known = [INPUT, *hidden_layers(net)]
    for name in rule.layers:
        if name not in known:
            raise ValueError(
                f"layers of ManifoldMixup names {name!r}, which the net does not have. It has: "
                f"{', '.join(map(repr, known))}."
            )
    return list(rule.layers)


class HiddenMix:
    """One member's mixing in one step: inputs and targets get the same draw.

    Parameters
    ----------
    rule : ManifoldMixup
        How states are mixed.
    alpha : float
        Parameter of Beta(α, α).
    layer : str
        Where.
    targets : Tensor, shape (batch, columns)
        Target rows of the batch.
    generator : torch.Generator
        Source of randomness.
    """

    def __init__(
        self,
        rule: ManifoldMixup,
        alpha: float,
        layer: str,
        targets: Tensor,
        generator: torch.Generator,
    ) -> None:
        self.rule, self.alpha, self.layer = rule, alpha, layer
        self.targets, self.generator = targets, generator
        self._mix: Any = None

    def __call__(self, state: Any) -> Any:
        """Mix a state, shape (batch, *features), unless one was mixed in this step."""
        if self._mix is not None or not self.alpha:
            return state
        if not isinstance(state, Tensor) or state.shape[:1] != self.targets.shape[:1]:
            what = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise ValueError(
                f"Layer {self.layer!r} gives {what} for {len(self.targets)} examples, and "
                "cannot be mixed. Name layers that give one state per example in "
                "ManifoldMixup(layers=...)."
            )
        mix = self.rule.draw(
            self.alpha,
            state.shape[:1],
            features=state.shape[1:],
            generator=self.generator,
            labels=self._labels() if self.rule.needs_labels else None,
        )
        self._mix = type(mix)(*(part.to(state.device) for part in mix))
        return self.rule.mix_x(state, self._mix)

    def _labels(self) -> Tensor:
        """Return class codes, or values, of target rows."""
        if self.rule.kind == "values":  # rows of MixedSquaredError, with the weight behind
            return self.targets[:, :-1] / self.targets[:, -1:]
        return self.targets.argmax(-1)

    def mixed_targets(self) -> Tensor:
        """Return the targets as the state was mixed."""
        if not self.alpha:
            return self.targets
        if self._mix is None:
            raise ValueError(
                f"Layer {self.layer!r} took no part in a training step, so nothing was mixed. "
                "Name layers that the net's forward calls in ManifoldMixup(layers=...)."
            )
        return self.rule.mix_y(self.targets, self._mix)


@contextmanager
def mixed_inside(net: nn.Module, mix: HiddenMix | None) -> Iterator[None]:
    """Mix what a layer of a net gives, inside of the block.

    Parameters
    ----------
    net : nn.Module
        A net that is no MLP.
    mix : HiddenMix or None
        What is done to the output of its layer; None and the input are left alone.
    """
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
    """Return what an MLP is to do to the inputs of its layers.

    Parameters
    ----------
    mixes : sequence of HiddenMix
        One per member.

    Returns
    -------
    callable
        ``change(k, x)`` mixes the inputs x, shape (members, batch, width), of layer k for
        the members that are mixed there.
    """

    def change(k: int, x: Tensor) -> Tensor:
        name = f"layer{k}" if k else INPUT
        if all(mix.layer != name for mix in mixes):
            return x
        pairs = zip(mixes, x, strict=True)
        return torch.stack([mix(part) if mix.layer == name else part for mix, part in pairs])

    return change
