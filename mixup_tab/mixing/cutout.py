"""Cutout: examples with a hole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixup_tab.mixing.boxes import check_axes, draw_keep
from mixup_tab.mixing.cutmix import Cut
from mixup_tab.mixing.draw import beta
from mixup_tab.mixing.rule import MixingRule


@dataclass(frozen=True)
class Cutout(MixingRule):
    """Part of an example is replaced by a constant, its target stays as it is.

    DeVries and Taylor 2017 (arXiv 1708.04552), with boxes of random size. An example loses
    the share 1 − max(λ, 1 − λ) with λ ~ Beta(α, α), at most half of it since the target
    stays: a larger α cuts out more. From spectrograms and other examples with at least two
    axes it loses a box over frequency and time as in :class:`CutMix`, from rows of a table
    columns, each with that probability. Flattened spectrograms are rows of a table here.

    Parameters
    ----------
    fill : float, default=0.0
        What stands in the hole: 0 is the mean of normalised inputs.
    axes : {"both", "time", "frequency"}, default="both"
        Axes along which a box ends. "time" cuts out all frequencies of a stretch of time,
        "frequency" all times of a band. Makes no difference for tables.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.mixing import Cutout
    >>> rule, source = Cutout(), torch.Generator().manual_seed(6)
    >>> cut = rule.draw(5.0, (1,), features=(3, 6), generator=source)
    >>> rule.mix_x(torch.ones(1, 3, 6), cut)
    tensor([[[1., 1., 1., 1., 1., 1.],
             [0., 0., 0., 1., 1., 1.],
             [1., 1., 1., 1., 1., 1.]]])
    """

    fill: float = 0.0
    axes: str = "both"

    def __post_init__(self) -> None:
        check_axes(self.axes)

    def draw(
        self,
        alpha: float,
        shape: Sequence[int],
        *,
        features: Sequence[int] = (),
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> Cut:
        """Draw what is kept.

        Parameters
        ----------
        alpha : float
            Parameter of Beta(α, α); 0 keeps everything.
        shape : sequence of int
            ``(..., batch)``.
        features : sequence of int
            Shape of one example, ``(features,)`` or ``(..., frequencies, times)``.
        generator : torch.Generator
            Source of randomness.
        labels : None
            Not used.

        Returns
        -------
        Cut
            Every example is its own partner, with λ = 1.

        Raises
        ------
        ValueError
            If examples are single values.
        """
        lam = beta(alpha, shape, generator=generator)
        lam = torch.maximum(lam, 1 - lam)
        _, keep = draw_keep(lam, features, generator=generator, axes=self.axes)
        itself = torch.arange(lam.shape[-1], device=lam.device).expand(lam.shape)
        return Cut(torch.ones_like(lam), itself, keep)

    def mix_x(self, x: Tensor, mix: Cut) -> Tensor:
        """Cut the hole.

        Parameters
        ----------
        x : Tensor, shape (..., batch, *features)
            Examples.
        mix : Cut
            What :meth:`draw` decided.

        Returns
        -------
        Tensor, shape of ``x``
        """
        return x.masked_fill(~mix.keep, self.fill)

    def mix_y(self, y: Tensor, mix: Cut) -> Tensor:
        """Return the targets as they are.

        Parameters
        ----------
        y : Tensor, shape (..., batch, outputs)
            One-hot rows, soft targets or values.
        mix : Cut
            What :meth:`draw` decided.

        Returns
        -------
        Tensor
            ``y`` itself.
        """
        return y
