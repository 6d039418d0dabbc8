"""What figure 4 of the mixup paper consists of: nets, α, seeds and clips."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from mixup_tab.audio import fetch_speech_commands, load_audio_folder, speech_classifier
from mixup_tab.audio.recipe import NETS
from mixup_tab.audio.train import ClipSplit, split_clips
from mixup_tab.evaluation.protocols.options import check_count, check_home, check_seed
from mixup_tab.evaluation.runs import Task
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.training import LearningRate
from mixup_tab.training.device import pick_device

PARTS = ("validation", "test")
# Fewer clips than this are not the full data set. VGG-11 is then made narrower, and everything
# trained for longer, because an epoch is shorter, at a rate at which LeNet does not die.
FULL_SIZE = 10_000
NARROW, LONGER, SLOWER = 0.25, 60, 0.001
EPOCHS, RATE = 30, 0.003
# 5 of 30 epochs without mixing, as in the paper, and the same share of others.
MIXING_SPAN = (1 / 6, 1)
# Shares that are drawn where a folder has no lists of its own.
SHARES = {"validation_fraction": 0.1, "test_fraction": 0.2}
# The code that the paper used has dropout in LeNet, and none in VGG-11.
DROPOUT = {"lenet": 0.5}


class Fit(NamedTuple):
    """One net with one α and one seed; ``repeat`` counts the seeds from 0."""

    net: str
    alpha: float
    repeat: int
    seed: int

    @property
    def method(self) -> str:
        """What it is called in the results."""
        return f"{self.net} α={self.alpha:g}"


@dataclass(frozen=True)
class FigurePlan:
    """What is trained on which clips; see :meth:`make`."""

    folder: Bunch
    parts: ClipSplit
    source: str
    nets: tuple[str, ...]
    alphas: tuple[float, ...]
    repeats: int
    seed: int
    epochs: int
    width: float
    learning_rate: float
    device: str

    @classmethod
    def make(
        cls,
        root: str | os.PathLike | None = None,
        *,
        nets: Sequence[str] = ("lenet", "vgg11"),
        alphas: Sequence[float] = (0.1, 0.2),
        seeds: int = 3,
        seed: int = 0,
        epochs: int | None = None,
        width: float | None = None,
        learning_rate: float | None = None,
        device: str = "auto",
        data_home: str | os.PathLike | None = None,
    ) -> FigurePlan:
        """Check options, and find the clips.

        Parameters
        ----------
        root : str or path-like, default=None
            Folder of clips. A folder with lists is split by them, another one with speakers
            apart. None is the 30 words of Speech Commands v0.01, downloaded on first use.
        nets : sequence of str, default=("lenet", "vgg11")
            Of "lenet", "vgg11", "bcresnet" and "resnet"; the paper has the first two.
        alphas : sequence of float, default=(0.1, 0.2)
            Values of α beside 0, which is ERM.
        seeds : int, default=3
            Every net is trained so many times.
        seed : int, default=0
            The first seed; it also draws the parts of a folder without lists.
        epochs : int, default=None
            None is 30 as in the paper, and 60 for fewer than 10,000 clips. The learning rate
            falls by a factor of 10 after each third, and the first sixth is not mixed.
        width : float, default=None
            Factor for the channels of VGG-11, 1 as in the paper; None is 1, and 0.25 for fewer
            than 10,000 clips.
        learning_rate : float, default=None
            None is 0.003 as in the paper, and 0.001 for fewer than 10,000 clips.
        device : str, default="auto"
            Where nets are trained.
        data_home : str or path-like, default=None
            Folder of data sets, for ``root=None``.

        Returns
        -------
        FigurePlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        OSError
            If the clips are not there and cannot be downloaded.
        """
        unknown = [net for net in nets if net not in NETS]
        if unknown or not nets:
            raise ValueError(f"nets must be some of {', '.join(NETS)}, got {list(nets)}.")
        alphas = (0.0, *sorted({check_alpha(a) for a in alphas if check_alpha(a) > 0}))
        check_count("seeds", seeds)
        if epochs is not None:
            check_count("epochs", epochs)
        if learning_rate is not None and not learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}.")
        check_seed(seed)
        device = pick_device(device)
        folder, source = _find_clips(root, data_home)
        parts = split_clips(folder, **SHARES, random_state=seed)
        for name in PARTS:
            if not len(getattr(parts, name)):
                raise ValueError(f"root={str(root)!r} has no {name} clips in its lists.")
        defaults = (EPOCHS, 1.0, RATE)
        if len(folder.target) < FULL_SIZE:
            defaults = (LONGER, NARROW, SLOWER)
        given = (epochs, width, learning_rate)
        sizes = (d if g is None else g for g, d in zip(given, defaults, strict=True))
        names = tuple(dict.fromkeys(nets))
        return cls(folder, parts, source, names, alphas, seeds, seed, *sizes, device)

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on in the same folder."""
        return {
            "protocol": "speech",
            "source": self.source,
            "clips": [len(part) for part in self.parts[:3]],
            "seed": self.seed,
            "epochs": self.epochs,
            "width": self.width,
            "learning_rate": self.learning_rate,
            "device": self.device,
        }

    def fits(self) -> list[Fit]:
        """Return everything that is to be trained, seed by seed."""
        return [
            Fit(net, alpha, repeat, self.seed + repeat)
            for repeat in range(self.repeats)
            for net in self.nets
            for alpha in self.alphas
        ]

    def tasks(self, fits: Sequence[Fit] | None = None) -> list[Task]:
        """Return what is to be scored: every net on validation and on test clips."""
        return [
            Task(part, self.source, one.method, one.repeat, one.seed)
            for one in (self.fits() if fits is None else fits)
            for part in PARTS
        ]

    def pipeline(self, one: Fit) -> Pipeline:
        """Return an untrained net in the paper's setting.

        Normalised log spectrograms of 160 × 101, mixed just before the net; batches of 100,
        Adam at a rate that is divided by 10 after each third of the epochs; a sixth of these
        is without mixing.
        """
        return speech_classifier(
            one.net,
            net_params={"width": self.width} if one.net == "vgg11" else None,
            augment=False,
            kind="log",
            alpha=one.alpha,
            mixing="mixup",
            mixing_span=MIXING_SPAN,
            max_epochs=self.epochs,
            batch_size=min(100, len(self.parts.train)),
            learning_rate_init=self.learning_rate,
            weight_decay=0.0,
            dropout=DROPOUT.get(one.net, 0.0),
            callbacks=[LearningRate("step", every=max(self.epochs // 3, 1))],
            device=self.device,
            random_state=one.seed,
        )


def _find_clips(
    root: str | os.PathLike | None, data_home: str | os.PathLike | None
) -> tuple[Bunch, str]:
    """Return the clips of a folder, or the paper's, and what they are called."""
    if root is not None:
        return load_audio_folder(root), Path(root).resolve().name
    home = check_home(data_home)
    return fetch_speech_commands("v0.01", task=30, data_home=home), "speech-commands-v0.01"
