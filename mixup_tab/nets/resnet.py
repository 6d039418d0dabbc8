"""ResNet-10 for spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_tab._plain import shown
from mixup_tab.nets.images import as_images, image_format

# Channels of the four blocks at width 1, and their strides.
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


class _Block(nn.Module):
    """relu(x + conv(relu(conv(x)))), each convolution with batch normalisation."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.stride = stride
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        # Every second value by slicing, not by a stride of the convolution: with channels last
        # and fewer than eight of them, oneDNN 3.12 then writes beyond the gradient's memory.
        kept = x[..., :: self.stride, :: self.stride]
        # In place: on a CPU, fresh memory takes longer than the sum itself.
        return F.relu_(self.layers(x).add_(self.shortcut(kept)))


class ResNet10(nn.Module):
    """Residual net of ten layers, small and quick to train.

    He et al. 2016 (arXiv 1512.03385) with one block of two convolutions per stage, and a
    first 5 × 5 convolution that halves only the frequencies. Images may have any size.

    With ``width=0.25`` and ten classes it has 308,794 parameters, with ``width=1``
    4,903,114, whatever the size of the images.

    Parameters
    ----------
    out_features : int
        Number of classes.
    input_shape : sequence of int
        Shape of one example: (channels, frequencies, times), (frequencies, times), or
        (frequencies * times,).
    width : float, default=0.25
        Factor of the channels, which are 64, 128, 256 and 512 with 1.
    dropout : float, default=0.0
        Share of features set to zero in training before the last layer, in [0, 1).
    image_shape : (int, int), default=(160, 101)
        Frequencies and times of flattened examples.
    mixed_precision : bool, default=True
        Whether to train in bfloat16 on devices where that is faster.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import ResNet10
    >>> net = ResNet10(10, (1, 40, 101), width=0.125)
    >>> net(torch.zeros(2, 1, 40, 101)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        out_features: int,
        input_shape: Sequence[int],
        *,
        width: float = 0.25,
        dropout: float = 0.0,
        image_shape: Sequence[int] = (160, 101),
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        if not width > 0:
            raise ValueError(f"width must be positive, got {shown(width)}.")
        self.size = image_format(input_shape, image_shape)
        self.mixed_precision = mixed_precision
        sizes = [(max(round(channels * width), 1), stride) for channels, stride in _STAGES]
        channels = sizes[0][0]
        layers: list[nn.Module] = [
            nn.Conv2d(self.size[0], channels, 5, (2, 1), padding=2, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        for size, stride in sizes:
            layers.append(_Block(channels, size, stride))
            channels = size
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, out_features))
        self.to(memory_format=torch.channels_last)  # faster on CPUs as well

    def forward(self, x: Tensor) -> Tensor:
        """Return one column per class, shape (batch, out_features)."""
        return self.head(torch.mean(self.features(as_images(x, self.size)), (2, 3)))
