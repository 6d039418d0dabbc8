"""Feat-Mix: CutMix with labels weighted by the information in the features kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab.mixing.cutmix import Cut, CutMix

# The estimate reads at most MAX_ROWS rows and MAX_VALUES values, but always MIN_ROWS rows.
MAX_ROWS = 10_000
MAX_VALUES = 1 << 24
MIN_ROWS = 1_000
_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class FeatMix(CutMix):
    """Swaps columns or boxes like CutMix, and weights labels by the information kept.

    ỹ = λ y_i + (1 − λ) y_j, where λ is not the share of columns kept but their share of the
    mutual information with the target, Σ I(kept) / Σ I(all): swapping a column that is
    independent of the label leaves the label as it is. Feat-Mix of ExcelFormer (Chen et al.
    2023, arXiv 2301.02819). In images, λ is the share of information outside of the box.

    Parameters
    ----------
    information : tuple of float, default=None
        Mutual information of every feature of a flattened example with the target, ≥ 0. None
        estimates it from the training rows in ``fit``. If all are 0, every feature counts the
        same.
    axes : {"both", "time", "frequency"}, default="both"
        Axes that limit the box, as in :class:`CutMix`.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import FeatMix
    >>> rule, source = FeatMix(information=(3.0, 1.0)), torch.Generator().manual_seed(4)
    >>> cut = rule.draw(1.0, (3,), features=(2,), generator=source)
    >>> cut.keep.int().tolist(), cut.lam.tolist()
    ([[0, 1], [1, 0], [0, 0]], [0.25, 0.75, 0.0])
    """

    information: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.information is None:
            return
        information = tuple(map(float, self.information))
        object.__setattr__(self, "information", information)
        if not all(math.isfinite(one) and one >= 0 for one in information):
            raise ValueError(
                "information must hold finite numbers of at least 0, one for every feature, "
                f"got {shown(information)}."
            )

    def fit(self, take: Callable[[Tensor], Tensor], labels: Tensor) -> FeatMix:
        """Return the rule with the information of the features; see :meth:`MixingRule.fit`."""
        if self.information is not None:
            return self
        return replace(self, information=tuple(information_of_rows(take, labels).tolist()))

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw partners and the values to keep; see :meth:`MixingRule.draw`."""
        cut = super().draw(alpha, shape, features=features, generator=generator)
        # A box is the same in all channels, so their information is added.
        places = tuple(features) if len(features) == 1 else tuple(features)[-2:]
        share = self._shares(features, cut.lam.device).view(-1, math.prod(places)).sum(0)
        lost = (~cut.keep).reshape(*cut.lam.shape, -1).to(share.dtype)
        return cut._replace(lam=(1 - lost @ share).clamp(0, 1))

    def _shares(self, features: Sequence[int], device: torch.device) -> Tensor:
        if self.information is None:
            raise ValueError(
                "FeatMix needs the information of the features. Call its fit, or pass "
                "FeatMix(information=...)."
            )
        if len(self.information) != math.prod(features):
            raise ValueError(
                f"information must hold {math.prod(features)} numbers, one for every feature, "
                f"got {len(self.information)}."
            )
        return _shares_on_device(self.information, device)


@lru_cache(maxsize=16)  # copying them again in every step would wait for the device
@torch.inference_mode(False)
def _shares_on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return values divided by their sum; equal shares if all of them are 0."""
    total = math.fsum(values)
    shares = [value / total if total else 1 / len(values) for value in values]
    return torch.tensor(shares, dtype=torch.float32, device=device)


def information_of_rows(take: Callable[[Tensor], Tensor], labels: Tensor) -> Tensor:
    """Estimate the mutual information from training rows, evenly spaced if there are many."""
    features = take(torch.zeros(1, dtype=torch.int64, device=labels.device)).numel()
    most = min(MAX_ROWS, max(MAX_VALUES // max(features, 1), MIN_ROWS))
    count = min(len(labels), most)
    rows = torch.arange(count, device=labels.device) * len(labels) // count
    return mutual_information(take(rows).flatten(1), labels[rows])


def mutual_information(x: Tensor, y: Tensor, *, bins: int = 8) -> Tensor:
    """Estimate the mutual information of every feature with the target, in nats.

    I = Σ p(a, b) log(p(a, b) / (p(a) p(b))) over bins a of the feature (:func:`quantile_codes`)
    and classes b, with shares of rows for p. Independent features get slightly more than 0,
    about (bins − 1)(classes − 1) / (2 rows).

    Parameters
    ----------
    x : Tensor, shape (rows, features)
        Inputs.
    y : Tensor of int, shape (rows,), or of float, shape (rows,) or (rows, outputs)
        Class codes; or values, which are binned too. With several outputs, their information
        is averaged.
    bins : int, default=8
        As in :func:`quantile_codes`.

    Returns
    -------
    Tensor of float64, shape (features,), on the CPU
        At least 0.
    """
    targets = y.reshape(len(y), -1).T
    targets = quantile_codes(targets, bins) if y.is_floating_point() else targets
    n_cells = 2 * bins * (int(targets.max()) + 1)  # of one feature, at most
    found = []
    for part in x.T.split(max(_VALUES_AT_ONCE // max(len(x), n_cells), 1)):
        codes = quantile_codes(part, bins)
        found.append(torch.stack([_information(codes, one) for one in targets]).mean(0))
    return torch.cat(found)


def quantile_codes(x: Tensor, bins: int = 8) -> Tensor:
    """Cut every feature of ``x``, shape (features, rows), into bins of about equal size.

    The bounds are halfway between neighbours at the k/bins quantiles. A value that is frequent
    enough for a bound to fall on it gets its own bin, so that categories stay apart.

    Returns
    -------
    Tensor of int64, shape (features, rows)
        Codes in [0, 2 · bins − 2], larger for larger values.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing.featmix import quantile_codes
    >>> quantile_codes(torch.tensor([[3.0, 1.0, 2.0, 4.0], [0.0, 0.0, 0.0, 9.0]]), bins=2)
    tensor([[2, 0, 0, 2],
            [1, 1, 1, 2]])
    """
    x = x.contiguous()
    rows = x.shape[1]
    place = torch.arange(1, bins, device=x.device) * rows // bins
    ordered = x.sort(1).values
    bounds = torch.lerp(ordered[:, (place - 1).clamp(min=0)], ordered[:, place], 0.5)
    # Values below, on and above bound k get the codes 2k, 2k + 1 and 2k + 2.
    below = torch.searchsorted(bounds, x)
    return below + torch.searchsorted(bounds, x, right=True)


def _information(codes: Tensor, y: Tensor) -> Tensor:
    """Mutual information of codes, shape (features, rows), with those of the target."""
    features, (n_codes, n_classes) = len(codes), (int(part.max()) + 1 for part in (codes, y))
    first = torch.arange(features, device=codes.device).unsqueeze(1) * n_codes
    cells = ((first + codes) * n_classes + y.to(codes)).flatten()
    counts = torch.bincount(cells, minlength=features * n_codes * n_classes)
    joint = counts.view(features, n_codes, n_classes).cpu().double() / len(y)
    independent = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    terms = torch.where(joint > 0, joint * (joint / independent.clamp(min=1e-300)).log(), 0.0)
    return terms.sum((1, 2)).clamp(min=0)
