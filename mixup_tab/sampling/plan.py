"""What the parameters of a sampler mean: which rows are mixed, with what weights."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from torch import Tensor

from mixup_tab.sampling.draws import (
    balanced_rounds,
    mixing_weights,
    rounds,
    rows_of_classes,
    size_biased,
    swap_first,
)


def draw_plan(
    sampler: Any, table: Any, codes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw which rows are mixed and their weights.

    Parameters
    ----------
    sampler : VicinalSampler
        Its parameters decide.
    table : ndarray or CSR matrix, shape (rows, features)
        What is sampled.
    codes : ndarray of int64, shape (rows,), or None
        Class of each row; None without classes.

    Returns
    -------
    rows : ndarray of int64, shape (count, n_mixed)
        Positions; with "unmixed" labels the first gives the label.
    weights : ndarray of float64, shape (count, n_mixed)
        Every row sums to 1.
    """
    seed = check_random_state(sampler.random_state).randint(2**31 - 1)
    source = torch.Generator().manual_seed(int(seed))
    classes = None if codes is None else torch.from_numpy(codes)
    count = _count(sampler.size, table.shape[0])
    if sampler.balance:
        first = balanced_rounds(classes, count, generator=source)
    else:
        first = rounds(table.shape[0], count, generator=source)
    rows = torch.cat([first[:, None], _partners(sampler, table, classes, first, source)], dim=1)
    weights = mixing_weights(sampler.alpha, count, sampler.n_mixed, generator=source)
    if sampler.labels == "unmixed":
        weights = size_biased(weights, generator=source)
        # A row may be no neighbour of its neighbour; without mixing it is all there is.
        if sampler.partners == "neighbors" and sampler.alpha > 0:
            place = torch.randint(sampler.n_mixed, (count, 1), generator=source)
            rows = swap_first(rows, place)
    return rows.numpy(), weights.numpy()


def _count(size: float, n: int) -> int:
    return int(size) if isinstance(size, Integral) else max(1, round(size * n))


def _partners(
    sampler: Any, table: Any, classes: Tensor | None, first: Tensor, source: torch.Generator
) -> Tensor:
    """Draw the other rows that are mixed, shape (count, n_mixed - 1)."""
    shape = (len(first), sampler.n_mixed - 1)
    if sampler.partners == "same_class":
        same = classes[first][:, None].expand(shape)
        return rows_of_classes(same, classes, generator=source)
    if sampler.partners == "neighbors":
        search = NearestNeighbors(n_neighbors=sampler.n_neighbors).fit(table)
        near = torch.from_numpy(search.kneighbors(return_distance=False))
        place = torch.randint(sampler.n_neighbors, shape, generator=source)
        return near[first].gather(1, place)
    if sampler.balance:
        drawn = torch.randint(int(classes.max()) + 1, shape, generator=source)
        return rows_of_classes(drawn, classes, generator=source)
    return torch.randint(table.shape[0], shape, generator=source)
