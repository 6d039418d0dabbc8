"""Mixing off for the last epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

from mixup_tab.mixing.rule import MixingRule
from mixup_tab.mixing.wrapper import Wrapper


@dataclass(frozen=True)
class OffAtEnd(Wrapper):
    """Another rule, but for the last epochs, which train on the examples as they are.

    With ``warmup_epochs`` mixing can start late; with this it ends early, so that the net
    last sees what it will predict (as in He et al. 2019, arXiv 1909.09148). Where nobody
    knows when training ends, as in ``partial_fit`` of an estimator, mixing stays on; early
    stopping may end it before the last epochs come. With ``warm_start`` every fit has an end.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        How examples are mixed until then.
    epochs : int or float, default=0.1
        How many epochs at the end of a fit, or, as a float in (0, 1), which share of its
        epochs, rounded up.

    Examples
    --------
    >>> from mixup_tab.mixing import OffAtEnd
    >>> rule = OffAtEnd(epochs=2)
    >>> [rule.at(epoch, end=4) is not None for epoch in range(4)]
    [True, True, False, False]
    """

    epochs: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = isinstance(self.epochs, Integral) and not isinstance(self.epochs, bool)
        share = isinstance(self.epochs, float) and 0 < self.epochs < 1
        if not (share or (whole and self.epochs >= 0)):
            raise ValueError(
                "epochs must be a whole number of epochs, or a share of them between 0 and 1 "
                f"such as 0.1, got {self.epochs!r}."
            )

    def at(self, epoch: int, end: int | None) -> MixingRule | None:
        """Return the rule of an epoch.

        Parameters
        ----------
        epoch : int
            The number of epochs before it in this fit.
        end : int or None
            The number of epochs of this fit; None where nobody knows.

        Returns
        -------
        MixingRule or None
            The rule inside; None in the last epochs.
        """
        if end is not None and epoch >= end - self._last(end):
            return None
        return self.rule.at(epoch, end)

    def _last(self, end: int) -> int:
        if isinstance(self.epochs, Integral):
            return self.epochs
        return math.ceil(round(self.epochs * end, 9))  # 0.1 · 30 is a little more than 3
