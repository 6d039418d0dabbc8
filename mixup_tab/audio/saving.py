"""Saved speech models: what a model file holds about one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.audio.waveforms import samples_in
from mixup_tab.persistence import (
    SIZE_LIMIT,
    ModelFile,
    check_fields,
    is_model,
    read_model,
    write_model,
)
from mixup_tab.training.device import pick_device

# Samples per second, and of a clip, of any model; more would only take memory.
_FASTEST, _LONGEST = 1_000_000, 20_000_000


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
    ValueError
        If the model cannot be saved, or would not predict the same when it is read again.
    OSError
        If the file cannot be written.
    """
    clip = np.random.default_rng(0).integers(-9000, 9000, (1, card.samples), dtype=np.int16)

    def check(model: ModelFile) -> None:
        again, _ = _assembled(model, pipeline[-1].device)
        before, after = (known[-1].predict_proba(clip) for known in (pipeline, again))
        if not np.allclose(before, after, atol=1e-4):  # a GPU may round in other ways
            raise ValueError(
                "this model cannot be saved: read again, it predicts other values."
            )

    write_model(path, "sound", card._asdict(), pipeline, store_pipeline=False, check=check)


def load_speech_model(
    path: str | os.PathLike, *, device: str = "auto", size_limit: float = SIZE_LIMIT
) -> tuple[Pipeline, SpeechCard]:
    """Read a model that :func:`save_speech_model` wrote.

    Opening the file and predicting with it runs no code from it, whoever made it.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str, default="auto"
        Where it should predict.
    size_limit : float, default=1e9
        Largest size of the file in bytes.

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
    model = read_model(path, "sound", size_limit=size_limit)
    pick_device(device)  # an error here is no fault of the model
    return _assembled(model, device)


def _assembled(model: ModelFile, device: str) -> tuple[Pipeline, SpeechCard]:
    with model.assembling():
        card = SpeechCard(**model.about)
        _check_card(card)
        pipeline = speech_classifier(**{**card.recipe, "device": device})
        net = pipeline[-1]
        net.classes_ = np.array(card.words)
        net.n_features_in_ = card.samples
        net.alpha_ = float(net.alpha)
        model.restore_net(net, np.int16)
    return pipeline, card


def _check_card(card: SpeechCard) -> None:
    """Raise ValueError unless a card that was read holds what a written one may."""
    check_fields(card)
    recipe = {"seconds": 1.0, "sample_rate": 16_000, **card.recipe}
    rate, seconds = recipe["sample_rate"], recipe["seconds"]
    fine = (
        type(rate) is int
        and 1 <= rate <= _FASTEST
        and 1 <= card.samples <= _LONGEST
        and card.samples == samples_in("seconds", seconds, rate)
        and not {"module", "callbacks"} & {*card.recipe}  # a file does not choose what runs
    )
    if not fine:
        raise ValueError("its description is not one of a speech model")


def check_replaceable(path: Path) -> None:
    """Raise ValueError if a file is there that is no model, such as a clip."""
    if path.is_file() and path.stat().st_size and not is_model(path):
        raise ValueError(
            f"output={str(path)!r} exists and is no model. Give another place, or remove it."
        )
