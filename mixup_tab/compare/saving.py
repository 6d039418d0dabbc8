"""Saved models: one file that runs no code of its own when it is opened.

A zip file of three members: ``model.json`` (what the columns and classes are),
``pipeline.skops`` (estimators; only types that are named here are made) and
``net.safetensors`` (the net's numbers).
"""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import skops.io
from sklearn.base import is_classifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import Pipeline
from torch import Tensor

from mixup_tab._files import write_whole
from mixup_tab.compare.question import Question
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.data import TrainingData
from mixup_tab.estimators.fitting import make_net
from mixup_tab.training.net import MixupNet

FORMAT = "mixup-tab model 1"
_PACKAGES = ("mixup-tab", "scikit-learn", "skrub", "torch")
_MEMBERS = ("model.json", "pipeline.skops", "net.safetensors")
# What skrub's pipelines hold beside what scikit-learn and these packages define themselves.
_TRUSTED = {
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
}
_TRUSTED_PACKAGES = ("skrub", "mixup_tab")
# Where the functions are defined with which skrub tells kinds of columns apart.
_TRUSTED_FUNCTIONS = ("skrub._dataframe.", "skrub.selectors.", "skrub._table_vectorizer.")


class Card(NamedTuple):
    """What there is to know about a saved model.

    Attributes
    ----------
    target : str
        What it predicts.
    id : str or None
        Column that names the rows.
    classes : list of str
        Names of the classes, in the order of their probabilities; empty for regression.
    kinds : dict of str to str
        Kind of every column that it needs, in their order.
    alpha : float
        The α of its training.
    versions : dict of str to str
        Of the packages that made it.
    """

    target: str
    id: str | None
    classes: list[str]
    kinds: dict[str, str]
    alpha: float
    versions: dict[str, str]

    @classmethod
    def of(cls, question: Question, alpha: float) -> Card:
        """Describe a model that is fitted for a question."""
        versions = {package: metadata.version(package) for package in _PACKAGES}
        roles, classes = question.roles, list(question.classes)
        return cls(roles.target, roles.id, classes, question.kinds, alpha, versions)


def save_model(path: str | os.PathLike, pipeline: Pipeline, card: Card) -> None:
    """Write a fitted pipeline to a file, which appears when it is complete.

    Parameters
    ----------
    path : str or path-like
        Where.
    pipeline : Pipeline
        Ends in a fitted :class:`~mixup_tab.MixupClassifier` or
        :class:`~mixup_tab.MixupRegressor` without a ``module`` of its own.
    card : Card
        What there is to know about it.

    Raises
    ------
    ValueError
        If the net is a module of the user's.
    OSError
        If the file cannot be written.
    """
    if pipeline[-1].module is not None:
        raise ValueError(
            f"module={pipeline[-1].module!r} cannot be saved without pickle. Use the "
            "default net."
        )
    numbers = pipeline[-1].net_.module_.state_dict()
    members = {
        "model.json": json.dumps({"format": FORMAT, **card._asdict()}, indent=1).encode(),
        "pipeline.skops": skops.io.dumps(_without_net(pipeline)),
        "net.safetensors": safetensors.torch.save(
            {name: numbers[name].cpu().contiguous() for name in numbers}
        ),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, part in members.items():
            archive.writestr(member, part)
    write_whole(Path(path), content.getvalue())


def _without_net(pipeline: Pipeline) -> Pipeline:
    """Return a copy without its net, whose vocabularies are arrays.

    skops writes a few hundred bytes for every entry of a dict, and again wherever skrub
    keeps another reference to it.
    """
    *steps, (name, net) = pipeline.steps
    bare = copy.copy(net)
    del bare.net_
    lean = copy.deepcopy(Pipeline([*steps, (name, bare)]))
    for vectorizer in _vectorizers(lean):
        words = vectorizer.vocabulary_
        vectorizer.vocabulary_ = np.array(sorted(words, key=words.__getitem__), dtype=str)
    return lean


def _vectorizers(thing: Any, seen: set[int] | None = None) -> Iterator[CountVectorizer]:
    """Find everything with a vocabulary inside an estimator, each once."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, CountVectorizer) and hasattr(thing, "vocabulary_"):
        yield thing
    if isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, (list, tuple)):
        parts = list(thing)
    else:
        parts = list(getattr(thing, "__dict__", {}).values())
    for part in parts:
        yield from _vectorizers(part, seen)


def load_model(path: str | os.PathLike) -> tuple[Pipeline, Card]:
    """Read a model that :func:`save_model` has written.

    Nothing is unpickled, and types from other packages than scikit-learn, skrub, SciPy,
    NumPy and this one are refused, so a file from somebody else can be opened.

    Parameters
    ----------
    path : str or path-like
        Where.

    Returns
    -------
    pipeline : Pipeline
        Fitted, ready to predict.
    card : Card

    Raises
    ------
    ValueError
        If it is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"model {str(path)!r} is not a file. Give what --save has written.")
    try:
        with zipfile.ZipFile(path) as archive:
            about, pipeline, numbers = (archive.read(member) for member in _MEMBERS)
        about = json.loads(about)
        if about.pop("format") != FORMAT:
            raise KeyError("format")
        card = Card(**about)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"model {path.name!r} is not a model of mixup-tab, or is broken. Give what "
            "mixup-tab compare --save has written; for a model of mixup-tab speech train use "
            "mixup-tab speech predict."
        ) from error
    return _restored(path, card, pipeline, numbers), card


def _restored(path: Path, card: Card, made: bytes, numbers: bytes) -> Pipeline:
    types = skops.io.get_untrusted_types(data=made)
    foreign = [name for name in types if not _is_trusted(name)]
    if foreign:
        raise ValueError(
            f"model {path.name!r} holds a {foreign[0]}, which no model of mixup-tab does. It "
            "is not opened."
        )
    try:
        pipeline = skops.io.loads(made, trusted=types)
        for vectorizer in _vectorizers(pipeline):
            words = vectorizer.vocabulary_.tolist()
            vectorizer.vocabulary_ = {word: place for place, word in enumerate(words)}
        _give_net(pipeline[-1], safetensors.torch.load(numbers))
    except Exception as error:  # whatever other versions make of it
        there = ", ".join(f"{name} {version}" for name, version in card.versions.items())
        here = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
        raise ValueError(
            f"model {path.name!r} cannot be put together here ({error}). It was saved with "
            f"{there}; this is {here}. Install those, or save it anew."
        ) from error
    return pipeline


def _is_trusted(name: str) -> bool:
    """Whether a type or function is one of ours or skrub's, defined where its name says."""
    if name in _TRUSTED:
        return True
    module, _, own = name.rpartition(".")
    if module.partition(".")[0] not in _TRUSTED_PACKAGES:
        return False
    try:
        thing: Any = getattr(import_module(module), own)
    except (ImportError, AttributeError):
        return False
    fine = isinstance(thing, type) or name.startswith(_TRUSTED_FUNCTIONS)
    return fine and getattr(thing, "__module__", None) == module


def _give_net(estimator: BaseMixup, numbers: dict[str, Tensor]) -> MixupNet:
    """Make the net that an estimator had, with its numbers."""
    rows = 1 if estimator.batch_size == "auto" else estimator.batch_size
    nothing = np.zeros((rows, estimator.n_features_in_), dtype=np.float32)
    outputs = estimator.classes_ if is_classifier(estimator) else estimator.target_mean_
    targets = np.zeros((rows, len(outputs)), dtype=np.float32)
    data = TrainingData(nothing, targets, None, len(outputs))
    net = make_net(estimator, data, partial=True)
    net.module_.load_state_dict(numbers)
    estimator.net_ = net
    return net
