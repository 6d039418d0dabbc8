"""Rules that wrap another rule: RegMixup and manifold mixup."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.rule import MixingRule


@dataclass(frozen=True)
class WrappingRule(MixingRule):
    """Base class of rules that wrap another rule."""

    rule: MixingRule = field(default_factory=Mixup)

    def __post_init__(self) -> None:
        if not isinstance(self.rule, MixingRule):
            raise TypeError(f"rule must be a MixingRule such as Mixup(), got {self.rule!r}.")

    @property
    def needs_labels(self) -> bool:
        """As in the inner rule."""
        return self.rule.needs_labels

    @property
    def task(self) -> str:
        """As in the inner rule."""
        return self.rule.task

    @property
    def swaps_columns(self) -> bool:
        """As in the inner rule."""
        return self.rule.swaps_columns

    def fit(self, take: Callable[[Tensor], Tensor], labels: Tensor) -> MixingRule:
        """Fit the inner rule; see :meth:`MixingRule.fit`."""
        return replace(self, rule=self.rule.fit(take, labels))

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Any:
        """Draw as the inner rule does; see :meth:`MixingRule.draw`."""
        return self.rule.draw(
            alpha, shape, features=features, generator=generator, labels=labels
        )

    def mix_x(self, x: Tensor, mix: Any) -> Tensor:
        """Mix inputs as the inner rule does."""
        return self.rule.mix_x(x, mix)

    def mix_y(self, y: Tensor, mix: Any) -> Tensor:
        """Mix targets as the inner rule does."""
        return self.rule.mix_y(y, mix)


@dataclass(frozen=True)
class RegMixup(WrappingRule):
    """Trains on every batch twice: unmixed and mixed.

    The loss is (L(batch) + η L(mixed batch)) / (1 + η): that of RegMixup (Pinto et al. 2022,
    arXiv 2206.14502) up to the factor 1 + η, which makes no difference to Adam. A step costs
    twice as much as with mixup. The authors use α of 10 to 20, far more than suits mixup: pass
    ``alpha=10``.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        Rule for the mixed copy; it must mix inputs and keep the batch size.
    eta : float, default=1.0
        η > 0, the weight of the mixed copy relative to the clean one.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import RegMixup
    >>> rule, source = RegMixup(), torch.Generator().manual_seed(0)
    >>> mix = rule.draw(10.0, (4,), generator=source)
    >>> rule.mix_x(torch.eye(4), mix).shape
    torch.Size([8, 4])
    """

    eta: float = 1.0

    enlarges_batch = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule.mixes_hidden or self.rule.enlarges_batch:
            raise ValueError(
                "rule must mix inputs and keep the batch size, such as Mixup(), got "
                f"{self.rule!r}."
            )
        if not (math.isfinite(self.eta) and self.eta > 0):
            raise ValueError(f"eta must be a finite number > 0, got {shown(self.eta)}.")

    def mix_x(self, x: Tensor, mix: Any) -> Tensor:
        """Return the batch followed by its mixed copy, shape (..., 2 · batch, *features)."""
        return torch.cat((x, self.rule.mix_x(x, mix)), mix.lam.dim() - 1)

    def mix_y(self, y: Tensor, mix: Any) -> Tensor:
        """Return the targets followed by the mixed ones, shape (..., 2 · batch, outputs).

        The first half is multiplied by 2 / (1 + η) and the second by 2η / (1 + η): the mean
        over all rows of a loss that is linear in the targets is then the loss of the class.
        """
        clean = 2 / (1 + self.eta)
        halves = clean * y, clean * self.eta * self.rule.mix_y(y, mix)
        return torch.cat(halves, mix.lam.dim() - 1)


@dataclass(frozen=True)
class ManifoldMixup(WrappingRule):
    """Mixes the output of a hidden layer instead of the inputs.

    One layer is drawn for every batch, each with the same probability, and its output is
    mixed by another rule, together with the targets (Verma et al. 2019, arXiv 1806.05236). The
    authors use α = 2.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        Rule for the output of the layer; not :class:`FeatMix`, which weights input columns,
        and no rule that enlarges batches.
    layers : sequence of str, default=None
        Layers to draw from: "input", and "layer1", "layer2", … for hidden layers of an MLP
        after ReLU, or names of submodules as in ``module.named_modules()``. None draws from
        the input and the first two hidden layers, as the authors do; in your own module, these
        are its outermost submodules with weights.

    Examples
    --------
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.mixing import ManifoldMixup
    >>> X, y = [[0.0], [0.2], [0.8], [1.0]] * 10, [0, 0, 1, 1] * 10
    >>> rule = ManifoldMixup(layers=["input", "layer1"])
    >>> net = MixupClassifier(mixing=rule, alpha=2.0, max_epochs=2, random_state=0)
    >>> net.fit(X, y).predict_proba(X[:2]).shape
    (2, 2)
    """

    layers: Sequence[str] | None = None

    mixes_hidden = True

    def __post_init__(self) -> None:
        super().__post_init__()
        # The information of input columns says nothing about the units of a layer.
        by_column = isinstance(self.rule, FeatMix)
        if self.rule.mixes_hidden or self.rule.enlarges_batch or by_column:
            raise ValueError(
                "rule must be able to mix a hidden layer, such as Mixup() or CutMix(), got "
                f"{self.rule!r}."
            )
        if self.layers is None:
            return
        if isinstance(self.layers, str) or not self.layers:
            raise ValueError(
                "layers must be a list of names such as ['input', 'layer1'], got "
                f"{shown(self.layers)}."
            )
        object.__setattr__(self, "layers", tuple(self.layers))
