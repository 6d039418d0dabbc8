"""Shapes of images and spectrograms, flattened or not."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor


def image_format(
    input_shape: Sequence[int], image_shape: Sequence[int] = (160, 101)
) -> tuple[int, int, int]:
    """Return (channels, frequencies, times) of one example.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one example: (channels, frequencies, times), (frequencies, times), or
        (values,) for flattened ones.
    image_shape : sequence of int, default=(160, 101)
        (frequencies, times) or (channels, frequencies, times) of flattened examples; otherwise
        not used.

    Returns
    -------
    tuple of three int

    Raises
    ------
    ValueError
        If ``input_shape`` does not have one to three axes, or not as many values as
        ``image_shape``.

    Examples
    --------
    >>> from mixup_tab.nets.images import image_format
    >>> image_format((160, 101)), image_format((4040,), image_shape=(40, 101))
    ((1, 160, 101), (1, 40, 101))
    """
    shape, flat = tuple(map(int, input_shape)), len(input_shape) == 1
    if flat and shape[0] != prod(image_shape):
        raise ValueError(
            f"image_shape={tuple(image_shape)} has {prod(image_shape)} values, but an example "
            f"has {shape[0]}. Set image_shape to (height, width) of the images, of "
            "spectrograms (frequencies, times), for instance "
            "module=functools.partial(VGG11, image_shape=(40, 101))."
        )
    shape = tuple(map(int, image_shape)) if flat else shape
    if len(shape) not in (2, 3):
        raise ValueError(
            "One example must have the shape (channels, height, width), (height, width) or "
            f"(height * width,), of spectrograms (frequencies, times), got {shape}."
        )
    channels, height, width = shape if len(shape) == 3 else (1, *shape)
    return channels, height, width


def check_smallest(size: Sequence[int], least: int, net: str) -> None:
    """Raise ValueError for images that are too small for the pooling of a net."""
    if min(size[1:]) < least:
        raise ValueError(
            f"{net} needs at least {least} frequencies and {least} times, got {size[1]} and "
            f"{size[2]}. Use longer clips, a finer spectrogram, or BCResNet, which accepts any "
            "size."
        )


def as_images(x: Tensor, size: tuple[int, int, int]) -> Tensor:
    """View a batch in any of the shapes of :func:`image_format` as images."""
    shape = tuple(x.shape[1:])
    if shape == size:
        return x
    if shape not in (size[1:], (prod(size),)) or prod(shape) != prod(size):
        raise ValueError(
            f"The net was made for examples of shape {size}, got a batch of shape "
            f"{tuple(x.shape)}."
        )
    return x.reshape(len(x), *size)
