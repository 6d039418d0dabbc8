"""Which rows of a table are mixed with each other, and with what weights."""

from __future__ import annotations

import torch
from torch import Tensor

from mixup_tab.mixing import beta
from mixup_tab.mixing.dirichlet import dirichlet


def rounds(n: int, count: int, *, generator: torch.Generator) -> Tensor:
    """Draw numbers below ``n``, all of them equally often or once more than others.

    Parameters
    ----------
    n : int
        At least 1.
    count : int
        How many are drawn.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int64, shape (count,)
        In random order.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.sampling.draws import rounds
    >>> rounds(3, 7, generator=torch.Generator().manual_seed(0)).bincount().tolist()
    [2, 2, 3]
    """
    whole = torch.arange(n).repeat(count // n)
    rest = torch.randperm(n, generator=generator)[: count % n]
    return torch.cat([whole, rest])[torch.randperm(count, generator=generator)]


def balanced_rounds(codes: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """Draw rows so that all classes come equally often, and all rows of one class as well.

    Parameters
    ----------
    codes : Tensor of int64, shape (rows,)
        Class of each row; every class from 0 to the largest has rows.
    count : int
        How many are drawn.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int64, shape (count,)
        Positions of rows, in random order.
    """
    n_classes = int(codes.max()) + 1
    counts = rounds(n_classes, count, generator=generator).bincount(minlength=n_classes)
    drawn = []
    for code, wanted in enumerate(counts.tolist()):
        rows = (codes == code).nonzero().flatten()
        drawn.append(rows[rounds(len(rows), wanted, generator=generator)])
    return torch.cat(drawn)[torch.randperm(count, generator=generator)]


def rows_of_classes(classes: Tensor, codes: Tensor, *, generator: torch.Generator) -> Tensor:
    """Draw for every class that is asked for one of its rows, all with equal probability.

    Parameters
    ----------
    classes : Tensor of int64, any shape
        Which class each drawn row shall have.
    codes : Tensor of int64, shape (rows,)
        Class of each row of the table.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of int64, shape of ``classes``
        Positions of rows.
    """
    order, counts = codes.argsort(stable=True), codes.bincount()
    start = counts.cumsum(0) - counts
    uniform = torch.rand(classes.shape, dtype=torch.float64, generator=generator)
    return order[start[classes] + (uniform * counts[classes]).long()]


def mixing_weights(
    alpha: float, count: int, n_mixed: int, *, generator: torch.Generator
) -> Tensor:
    """Draw weights from the Dirichlet distribution with all parameters α.

    For two rows this is λ ~ Beta(α, α) and 1 − λ.

    Parameters
    ----------
    alpha : float
        0 ≤ α < ∞; with 0 the first weight is 1.
    count : int
        Number of mixed rows.
    n_mixed : int
        Number of rows that each is mixed of, at least 2.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor of float64, shape (count, n_mixed)
        At least 0, every row sums to 1.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.sampling.draws import mixing_weights
    >>> weights = mixing_weights(0.4, 5, 3, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(weights.sum(1), torch.ones(5, dtype=torch.float64)))
    True
    """
    if n_mixed == 2:
        lam = beta(alpha, (count,), generator=generator, dtype=torch.float64)
        return torch.stack([lam, 1 - lam], dim=1)
    weights = dirichlet(alpha, (n_mixed, count), generator=generator).T.double()
    return weights / weights.sum(dim=1, keepdim=True)


def size_biased(weights: Tensor, *, generator: torch.Generator) -> Tensor:
    """Bring one weight to the front, each with a probability equal to itself.

    By Bayes' rule the first weight is then drawn with its density times its value: weights
    from Dirichlet(α, …, α) come from Dirichlet(α + 1, α, …, α) afterwards, and for two rows
    the first is λ ~ Beta(α + 1, α).

    Parameters
    ----------
    weights : Tensor, shape (count, n_mixed)
        At least 0, every row sums to 1.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    Tensor, shape of ``weights``
    """
    return swap_first(weights, torch.multinomial(weights, 1, generator=generator))


def swap_first(values: Tensor, place: Tensor) -> Tensor:
    """Swap the first value of every row with another one.

    Parameters
    ----------
    values : Tensor, shape (count, k)
        Anything.
    place : Tensor of int64, shape (count, 1)
        What comes to the front.

    Returns
    -------
    Tensor, shape of ``values``

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.sampling.draws import swap_first
    >>> swap_first(torch.tensor([[1, 2, 3]]), torch.tensor([[2]]))
    tensor([[3, 2, 1]])
    """
    chosen = values.gather(1, place)
    swapped = values.scatter(1, place, values[:, :1])
    swapped[:, :1] = chosen
    return swapped
