"""Resuming training after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import (
    Callback,
    GradientNormClipping,
    LRScheduler,
    ParamMapper,
)
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import Tensor

from mixup_tab._files import check_writable, locked, write_whole
from mixup_tab.mixing._names import as_rule
from mixup_tab.training.callbacks import KeepBestWeights, LearningRate
from mixup_tab.training.fingerprint import fingerprint
from mixup_tab.training.optim import LeanAdamW
from mixup_tab.training.state import TrainingState

FORMAT = "mixup-tab training 4"

# Upper limits of valid files: bytes in addition to 256 times those of the net, and bytes of
# the JSON part.
_MOST_BYTES = 1 << 28
_MOST_JSON = 1 << 26

_DTYPES = {str(each): each for each in vars(torch).values() if isinstance(each, torch.dtype)}


class ResumeFile(Callback):
    """Saves training at the end of epochs, so that a killed fit can be resumed.

    Call the same ``fit`` with the same file to continue after the last saved epoch. Weights,
    optimizer, history and random streams are restored, so the result has the same bits as
    without the break, if the device computes reproducibly. After the last epoch the file stays;
    fitting again then returns the same net without training. ``partial_fit``, and
    ``warm_start=True`` on a trained net, write a file but do not read one.

    The file is replaced atomically and contains only JSON and numbers, which are validated
    before use.

    Parameters
    ----------
    path : str or path-like
        The file. Each fit needs its own file, also each fit of a search.
    every : int, default=1
        Epochs between two saves, ≥ 1; the last epoch is always saved.

    Raises
    ------
    ValueError
        In ``fit``, if the file is damaged, in use, or from another training (other data,
        parameters, net, versions or type of device); or for callbacks whose state it cannot
        save: skorch's ``EarlyStopping`` and ``LRScheduler`` (use :class:`KeepBestWeights` and
        :class:`LearningRate`), ``Freezer`` and the like.
    OSError
        If the file cannot be written, at the start of ``fit`` or later. Saved epochs are kept.

    Notes
    -----
    A hash identifies the training: all data and weights of rows, all parameters, the net with
    its attributes and (if the class is your own) its code, and the versions of Python, torch
    and mixup_tab. Not hashed are functions that the code of a net calls, files that a data set
    reads, and your own callbacks. Only parameters and buffers of a net are restored.

    Examples
    --------
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.training import ResumeFile
    >>> clf = MixupClassifier(callbacks=[ResumeFile("iris.resume")])
    """

    def __init__(self, path: str | os.PathLike, every: int = 1) -> None:
        self.path = path
        self.every = every

    def initialize(self) -> ResumeFile:
        """Check the parameters."""
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every!r}.")
        return self

    @contextlib.contextmanager
    def open(self, net: Any, state: TrainingState, batches: Any, data: Any) -> Iterator[None]:
        """Lock the file during a fit, and restore the net from it."""
        _check_callbacks(net)
        path = Path(self.path)
        check_writable(path)
        with locked(path, repr(str(path))):
            self.identity_ = _identity(net, state, data)
            self.kept_epochs_ = 0
            if path.is_file() and not net.history:
                self._resume(path, net, state, batches)
            yield

    def _resume(self, path: Path, net: Any, state: TrainingState, batches: Any) -> None:
        """Check the file and restore everything from it."""
        most = _MOST_BYTES + 256 * sum(tensor.nbytes for tensor in _tensors(net).values())
        try:
            _require(path.stat().st_size <= most)
            kept = _unpack(path.read_bytes())
            identity = {name: str(value) for name, value in kept["identity"].items()}
            if identity == self.identity_:
                _restore(kept, net, state, batches)
        except Exception as error:  # a malicious file may cause any error
            raise ValueError(
                f"{str(path)!r} was not written by ResumeFile, or is damaged. Delete it to "
                "start over, or choose another path."
            ) from error
        if identity != self.identity_:
            raise ValueError(
                f"{str(path)!r} belongs to another training: "
                f"{_difference(identity, self.identity_)}. Choose another path, or delete the "
                "file to start over."
            )
        self.kept_epochs_ = len(net.history)

    def write(self, net: Any, state: TrainingState, batches: Any) -> None:
        """Write the file at the end of an epoch, if it is due."""
        epoch = len(net.history) - state.first_epoch
        if epoch % self.every and epoch < len(state.mixed):
            return
        content = _pack(
            {
                "identity": self.identity_,
                "history": net.history.to_list(),
                "losses": net.epoch_losses_,
                "net": _tensors(net),
                **_optimizer_state(net.optimizer_),
                "streams": [stream.states() for stream in state.streams],
                "batches": batches.position(),
                "best": [keep.memory(net) for keep in _keepers(net)],
            }
        )
        try:
            write_whole(Path(self.path), content)
        except OSError as error:
            remains = (
                f"The next fit resumes after epoch {self.kept_epochs_}, which is saved."
                if self.kept_epochs_
                else "No epoch of this training is saved."
            )
            raise OSError(
                f"{error} Training ended after epoch {epoch} of {len(state.mixed)}. {remains}"
            ) from error
        self.kept_epochs_ = len(net.history)


def _keepers(net: Any) -> list[KeepBestWeights]:
    return [each for _, each in net.callbacks_ if isinstance(each, KeepBestWeights)]


def _check_callbacks(net: Any) -> None:
    """Raise ValueError for callbacks whose state is not saved."""
    for _, callback in net.callbacks_:
        if isinstance(callback, SkorchEarlyStopping):
            raise ValueError(
                "ResumeFile cannot save the state of skorch's EarlyStopping. Use "
                "mixup_tab.training.KeepBestWeights."
            )
        if isinstance(callback, LRScheduler):
            raise ValueError(
                "ResumeFile cannot save the state of skorch's LRScheduler. Use "
                "mixup_tab.training.LearningRate."
            )
        if isinstance(callback, ParamMapper):
            raise ValueError(
                f"ResumeFile cannot save the state of skorch's {type(callback).__name__}. "
                "Remove one of the two callbacks."
            )


def _identity(net: Any, state: TrainingState, data: Any) -> dict[str, str]:
    """Return hashes of everything that determines the result of training."""
    from mixup_tab import __version__

    changing = (LearningRate, KeepBestWeights, GradientNormClipping)
    callbacks = [c.get_params() for _, c in net.callbacks_ if isinstance(c, changing)]
    loaders = [net.get_params_for(f"iterator_{part}") for part in ("train", "valid")]
    settings = (
        (state.first_epoch, state.mixed, net.first_cycle, net.alpha, net.batch_size, net.lr),
        net.seeds_,
        (as_rule(net.mixing), type(net.optimizer_), callbacks, loaders),
        net.optimizer_.state_dict(),
    )
    return {
        "data": fingerprint(data, state.weight),
        "parameters": fingerprint(*settings),
        "net": fingerprint(net.module_, net.criterion_),
        "device": torch.device(
            net.device
        ).type,  # random streams differ between types of device
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": str(torch.__version__),
        "mixup_tab": __version__,
    }


def _difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Describe how two identities differ."""
    differs = [name for name in ours if theirs.get(name) != ours[name]]
    hashed = [name for name in differs if name in ("data", "parameters", "net")]
    if hashed:
        return f"{' and '.join(hashed)} differ{'s' * (hashed == ['net'])}"
    return ", ".join(f"{name} was {theirs.get(name)} and is {ours[name]}" for name in differs)


def _tensors(net: Any) -> dict[str, Tensor]:
    """Return all parameters and buffers of a net, also non-persistent buffers."""
    return dict([*net.module_.named_parameters(), *net.module_.named_buffers()])


def _optimizer_state(optimizer: Any) -> dict[str, Any]:
    """Return the state of an optimizer, and the numbers in its groups, such as rates."""
    kept = optimizer.state_dict()
    groups = [
        {
            name: value
            for name, value in group.items()
            if isinstance(value, (int, float, Tensor))
        }
        for group in kept["param_groups"]
    ]
    return {"optimizer": list(kept["state"].items()), "groups": groups}


# ------------------------------------------------------------------------- the file's format


def _pack(kept: dict[str, Any]) -> bytes:
    """Return a line with a hash, a line of JSON, and the numbers of the tensors in it."""
    numbers: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, Tensor):
            raise TypeError(
                f"ResumeFile cannot save a {type(value).__name__}, which a callback has put "
                "into net.history. Record numbers, strings and lists of them."
            )
        # A copy: torch cannot view a single element with a stride of two as bytes.
        flat = torch.empty(value.numel(), dtype=value.dtype).copy_(value.detach().flatten())
        numbers.append(flat.view(torch.uint8).numpy().tobytes())
        return {"dtype": str(value.dtype), "shape": list(value.shape)}

    body = b"\n".join([json.dumps(kept, default=plain).encode(), b"".join(numbers)])
    return f"{FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def _unpack(content: bytes) -> dict[str, Any]:
    """Reverse :func:`_pack`; raise any error for other content."""
    end = content.index(b"\n", 0, 200)
    hashed = hashlib.sha256(memoryview(content)[end + 1 :]).hexdigest()
    _require(content[:end] == f"{FORMAT} {hashed}".encode())
    start = content.index(b"\n", end + 1, end + 1 + _MOST_JSON) + 1

    def tensor(found: dict[str, Any]) -> Any:
        nonlocal start
        if found.keys() != {"dtype", "shape"}:
            return found
        dtype, shape = _DTYPES[found["dtype"]], found["shape"]
        _require(all(type(size) is int and size >= 0 for size in shape))
        stop = start + math.prod(shape) * dtype.itemsize
        _require(stop <= len(content))
        numbers = bytearray(content[start:stop])  # torch needs writable memory
        start = stop
        if not numbers:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(numbers, dtype=dtype).reshape(shape)

    kept = json.loads(content[end + 1 : start], object_hook=tensor)
    _require(start == len(content))
    return kept


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("not written by ResumeFile")


# ------------------------------------------------------------------------- back into the net


def _restore(kept: dict[str, Any], net: Any, state: TrainingState, batches: Any) -> None:
    """Validate the content of a file, then load it into the net and its batches."""
    own, history, streams = _tensors(net), kept["history"], kept["streams"]
    _check_tensors(kept["net"], own)
    _check_history(history, len(state.mixed))
    _check_tensors(
        kept["losses"], {part: torch.zeros(net.n_members) for part in kept["losses"]}
    )
    for stream, numbers in zip(state.streams, streams, strict=True):
        _check_tensors(dict(enumerate(numbers)), dict(enumerate(stream.states())))
    keepers = _keepers(net)
    for keep, memory in zip(keepers, kept["best"], strict=True):
        for numbers, like in zip(memory, keep.memory(net), strict=True):
            _check_tensors(numbers, like)
    net.optimizer_.load_state_dict(_checked_optimizer(kept, net.optimizer_))
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(kept["net"][name])
    for keep, memory in zip(keepers, kept["best"], strict=True):
        keep.remember(memory)
    net.history.extend(history)
    net.epoch_losses_ = kept["losses"]
    net._set_mixing(batches, state)
    net._set_training(True)  # the mode in which batches are prepared
    batches.resume(kept["batches"])
    for stream, numbers in zip(state.streams, streams, strict=True):
        stream.set_states(numbers)


def _check_tensors(kept: Mapping[Any, Tensor], own: Mapping[Any, Tensor]) -> None:
    """Require tensors like the net's own, and finite where those are."""
    _require(kept.keys() == own.keys())
    for name, tensor in kept.items():
        _require(isinstance(tensor, Tensor))
        _require((tensor.shape, tensor.dtype) == (own[name].shape, own[name].dtype))
        _require(bool((tensor.isfinite() | ~own[name].detach().cpu().isfinite()).all()))


def _check_history(history: Sequence[dict[str, Any]], most: int) -> None:
    _require(isinstance(history, list) and 0 < len(history) <= most)
    for number, row in enumerate(history, start=1):
        _require(row["epoch"] == number and math.isfinite(row["train_loss"]))
        _require(isinstance(row["batches"], list))


def _checked_optimizer(kept: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    """Return a state for ``load_state_dict``: the optimizer's own, with the file's numbers."""
    whole, parameters = optimizer.state_dict(), dict(enumerate(_parameters(optimizer)))
    whole["state"] = dict(kept["optimizer"])
    for group, numbers in zip(whole["param_groups"], kept["groups"], strict=True):
        own = {name: type(value) for name, value in group.items() if name in numbers}
        _require(own == {name: type(value) for name, value in numbers.items()})
        group.update(numbers)
    for index, values in whole["state"].items():
        like = parameters[index]
        if isinstance(optimizer, LeanAdamW):  # its kernel does not check its arguments
            _check_tensors(values, optimizer.fresh_state(like))
        whole["state"][index] = {name: _laid_out(v, like) for name, v in values.items()}
    return whole


def _laid_out(value: Any, like: Tensor) -> Any:
    """Return a moment in the memory layout of its parameter, which kernels rely on."""
    if not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    return torch.empty_like(like, dtype=value.dtype, device="cpu").copy_(value)


def _parameters(optimizer: Any) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]
