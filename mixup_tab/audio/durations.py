"""Durations in seconds as numbers of samples."""

from __future__ import annotations

from numbers import Integral, Real


def check_count(name: str, value: int) -> None:
    """Refuse what is not a positive whole number."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is no whole number. Use a positive one.")
    if value < 1:
        raise ValueError(f"{name}={value!r} is too small. Use a positive whole number.")


def samples_in(name: str, seconds: float, sample_rate: int, *, least: int = 1) -> int:
    """Return a duration in samples, or refuse it.

    Parameters
    ----------
    name : str
        What the message calls it.
    seconds : float
        The duration.
    sample_rate : int
        Samples per second.
    least : int, default=1
        Fewest samples that are of use.

    Returns
    -------
    int

    Raises
    ------
    TypeError, ValueError
        If it is no number, not finite, or shorter than ``least`` samples.
    """
    if not isinstance(seconds, Real) or isinstance(seconds, bool):
        raise TypeError(f"{name}={seconds!r} is no number. Give a duration in seconds.")
    if not least <= seconds * sample_rate + 0.5 < float("inf"):
        raise ValueError(
            f"{name}={seconds!r} is no use at {sample_rate} samples a second. Give at least "
            f"{least / sample_rate:.2g} seconds."
        )
    return int(seconds * sample_rate + 0.5)
