"""BC-ResNet: small residual nets for spectrograms."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mixup_tab._plain import shown
from mixup_tab.nets.images import as_images, image_format

# Per stage: channels over those of the first, number of blocks, stride in frequency.
# Stage i (from 0) is dilated by 2^i in time.
_STAGES = ((1.0, 2, 1), (1.5, 2, 2), (2.0, 4, 2), (2.5, 4, 1))
_SUB_BANDS = 5


class SubSpectralNorm(nn.BatchNorm2d):
    """Batch normalisation of every channel in each of several bands of frequency.

    Chang et al. 2021 (arXiv 2103.13620).

    Parameters
    ----------
    channels : int
        Number of channels.
    frequencies : int
        Number of frequencies.
    sub_bands : int, default=5
        Number of bands of equal width; if it does not divide the frequencies, the next smaller
        number that does.

    Notes
    -----
    Shape: inputs and outputs ``(batch, channels, frequencies, times)``.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import SubSpectralNorm
    >>> norm = SubSpectralNorm(8, 16)
    >>> norm.sub_bands, norm(torch.randn(2, 8, 16, 7)).shape
    (4, torch.Size([2, 8, 16, 7]))
    """

    def __init__(self, channels: int, frequencies: int, sub_bands: int = _SUB_BANDS) -> None:
        bands = next(n for n in range(sub_bands, 0, -1) if frequencies % n == 0)
        super().__init__(channels * bands)
        self.sub_bands = bands

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; see the class for shapes."""
        batch, _, frequencies, times = x.shape
        split = x.reshape(batch, self.num_features, frequencies // self.sub_bands, times)
        return super().forward(split).view(x.shape)


class BroadcastedBlock(nn.Module):
    """x + f₂(x) + BC(f₁(avg f₂(x))), rectified (eq. 2 of arXiv 2106.04140).

    f₂ convolves along frequency and f₁ the average over frequency along time; BC repeats
    the result at every frequency. A block that changes the number of channels has a 1×1
    convolution in front and no x.

    Parameters
    ----------
    in_channels, out_channels : int
        Numbers of channels.
    frequencies : int
        Number of frequencies of the output.
    stride : int
        Step in frequency.
    dilation : int
        Dilation in time.
    dropout : float
        Share of channels of f₁ set to zero in training.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        frequencies: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        n = out_channels
        self.residual = in_channels == n
        self.widen = nn.Sequential() if self.residual else _convolution(in_channels, n, 1)
        self.frequency = nn.Sequential(
            nn.Conv2d(n, n, (3, 1), (stride, 1), (1, 0), groups=n, bias=False),
            SubSpectralNorm(n, frequencies),
        )
        ahead, apart = (0, dilation), (1, dilation)
        self.time = nn.Sequential(
            nn.Conv2d(n, n, (1, 3), 1, ahead, apart, groups=n, bias=False),
            nn.BatchNorm2d(n),
            nn.SiLU(),
            nn.Conv2d(n, n, 1, bias=False),
            nn.Dropout2d(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, frequencies, times) to the same with out_channels."""
        two_d = self.frequency(self.widen(x))
        out = two_d + self.time(two_d.mean(2, keepdim=True))
        return F.relu_(out + x if self.residual else out)


class BCResNet(nn.Module):
    """BC-ResNet-τ for spectrograms (Kim et al. 2021, arXiv 2106.04140, table 1).

    A net of broadcasted residual blocks: most of the work is done on the average over
    frequency. The authors use 40 log-mel bands, τ of 1, 1.5, 2, 3, 6 and 8, and a dropout
    of 0.1. Any number of frequencies and times works: if 5 sub-bands of equal width do not
    fit, fewer are used; the last depthwise convolution spans at most the remaining frequencies
    (5 of 40), and its output is averaged.

    Parameters
    ----------
    out_features : int
        Number of outputs.
    input_shape : sequence of int
        Shape of one example: (channels, frequencies, times), (frequencies, times) or
        (frequencies * times,).
    dropout : float, default=0.0
        Share of the channels of each block's temporal branch set to zero in training, in
        [0, 1).
    image_shape : sequence of int, default=(160, 101)
        (frequencies, times) of flattened examples.
    tau : float, default=1.0
        Width of the net: 8 τ channels in the first stage.
    mixed_precision : bool, default=True
        Whether to train in bfloat16 on devices where that is faster.

    Raises
    ------
    ValueError
        If ``tau`` is too small, or the shapes do not match.

    Notes
    -----
    Shape: inputs ``(batch, *input_shape)`` give ``(batch, out_features)``.

    Parameters for 12 outputs, 40 frequencies and any number of times: 9,232 with τ = 1 and
    321,068 with τ = 8, as in the paper (9.2 k and 321 k); the same for 160 frequencies.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import BCResNet
    >>> net = BCResNet(12, (1, 40, 101))
    >>> net(torch.zeros(2, 1, 40, 101)).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        out_features: int,
        input_shape: Sequence[int],
        *,
        dropout: float = 0.0,
        image_shape: Sequence[int] = (160, 101),
        tau: float = 1.0,
        mixed_precision: bool = True,
    ) -> None:
        super().__init__()
        if not tau >= 0.125:
            raise ValueError(f"tau must be at least 0.125 (one channel), got {shown(tau)}.")
        self.mixed_precision = mixed_precision
        self.size = image_format(input_shape, image_shape)
        base, frequencies = int(8 * tau), _halved(self.size[1])
        self.head = _convolution(self.size[0], 2 * base, 5, (2, 1), 2)
        self.blocks, channels = nn.Sequential(), 2 * base
        for stage, (width, repeats, step) in enumerate(_STAGES):
            frequencies = _halved(frequencies) if step == 2 else frequencies
            for repeat in range(repeats):
                self.blocks.append(
                    BroadcastedBlock(
                        channels,
                        int(width * base),
                        frequencies,
                        stride=1 if repeat else step,
                        dilation=2**stage,
                        dropout=dropout,
                    )
                )
                channels = int(width * base)
        span = (min(5, frequencies), 5)
        self.tail = nn.Sequential(
            nn.Conv2d(channels, channels, span, padding=(0, 2), groups=channels, bias=False),
            _convolution(channels, 4 * base, 1),
        )
        self.output = nn.Linear(4 * base, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs; see the class for shapes."""
        x = self.tail(self.blocks(self.head(as_images(x, self.size))))
        return self.output(x.mean((2, 3)))


def _convolution(
    n_in: int, n_out: int, kernel: int, stride: tuple[int, int] = (1, 1), padding: int = 0
) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


def _halved(frequencies: int) -> int:
    """Number of frequencies after a step of two."""
    return -(-frequencies // 2)
