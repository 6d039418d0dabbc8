"""Save and load speech models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from mixup_tab import persistence
from mixup_tab.audio.waveforms import samples_in
from mixup_tab.persistence.cards import load_with_card
from mixup_tab.persistence.model_file import SIZE_LIMIT, read_model

if TYPE_CHECKING:  # predict and listen do without scikit-learn
    from sklearn.pipeline import Pipeline


class SpeechCard(NamedTuple):
    """Metadata of a saved speech model.

    Attributes
    ----------
    words : list of str
        Words, in the order of its probabilities.
    recipe : dict
        Arguments of :func:`~mixup_tab.audio.speech_classifier` that made it.
    samples : int
        Number of samples of its clips.
    training_clips, validation_clips : int
        Number of clips for training and validation.
    validation_accuracy : float or None
        Share of the validation clips of words whose most probable class was right, before any
        was rejected.
    threshold : float or None, default=None
        Minimum probability of a word, minus that of ``unknown``; None if none was chosen.
    false_alarms, lost : float or None, default=None
        Its effect on validation clips: share of other sounds taken for a word, and share of
        clips of words rejected.
    """

    words: list[str]
    recipe: dict[str, Any]
    samples: int
    training_clips: int
    validation_clips: int
    validation_accuracy: float | None
    threshold: float | None = None
    false_alarms: float | None = None
    lost: float | None = None


def save_speech_model(path: str | os.PathLike, pipeline: Pipeline, card: SpeechCard) -> None:
    """Write a fitted pipeline to a file, which appears or is replaced once it is complete.

    It comes from :func:`~mixup_tab.audio.speech_classifier`, perhaps with a
    :class:`~mixup_tab.audio.RejectingClassifier` around its last step. Raises ValueError if it
    cannot be saved or does not match the card, and OSError if the file cannot be written.
    """
    check_pipeline(pipeline, card)
    about = {"kind": "sound", **card._asdict()}
    persistence.save_model(pipeline, path, about=about, overwrite=True)


def load_speech_model(
    path: str | os.PathLike, *, device: str = "auto", size_limit: float = SIZE_LIMIT
) -> tuple[Pipeline, SpeechCard]:
    """Read the pipeline and the card that :func:`save_speech_model` wrote.

    Opening the file and predicting with it runs no code from it, whoever made it. Raises
    ValueError if it is not a speech model, or the device cannot be used. ``size_limit`` is the
    maximum size of the file in bytes.
    """
    model = read_model(path, size_limit=size_limit)
    return load_with_card(model, "sound", SpeechCard, check_pipeline, device=device)


def check_pipeline(pipeline: Pipeline, card: SpeechCard) -> None:
    """Raise ValueError unless a model matches its metadata."""
    reader, net = pipeline[0], pipeline[-1]
    samples = samples_in("seconds", reader.seconds, reader.sample_rate)
    fine = samples == card.samples == net.n_features_in_
    fine = fine and net.classes_.tolist() == card.words
    fine = fine and (card.threshold or 0.0) == getattr(net, "threshold", 0.0)
    if not fine:
        raise ValueError("its metadata are not those of a speech model")
