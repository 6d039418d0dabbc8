"""The state of a running fit, and the schedule of mixing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from mixup_tab._plain import shown
from mixup_tab.mixing import MixingRule
from mixup_tab.training.hidden import HiddenMixing
from mixup_tab.training.randomness import Streams


@dataclass
class TrainingState:
    """Everything that a fit needs besides the net, and that ends with it.

    Attributes
    ----------
    streams : list of Streams
        Random streams, one per member.
    weight : ndarray or None
        Weights of the rows.
    mixed : list of bool
        Whether each epoch of this fit is mixed.
    first_epoch : int
        Number of epochs before this fit.
    tables : dict
        Cache of arrays on the device and of training examples, shared by the nets of a stack.
    rule : MixingRule or None
        The fitted mixing rule; None before the first mixed epoch.
    hidden : HiddenMixing or None
        How hidden layers are mixed in this epoch.
    draws_noise : bool
        Whether the net may draw random numbers in this epoch, such as dropout masks. If the
        first step does not, the other steps need no redirection.
    lowest_loss : dict of str to float
        Lowest loss of an epoch so far, by part ("train", "valid").
    """

    streams: list[Streams]
    weight: np.ndarray | None
    mixed: list[bool]
    first_epoch: int
    tables: dict[Any, Any] = field(default_factory=dict)
    rule: MixingRule | None = None
    hidden: HiddenMixing | None = None
    draws_noise: bool = True
    lowest_loss: dict[str, float] = field(default_factory=dict)


def check_mixing_span(span: Any) -> tuple[float, float]:
    """Return ``mixing_span`` as two floats.

    Raises TypeError if it is not a pair of numbers, and ValueError unless
    0 ≤ start < end ≤ 1.
    """
    hint = (
        "mixing_span must be a start and an end with 0 <= start < end <= 1, such as (0.1, 1) "
        f"to mix after the first tenth of the training, got {shown(span)}."
    )
    if isinstance(span, str) or not isinstance(span, Sequence) or len(span) != 2:
        raise TypeError(hint)
    if not all(isinstance(part, Real) and not isinstance(part, bool) for part in span):
        raise TypeError(hint)
    start, end = float(span[0]), float(span[1])
    if not 0 <= start < end <= 1:
        raise ValueError(hint)
    return start, end


def cycle_lengths(epochs: int, first: int | None = None) -> list[int]:
    """Return the number of epochs of each cycle of a fit.

    Every cycle is twice as long as the one before; remaining epochs extend the last cycle.

    Parameters
    ----------
    epochs : int
        Number of epochs of the fit.
    first : int, default=None
        Epochs of the first cycle; None for a single cycle.

    Returns
    -------
    list of int

    Examples
    --------
    >>> from mixup_tab.training.state import cycle_lengths
    >>> cycle_lengths(30, 4), cycle_lengths(30)
    ([4, 8, 18], [30])
    """
    lengths = [min(first or epochs, epochs)]
    while sum(lengths) + 2 * lengths[-1] <= epochs and lengths[-1]:
        lengths.append(2 * lengths[-1])
    lengths[-1] += epochs - sum(lengths)
    return lengths


def mixed_epochs(
    span: tuple[float, float], epochs: int, first_cycle: int | None = None
) -> list[bool]:
    """Return for every epoch of a fit whether it is mixed.

    An epoch is mixed if its middle is in the span. The span applies to each cycle.

    Parameters
    ----------
    span : (float, float)
        As in :func:`check_mixing_span`.
    epochs, first_cycle
        As in :func:`cycle_lengths`.

    Returns
    -------
    list of bool

    Examples
    --------
    >>> from mixup_tab.training.state import mixed_epochs
    >>> mixed_epochs((0.25, 1), 4)
    [False, True, True, True]
    """
    start, end = check_mixing_span(span)
    return [
        start * length <= epoch + 0.5 < end * length
        for length in cycle_lengths(epochs, first_cycle)
        for epoch in range(length)
    ]
