"""Training that is resumed where it was killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from torch import nn

from mixup_tab.mixing import MixingRule
from mixup_tab.mixing._names import as_rule
from mixup_tab.training.callbacks import KeepBestWeights, LearningRate
from mixup_tab.training.state import TrainingState
from mixup_tab.training.table import as_tensor, is_array

FORMAT = "mixup-tab training 2"


class ResumeFile(Callback):
    """Writes all that training needs to be resumed to a file, at the end of epochs.

    The same fit with the same file continues after the last epoch that was written, and ends
    with the same bits as one that never stopped, as far as the device computes the same twice:
    weights, optimizer, history and the states of all random streams are restored. The file is
    replaced whole, never half-written, and holds no code: it is read with
    ``torch.load(weights_only=True)``. It stays when training is over; fitting again then
    returns the same net without training. ``partial_fit`` and ``warm_start=True`` on a net that
    is trained already write a file, but do not read one.

    Parameters
    ----------
    path : str or path-like
        The file. Each fit needs a file of its own, also those of a search.
    every : int, default=1
        Epochs between two writings, ≥ 1; the last epoch is always written.

    Raises
    ------
    ValueError
        At fit, if the file is of another training (other data, parameters, net or kind of
        device) or broken, or if a callback keeps a state that is not in it: early stopping,
        and skorch's ``LRScheduler`` (use :class:`LearningRate`).

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

    def resume(self, net: Any, state: TrainingState, X: Any, y: Any) -> None:
        """Bring a net to where the file says it was, if there is one."""
        _check_callbacks(net)
        self.fingerprint_ = _fingerprint(net, state, X, y)
        path = Path(self.path)
        if not path.is_file() or net.history:
            return
        kept = self._read(path)
        if kept["fingerprint"] != self.fingerprint_:
            raise ValueError(
                f"{str(path)!r} is the file of another training: data, parameters, net or "
                "device differ. Give another path, or delete the file to start anew."
            )
        net.module_.load_state_dict(kept["module"])
        net.optimizer_.load_state_dict(kept["optimizer"])
        net.history.extend(kept["history"])
        for stream, numbers in zip(state.streams, kept["streams"], strict=True):
            for generator, values in zip(stream, numbers, strict=True):
                generator.set_state(values)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["format"] != FORMAT:
                raise KeyError("format")
        except Exception as error:  # whatever a broken file makes of torch.load
            raise ValueError(
                f"{str(path)!r} is not a file of ResumeFile, or is broken. Delete it to start "
                "anew."
            ) from error
        return state

    def write(self, net: Any, state: TrainingState) -> None:
        """Write the file at the end of an epoch, if it is time."""
        epoch = len(net.history) - state.first_epoch
        if epoch % self.every and epoch < len(state.mixed):
            return
        kept = {
            "format": FORMAT,
            "fingerprint": self.fingerprint_,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": [_plain(row) for row in net.history.to_list()],
            "streams": [[g.get_state() for g in stream] for stream in state.streams],
        }
        self._write(Path(self.path), kept)

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        # What a kill leaves here is overwritten by the next epoch that is written.
        beside = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                torch.save(state, file)
            os.replace(beside, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise OSError(
                f"{str(path)!r} cannot be written ({error.strerror}). Give ResumeFile another "
                "path."
            ) from error


def _check_callbacks(net: Any) -> None:
    """Refuse callbacks whose states are not in the file."""
    for _, callback in net.callbacks_:
        if isinstance(callback, (KeepBestWeights, SkorchEarlyStopping)):
            raise ValueError(
                "A ResumeFile does not hold the best weights that early stopping keeps. Use "
                "early_stopping=False."
            )
        if isinstance(callback, LRScheduler):
            raise ValueError(
                "A ResumeFile does not hold the state of skorch's LRScheduler. Use "
                "mixup_tab.training.LearningRate."
            )


def _plain(value: Any) -> Any:
    """Return part of a history without NumPy's types, which torch.load would refuse."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _fingerprint(net: Any, state: TrainingState, X: Any, y: Any) -> str:
    """Return a hash of what decides the result of training."""
    hashed = hashlib.sha256()
    settings = (state.first_epoch, state.mixed, net.alpha, net.batch_size)
    groups = [{**group, "params": None} for group in net.optimizer_.param_groups]
    place = torch.device(net.device).type  # of which the random streams are
    hashed.update(repr((settings, net.lr, net.seeds_, groups, place)).encode())
    rates = [callback for _, callback in net.callbacks_ if isinstance(callback, LearningRate)]
    for part in (as_rule(net.mixing), net.optimizer_, net.criterion_, *rates):
        hashed.update(_described(part).encode())
    _hash_net(hashed, net.module_)
    for values in (X, y, state.weight):
        if is_array(values):
            _hash_array(hashed, values)
    return hashed.hexdigest()


def _described(thing: Any) -> str:
    """Return the kind of a thing and its settings, the same in every process."""
    values = {
        name: _described(value) if isinstance(value, MixingRule) else value
        for name, value in vars(thing).items()
        if isinstance(value, (bool, int, float, str, tuple, MixingRule))
        and not name.endswith("_")
    }
    values.pop("training", None)
    return repr((type(thing).__module__, type(thing).__qualname__, sorted(values.items())))


def _hash_net(hashed: Any, module: nn.Module) -> None:
    """Add layers, their settings and all numbers of a net to a hash."""
    for name, layer in module.named_modules():
        hashed.update((name + _described(layer)).encode())
    for tensor in (*module.parameters(), *module.buffers()):
        _hash_array(hashed, tensor.detach())


def _hash_array(hashed: Any, values: Any) -> None:
    """Add an array's shape, type and up to a thousand of its rows to a hash."""
    tensor = as_tensor(values)
    hashed.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
    if not tensor.dim():
        tensor = tensor.unsqueeze(0)
    most = min(len(tensor), 1000)
    rows = torch.linspace(0, len(tensor) - 1, most, dtype=torch.float64).long()
    picked = tensor[rows.to(tensor.device)].cpu().contiguous()
    hashed.update(picked.view(torch.uint8).numpy().tobytes())
