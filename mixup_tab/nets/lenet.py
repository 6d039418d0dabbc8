"""LeNet for spectrograms, as in the mixup paper."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixup_tab.nets.images import as_images, check_smallest, image_format


class LeNet(nn.Module):
    """Two 5×5 convolutions and a hidden layer of 1000 (Zhang et al. 2017, section 3.3).

    The net of https://github.com/adiyoss/GCommandsPytorch that the mixup paper
    (arXiv 1710.09412) used, there with a dropout of 0.5.

    Parameters
    ----------
    out_features : int
        Number of outputs.
    input_shape : sequence of int
        Shape of one example: (channels, frequencies, times), (frequencies, times) or
        (frequencies * times,).
    dropout : float, default=0.0
        Share of channels of the second convolution, and of hidden units, set to zero in
        training, in [0, 1).
    image_shape : sequence of int, default=(160, 101)
        (frequencies, times) of flattened examples.
    mixed_precision : bool, default=True
        Whether to train in bfloat16 on devices where that is faster.

    Raises
    ------
    ValueError
        If the shapes do not match, or there are fewer than 16 frequencies or times.

    Notes
    -----
    Shape: inputs ``(batch, *input_shape)`` give ``(batch, out_features)``.

    Parameters for 160×101 and 30 outputs: 16,321,570, of which 16,281,000 in the hidden
    layer.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import LeNet
    >>> net = LeNet(10, (1, 40, 32))
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
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        self.mixed_precision = mixed_precision
        self.size = channels, *lengths = image_format(input_shape, image_shape)
        check_smallest(self.size, 16, "LeNet")
        rows, columns = (((length - 4) // 2 - 4) // 2 for length in lengths)
        # Pooling and ReLU commute; pooling first leaves a quarter of the values to rectify.
        self.features = nn.Sequential(
            nn.Conv2d(channels, 20, 5),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Conv2d(20, 20, 5),
            nn.Dropout2d(dropout),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(
            nn.Linear(20 * rows * columns, 1000),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(1000, out_features),
        )
        self.to(memory_format=torch.channels_last)  # faster on CPUs as well

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs; see the class for shapes."""
        return self.head(self.features(as_images(x, self.size)).flatten(1))
