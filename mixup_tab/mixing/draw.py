"""The random numbers of mixup: mixing weights λ and mixing partners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

PARTNERS = ("any", "same_class", "other_class")


def check_alpha(alpha: float) -> float:
    """Return ``alpha`` as a float, or say what is wrong with it.

    Parameters
    ----------
    alpha : float
        Parameter of the Beta(α, α) distribution, 0 ≤ α < ∞.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is negative, NaN or infinite.
    """
    if isinstance(alpha, bool | str) or not hasattr(alpha, "__float__"):
        raise TypeError(
            f"alpha must be a number of at least 0 (0 turns mixing off), got {alpha!r}."
        )
    value = float(alpha)
    if not math.isfinite(value) or value < 0:
        raise ValueError(
            f"alpha must be a finite number of at least 0 (0 turns mixing off), got {alpha!r}."
        )
    return value


def beta(
    alpha: float,
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draw mixing weights λ ~ Beta(α, α).

    With E exponential and V uniform on (0, 1), c = cos(2πV) and p = c² (e^{E/α} − 1),

    λ = ½ + ½ sign(c) / √(1 + 1/p)

    has exactly this distribution for every α > 0 (Devroye 1996, "Random variate generation
    in one line of code", after Ulrich 1984). Nothing is rejected, and the smaller of λ and
    1 − λ is computed as ½ / (1 + p + √(p (p + 1))), which keeps its digits however small.

    Parameters
    ----------
    alpha : float
        Parameter of the distribution, 0 ≤ α < ∞. With 0 every λ is exactly 1: no
        mixing (empirical risk minimisation).
    shape : sequence of int
        Shape of the result.
    generator : torch.Generator
        Source of randomness; the result lies on its device.
    dtype : torch.dtype, default=torch.float32
        A floating point type.

    Returns
    -------
    Tensor of the given shape, values in [0, 1]

    Raises
    ------
    ValueError
        If ``alpha`` is negative, NaN or infinite.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import beta
    >>> lam = beta(0.2, (1000,), generator=torch.Generator().manual_seed(0))
    >>> bool(((lam >= 0) & (lam <= 1)).all())
    True
    """
    alpha = check_alpha(alpha)
    device = generator.device
    if alpha == 0:
        return torch.ones(tuple(shape), dtype=dtype, device=device)
    # Half precision is too coarse on the way; the result is rounded at the end.
    work = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    p = torch.empty(tuple(shape), dtype=work, device=device)
    p.exponential_(generator=generator).mul_(1 / alpha).expm1_()
    cosine = torch.rand(tuple(shape), dtype=work, device=device, generator=generator)
    cosine.mul_(2 * math.pi).cos_()
    p.mul_(cosine).mul_(cosine)
    smaller = 0.5 / ((p + 1).sqrt_().mul_(p.sqrt()).add_(p).add_(1))
    return torch.where(cosine < 0, smaller, 1 - smaller).to(dtype)


def partners(
    shape: Sequence[int],
    *,
    generator: torch.Generator,
    kind: str = "any",
    labels: Tensor | None = None,
) -> Tensor:
    """Draw for every example the position of its mixing partner in the same batch.

    Parameters
    ----------
    shape : sequence of int
        ``(..., batch)``: any number of batches, each of any size, 1 included.
    generator : torch.Generator
        Source of randomness; the result lies on its device.
    kind : {"any", "same_class", "other_class"}, default="any"
        - "any": a uniform random permutation of the batch.
        - "same_class": a uniform random permutation within each class.
        - "other_class": uniform over the examples of all other classes; an example
          whose batch holds only its own class is its own partner.
    labels : Tensor of int, shape ``shape``, default=None
        Class of each example, needed for all kinds but "any".

    Returns
    -------
    Tensor of int64, shape ``shape``
        Positions along the last axis.

    Raises
    ------
    ValueError
        For an unknown ``kind``, or labels that are missing.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import partners
    >>> sorted(partners((5,), generator=torch.Generator().manual_seed(0)).tolist())
    [0, 1, 2, 3, 4]
    """
    if kind not in PARTNERS:
        raise ValueError(f"partners must be one of {list(PARTNERS)}, got {kind!r}.")
    if kind == "any":
        noise = torch.rand(tuple(shape), device=generator.device, generator=generator)
        return noise.argsort(-1)
    if labels is None:
        raise ValueError(f"partners={kind!r} needs class labels; use 'any' for regression.")
    labels = labels.to(generator.device)
    if kind == "same_class":
        return _same_class(labels, generator)
    return _other_class(labels, generator)


def _grouped_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Positions ordered by class, in random order within a class."""
    noise = torch.rand(
        labels.shape, dtype=torch.float64, device=labels.device, generator=generator
    )
    return (labels + noise).argsort(-1)


def _same_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    one, other = _grouped_order(labels, generator), _grouped_order(labels, generator)
    return torch.empty_like(one).scatter_(-1, one, other)


def _other_class(labels: Tensor, generator: torch.Generator) -> Tensor:
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
