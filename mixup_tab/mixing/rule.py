"""The base class of mixing rules, and how two examples are blended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """The random decisions of one draw.

    Attributes
    ----------
    lam : Tensor, shape (..., batch)
        λ in [0, 1]: weight of the example itself; its partner gets 1 − λ.
    partner : Tensor of int64, shape (..., batch)
        Position of the partner in the same batch.
    """

    lam: Tensor
    partner: Tensor


class MixingRule(ABC):
    """Base class of mixing rules; subclass it to write your own.

    :meth:`draw` makes all random decisions; :meth:`mix_x` and :meth:`mix_y` apply them to
    inputs and targets. If :meth:`draw` returns a :class:`Mix`, it is the only method that you
    must write: inputs and targets are then mixed by λ.

    Rules have no state: subclasses are frozen dataclasses that compare by their fields. All
    methods accept several batches at once (any leading axes) and any device, change nothing in
    place, and draw only from the given generator.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import torch
    >>> from mixup_tab.mixing import MixingRule, Mixup
    >>> @dataclass(frozen=True)
    ... class Halfway(MixingRule):
    ...     def draw(self, alpha, shape, *, features=(), generator, labels=None):
    ...         mix = Mixup().draw(alpha, shape, generator=generator)
    ...         return mix._replace(lam=torch.full_like(mix.lam, 0.5))
    >>> rule = Halfway()
    >>> mix = rule.draw(1.0, (3,), generator=torch.Generator().manual_seed(0))
    >>> mix.partner
    tensor([1, 2, 0])
    >>> rule.mix_x(torch.tensor([[0.0, 2.0], [2.0, 4.0], [4.0, 0.0]]), mix)
    tensor([[1., 3.],
            [3., 2.],
            [2., 1.]])
    """

    # Flags that training reads. Subclasses set them as class attributes.

    @property
    def needs_labels(self) -> bool:
        """Whether :meth:`draw` needs ``labels``."""
        return False

    @property
    def task(self) -> str:
        """Task of the rule: "any", "classification" or "regression"."""
        return "any"

    @property
    def mixes_hidden(self) -> bool:
        """Whether the rule mixes a hidden layer instead of the inputs."""
        return False

    @property
    def enlarges_batch(self) -> bool:
        """Whether a mixed batch has more examples than the original one."""
        return False

    @property
    def swaps_columns(self) -> bool:
        """Whether :meth:`draw` decides value by value, in a field ``keep``.

        If an input layer turns a column into several values, :meth:`draw` then decides once
        per column.
        """
        return False

    def fit(self, take: Callable[[Tensor], Tensor], labels: Tensor) -> MixingRule:
        """Return the rule fitted to the training rows.

        Parameters
        ----------
        take : callable
            ``take(positions)`` returns the inputs of training rows, shape (n, *features), as
            the net sees them before mixing.
        labels : Tensor, shape (rows,) or (rows, outputs)
            Class codes (int64), or values of a regression (float).

        Returns
        -------
        MixingRule
            By default the rule itself.
        """
        return self

    @abstractmethod
    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Any:
        """Draw λ and partners for batches of examples.

        Parameters
        ----------
        alpha : float
            Strength of mixing, 0 ≤ α < ∞: the parameter of Beta(α, α). With 0 nothing is
            mixed.
        shape : sequence of int
            ``(..., batch)``: any number of batches of equal size, which may be 1.
        features : sequence of int, default=()
            Shape of one example, such as ``(columns,)`` or ``(channels, height, width)``.
        generator : torch.Generator
            Source of randomness; the results are on its device.
        labels : Tensor, shape ``shape`` or (*shape, outputs), default=None
            Class codes (int64), or values of a regression (float), of the examples.

        Returns
        -------
        Mix or another NamedTuple of tensors
            Input of :meth:`mix_x` and :meth:`mix_y`.

        Raises
        ------
        ValueError
            If ``alpha`` is negative or not finite, labels are missing, or the rule cannot mix
            examples of this shape.
        """

    def mix_x(self, x: Tensor, mix: Any) -> Tensor:
        """Mix inputs.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Inputs.
        mix : Mix or another NamedTuple of tensors
            The result of :meth:`draw`.

        Returns
        -------
        Tensor, shape of ``x``
            Twice as many examples if the rule enlarges batches.
        """
        return mix_pairs(x, mix.partner, mix.lam)

    def mix_y(self, y: Tensor, mix: Any) -> Tensor:
        """Mix targets.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            One-hot or soft labels, or values of a regression.
        mix : Mix or another NamedTuple of tensors
            The result of :meth:`draw`.

        Returns
        -------
        Tensor, shape of ``y``
            Twice as many examples if the rule enlarges batches.
        """
        return mix_pairs(y, mix.partner, mix.lam)


def draw_by_column(
    rule: MixingRule,
    alpha: float,
    shape: Sequence[int],
    groups: tuple[Tensor, int] | None,
    *,
    features: Sequence[int],
    **options: Any,
) -> Any:
    """Draw from a rule, with one decision for all values of a column.

    ``groups`` holds the column of each value, shape ``features``, and the number of columns.
    """
    if groups is None or not rule.swaps_columns:
        return rule.draw(alpha, shape, features=features, **options)
    columns, count = groups
    mix = rule.draw(alpha, shape, features=(count,), **options)
    return mix._replace(keep=mix.keep.index_select(-1, columns.to(mix.keep.device)))


def mix_pairs(x: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Return λ x_i + (1 − λ) x_j, exactly x_i where λ is 1."""
    weight = lam.to(x.dtype).reshape(lam.shape + (1,) * (x.dim() - lam.dim()))
    return torch.lerp(take_partners(x, partner), x, weight)


def take_partners(x: Tensor, partner: Tensor) -> Tensor:
    """Return the partner of every example: ``x`` at positions along the batch axis."""
    batch = partner.shape[-1]
    # One index_select over all batches is several times as fast as a gather.
    rows = partner.reshape(-1, batch) + _starts(partner.numel(), batch, partner.device)
    flat = x.reshape(-1, *x.shape[partner.dim() :])
    return flat.index_select(0, rows.flatten()).view(x.shape)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # the cached tensor is also used where gradients are needed
def _starts(total: int, batch: int, device: torch.device) -> Tensor:
    """Positions of the first example of every batch, shape (batches, 1)."""
    return torch.arange(0, total, max(batch, 1), device=device).unsqueeze(1)
