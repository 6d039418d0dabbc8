"""Random draws of the rows to mix and of their weights."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from torch import Tensor

from mixup_tab.mixing._draw import draw_lam, draw_weights


def draw_mixes(
    sampler: Any, table: Any, codes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which rows are mixed and their weights.

    Parameters
    ----------
    sampler : VicinalSampler
        The sampler, for its parameters.
    table : ndarray or CSR matrix, shape (rows, features)
        Rows to mix.
    codes : ndarray of int64, shape (rows,), or None
        Class of each row; None without classes.

    Returns
    -------
    rows : ndarray of int64, shape (count, n_mixed)
        Positions of rows; an "unmixed" label comes from the first.
    weights : ndarray of float64, shape (count, n_mixed)
        Every row sums to 1.
    """
    seed = check_random_state(sampler.random_state).randint(2**31 - 1)
    source = torch.Generator().manual_seed(int(seed))
    classes = None if codes is None else torch.from_numpy(codes)
    n, size, n_mixed = table.shape[0], sampler.size, sampler.n_mixed
    count = int(size) if isinstance(size, Integral) else max(1, round(size * n))
    if classes is not None and sampler.balance:
        first = draw_balanced(classes, count, generator=source)
    else:
        first = draw_evenly(n, count, generator=source)
    rows = torch.cat([first[:, None], _partners(sampler, table, classes, first, source)], dim=1)
    weights = mixing_weights(sampler.alpha, count, n_mixed, generator=source)
    if sampler.labels == "unmixed":
        weights = size_biased(weights, generator=source)
        # Being a neighbour is not symmetric, so the label must come from any of the rows with
        # equal probability. Without mixing there is only the first.
        if sampler.partners == "neighbors" and sampler.alpha > 0:
            place = torch.randint(n_mixed, (count, 1), generator=source)
            rows = swap_first(rows, place)
    return rows.numpy(), weights.numpy()


def _partners(
    sampler: Any,
    table: Any,
    classes: Tensor | None,
    first: Tensor,
    source: torch.Generator,
) -> Tensor:
    """Draw the other rows of every mix, shape (count, n_mixed - 1)."""
    shape = (len(first), sampler.n_mixed - 1)
    if sampler.partners == "neighbors":
        search = NearestNeighbors(n_neighbors=sampler.n_neighbors).fit(table)
        near = torch.from_numpy(search.kneighbors(return_distance=False))
        place = torch.randint(sampler.n_neighbors, shape, generator=source)
        return near[first].gather(1, place)
    if classes is not None and sampler.partners == "same_class":
        same = classes[first][:, None].expand(shape)
        return rows_of_classes(same, classes, generator=source)
    if classes is not None and sampler.balance:
        drawn = torch.randint(int(classes.max()) + 1, shape, generator=source)
        return rows_of_classes(drawn, classes, generator=source)
    return torch.randint(table.shape[0], shape, generator=source)


def draw_evenly(n: int, count: int, *, generator: torch.Generator) -> Tensor:
    """Draw numbers below ``n`` in random order, so that their counts differ by at most 1."""
    whole = torch.arange(n).repeat(count // n)
    rest = torch.randperm(n, generator=generator)[: count % n]
    return torch.cat([whole, rest])[torch.randperm(count, generator=generator)]


def draw_balanced(codes: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """Draw rows evenly over the classes, and evenly over the rows of each class."""
    n_classes = int(codes.max()) + 1
    counts = draw_evenly(n_classes, count, generator=generator).bincount(minlength=n_classes)
    drawn = []
    for code, wanted in enumerate(counts.tolist()):
        rows = (codes == code).nonzero().flatten()
        drawn.append(rows[draw_evenly(len(rows), wanted, generator=generator)])
    return torch.cat(drawn)[torch.randperm(count, generator=generator)]


def rows_of_classes(classes: Tensor, codes: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw for every class in ``classes`` a row of the table with this class, uniformly."""
    order, counts = codes.argsort(stable=True), codes.bincount()
    start = counts.cumsum(0) - counts
    uniform = torch.rand(classes.shape, dtype=torch.float64, generator=generator)
    return order[start[classes] + (uniform * counts[classes]).long()]


def mixing_weights(
    alpha: float, count: int, n_mixed: int, *, generator: torch.Generator
) -> Tensor:
    """Draw weights from Dirichlet(α, …, α), shape (count, n_mixed): λ and 1 − λ for two rows.

    With α = 0 the first weight is 1.
    """
    if n_mixed == 2:
        lam = draw_lam(alpha, (count,), generator=generator, dtype=torch.float64)
        return torch.stack([lam, 1 - lam], dim=1)
    weights = draw_weights(alpha, (n_mixed, count), generator=generator).T.double()
    return weights / weights.sum(dim=1, keepdim=True)


def size_biased(weights: Tensor, *, generator: torch.Generator) -> Tensor:
    """Swap one weight of every row to the front, each with a probability equal to itself.

    By Bayes' rule, the density of the first weight is then multiplied by its value: weights
    from Dirichlet(α, …, α) become weights from Dirichlet(α + 1, α, …, α). With two rows, the
    first weight is λ ~ Beta(α + 1, α).
    """
    return swap_first(weights, torch.multinomial(weights, 1, generator=generator))


def swap_first(values: Tensor, place: Tensor) -> Tensor:
    """Swap the first value of every row with the one at ``place``, shape (count, 1)."""
    chosen = values.gather(1, place)
    swapped = values.scatter(1, place, values[:, :1])
    swapped[:, :1] = chosen
    return swapped
