"""The random numbers of mixup: mixing weights λ and mixing partners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab._torch_private import standard_gamma

PARTNERS = ("any", "same_class", "other_class")


def check_alpha(alpha: float) -> float:
    """Return ``alpha`` as a float; raise TypeError or ValueError unless 0 ≤ α < ∞."""
    if isinstance(alpha, bool | str) or not hasattr(alpha, "__float__"):
        raise TypeError(
            f"alpha must be a number of at least 0 (0 turns mixing off), got {shown(alpha)}."
        )
    value = float(alpha)
    if not math.isfinite(value) or value < 0:
        raise ValueError(
            "alpha must be a finite number of at least 0 (0 turns mixing off), got "
            f"{shown(alpha)}."
        )
    return value


def draw_lam(
    alpha: float,
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw λ ~ Beta(α, α) on the generator's device; with α = 0 every λ is exactly 1.

    With E exponential, V uniform on (0, 1), c = cos(2πV) and p = c² (e^{E/α} − 1),

    λ = ½ + ½ sign(c) / √(1 + 1/p)

    has exactly this distribution for every α > 0 (Devroye 1996, "Random variate generation
    in one line of code", after Ulrich 1984). The smaller of λ and 1 − λ is computed as
    ½ / (1 + p + √(p (p + 1))), which stays accurate however small it is.

    PyTorch's own Beta sampler takes no generator, rejects (which waits for the device), and
    returns nan for small α.
    """
    alpha = check_alpha(alpha)
    device = generator.device
    if alpha == 0:
        return torch.ones(tuple(shape), dtype=dtype, device=device)
    # Half precision is too coarse for the formula; only the result is rounded to it.
    work = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    p = torch.empty(tuple(shape), dtype=work, device=device)
    p.exponential_(generator=generator).mul_(1 / alpha).expm1_()
    cosine = torch.rand(tuple(shape), dtype=work, device=device, generator=generator)
    cosine.mul_(2 * math.pi).cos_()
    p.mul_(cosine).mul_(cosine)
    smaller = 0.5 / ((p + 1).sqrt_().mul_(p.sqrt()).add_(p).add_(1))
    return torch.where(cosine < 0, smaller, 1 - smaller).to(dtype)


def draw_weights(alpha: float, shape: Sequence[int], *, generator: torch.Generator) -> Tensor:
    """Draw weights from Dirichlet(α, …, α) that sum to 1 along the first axis.

    With α = 0 the first weight is exactly 1. The weights are normalised Gamma(α) variables,
    with Gamma(α) = Gamma(α + 1) · U^(1/α) for a uniform U (Marsaglia and Tsang 2000), in
    logarithms so that they do not underflow for small α.
    """
    alpha, device = check_alpha(alpha), generator.device
    if alpha == 0:
        weights = torch.zeros(tuple(shape), device=device)
        weights[0] = 1
        return weights
    # Beyond these limits nothing changes (one weight is 1, or all are equal) but overflow.
    alpha = min(max(alpha, 1e-30), 1e18)
    gamma = standard_gamma(torch.full(tuple(shape), alpha + 1, device=device), generator)
    # −log U is exponential.
    waiting = torch.empty(tuple(shape), device=device).exponential_(generator=generator)
    return torch.softmax(gamma.log() - waiting / alpha, 0)


def draw_partners(
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    partners: str = "any",
    labels: Tensor | None = None,
) -> Tensor:
    """Draw for every example of ``(..., batch)`` the position of a partner in its batch.

    "any" is a uniform permutation of the batch, "same_class" one within each class.
    "other_class" is uniform over the examples of all other classes; if there are none, the
    example is its own partner. The last two need ``labels``: class codes of the same shape.
    """
    check_partners(partners)
    if partners == "any":
        noise = torch.rand(tuple(shape), device=generator.device, generator=generator)
        return noise.argsort(-1)
    if labels is None:
        raise ValueError(f"partners={partners!r} needs class labels; use 'any' for regression.")
    labels = labels.to(generator.device)
    if partners == "same_class":
        return _same_class(labels, generator)
    return _other_class(labels, generator)


def check_partners(partners: str) -> None:
    """Raise ValueError for an unknown choice of partners."""
    if partners not in PARTNERS:
        raise ValueError(f"partners must be one of {list(PARTNERS)}, got {partners!r}.")


def _grouped_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Positions ordered by class, in random order within a class."""
    noise = torch.rand(
        labels.shape, dtype=torch.float64, device=labels.device, generator=generator
    )
    return (labels + noise).argsort(-1)


def _same_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    # Two random orders, both sorted by class: equal positions have the same class.
    one, other = _grouped_order(labels, generator), _grouped_order(labels, generator)
    return torch.empty_like(one).scatter_(-1, one, other)


def _other_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    # Sorted by class, an example's own class fills the places start … start + own − 1. A
    # uniform rank among the others skips these.
    order = _grouped_order(labels, generator)
    labels = labels.contiguous()
    ordered = labels.gather(-1, order)
    start = torch.searchsorted(ordered, labels)
    own = torch.searchsorted(ordered, labels, right=True) - start
    others = labels.shape[-1] - own
    uniform = torch.rand(
        labels.shape, dtype=torch.float64, device=labels.device, generator=generator
    )
    rank = (uniform * others).long()
    rank = torch.where(rank < start, rank, rank + own)
    chosen = order.gather(-1, rank.clamp(max=labels.shape[-1] - 1))
    itself = torch.arange(labels.shape[-1], device=labels.device).expand_as(chosen)
    return torch.where(others > 0, chosen, itself)
