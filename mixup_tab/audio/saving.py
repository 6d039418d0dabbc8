"""Saved speech models: one file that runs no code of its own when it is opened.

A zip file of two members: ``model.json`` (words, net, settings) and ``net.safetensors`` (the
net's numbers).
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
from sklearn.pipeline import Pipeline

from mixup_tab._files import write_whole
from mixup_tab.audio import speech_classifier
from mixup_tab.compare.saving import FORMAT as TABLE_FORMAT
from mixup_tab.estimators.data import TrainingData
from mixup_tab.estimators.fitting import make_net
from mixup_tab.training.device import pick_device

FORMAT = "mixup-tab speech model 1"
_PACKAGES = ("mixup-tab", "scikit-learn", "torch", "torchaudio")
_MEMBERS = ("model.json", "net.safetensors")


class SpeechCard(NamedTuple):
    """What there is to know about a saved speech model.

    Attributes
    ----------
    words : list of str
        What it tells apart, in the order of its probabilities.
    recipe : dict
        Arguments of :func:`~mixup_tab.audio.speech_classifier` that made it.
    samples : int
        Length of a clip that it takes.
    training_clips : int
        How many it was trained on.
    validation_clips : int
        How many it was judged on.
    validation_accuracy : float or None
        Share of these that were right.
    versions : dict of str to str
        Of the packages that made it.
    """

    words: list[str]
    recipe: dict[str, Any]
    samples: int
    training_clips: int
    validation_clips: int
    validation_accuracy: float | None
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Return the versions of the packages that make a speech model."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # not every net needs torchaudio
            continue
    return found


def save_speech_model(path: str | os.PathLike, pipeline: Pipeline, card: SpeechCard) -> None:
    """Write a fitted pipeline to a file, which appears when it is complete.

    Parameters
    ----------
    path : str or path-like
        Where.
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
    numbers = pipeline[-1].net_.module_.state_dict()
    about = json.dumps({"format": FORMAT, **card._asdict()}, indent=1, ensure_ascii=False)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", about.encode())
        archive.writestr(
            "net.safetensors",
            safetensors.torch.save({k: v.cpu().contiguous() for k, v in numbers.items()}),
        )
    write_whole(Path(path), content.getvalue())


def load_speech_model(
    path: str | os.PathLike, *, device: str = "auto"
) -> tuple[Pipeline, SpeechCard]:
    """Read a model that :func:`save_speech_model` has written.

    Nothing is unpickled and no code of the file is run.

    Parameters
    ----------
    path : str or path-like
        Where.
    device : str, default="auto"
        Where it is to predict.

    Returns
    -------
    pipeline : Pipeline
        Fitted, from paths to words.
    card : SpeechCard

    Raises
    ------
    ValueError
        If it is no such file.
    ImportError
        If torchaudio is needed and not there.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"model {str(path)!r} is not a file. Give what mixup-tab speech train has written."
        )
    about, numbers = _members_of(path)
    if about.get("format") == TABLE_FORMAT:
        raise ValueError(
            f"model {path.name!r} predicts for tables, not for sounds. Use mixup-tab predict."
        )
    try:
        if about.pop("format") != FORMAT:
            raise KeyError("format")
        card = SpeechCard(**about)
        there = _listed(card.versions)
    except (KeyError, TypeError, AttributeError) as error:
        raise _not_a_model(path) from error
    pick_device(device)  # refused here, it is no fault of the model
    return _restored(path, card, numbers, device, there), card


def check_replaceable(path: Path) -> None:
    """Refuse a place where something lies that no training has written, such as a clip.

    Parameters
    ----------
    path : Path
        Where a model is to be written.

    Raises
    ------
    ValueError
        If there is a file that is no model.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    try:
        _members_of(path)
    except ValueError as error:
        raise ValueError(
            f"output={str(path)!r} exists and is no model. Give another place, or remove it."
        ) from error


def _members_of(path: Path) -> tuple[dict[str, Any], bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            about, numbers = (archive.read(member) for member in _MEMBERS)
        return dict(json.loads(about)), numbers
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError) as error:
        raise _not_a_model(path) from error


def _not_a_model(path: Path) -> ValueError:
    return ValueError(
        f"model {path.name!r} is not a speech model of mixup-tab, or is broken. Give what "
        "mixup-tab speech train has written."
    )


def _listed(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _restored(
    path: Path, card: SpeechCard, numbers: bytes, device: str, there: str
) -> Pipeline:
    try:
        pipeline = speech_classifier(**{**card.recipe, "device": device})
        _give_net(pipeline[-1], card, safetensors.torch.load(numbers))
    except ImportError:  # it says itself what to install
        raise
    except Exception as error:  # whatever other versions make of it
        raise ValueError(
            f"model {path.name!r} cannot be put together here ({error}). It was saved with "
            f"{there}; this is {_listed(versions())}. Install those, or train it anew."
        ) from error
    return pipeline


def _give_net(estimator: Any, card: SpeechCard, numbers: dict) -> None:
    """Make the net that a classifier had, with its numbers."""
    rows = 1 if estimator.batch_size == "auto" else estimator.batch_size
    nothing = np.zeros((rows, card.samples), dtype=np.int16)
    estimator.classes_ = np.array(card.words)
    estimator.n_features_in_ = card.samples
    estimator.alpha_ = float(estimator.alpha)
    codes = np.zeros(rows, dtype=np.int64)
    net = make_net(estimator, TrainingData(nothing, codes, None, len(card.words)), partial=True)
    net.module_.load_state_dict(numbers)
    estimator.net_ = net
