"""One file format for every saved model.

A model file is a zip archive of

- ``model.json``: format, kind ("table" or "sound"), versions of the packages that made it, and
  whatever its kind needs to know, as plain JSON;
- ``net.safetensors``: the weights of the net;
- ``pipeline.skops``: the fitted pipeline without its net, where the kind stores one.

None of them is a pickle. What a kind stores is up to its room, which calls
:func:`write_model` and :func:`read_model`.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from mixup_tab._extras import import_extra
from mixup_tab._files import write_whole
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.data import TrainingData
from mixup_tab.estimators.fitting import make_net
from mixup_tab.persistence.pipelines import foreign_types, from_bytes, to_bytes

FORMAT = "mixup-tab model 1"
_ABOUT, _WEIGHTS, _PIPELINE = "model.json", "net.safetensors", "pipeline.skops"
_PACKAGES = ("mixup-tab", "scikit-learn", "skrub", "torch", "torchaudio")


class _Kind(NamedTuple):
    """What a kind of model predicts for, and the commands that write and use it."""

    subject: str
    writer: str
    user: str


_KINDS = {
    "table": _Kind("tables", "mixup-tab compare --save", "mixup-tab predict"),
    "sound": _Kind("sounds", "mixup-tab speech train", "mixup-tab speech predict"),
}


def write_model(
    path: str | os.PathLike,
    kind: str,
    about: Mapping[str, Any],
    pipeline: Pipeline,
    *,
    store_pipeline: bool,
) -> None:
    """Write a fitted pipeline to a file, which appears when it is complete.

    Parameters
    ----------
    path : str or path-like
        Where to write.
    kind : {"table", "sound"}
        What it predicts for.
    about : mapping of str to plain JSON
        What the kind needs in order to use the model again.
    pipeline : Pipeline
        Ends in a fitted :class:`~mixup_tab.MixupClassifier` or
        :class:`~mixup_tab.MixupRegressor`.
    store_pipeline : bool
        If True, the pipeline and the parameters of its estimators are stored, all but the
        net. If False, ``about`` must be enough to make the pipeline again.

    Raises
    ------
    ValueError
        If the pipeline is to be stored, and its net is a module of the user's.
    OSError
        If the file cannot be written.
    """
    safetensors = import_extra("safetensors.torch", "models")
    head = {"format": FORMAT, "kind": kind, "versions": _versions(), "about": dict(about)}
    members = {_ABOUT: json.dumps(head, indent=1, ensure_ascii=False).encode()}
    if store_pipeline:
        members[_PIPELINE] = to_bytes(pipeline)
    weights = pipeline[-1].net_.module_.state_dict()
    members[_WEIGHTS] = safetensors.save({k: v.cpu().contiguous() for k, v in weights.items()})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in members.items():
            archive.writestr(name, part)
    write_whole(Path(path), content.getvalue())


@dataclass(frozen=True)
class ModelFile:
    """A model file that has been read and checked, but not assembled.

    Attributes
    ----------
    name : str
        Name of the file.
    about : dict
        What its kind stored.
    versions : dict of str to str
        Versions of the packages that made it.
    """

    name: str
    about: dict[str, Any]
    versions: dict[str, str]
    _weights: bytes
    _pipeline: bytes | None

    @contextmanager
    def assembling(self) -> Iterator[None]:
        """Turn whatever fails while the model is put together into one clear error."""
        try:
            yield
        except ImportError:  # says itself what to install
            raise
        except Exception as error:  # other versions fail in ways of their own
            raise ValueError(
                f"model {self.name!r} cannot be put together here ({error}). It was saved "
                f"with {_listed(self.versions)}; this is {_listed(_versions())}. Install "
                "those versions, or make the model again."
            ) from error

    def pipeline(self) -> Pipeline:
        """Return the stored pipeline, its net still missing."""
        if self._pipeline is None:
            raise ValueError("it holds no pipeline")
        return from_bytes(self._pipeline)

    def restore_net(self, estimator: BaseMixup, dtype: type = np.float32) -> None:
        """Give an estimator the net it had; ``dtype`` is that of its rows."""
        safetensors = import_extra("safetensors.torch", "models")
        rows = 1 if estimator.batch_size == "auto" else estimator.batch_size
        X: np.ndarray = np.zeros((rows, estimator.n_features_in_), dtype)
        outputs = estimator.classes_ if is_classifier(estimator) else estimator.target_mean_
        # Enough of a table to make the net from; partial, as there is nothing to hold out.
        data = TrainingData(X, np.zeros((rows, len(outputs)), np.float32), None, len(outputs))
        net = make_net(estimator, data, partial=True)
        net.module_.load_state_dict(safetensors.load(self._weights))
        estimator.net_ = net


def read_model(path: str | os.PathLike, kind: str) -> ModelFile:
    """Read a model file that :func:`write_model` wrote.

    Nothing is unpickled, and a pipeline with types from packages other than those trusted in
    ``pipelines.py`` is refused. Still, read only files from people you trust.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : {"table", "sound"}
        What the model should predict for.

    Returns
    -------
    ModelFile

    Raises
    ------
    ValueError
        If it is no model file, of another kind, or holds foreign types.
    """
    path, expected = Path(path), _KINDS[kind]
    if not path.is_file():
        raise ValueError(
            f"model {str(path)!r} is not a file. Give a file that {expected.writer} wrote."
        )
    try:
        found, model = _read(path)
        foreign = foreign_types(model._pipeline) if model._pipeline else []
    except _BROKEN as error:
        raise ValueError(
            f"model {path.name!r} is not a model of mixup-tab, or is broken. Give a file that "
            f"{expected.writer} wrote."
        ) from error
    if found != kind:
        other = _KINDS[found]
        raise ValueError(
            f"model {path.name!r} predicts for {other.subject}, not for {expected.subject}. "
            f"Use {other.user}."
        )
    if foreign:
        raise ValueError(
            f"model {path.name!r} holds a {foreign[0]}, which no model of mixup-tab does. It "
            "is not opened."
        )
    return model


def is_model(path: str | os.PathLike) -> bool:
    """Return whether a file is a whole model file of any kind."""
    try:
        _read(Path(path))
    except (OSError, *_BROKEN):
        return False
    return True


# What zipfile, json, skops and the lines below raise for bytes that are something else.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
    *(KeyError, TypeError, ValueError, AttributeError),
)


def _read(path: Path) -> tuple[str, ModelFile]:
    with zipfile.ZipFile(path) as archive:
        head = json.loads(archive.read(_ABOUT))
        weights = archive.read(_WEIGHTS)
        pipeline = archive.read(_PIPELINE) if _PIPELINE in archive.namelist() else None
    if head["format"] != FORMAT or head["kind"] not in _KINDS:
        raise ValueError("of another format")
    versions = {str(name): str(version) for name, version in head["versions"].items()}
    return head["kind"], ModelFile(path.name, dict(head["about"]), versions, weights, pipeline)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # not every model needs all of them
            continue
    return found


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
