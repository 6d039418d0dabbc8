"""C-Mixup: mixup of examples with similar values, for regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixup_tab.mixing.draw import beta
from mixup_tab.mixing.mixup import Mixup
from mixup_tab.mixing.rule import Mix, MixingRule


@dataclass(frozen=True)
class CMixup(MixingRule):
    """mixup whose partners have similar values.

    Partner j of example i is drawn from the batch with probability proportional to
    exp(−(y_i − y_j)² / (2h²)), the squared distance where there are several outputs; the
    example itself is one of them (Yao et al. 2022, arXiv 2210.05775). Mixed values then are
    those of inputs in between more often, also where the function is not a line.

    Memory grows with the square of the batch size.

    Parameters
    ----------
    bandwidth : float, default=0.5
        h > 0, in standard deviations of the training values, by which MixupRegressor divides
        them (MixupNet takes them as they are). A large one draws partners as mixup does. The
        authors choose it for every data set, between 0.05 and 10 in units of their values; it
        is worth a grid.

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
    kind = "values"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise ValueError(
                f"bandwidth must be a finite number above 0, in standard deviations of the "
                f"values, got {self.bandwidth!r}."
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
        """Draw weights and partners.

        Parameters
        ----------
        alpha : float
            Parameter of Beta(α, α); 0 gives λ = 1.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example; makes no difference.
        generator : torch.Generator
            Source of randomness.
        labels : Tensor of float, shape ``shape`` or (*shape, outputs)
            Standardised values.

        Returns
        -------
        Mix

        Raises
        ------
        ValueError
            If the values are missing.
        """
        if labels is None:
            raise ValueError("CMixup needs values of a regression; use 'mixup' for classes.")
        lam = beta(alpha, shape, generator=generator)
        values = labels.to(lam).reshape(*lam.shape, -1)
        # Of events that come at rates exp(−d²/2h²) the first has this law; the times are
        # compared in logarithms, where no rate vanishes.
        distance = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist")
        wait = torch.empty_like(distance).exponential_(generator=generator).log_()
        arrival = wait + (distance / self.bandwidth).square() / 2
        return Mix(lam, arrival.argmin(-1))

    mix_x = Mixup.mix_x
    mix_y = Mixup.mix_y
