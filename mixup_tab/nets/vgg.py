"""VGG-11 for spectrograms, as in the mixup paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mixup_tab._plain import shown
from mixup_tab.nets.images import as_images, check_smallest, image_format

# Channels of the convolutions between two poolings.
_GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
_HIDDEN = 512


class VGG11(nn.Module):
    """Eight 3×3 convolutions with batch normalisation (Simonyan and Zisserman 2014).

    The net of https://github.com/adiyoss/GCommandsPytorch that the mixup paper
    (arXiv 1710.09412, section 3.3) used: five poolings, then two linear layers with only
    dropout (0 in the paper) in between.

    Parameters
    ----------
    out_features : int
        Number of outputs.
    input_shape : sequence of int
        Shape of one example: (channels, frequencies, times), (frequencies, times) or
        (frequencies * times,).
    dropout : float, default=0.0
        Share of hidden units set to zero in training, in [0, 1).
    image_shape : sequence of int, default=(160, 101)
        (frequencies, times) of flattened examples.
    width : float, default=1.0
        Factor for the number of channels and of hidden units.
    mixed_precision : bool, default=True
        Whether to train in bfloat16 on devices where that is faster.

    Raises
    ------
    ValueError
        If ``width`` is too small, the shapes do not match, or there are fewer than 32
        frequencies or times.

    Notes
    -----
    Shape: inputs ``(batch, *input_shape)`` give ``(batch, out_features)``.

    Parameters for 160×101 and 30 outputs: 13,172,894, of which 3,932,672 in the hidden
    layer.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import VGG11
    >>> net = VGG11(10, (1, 40, 32), width=0.25)
    >>> net(torch.zeros(2, 1, 40, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        out_features: int,
        input_shape: Sequence[int],
        *,
        dropout: float = 0.0,
        image_shape: Sequence[int] = (160, 101),
        width: float = 1.0,
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        if not width * _GROUPS[0][0] >= 1:
            raise ValueError(f"width must be at least 1/64 (one channel), got {shown(width)}.")
        self.mixed_precision = mixed_precision
        self.size = channels, *lengths = image_format(input_shape, image_shape)
        check_smallest(self.size, 32, "VGG11")
        self.features = nn.Sequential(*_convolutions(channels, width))
        places = (lengths[0] // 32) * (lengths[1] // 32)
        hidden = int(width * _HIDDEN)
        self.head = nn.Sequential(
            nn.Linear(int(width * _GROUPS[-1][-1]) * places, hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, out_features),
        )
        self.to(memory_format=torch.channels_last)  # faster on CPUs as well

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs; see the class for shapes."""
        return self.head(self.features(as_images(x, self.size)).flatten(1))


def _convolutions(channels: int, width: float) -> Iterator[nn.Module]:
    for group in _GROUPS:
        for place, wide in enumerate(group, 1):
            out = int(width * wide)
            yield nn.Conv2d(channels, out, 3, padding=1)
            yield nn.BatchNorm2d(out)
            # Pooling and ReLU commute; pooling first leaves a quarter of the values to rectify.
            if place == len(group):
                yield nn.MaxPool2d(2)
            yield nn.ReLU(inplace=True)
            channels = out
