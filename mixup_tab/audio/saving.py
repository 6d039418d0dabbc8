"""Saved speech models: what a model file holds about one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.persistence import is_model, read_model, write_model
from mixup_tab.training.device import pick_device


class SpeechCard(NamedTuple):
    """What there is to know about a saved speech model.

    Attributes
    ----------
    words : list of str
        What it tells apart, in the order of its probabilities.
    recipe : dict
        Arguments of :func:`~mixup_tab.audio.speech_classifier` that made it.
    samples : int
        Length of the clips that it takes.
    training_clips, validation_clips : int
        How many clips it was trained on, and how many it was evaluated on.
    validation_accuracy : float or None
        Share of the validation clips that were right.
    """

    words: list[str]
    recipe: dict[str, Any]
    samples: int
    training_clips: int
    validation_clips: int
    validation_accuracy: float | None


def save_speech_model(path: str | os.PathLike, pipeline: Pipeline, card: SpeechCard) -> None:
    """Write a fitted pipeline to a file, which appears when it is complete.

    Parameters
    ----------
    path : str or path-like
        Where to write.
    pipeline : Pipeline
        From :func:`~mixup_tab.audio.speech_classifier` with ``card.recipe``, its last step
        fitted.
    card : SpeechCard
        What there is to know about it.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    write_model(path, "sound", card._asdict(), pipeline, store_pipeline=False)


def load_speech_model(
    path: str | os.PathLike, *, device: str = "auto"
) -> tuple[Pipeline, SpeechCard]:
    """Read a model that :func:`save_speech_model` wrote, running no code of the file.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str, default="auto"
        Where it should predict.

    Returns
    -------
    pipeline : Pipeline
        Fitted, from paths to words.
    card : SpeechCard

    Raises
    ------
    ValueError
        If it is no such file, or the device cannot be used.
    ImportError
        If torchaudio is needed and cannot be imported.
    """
    model = read_model(path, "sound")
    pick_device(device)  # an error here is no fault of the model
    with model.assembling():
        card = SpeechCard(**model.about)
        pipeline = speech_classifier(**{**card.recipe, "device": device})
        net = pipeline[-1]
        net.classes_ = np.array(card.words)
        net.n_features_in_ = card.samples
        net.alpha_ = float(net.alpha)
        model.restore_net(net, np.int16)
    return pipeline, card


def check_replaceable(path: Path) -> None:
    """Raise ValueError if a file is there that is no model, such as a clip."""
    if path.is_file() and path.stat().st_size and not is_model(path):
        raise ValueError(
            f"output={str(path)!r} exists and is no model. Give another place, or remove it."
        )
