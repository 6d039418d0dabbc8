"""One file format for every fitted estimator.

A model file is a zip archive of

- ``model.json``: the format, versions of the packages that made it, and ``about``, JSON from
  whoever saved it;
- ``weights.safetensors``: the weights of all nets;
- ``model.skops``: the fitted estimator without them;
- ``sha256``: a hash of all of these, to detect damage.

Opening a file and predicting with it never runs code from it, whoever made it: no part is a
pickle, and only the types in ``trusted.py`` are allowed. Whether its predictions are right is
up to its author. Sizes are checked before anything is read or made.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mixup_tab._files import check_new, write_whole
from mixup_tab._plain import shown
from mixup_tab.persistence.archive import pack, unpack
from mixup_tab.persistence.reading import (
    JSON_SHARE,
    MissingModule,
    Reader,
    from_bytes,
    named,
)
from mixup_tab.persistence.schema import Foreign
from mixup_tab.training.device import pick_device

_FORMAT, _VERSION = "mixup-tab model", 3
# Maximum size of a file, and of what is made from it, in bytes.
SIZE_LIMIT = 1_000_000_000
_ABOUT, _WEIGHTS, _MODEL, _HASH = "model.json", "weights.safetensors", "model.skops", "sha256"
_PACKAGES = ("mixup-tab", "scikit-learn", "skrub", "torch", "torchaudio")
# First bytes of files that are easily mistaken for a model.
_PICKLE = "a pickle, which could run any code. Save the model with save_model"
_OTHERS = {
    b"\x80": _PICKLE,
    b"\x08": "an ONNX file. Run it with onnxruntime",
}


class _Unusable(ValueError):
    """A file of a known type that cannot be used; the message says what to do."""


def save_model(
    model: Any,
    path: str | os.PathLike,
    *,
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Save a fitted estimator in a file that can be opened safely, unlike a pickle.

    Every estimator of this package can be saved: alone, behind the usual steps of scikit-learn
    and skrub in a ``Pipeline``, or inside a :class:`~mixup_tab.MixupSearchCV`, a
    ``CalibratedClassifierCV`` or each other. A model that was fitted on a GPU can be loaded
    on a machine without one. The file appears once it is complete and checked.

    What only matters for training is not stored: callbacks, random generators given as
    ``random_state``, ``n_jobs``, ``memory`` and the state of the optimizer. After loading,
    they have their defaults. A fitted step that selects columns by a function, such as
    ``make_column_selector``, is stored with the selected columns.

    Parameters
    ----------
    model : estimator
        A fitted estimator. A ``module`` of your own is stored by the name of its class or
        function, with the arguments of a ``functools.partial``; give it again to
        :func:`load_model`.
    path : str or path-like
        File to write.
    about : dict, default=None
        Your own metadata as plain JSON, which :func:`read_model` returns.
    overwrite : bool, default=False
        Whether to replace an existing model; any other file is never replaced.

    Raises
    ------
    TypeError
        If ``model`` is not an estimator, or ``about`` is not plain JSON.
    ValueError
        If the file exists, the model is not fitted, or it holds a type that no saved model may
        hold.
    OSError
        If the file cannot be written.
    ImportError
        If safetensors is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.persistence import load_model, save_model
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MixupClassifier(max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(clf, Path(folder) / "iris.mixup")
    ...     again = load_model(Path(folder) / "iris.mixup")
    >>> bool((again.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    from mixup_tab.training import MixupNet  # not needed to read a model

    path = Path(path)
    check_output(path, overwrite)
    if isinstance(model, (type, MixupNet)) or not hasattr(model, "fit"):
        raise TypeError(
            "model must be a fitted estimator such as MixupClassifier, got "
            f"{' '.join(shown(model).split()):.80}."
        )
    _check_fitted(model)
    about = dict(about or {})
    try:
        content, modules = _to_bytes(model, about)
        again = _parse(path.name, content, float("inf")).load(modules=[*modules.values()])
        if _to_bytes(again, about)[0] != content:
            raise ValueError("this model cannot be saved: loading it gives a different one.")
    except Foreign as error:
        raise ValueError(
            f"this model cannot be saved: it holds {error}, which is not allowed in a saved "
            "model. Leave it out, or use pickle for a file that only you will open."
        ) from error
    write_whole(path, content)


def load_model(
    path: str | os.PathLike,
    *,
    device: str = "cpu",
    modules: Sequence[Callable[..., Any]] = (),
    size_limit: float = SIZE_LIMIT,
) -> Any:
    """Load an estimator that :func:`save_model` saved.

    Opening a file and predicting with it never runs code from it, whoever made it. Whether its
    predictions are right is up to its author.

    Parameters
    ----------
    path : str or path-like
        The file.
    device : str, default="cpu"
        Device to predict on, for all estimators in the file.
    modules : sequence of nn.Module classes and functions, default=()
        Your own ``module`` that the model was fitted with. A file cannot cause it to be
        imported.
    size_limit : float, default=1e9
        Maximum size of the file, in bytes. The model in memory is at most a few times as
        large.

    Returns
    -------
    estimator
        Fitted. On the same device, its predictions are those of the saved model, bit for bit.

    Raises
    ------
    ValueError
        If it is not a model file, is damaged, too large, or made by incompatible versions; if
        it needs a module that is not in ``modules``; or if the device cannot be used.
    ImportError
        If a package that the model needs cannot be imported.

    Examples
    --------
    A model with a net of your own:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from torch import nn
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.persistence import load_model, save_model
    >>> class Linear(nn.Linear):
    ...     def __init__(self, in_features, out_features):
    ...         super().__init__(in_features, out_features)
    >>> X, y = np.eye(6), [0, 1, 0, 1, 0, 1]
    >>> clf = MixupClassifier(module=Linear, max_epochs=2, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(clf, Path(folder) / "linear.mixup")
    ...     again = load_model(Path(folder) / "linear.mixup", modules=[Linear])
    >>> again.predict(X).shape
    (6,)
    """
    return read_model(path, size_limit=size_limit).load(device=device, modules=modules)


@dataclass(frozen=True)
class ModelFile:
    """A model file that has been read and checked, but not loaded.

    Attributes
    ----------
    name : str
        Name of the file.
    about : dict
        What :func:`save_model` was given as ``about``.
    versions : dict of str to str
        Versions of the packages that made it.
    """

    name: str
    about: dict[str, Any]
    versions: dict[str, str]
    _model: bytes
    _weights: bytes
    _size_limit: float

    def load(
        self,
        *,
        device: str = "cpu",
        modules: Sequence[Callable[..., Any]] = (),
        check: Callable[[Any], None] | None = None,
        reader: type[Reader] = Reader,
    ) -> Any:
        """Return the fitted estimator; see :func:`load_model`.

        Parameters
        ----------
        device : str, default="cpu"
            Device to predict on.
        modules : sequence of nn.Module classes and functions, default=()
            Your own ``module`` that it was fitted with.
        check : callable, default=None
            Called with the estimator; raises ValueError if it is not the expected one.
        reader : class, default=Reader
            Makes the estimator, or something that predicts the same.

        Returns
        -------
        estimator

        Raises
        ------
        ValueError
            If the model cannot be used; the message says why.
        """
        pick_device(device)  # an error here is not the model's fault
        given = named(modules)
        try:
            packed = self._model, self._weights
            model = from_bytes(*packed, given, device, self._size_limit, reader)
            if check is not None:
                check(model)
        except ImportError:  # its message says what to install
            raise
        except MissingModule as error:
            raise _Unusable(
                f"model {self.name!r} needs {str(error)!a:.80}, a module of its author. "
                "Import it, and use load_model(path, modules=[...])."
            ) from error
        except Foreign as error:
            raise _Unusable(
                f"model {self.name!r} holds {str(error)!a:.200}, which is not allowed in a "
                "model of mixup-tab. It was not opened."
            ) from error
        except Exception as error:  # other versions fail in any way
            raise _Unusable(
                f"model {self.name!r} cannot be loaded here ({one_line(error)}). "
                f"{self._remedy()}"
            ) from error
        return model

    def _remedy(self) -> str:
        made, here = _listed(self.versions), _listed(_versions())
        if made == here:
            return "Train and save it again."
        return (
            f"It was saved with {made}; this is {here}. Install those versions, or train and "
            "save it again."
        )


def read_model(path: str | os.PathLike, *, size_limit: float = SIZE_LIMIT) -> ModelFile:
    """Read and check a file that :func:`save_model` wrote, without loading the model.

    Parameters
    ----------
    path : str or path-like
        The file.
    size_limit : float, default=1e9
        Maximum size of the file, in bytes. The model in memory is at most a few times as
        large.

    Returns
    -------
    ModelFile
        With ``about`` and ``versions``; its ``load`` returns the model.

    Raises
    ------
    ValueError
        If it is not a model file, is damaged, or too large.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.persistence import read_model, save_model
    >>> clf = MixupClassifier(max_epochs=2).fit([[0], [1], [2], [3]], list("abab"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(clf, Path(folder) / "m", about={"target": "letter"})
    ...     read_model(Path(folder) / "m").about
    {'target': 'letter'}
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"model {str(path)!r} is not a file. Name a model from save_model or mixup-tab."
        )
    size = path.stat().st_size
    if size > size_limit:
        raise ValueError(
            f"model {path.name!r} has {size:,} bytes, more than size_limit={size_limit:,.0f}. "
            "If you trust it, raise the limit."
        )
    content = path.read_bytes()
    try:
        return _parse(path.name, content, size_limit)
    except _Unusable:
        raise
    except Exception as error:  # whatever zipfile and json raise for bytes of all kinds
        raise ValueError(
            f"model {path.name!r} is not a model of mixup-tab, or is damaged "
            f"({one_line(error)}). Name a model from save_model or mixup-tab."
        ) from error


def check_output(path: Path, overwrite: bool) -> None:
    """Check, before any work, that a model can be written and replaces only a model.

    Parameters
    ----------
    path : Path
        File to write.
    overwrite : bool
        Whether it may replace another model; nothing else is ever replaced.

    Raises
    ------
    ValueError
        If a file exists that may not be replaced.
    OSError
        If the file cannot be written.
    """
    check_new(path, overwrite)
    if path.is_file() and path.stat().st_size:
        try:
            _parse("", path.read_bytes(), float("inf"))
        except _Unusable:  # a model of another version
            pass
        except Exception as error:  # as above
            raise ValueError(
                f"{str(path)!r} exists and is not a model. Choose another path, or delete it."
            ) from error


@contextmanager
def predicting(name: str) -> Iterator[None]:
    """Turn any error while a loaded model predicts into one clear ValueError."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"{name} cannot predict for these data ({one_line(error)}). If they are like the "
            "training data, train and save the model again."
        ) from error


def finite(predictions: np.ndarray) -> np.ndarray:
    """Return predictions if all are finite; call it inside :func:`predicting`."""
    if not np.isfinite(predictions).all():
        raise ValueError("it predicts NaN or infinity")
    return predictions


def one_line(error: Exception) -> str:
    """Return the message of an error as one printable line."""
    text = " ".join(str(error).split())
    if type(error) is not ValueError:
        text = f"{type(error).__name__}: {text}"
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:300])
    return shown.rstrip(".")


def _check_fitted(model: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    from mixup_tab.estimators.base import BaseMixup

    check_is_fitted(model)
    net = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(net, BaseMixup) and not hasattr(net, "net_"):
        raise NotFittedError(
            f"this {type(net).__name__} is still being fitted. Save it after fit returns; "
            "callbacks can save the weights with net.save_params."
        )


def _to_bytes(model: Any, about: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return a model file, and user-defined modules by name."""
    from mixup_tab.persistence.pipelines import to_bytes

    head = {"format": f"{_FORMAT} {_VERSION}", "versions": _versions(), "about": about}
    try:
        text = json.dumps(head, indent=1, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"about must be plain JSON ({error}).") from error
    packed, weights, modules = to_bytes(model)
    members = {_ABOUT: text.encode(), _WEIGHTS: weights, _MODEL: packed}
    return pack({**members, _HASH: _hash(members)}), modules


def _hash(members: Mapping[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for name, part in members.items():
        digest.update(f"{name} {len(part)}\n".encode())
        digest.update(part)
    return digest.hexdigest().encode()


def _parse(name: str, content: bytes, size_limit: float) -> ModelFile:
    for beginning, what in _OTHERS.items():
        if content.startswith(beginning):
            raise _Unusable(f"model {name!r} is {what}.")
    if b"/data.pkl" in content[:300]:  # as torch.save writes it
        raise _Unusable(f"model {name!r} is {_PICKLE}.")
    members = unpack(content)
    stored = members.pop(_HASH, b"")
    if _hash(members) != stored:
        raise ValueError("its content has changed since it was written")
    if len(members[_ABOUT]) * JSON_SHARE > size_limit:
        raise ValueError("its description is too long for size_limit")
    head = json.loads(members[_ABOUT])
    _check_format(name, head["format"])
    if members.keys() != {_ABOUT, _WEIGHTS, _MODEL}:
        raise ValueError("its parts are not those of a model")
    versions = {
        f"{package:.20}": f"{version:.20}" for package, version in head["versions"].items()
    }
    parts = members[_MODEL], members[_WEIGHTS], size_limit
    return ModelFile(name, dict(head["about"]), versions, *parts)


def _check_format(name: str, found: str) -> None:
    kind, _, number = found.rpartition(" ")
    if kind != _FORMAT:
        raise ValueError(f"its format is {found!r:.40}")
    if int(number) < _VERSION:
        raise _Unusable(
            f"model {name!r} was written by an older mixup-tab (format {int(number)}; this one "
            f"reads format {_VERSION}). Train and save it again."
        )
    if int(number) > _VERSION:
        raise _Unusable(
            f"model {name!r} was written by a newer mixup-tab (format {int(number)}; this one "
            f"reads format {_VERSION}). Upgrade: python -m pip install -U mixup-tab."
        )


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
