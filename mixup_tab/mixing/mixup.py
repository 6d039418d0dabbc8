"""mixup itself (Zhang et al. 2017, arXiv 1710.09412)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixup_tab.mixing.draw import PARTNERS, beta, partners
from mixup_tab.mixing.rule import Mix, MixingRule, blend, take_partners


@dataclass(frozen=True)
class Mixup(MixingRule):
    """Convex combinations of two examples and of their targets.

    x̃ = λ x_i + (1 − λ) x_j and ỹ = λ y_i + (1 − λ) y_j with λ ~ Beta(α, α)
    (Zhang et al. 2017, arXiv 1710.09412, section 2).

    Parameters
    ----------
    lam_per : {"example", "batch"}, default="example"
        Whether every example gets its own λ or a batch shares one (as in the
        authors' code).
    folded : bool, default=False
        Replace λ by max(λ, 1 − λ), so that λ lies in [½, 1] and no pair is drawn
        in both orders.
    partners : {"any", "same_class", "other_class"}, default="any"
        Among which examples of the batch the partner is drawn.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab import Mixup
    >>> x, y = torch.eye(4), torch.eye(2).repeat(2, 1)
    >>> rule = Mixup(folded=True)
    >>> mix = rule.draw(0.4, (4,), generator=torch.Generator().manual_seed(0))
    >>> rule.mix_x(x, mix).sum(dim=1)
    tensor([1., 1., 1., 1.])
    """

    lam_per: str = "example"
    folded: bool = False
    partners: str = "any"

    def __post_init__(self) -> None:
        if self.lam_per not in ("example", "batch"):
            raise ValueError(f"lam_per must be 'example' or 'batch', got {self.lam_per!r}.")
        if self.partners not in PARTNERS:
            raise ValueError(
                f"partners must be one of {list(PARTNERS)}, got {self.partners!r}."
            )

    @property
    def needs_labels(self) -> bool:
        """Whether :meth:`draw` needs the classes of the examples."""
        return self.partners != "any"

    @property
    def kind(self) -> str:
        """What targets the rule is for."""
        return "classes" if self.needs_labels else "any"

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Mix:
        """Draw weights and partners.

        Parameters
        ----------
        alpha : float
            Parameter of Beta(α, α); 0 gives λ = 1.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example; makes no difference.
        generator : torch.Generator
            Source of randomness.
        labels : Tensor of int, shape ``shape``, default=None
            Classes, needed unless ``partners="any"``.

        Returns
        -------
        Mix
        """
        shape = tuple(shape)
        drawn = shape if self.lam_per == "example" else (*shape[:-1], 1)
        lam = beta(alpha, drawn, generator=generator).expand(shape)
        if self.folded:
            lam = torch.maximum(lam, 1 - lam)
        return Mix(lam, partners(shape, generator=generator, kind=self.partners, labels=labels))

    def mix_x(self, x: Tensor, mix: Mix) -> Tensor:
        """Mix inputs.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Examples.
        mix : Mix
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``x``
        """
        return blend(x, take_partners(x, mix.partner), mix.lam)

    def mix_y(self, y: Tensor, mix: Mix) -> Tensor:
        """Mix targets, with the same weights as the inputs.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            One-hot rows, soft targets or values.
        mix : Mix
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``y``
        """
        return blend(y, take_partners(y, mix.partner), mix.lam)
