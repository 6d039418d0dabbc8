"""What lives only while a net is trained, and the schedule of mixing."""

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
    """What a fit needs besides the net: made when it starts, handed down, gone when it ends.

    Attributes
    ----------
    streams : list of Streams
        Random streams, one per member.
    weight : ndarray or None
        Weights of the rows.
    mixed : list of bool
        Whether the examples of each epoch of this fit are mixed.
    first_epoch : int
        Number of epochs that the net was trained for before.
    tables : dict
        Arrays on the device and training examples made of them, by what they are made of.
        The nets of a stack share it.
    rule : MixingRule or None
        The mixing rule with what it knows of the rows; None before the first mixed epoch.
    hidden : HiddenMixing or None
        How hidden layers are mixed in this epoch.
    draws_noise : bool
        Whether the net may draw random numbers of its own in this epoch, such as dropout
        masks. The first step shows whether it does; if not, the others need no redirection.
    lowest_loss : dict of str to float
        Lowest loss of an epoch so far, by part.
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
    """Return ``mixing_span`` as two floats, or say what is wrong with it.

    Parameters
    ----------
    span : (float, float)
        Share of the training during which examples are mixed, 0 ≤ start < end ≤ 1.

    Returns
    -------
    (float, float)

    Raises
    ------
    TypeError
        If it is not a pair of numbers.
    ValueError
        If start and end are out of range or order.
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
    """Return the numbers of epochs of the cycles that a fit consists of.

    Every cycle is twice as long as the one before; what is left over prolongs the last.

    Parameters
    ----------
    epochs : int
        Number of epochs of the fit.
    first : int, default=None
        Epochs of the first cycle; None is a single one.

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
    """Say for every epoch of a fit whether its examples are mixed.

    An epoch is mixed if its middle lies in the span, so that shares of epochs are rounded. Each
    cycle goes through the span.

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
