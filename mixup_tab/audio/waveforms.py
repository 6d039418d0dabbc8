"""Waveforms: scale, length, resampling, and large arrays in temporary files."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from functools import lru_cache
from math import gcd, prod
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixup_tab._extras import import_extra
from mixup_tab._plain import shown

FULL_SCALE = 32768  # of int16
# Maximum product of the (reduced) rates for which the resampling kernel fits in memory.
_LARGEST_KERNEL = 10_000_000
_LARGEST_FACTOR = 100_000  # larger (reduced) rates are approximated
_UNKNOWN_MEMORY = 4 * 2**30  # assumed if the system does not say


def as_waveforms(x: Tensor) -> Tensor:
    """Return waveforms as float32 with full scale 1; 16-bit integers are scaled."""
    return x * (1 / FULL_SCALE) if x.dtype == torch.int16 else x.float()


def to_int16(waveform: np.ndarray) -> np.ndarray:
    """Return waveforms of full scale [−1, 1] as 16-bit integers; louder ones are clipped."""
    return np.clip(np.rint(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Return waveforms at another sample rate, by a windowed sinc filter."""
    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    if max(up, down) > _LARGEST_FACTOR and min(up, down) > 100:  # would take minutes
        most = max(_LARGEST_FACTOR // 10 * down // max(up, down), 1)
        up, down = Fraction(up, down).limit_denominator(most).as_integer_ratio()
    if up * down > _LARGEST_KERNEL:
        from scipy.signal import resample_poly  # rarely needed

        return resample_poly(samples, up, down)
    with torch.inference_mode():
        return _resampler(down, up)(torch.from_numpy(samples)).numpy()


@lru_cache(maxsize=32)
def _resampler(rate: int, new_rate: int) -> Any:
    """Return a converter; cached, because building its filter takes longer than applying it."""
    return import_extra("torchaudio.transforms", "speech").Resample(rate, new_rate)


def check_waveforms(x: Tensor) -> None:
    """Raise TypeError or ValueError unless a tensor can hold waveforms."""
    if not isinstance(x, Tensor) or not (x.is_floating_point() or x.dtype == torch.int16):
        found = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"Waveforms must be a tensor of int16 or floats, got {found}.")
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(
            f"Waveforms must have shape (..., samples) with at least one sample, got "
            f"{tuple(x.shape)}."
        )


def check_count(name: str, value: int) -> None:
    """Raise TypeError or ValueError unless a value is a positive integer."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        kind = ValueError if whole else TypeError
        raise kind(f"{name}={shown(value)} must be a positive integer.")


def samples_in(name: str, seconds: float, sample_rate: int, *, least: int = 1) -> int:
    """Return a duration in samples.

    Raises TypeError or ValueError that names the parameter if it is not a number, not finite,
    or shorter than ``least`` samples.
    """
    if not isinstance(seconds, Real) or isinstance(seconds, bool):
        raise TypeError(f"{name}={shown(seconds)} must be a duration in seconds, a number.")
    if not least <= seconds * sample_rate + 0.5 < float("inf"):
        raise ValueError(
            f"{name}={shown(seconds)} must be finite and at least {least / sample_rate:.2g} "
            f"seconds at {sample_rate} samples per second."
        )
    return int(seconds * sample_rate + 0.5)


def allocate(
    shape: tuple[int, ...], dtype: np.typing.DTypeLike, *, limit: int | None = None
) -> np.ndarray:
    """Return an array of zeros, in memory or in a temporary file that is deleted with it.

    ``limit`` is the maximum size in memory, in bytes; None is half of the free memory. Raises
    OSError if there is no room for a temporary file either.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= (_free_memory() // 2 if limit is None else limit):
        return np.zeros(shape, dtype)
    with tempfile.TemporaryFile() as file:  # unnamed: freed with its last user
        _reserve(file.fileno(), size)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def _reserve(file: int, size: int) -> None:
    """Reserve disk space now: a disk that fills up later would kill the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.truncate(file, size)
    except OSError as error:
        raise OSError(
            f"{size / 1e9:.1f} GB of sound fit neither into memory nor into the folder for "
            f"temporary files, {tempfile.gettempdir()} ({error.strerror}). Set the environment "
            "variable TMPDIR to a folder with more room."
        ) from error


def _free_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY
