"""One file format for every saved model.

A model file is a zip archive of

- ``model.json``: format, kind ("table" or "sound"), versions of the packages that made it, and
  whatever its kind needs to know, as plain JSON;
- ``net.safetensors``: the weights of the net;
- ``pipeline.skops``: the fitted pipeline without its net, where the kind stores one;
- ``sha256``: of all of these, by which damage is noticed.

Opening a file and predicting with it runs no code from it, whoever made it: none of its parts
is a pickle, and the types in its pipeline are those of ``trusted.py``. What a model predicts is
up to its author. Sizes are checked before anything is read or made.

What a kind stores is up to its room, which calls :func:`write_model` and :func:`read_model`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab._extras import import_extra
from mixup_tab._files import write_whole
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.persistence.archive import pack, unpack
from mixup_tab.persistence.net_weights import load_net
from mixup_tab.persistence.pipelines import JSON_SHARE, from_bytes, to_bytes
from mixup_tab.persistence.schema import Foreign

FORMAT = "mixup-tab model 2"
# Bytes of a file, and of what is made from it; --size-limit raises it.
SIZE_LIMIT = 1_000_000_000
_ABOUT, _WEIGHTS, _PIPELINE, _HASH = "model.json", "net.safetensors", "pipeline.skops", "sha256"
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
    check: Callable[[ModelFile], None] = lambda model: None,
) -> None:
    """Write a fitted pipeline to a file, which appears when it is complete and checked.

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
    check : callable, default=no check
        Called with the model as it would be read, before there is a file. An error in it ends
        the writing.

    Raises
    ------
    ValueError
        If the model would not be read again: its net is a module of the user's, its estimator
        has callbacks, or its pipeline holds a type that no saved model may hold.
    OSError
        If the file cannot be written.
    """
    safetensors = import_extra("safetensors.torch", "models")
    head = {"format": FORMAT, "kind": kind, "versions": _versions(), "about": dict(about)}
    members = {_ABOUT: json.dumps(head, indent=1, ensure_ascii=False).encode()}
    weights = pipeline[-1].net_.module_.state_dict()
    members[_WEIGHTS] = safetensors.save({k: v.cpu().contiguous() for k, v in weights.items()})
    try:
        if store_pipeline:
            members[_PIPELINE] = to_bytes(pipeline)
        content = pack({**members, _HASH: _hash(members)})
        check(_parse(Path(path).name, content, float("inf"))[1])
    except Foreign as error:
        raise ValueError(
            f"this model cannot be saved: it holds {error}, which no saved model may hold."
        ) from error
    write_whole(Path(path), content)


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
    _size_limit: float

    @contextmanager
    def assembling(self) -> Iterator[None]:
        """Turn whatever fails while the model is put together into one clear error."""
        try:
            yield
        except ImportError:  # says itself what to install
            raise
        except Foreign as error:
            raise ValueError(
                f"model {self.name!r} holds {str(error)!a:.200}, which no model of mixup-tab "
                "does. It is not opened."
            ) from error
        except Exception as error:  # other versions fail in ways of their own
            made, here = _listed(self.versions), _listed(_versions())
            remedy = "Make the model again."
            if made != here:
                remedy = (
                    f"It was saved with {made}; this is {here}. Install those versions, or "
                    "make the model again."
                )
            raise ValueError(
                f"model {self.name!r} cannot be put together here ({one_line(error)}). {remedy}"
            ) from error

    def pipeline(self) -> Pipeline:
        """Return the stored pipeline, its net still missing."""
        if self._pipeline is None:
            raise ValueError("it holds no pipeline")
        return from_bytes(self._pipeline, self._size_limit)

    def restore_net(self, estimator: BaseMixup, dtype: type = np.float32) -> None:
        """Give an estimator the net it had; ``dtype`` is that of its rows."""
        load_net(estimator, self._weights, dtype)


def read_model(
    path: str | os.PathLike, kind: str, *, size_limit: float = SIZE_LIMIT
) -> ModelFile:
    """Read a model file that :func:`write_model` wrote.

    Opening a file and predicting with it runs no code from it, whoever made it. What a model
    predicts is up to its author.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : {"table", "sound"}
        What the model should predict for.
    size_limit : float, default=1e9
        Largest size in bytes of the file. What is made from it takes a few times as much
        memory at most.

    Returns
    -------
    ModelFile

    Raises
    ------
    ValueError
        If it is no model file, is damaged, too large, or of another kind.
    """
    path, expected = Path(path), _KINDS[kind]
    if not path.is_file():
        raise ValueError(
            f"model {str(path)!r} is not a file. Give a file that {expected.writer} wrote."
        )
    size = path.stat().st_size
    if size > size_limit:
        raise ValueError(
            f"model {path.name!r} has {size:,} bytes, more than size_limit={size_limit:,.0f}. "
            "If it should be that large, raise the limit (--size-limit)."
        )
    content = path.read_bytes()
    try:
        found, model = _parse(path.name, content, size_limit)
    except Exception as error:  # whatever zipfile and json raise for bytes of all kinds
        raise ValueError(
            f"model {path.name!r} is not a model of mixup-tab, or is broken "
            f"({one_line(error)}). Give a file that {expected.writer} wrote."
        ) from error
    if found != kind:
        other = _KINDS[found]
        raise ValueError(
            f"model {path.name!r} predicts for {other.subject}, not for {expected.subject}. "
            f"Use {other.user}."
        )
    return model


def is_model(path: str | os.PathLike) -> bool:
    """Return whether a file is a whole model file of any kind."""
    try:
        _parse("", Path(path).read_bytes(), float("inf"))
    except Exception:  # as above
        return False
    return True


@contextmanager
def predicting(name: str) -> Iterator[None]:
    """Turn whatever fails in a loaded model's prediction into one clear error."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"{name} cannot predict for these data ({one_line(error)}). If they are like those "
            "that it was made with, make the model again."
        ) from error


def finite(predictions: np.ndarray) -> np.ndarray:
    """Return predictions that are all numbers; call it inside of :func:`predicting`."""
    if not np.isfinite(predictions).all():
        raise ValueError("it gives NaN or infinity")
    return predictions


def one_line(error: Exception) -> str:
    """Return what an error says in one line that a terminal can show."""
    text = " ".join(str(error).split())
    if type(error) is not ValueError:
        text = f"{type(error).__name__}: {text}"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:300])
    return shown.rstrip(".")


def _hash(members: Mapping[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for name, part in members.items():
        digest.update(f"{name} {len(part)}\n".encode())
        digest.update(part)
    return digest.hexdigest().encode()


def _parse(name: str, content: bytes, size_limit: float) -> tuple[str, ModelFile]:
    """Return the kind of a model, and the model."""
    members = unpack(content)
    stored = members.pop(_HASH, b"")
    if members.keys() - {_PIPELINE} != {_ABOUT, _WEIGHTS}:
        raise ValueError("it has other parts than a model")
    if _hash(members) != stored:
        raise ValueError("its content is not what was written")
    if len(members[_ABOUT]) * JSON_SHARE > size_limit:
        raise ValueError("its description is too long for size_limit")
    head = json.loads(members[_ABOUT])
    if head["format"] != FORMAT or head["kind"] not in _KINDS:
        raise ValueError(f"its format is {head['format']!r:.40}, not {FORMAT!r}")
    versions = {
        f"{package:.20}": f"{version:.20}" for package, version in head["versions"].items()
    }
    parts = members[_WEIGHTS], members.get(_PIPELINE), size_limit
    return head["kind"], ModelFile(name, dict(head["about"]), versions, *parts)


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # not every model needs all of them
            continue
    return found


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in list(versions.items())[:10])
