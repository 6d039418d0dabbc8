"""The recommended pipeline from sound files to labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab.audio.augment import SpecAugment, WaveAugment
from mixup_tab.audio.from_waveform import FromWaveform
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.transformers import AudioReader
from mixup_tab.estimators import MixupClassifier
from mixup_tab.nets import VGG11, BCResNet, LeNet, ResNet10

# Plain training at the end takes back what mixing has taken from the confidence.
_MUON = {
    "optimizer": "muon",
    "learning_rate_init": 0.1,
    "alpha": 0.2,
    "mixing_span": (0.0, 0.7),
}
# Nets by name, each with the seconds between its mel frames and how it is trained.
NETS: dict[str, tuple[type, float, dict[str, Any]]] = {
    "resnet": (ResNet10, 0.02, _MUON),
    "bcresnet": (BCResNet, 0.01, {"learning_rate_init": 0.004}),
    "vgg11": (VGG11, 0.01, {"learning_rate_init": 0.001}),
    "lenet": (LeNet, 0.01, {"learning_rate_init": 0.001}),
}


def speech_classifier(
    model: str = "resnet",
    *,
    net_params: dict[str, Any] | None = None,
    augment: bool = True,
    noise: np.ndarray | None = None,
    level: str = "spectrogram",
    kind: str = "mel",
    seconds: float = 1.0,
    sample_rate: int = 16_000,
    align: str = "sound",
    on_error: str = "raise",
    **params: Any,
) -> Pipeline:
    """Return an untrained classifier of sound files.

    It reads the files and trains a net on spectrograms of 40 mel bands, computed on the device
    from waveforms that are shifted, changed in speed, filtered and mixed with noise, in
    another way in every epoch.

    Parameters
    ----------
    model : {"resnet", "bcresnet", "vgg11", "lenet"}, default="resnet"
        The net.
    net_params : dict, default=None
        Parameters of the net, such as ``{"width": 0.25}`` for vgg11 or ``{"tau": 8}`` for
        bcresnet.
    augment : bool, default=True
        Whether to change clips at random in training, by the defaults of
        :class:`~mixup_tab.audio.WaveAugment` and :class:`~mixup_tab.audio.SpecAugment`.
    noise : array of int16 or float, shape (recordings, samples), default=None
        Background recordings for ``WaveAugment``; None is synthetic noise.
    level : {"spectrogram", "waveform"}, default="spectrogram"
        What is mixed.
    kind : {"mel", "log", "power"}, default="mel"
        Kind of spectrogram: "mel" takes 30 ms every 10 ms (20 ms for resnet) and normalises
        every band, the others take 20 ms every 10 ms and normalise the whole.
    seconds : float, default=1.0
        Length to which clips are padded or cropped.
    sample_rate : int, default=16_000
        Samples per second to which clips are resampled.
    align : {"sound", "center", "start"}, default="sound"
        Which part of a longer clip is kept; see :func:`~mixup_tab.audio.read_clip`.
    on_error : {"raise", "skip"}, default="raise"
        Treatment of unreadable files; see :class:`~mixup_tab.audio.AudioReader`.
    **params
        Parameters of :class:`~mixup_tab.MixupClassifier`, such as ``alpha``, ``max_epochs``
        and ``random_state``.

    Returns
    -------
    Pipeline
        Steps ``reader``, which takes paths, and ``classifier``.

    Raises
    ------
    ValueError
        If ``model`` is unknown.

    Examples
    --------
    >>> from mixup_tab.audio import speech_classifier
    >>> pipeline = speech_classifier("bcresnet", alpha=0.3, random_state=0)
    >>> pipeline.set_params(classifier__max_epochs=20)["classifier"].max_epochs
    20
    """
    if model not in NETS:
        raise ValueError(f"model must be one of {list(NETS)}, got {model!r}.")
    net, hop, training = NETS[model]
    frames: dict[str, Any] = {}
    if kind == "mel":
        frames = {"window_seconds": 0.03, "hop_seconds": hop, "normalize": "band"}
    module = partial(
        FromWaveform,
        net=partial(net, **net_params) if net_params else net,
        level=level,
        spectrogram=SpectrogramLayer(sample_rate, kind=kind, **frames),
        augment=WaveAugment(sample_rate=sample_rate, noise=noise) if augment else None,
        masks=SpecAugment() if augment else None,
    )
    return Pipeline(
        [
            ("reader", AudioReader(sample_rate, seconds, align=align, on_error=on_error)),
            (
                "classifier",
                MixupClassifier(**{"module": module, **training, **params}),
            ),
        ]
    )
