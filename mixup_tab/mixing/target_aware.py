"""Rules that depend on the targets: C-Mixup for regression, Remix for rare classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from mixup_tab._plain import shown
from mixup_tab.mixing._draw import draw_lam, draw_partners
from mixup_tab.mixing.rule import Mix, MixingRule, mix_pairs, take_partners


@dataclass(frozen=True)
class CMixup(MixingRule):
    """mixup of examples with similar values, for regression.

    Partner j of example i is drawn from the batch with probability proportional to
    exp(−(y_i − y_j)² / (2h²)), with the squared distance for several outputs; i itself is a
    candidate (C-Mixup, Yao et al. 2022, arXiv 2210.05775). Mixed values are then closer to the
    true ones, even where the function is not linear.

    Memory grows with the square of the batch size.

    Parameters
    ----------
    bandwidth : float, default=0.5
        h > 0, in standard deviations of the training values; in their own unit for
        :class:`~mixup_tab.MixupNet`, which does not scale them. A large h draws partners as in
        mixup. The authors tune it per data set, between 0.05 and 10 in the unit of the values.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import CMixup
    >>> values = torch.tensor([-1.0, -1.01, 1.0, 1.01])
    >>> source = torch.Generator().manual_seed(0)
    >>> mix = CMixup(0.1).draw(2.0, (4,), generator=source, labels=values)
    >>> (values[mix.partner] * values > 0).tolist()
    [True, True, True, True]
    """

    bandwidth: float = 0.5

    needs_labels = True
    task = "regression"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise ValueError(
                "bandwidth must be a finite number > 0, in standard deviations of the values, "
                f"got {shown(self.bandwidth)}."
            )

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Mix:
        """Draw λ, and partners by the values in ``labels``; see :meth:`MixingRule.draw`."""
        if labels is None:
            raise ValueError("CMixup is for regression. Use 'mixup' for classes.")
        lam = draw_lam(alpha, shape, generator=generator)
        values = labels.to(lam).reshape(*lam.shape, -1)
        if values.shape[-1] == 1:  # the sign does not matter, and cdist is slow
            distance = values - values.mT
        else:
            distance = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
        # One uniform number for an example picks from the sums of its candidates' rates. Its
        # own rate is 1, so no sum vanishes, and a rate that underflows is never picked.
        sums = distance.div_(self.bandwidth).square_().div_(-2).exp_().cumsum_(-1)
        drawn = torch.rand(lam.shape, generator=generator, device=lam.device)
        drawn.clamp_(max=1 - 2**-22)  # so that times a sum, rounded, it stays below the sum
        place = torch.searchsorted(sums, drawn.unsqueeze(-1) * sums[..., -1:], right=True)
        return Mix(lam, place.squeeze(-1))


class _RemixDraw(NamedTuple):
    """A :class:`Mix` with another weight for the targets."""

    lam: Tensor
    partner: Tensor
    lam_y: Tensor


@dataclass(frozen=True)
class Remix(MixingRule):
    """mixup with labels that favour the rarer class.

    Inputs are mixed as in :class:`Mixup`. With n_i and n_j rows of the two classes, the
    example's own label has weight 0 if n_i / n_j ≥ κ and λ < τ, 1 if n_i / n_j ≤ 1/κ and
    1 − λ < τ, and λ otherwise (Chou et al. 2020, arXiv 2007.03943, equation 4).

    Parameters
    ----------
    kappa : float, default=3.0
        κ ≥ 1: a class counts as larger if it has at least κ times as many rows.
    tau : float, default=0.5
        τ in [0, 1]: the label of the larger class is dropped if its weight is below τ. 0 is
        mixup.
    class_counts : tuple of int, default=None
        Number of rows of every class, in the order of the class codes. None counts the
        training rows in ``fit``.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import Remix
    >>> rule, labels = Remix(class_counts=(90, 10)), torch.tensor([0, 0, 0, 1])
    >>> source = torch.Generator().manual_seed(0)
    >>> mix = rule.draw(1.0, (4,), generator=source, labels=labels)
    >>> rule.mix_y(torch.eye(2)[labels], mix).sum(dim=1)
    tensor([1., 1., 1., 1.])
    """

    kappa: float = 3.0
    tau: float = 0.5
    class_counts: tuple[int, ...] | None = None

    needs_labels = True
    task = "classification"

    def __post_init__(self) -> None:
        if not self.kappa >= 1:
            raise ValueError(f"kappa must be at least 1, got {shown(self.kappa)}.")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"tau must be in [0, 1], got {shown(self.tau)}.")
        if self.class_counts is None:
            return
        object.__setattr__(self, "class_counts", tuple(self.class_counts))
        if not all(count >= 0 for count in self.class_counts):
            raise ValueError(
                f"class_counts must hold numbers of rows, got {shown(self.class_counts)}."
            )

    def fit(self, take: Callable[[Tensor], Tensor], labels: Tensor) -> Remix:
        """Return the rule with the class counts; see :meth:`MixingRule.fit`."""
        if self.class_counts is None:
            return replace(self, class_counts=tuple(torch.bincount(labels).tolist()))
        n_classes = int(labels.max()) + 1
        if len(self.class_counts) < n_classes:
            raise ValueError(
                f"class_counts must hold {n_classes} numbers of rows, one for every class, "
                f"got {shown(self.class_counts)}."
            )
        return self

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> _RemixDraw:
        """Draw λ, partners and the weights of the labels; see :meth:`MixingRule.draw`."""
        if labels is None:
            raise ValueError("Remix is for classification. Use 'mixup' for regression.")
        if self.class_counts is None:
            raise ValueError(
                "Remix needs the class counts. Call its fit, or pass Remix(class_counts=...)."
            )
        lam = draw_lam(alpha, shape, generator=generator)
        partner = draw_partners(shape, generator=generator)
        own = _on_device(self.class_counts, lam.device)[labels.to(lam.device)]
        other = take_partners(own, partner)
        to_partner = (own >= self.kappa * other) & (lam < self.tau)
        to_itself = (other >= self.kappa * own) & (1 - lam < self.tau)
        lam_y = lam.masked_fill(to_itself, 1).masked_fill(to_partner, 0)
        return _RemixDraw(lam, partner, lam_y)

    def mix_y(self, y: Tensor, mix: _RemixDraw) -> Tensor:
        """Mix targets by their own weights; see :meth:`MixingRule.mix_y`."""
        return mix_pairs(y, mix.partner, mix.lam_y)


@lru_cache(maxsize=16)  # copying them again in every step would wait for the device
@torch.inference_mode(False)
def _on_device(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
