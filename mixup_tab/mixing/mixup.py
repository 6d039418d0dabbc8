"""mixup of two examples, or of more (Zhang et al. 2017, arXiv 1710.09412)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab.mixing._draw import check_partners, draw_lam, draw_partners, draw_weights
from mixup_tab.mixing.rule import Mix, MixingRule, take_partners


@dataclass(frozen=True)
class Mixup(MixingRule):
    """Blends of two examples and of their targets.

    x̃ = λ x_i + (1 − λ) x_j and ỹ = λ y_i + (1 − λ) y_j with λ ~ Beta(α, α)
    (Zhang et al. 2017, arXiv 1710.09412, section 2).

    Parameters
    ----------
    lam_per : {"example", "batch"}, default="example"
        Draw one λ for every example, or one for the whole batch (as in the authors' code).
    folded : bool, default=False
        Replace λ by max(λ, 1 − λ), so that the example itself always has the larger weight.
    partners : {"any", "same_class", "other_class"}, default="any"
        Where in the batch the partner is drawn from: all examples, those of the same class,
        or those of other classes.

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
            raise ValueError(
                f"lam_per must be 'example' or 'batch', got {shown(self.lam_per)}."
            )
        check_partners(self.partners)

    @property
    def needs_labels(self) -> bool:
        """True if partners are drawn by class."""
        return self.partners != "any"

    @property
    def task(self) -> str:
        """Classification if partners are drawn by class, else any."""
        return "classification" if self.needs_labels else "any"

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Mix:
        """Draw λ and partners; see :meth:`MixingRule.draw`."""
        shape = tuple(shape)
        drawn = shape if self.lam_per == "example" else (*shape[:-1], 1)
        lam = draw_lam(alpha, drawn, generator=generator).expand(shape)
        if self.folded:
            lam = torch.maximum(lam, 1 - lam)
        partner = draw_partners(
            shape, generator=generator, partners=self.partners, labels=labels
        )
        return Mix(lam, partner)


class _MultiMix(NamedTuple):
    """λ of the example, and positions and weights of its partners along a first axis."""

    lam: Tensor
    partner: Tensor
    share: Tensor


@dataclass(frozen=True)
class DirichletMixup(MixingRule):
    """Blends of k examples and of their targets.

    x̃ = Σ λ_m x_m and ỹ = Σ λ_m y_m over an example and k − 1 partners, with
    (λ_1, …, λ_k) ~ Dirichlet(α, …, α); k = 2 is mixup. Zhang et al. 2017 (arXiv 1710.09412,
    section 2) mention it and found no gain over two examples.

    Parameters
    ----------
    n_mixed : int, default=3
        k, the number of examples in a blend, ≥ 2. Partners are drawn by random permutations of
        the batch.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import DirichletMixup
    >>> rule, source = DirichletMixup(n_mixed=4), torch.Generator().manual_seed(0)
    >>> mix = rule.draw(0.4, (5,), generator=source)
    >>> mix.partner.shape, rule.mix_x(torch.eye(5), mix).shape
    (torch.Size([3, 5]), torch.Size([5, 5]))
    """

    n_mixed: int = 3

    def __post_init__(self) -> None:
        whole = isinstance(self.n_mixed, Integral) and not isinstance(self.n_mixed, bool)
        if not whole or self.n_mixed < 2:
            raise ValueError(
                f"n_mixed must be an integer of at least 2, got {shown(self.n_mixed)}."
            )

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> _MultiMix:
        """Draw weights and partners; see :meth:`MixingRule.draw`.

        The result has ``lam`` of shape ``shape``, and ``partner`` and ``share`` (the partners'
        weights) of shape ``(n_mixed - 1, *shape)``.
        """
        weights = draw_weights(alpha, (self.n_mixed, *shape), generator=generator)
        partner = draw_partners((self.n_mixed - 1, *shape), generator=generator)
        return _MultiMix(weights[0], partner, weights[1:])

    def mix_x(self, x: Tensor, mix: _MultiMix) -> Tensor:
        """Sum the examples by their weights; see :meth:`MixingRule.mix_x`."""
        weight_shape = (*mix.lam.shape, *(1,) * (x.dim() - mix.lam.dim()))
        mixed = x * mix.lam.to(x.dtype).view(weight_shape)
        for partner, share in zip(mix.partner, mix.share, strict=True):
            mixed = mixed + take_partners(x, partner) * share.to(x.dtype).view(weight_shape)
        return mixed

    def mix_y(self, y: Tensor, mix: _MultiMix) -> Tensor:
        """Sum the targets by the same weights; see :meth:`MixingRule.mix_y`."""
        return self.mix_x(y, mix)
