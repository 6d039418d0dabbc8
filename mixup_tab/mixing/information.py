"""How much features tell about the target: mutual information."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MAX_ROWS = 10_000
# Where there are many features, fewer rows are read, but no fewer than these.
MAX_VALUES = 1 << 24
FEWEST_ROWS = 1_000
_VALUES_AT_ONCE = 1 << 22


def quantile_codes(x: Tensor, bins: int = 8) -> Tensor:
    """Cut values into bins of about equally many rows.

    Bounds lie halfway between neighbours at the k/bins quantiles. A value that many rows
    share, and that a bound therefore meets, gets a bin of its own: categories stay apart.

    Parameters
    ----------
    x : Tensor, shape (features, rows)
        Values, each feature in a row.
    bins : int, default=8
        Number of bins of a feature without ties.

    Returns
    -------
    Tensor of int64, shape (features, rows)
        Codes in [0, 2 · bins − 2], larger for larger values.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing.information import quantile_codes
    >>> quantile_codes(torch.tensor([[3.0, 1.0, 2.0, 4.0], [0.0, 0.0, 0.0, 9.0]]), bins=2)
    tensor([[2, 0, 0, 2],
            [1, 1, 1, 2]])
    """
    x = x.contiguous()
    rows = x.shape[1]
    place = torch.arange(1, bins, device=x.device) * rows // bins
    ordered = x.sort(1).values
    bounds = torch.lerp(ordered[:, (place - 1).clamp(min=0)], ordered[:, place], 0.5)
    below = torch.searchsorted(bounds, x)
    return below + torch.searchsorted(bounds, x, right=True)


def mutual_information(x: Tensor, y: Tensor, *, bins: int = 8) -> Tensor:
    """Estimate the mutual information of every feature with the target, in nats.

    Features are cut by :func:`quantile_codes`, and I = Σ p(a, b) log(p(a, b) / (p(a) p(b)))
    is taken from the shares of rows. Features without information get a little more than 0,
    about (bins − 1)(classes − 1) / (2 rows).

    Parameters
    ----------
    x : Tensor, shape (rows, features)
        Inputs.
    y : Tensor of int, shape (rows,), or of float, shape (rows,) or (rows, outputs)
        Class codes, or values, which are cut into bins too; several outputs get the mean of
        their information.
    bins : int, default=8
        As in :func:`quantile_codes`.

    Returns
    -------
    Tensor of float64, shape (features,), on the CPU
        At least 0.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing.information import mutual_information
    >>> x = torch.tensor([[0.0, 5.0], [0.0, 5.0], [1.0, 5.0], [1.0, 5.0]])
    >>> mutual_information(x, torch.tensor([0, 0, 1, 1]))
    tensor([0.6931, 0.0000], dtype=torch.float64)
    """
    targets = y.reshape(len(y), -1).T
    targets = quantile_codes(targets, bins) if y.is_floating_point() else targets
    n_cells = 2 * bins * (int(targets.max()) + 1)  # of a feature, at most
    found = []
    for part in x.T.split(max(_VALUES_AT_ONCE // max(len(x), n_cells), 1)):
        codes = quantile_codes(part, bins)
        found.append(torch.stack([_information(codes, one) for one in targets]).mean(0))
    return torch.cat(found)


def _information(codes: Tensor, y: Tensor) -> Tensor:
    """Information of codes, shape (features, rows), with those of the target."""
    features, (n_codes, n_classes) = len(codes), (int(part.max()) + 1 for part in (codes, y))
    first = torch.arange(features, device=codes.device).unsqueeze(1) * n_codes
    cells = ((first + codes) * n_classes + y.to(codes)).flatten()
    counts = torch.bincount(cells, minlength=features * n_codes * n_classes)
    joint = counts.view(features, n_codes, n_classes).cpu().double() / len(y)
    alone = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    terms = torch.where(joint > 0, joint * (joint / alone.clamp(min=1e-300)).log(), 0.0)
    return terms.sum((1, 2)).clamp(min=0)


def information_of(take: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """Estimate the information of training rows, or of some of them, evenly spaced.

    At most 10,000 rows are read, and so many that there are no more than 2²⁴ values, but
    always 1,000: of spectrograms of 160 × 101 values 1,038.

    Parameters
    ----------
    take : callable
        Gives inputs, shape (n, *features), at positions, shape (n,).
    y : Tensor
        Targets of all rows, as in :func:`mutual_information`.

    Returns
    -------
    Tensor of float64, shape (flattened features,), on the CPU
    """
    features = take(torch.zeros(1, dtype=torch.int64, device=y.device)).numel()
    most = min(MAX_ROWS, max(MAX_VALUES // max(features, 1), FEWEST_ROWS))
    count = min(len(y), most)
    rows = torch.arange(count, device=y.device) * len(y) // count
    return mutual_information(take(rows).flatten(1), y[rows])
