"""Rules around another rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.rule import Mix, MixingRule


@dataclass(frozen=True)
class Wrapper(MixingRule):
    """A rule that leaves everything to another one; its subclasses change one thing.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        The rule inside.
    """

    rule: MixingRule = field(default_factory=Mixup)

    def __post_init__(self) -> None:
        if not isinstance(self.rule, MixingRule):
            raise TypeError(f"rule must be a MixingRule such as Mixup(), got {self.rule!r}.")

    @property
    def needs_labels(self) -> bool:
        """Whether the rule inside looks at targets."""
        return self.rule.needs_labels

    @property
    def kind(self) -> str:
        """What targets the rule inside is for."""
        return self.rule.kind

    @property
    def hidden(self) -> bool:
        """Whether a hidden layer is mixed."""
        return self.rule.hidden

    @property
    def grows(self) -> bool:
        """Whether mixed batches are larger."""
        return self.rule.grows

    def learn(self, take: Callable[[Tensor], Tensor], y: Tensor) -> MixingRule:
        """Return the rule around what the one inside has learned; see :class:`MixingRule`."""
        return replace(self, rule=self.rule.learn(take, y))

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Mix:
        """Draw as the rule inside does."""
        return self.rule.draw(
            alpha, shape, features=features, generator=generator, labels=labels
        )

    def mix_x(self, x: Tensor, mix: Mix) -> Tensor:
        """Mix inputs as the rule inside does."""
        return self.rule.mix_x(x, mix)

    def mix_y(self, y: Tensor, mix: Mix) -> Tensor:
        """Mix targets as the rule inside does."""
        return self.rule.mix_y(y, mix)
