"""A net for waveforms: augmentation, spectrogram and net; mixes waveforms or spectrograms."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from mixup_tab.audio.augment import SpecAugment, WaveAugment
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.waveforms import as_waveforms
from mixup_tab.nets import PreparedNet, ResNet10

LEVELS = ("waveform", "spectrogram")


class FromWaveform(PreparedNet):
    """A net that takes waveforms.

    In training, a batch goes through ``augment``, ``spectrogram``, ``masks`` and ``net`` on the
    device; it is mixed before or after the spectrogram. In prediction, it goes through
    ``spectrogram`` and ``net``. Clips may be 16-bit integers, two bytes per sample; no
    spectrogram is stored.

    Parameters
    ----------
    out_features : int
        Number of classes.
    input_shape : (int,)
        Samples of a clip.
    net : class or callable, default=ResNet10
        Net for spectrograms, called with ``out_features``, ``input_shape`` and, if it has that
        parameter, ``dropout``; ``functools.partial(VGG11, width=0.25)`` sets others.
    level : {"spectrogram", "waveform"}, default="spectrogram"
        What is mixed. The paper mixes spectrograms (section 3.3).
    spectrogram : SpectrogramLayer, default=None
        Computes spectrograms; None is ``SpectrogramLayer()``.
    augment : WaveAugment, default=None
        Augments waveforms before they are mixed; None does nothing.
    masks : SpecAugment, default=None
        Masks stripes of the (mixed) spectrograms; None does nothing.
    dropout : float, default=0.0
        Passed to the net.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.audio import FromWaveform, WaveAugment
    >>> from mixup_tab.nets import BCResNet
    >>> t = np.arange(1600) / 16_000
    >>> clips = np.array([np.sin(6.28 * f * t) for f in [300, 310, 320, 900, 910, 920]])
    >>> module = partial(FromWaveform, net=BCResNet, augment=WaveAugment(), level="waveform")
    >>> clf = MixupClassifier(module=module, max_epochs=3, random_state=0)
    >>> clf.fit((clips * 20_000).astype("int16"), list("aaabbb")).predict(clips).shape
    (6,)
    """

    def __init__(
        self,
        out_features: int,
        input_shape: Sequence[int],
        *,
        net: Callable[..., nn.Module] = ResNet10,
        level: str = "spectrogram",
        spectrogram: SpectrogramLayer | None = None,
        augment: WaveAugment | None = None,
        masks: SpecAugment | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if level not in LEVELS:
            raise ValueError(f"level must be one of {list(LEVELS)}, got {level!r}.")
        if len(input_shape) != 1:
            raise ValueError(
                "FromWaveform needs clips of shape (samples,), but an example has the shape "
                f"{tuple(input_shape)}. Use AudioReader without Spectrogram; or pass the net "
                "for spectrograms as module."
            )
        self.level = level
        # Copies, because other nets may share the originals.
        self.augment = copy.deepcopy(augment)
        self.spectrogram = copy.deepcopy(spectrogram or SpectrogramLayer())
        self.masks = copy.deepcopy(masks)
        self.augments = augment is not None
        shape = (1, *self.spectrogram.shape_for(input_shape[0]))
        offered = {"out_features": out_features, "input_shape": shape, "dropout": dropout}
        named = inspect.signature(net).parameters
        fixed = getattr(net, "keywords", {})
        self.net = net(**{k: v for k, v in offered.items() if k in named and k not in fixed})

    def extra_repr(self) -> str:
        """Return the level, for printing."""
        return f"level={self.level!r}"

    @property
    def mixed_precision(self) -> bool:
        """Whether the net for spectrograms should be trained in mixed precision."""
        return getattr(self.net, "mixed_precision", False)

    def prepare(self, x: Tensor) -> Tensor:
        """Return the waveforms or spectrograms to mix.

        Parameters
        ----------
        x : Tensor of int16 or float, shape (batch, samples)
            Clips.

        Returns
        -------
        Tensor of float32, shape (batch, 1, samples) or (batch, 1, frequencies, times)
        """
        x = as_waveforms(x) if self.augment is None else self.augment(x)
        # With an axis for channels, CutMix cuts sections of time, not single samples.
        return self.spectrogram(x) if self.level == "spectrogram" else x.unsqueeze(1)

    def body(self, x: Tensor) -> Tensor:
        """Return the outputs for a result of :meth:`prepare`.

        Parameters
        ----------
        x : Tensor, shape (batch, 1, samples) or (batch, 1, frequencies, times)
            Waveforms or spectrograms, depending on ``level``.

        Returns
        -------
        Tensor, shape (batch, out_features)
        """
        x = self.spectrogram(x.squeeze(1)) if self.level == "waveform" else x
        return self.net(x if self.masks is None else self.masks(x))
