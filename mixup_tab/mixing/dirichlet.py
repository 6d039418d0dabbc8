"""mixup of more than two examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab._torch_private import standard_gamma
from mixup_tab.mixing.draw import check_alpha, partners
from mixup_tab.mixing.rule import MixingRule, take_partners


class Several(NamedTuple):
    """What one draw decided for a number of batches.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        Weight of the example itself.
    partner : Tensor of int64, shape (partners, ..., batch)
        Positions of its partners in the same batch.
    share : Tensor, shape (partners, ..., batch)
        Their weights; together with ``lam`` they sum to 1.
    """

    lam: Tensor
    partner: Tensor
    share: Tensor


@dataclass(frozen=True)
class DirichletMixup(MixingRule):
    """Convex combinations of k examples and of their targets.

    x̃ = Σ λ_m x_m and ỹ = Σ λ_m y_m over an example and k − 1 partners, with
    (λ_1, …, λ_k) ~ Dirichlet(α, …, α); k = 2 is mixup. Mentioned, with no gain over two
    examples, by Zhang et al. 2017 (arXiv 1710.09412, section 2).

    Parameters
    ----------
    n_examples : int, default=3
        k, at least 2. Every partner is drawn by a random permutation of the batch.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import DirichletMixup
    >>> rule, source = DirichletMixup(n_examples=4), torch.Generator().manual_seed(0)
    >>> mix = rule.draw(0.4, (5,), generator=source)
    >>> mix.partner.shape, rule.mix_x(torch.eye(5), mix).shape
    (torch.Size([3, 5]), torch.Size([5, 5]))
    """

    n_examples: int = 3

    def __post_init__(self) -> None:
        whole = isinstance(self.n_examples, Integral) and not isinstance(self.n_examples, bool)
        if not whole or self.n_examples < 2:
            raise ValueError(
                f"n_examples must be a whole number of at least 2, got {self.n_examples!r}."
            )

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Several:
        """Draw weights and partners.

        Parameters
        ----------
        alpha : float
            Parameter of the Dirichlet distribution; 0 leaves every example alone.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example; makes no difference.
        generator : torch.Generator
            Source of randomness.
        labels : None
            Not used.

        Returns
        -------
        Several
        """
        weights = dirichlet(alpha, (self.n_examples, *shape), generator=generator)
        partner = partners((self.n_examples - 1, *shape), generator=generator)
        return Several(weights[0], partner, weights[1:])

    def mix_x(self, x: Tensor, mix: Several) -> Tensor:
        """Mix inputs.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Examples.
        mix : Several
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``x``
        """
        return _weighted(x, mix)

    def mix_y(self, y: Tensor, mix: Several) -> Tensor:
        """Mix targets, with the same weights as the inputs.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            One-hot rows, soft targets or values.
        mix : Several
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``y``
        """
        return _weighted(y, mix)


def _weighted(x: Tensor, mix: Several) -> Tensor:
    spread = (*mix.lam.shape, *(1,) * (x.dim() - mix.lam.dim()))
    mixed = x * mix.lam.to(x.dtype).view(spread)
    for partner, share in zip(mix.partner, mix.share, strict=True):
        mixed = mixed + take_partners(x, partner) * share.to(x.dtype).view(spread)
    return mixed


def dirichlet(alpha: float, shape: Sequence[int], *, generator: torch.Generator) -> Tensor:
    """Draw weights from Dirichlet(α, …, α).

    Normalised Gamma(α) variables, with Gamma(α) = Gamma(α + 1) · U^(1/α) for a uniform U
    (Marsaglia and Tsang 2000) in logarithms, so that they do not vanish where α is small.

    Parameters
    ----------
    alpha : float
        Parameter of the distribution, 0 ≤ α < ∞; with 0 the first weight is exactly 1.
    shape : sequence of int
        Shape of the result: the weights along the first axis sum to 1.
    generator : torch.Generator
        Source of randomness; the result lies on its device.

    Returns
    -------
    Tensor of float32 of the given shape, values in [0, 1]

    Raises
    ------
    ValueError
        If ``alpha`` is negative, NaN or infinite.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing.dirichlet import dirichlet
    >>> dirichlet(0, (3, 2), generator=torch.Generator())
    tensor([[1., 1.],
            [0., 0.],
            [0., 0.]])
    """
    alpha, place = check_alpha(alpha), {"device": generator.device}
    if alpha == 0:
        weights = torch.zeros(tuple(shape), **place)
        weights[0] = 1
        return weights
    # Beyond, all weights but one are 0 anyway, or all are equal, and floats overflow.
    alpha = min(max(alpha, 1e-30), 1e18)
    gamma = standard_gamma(torch.full(tuple(shape), alpha + 1, **place), generator)
    uniform = torch.empty(tuple(shape), **place).exponential_(generator=generator)  # −log U
    return torch.softmax(gamma.log() - uniform / alpha, 0)
