"""PreAct ResNet-18 for small images, as in the mixup paper."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_tab._plain import shown
from mixup_tab.nets.images import as_images, image_format

# Factor of the width, and stride of the first of two blocks.
_STAGES = ((1, 1), (2, 2), (4, 2), (8, 2))


def _conv3x3(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)


class _Block(nn.Module):
    """Two convolutions after normalisation and ReLU, added to the input.

    With ``after``, they are added to the activated input: in the first block, and where a 1 × 1
    convolution changes its shape to that of the output.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, *, after: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.layers = nn.Sequential(
            _conv3x3(in_channels, channels, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _conv3x3(channels, channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        self.after = after
        if stride > 1 or in_channels != channels:
            self.shortcut = nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm(x))
        return self.layers(active) + self.shortcut(active if self.after else x)


class PreActResNet18(nn.Module):
    """Residual net of 18 layers with the activations before the convolutions.

    He et al. 2016, "Identity mappings in deep residual networks" (arXiv 1603.05027), in the
    form for images of 32 × 32 pixels with which the mixup paper (arXiv 1710.09412, section 3.2)
    compares training with and without mixup: a 3 × 3 convolution at full size, four stages of
    two blocks, batch normalisation, and the mean over all pixels. Images may have any size.

    Parameters
    ----------
    out_features : int
        Number of classes.
    input_shape : sequence of int
        Shape of one example: (channels, height, width), (height, width), or flattened
        (values,).
    dropout : float, default=0.0
        Share of features set to zero in training before the last layer, in [0, 1).
    image_shape : sequence of int, default=(3, 32, 32)
        (height, width) or (channels, height, width) of flattened examples.
    width : int, default=64
        Channels of the first stage, ≥ 1; the others have 2, 4 and 8 times as many.
    mixed_precision : bool, default=True
        Whether to train in bfloat16 on devices where that is faster.

    Raises
    ------
    ValueError
        If ``width`` is less than 1, or the shapes do not match.

    Notes
    -----
    Shape: inputs ``(batch, *input_shape)`` give ``(batch, out_features)``.

    Parameters for three channels and 10 outputs: 11,172,170, whatever the size of the images;
    with ``width=16``, 701,018. The mixup authors' code has no normalisation after the last
    block, where He et al. have one.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import PreActResNet18
    >>> net = PreActResNet18(10, (1, 8, 8), width=8)
    >>> net(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        out_features: int,
        input_shape: Sequence[int],
        *,
        dropout: float = 0.0,
        image_shape: Sequence[int] = (3, 32, 32),
        width: int = 64,
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        if not (isinstance(width, (Real, int)) and width >= 1 and width % 1 == 0):
            raise ValueError(
                f"width must be a whole number of channels, at least 1, got {shown(width)}."
            )
        self.size = image_format(input_shape, image_shape)
        self.mixed_precision = mixed_precision
        channels = int(width)
        layers: list[nn.Module] = [_conv3x3(self.size[0], channels)]
        for factor, stride in _STAGES:
            wide = factor * int(width)
            # Where the shape changes, and in the very first block, the shortcut is activated.
            layers.append(_Block(channels, wide, stride, after=True))
            layers.append(_Block(wide, wide, 1, after=False))
            channels = wide
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return one column per class, shape (batch, out_features)."""
        return self.head(torch.mean(self.features(as_images(x, self.size)), (2, 3)))
