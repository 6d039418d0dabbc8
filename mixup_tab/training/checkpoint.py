"""Training that goes on where it was killed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from mixup_tab.training.callbacks import EarlyStopping
from mixup_tab.training.table import as_tensor, is_array

FORMAT = "mixup-tab checkpoint 1"


class Checkpoint(Callback):
    """Writes everything that training needs to go on to a file, at the end of epochs.

    The same fit with the same file goes on after the last epoch that was written, and ends
    with the same bits as one that never stopped: weights, optimizer, history and the states of
    all random streams are restored. The file is replaced whole, never half-written, and holds
    no code: it is read with ``torch.load(weights_only=True)``. When training is over it stays;
    fitting again then trains no further.

    Parameters
    ----------
    path : str or path-like
        The file. Give each fit one of its own, also those of a search.
    every : int, default=1
        Epochs between two writings, ≥ 1; the last epoch is always written.

    Raises
    ------
    ValueError
        At fit, if the file is of other training (other data, parameters or net), is broken, or
        if training stops early by itself.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.training import Checkpoint
    >>> clf = MixupClassifier(callbacks=[Checkpoint("iris.checkpoint")])
    """

    def __init__(self, path: str | os.PathLike, every: int = 1) -> None:
        self.path = path
        self.every = every

    def initialize(self) -> Checkpoint:
        """Check the parameters."""
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every!r}.")
        return self

    def resume(self, net: Any, X: Any, y: Any) -> int:
        """Bring a net to where the file says it was.

        Parameters
        ----------
        net : MixupNet
            Initialized, about to be trained.
        X, y : array-like
            What it is trained on.

        Returns
        -------
        int
            Epochs that need not be trained; 0 if there is no file.
        """
        if any(isinstance(callback, EarlyStopping) for _, callback in net.callbacks_):
            raise ValueError(
                "A Checkpoint does not hold the best weights that early_stopping=True keeps. "
                "Use early_stopping=False."
            )
        self.fingerprint_ = _fingerprint(net, X, y)
        path = Path(self.path)
        if not path.is_file() or net.history:
            return 0
        state = self._read(path)
        if state["fingerprint"] != self.fingerprint_:
            raise ValueError(
                f"Checkpoint {str(path)!r} is of other training: data, parameters or net "
                "differ. Give another path, or remove the file to start anew."
            )
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history.extend(state["history"])
        for stream, kept in zip(net._streams_, state["streams"], strict=True):
            for generator, numbers in zip(stream, kept, strict=True):
                generator.set_state(numbers)
        return len(net.history)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["format"] != FORMAT:
                raise KeyError("format")
        except Exception as error:  # whatever a broken file makes of torch.load
            raise ValueError(
                f"{str(path)!r} is not a checkpoint of mixup-tab, or is broken. Remove it to "
                "start anew."
            ) from error
        return state

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the file, if it is time."""
        epoch = len(net.history)
        if epoch % self.every and epoch < net.max_epochs:
            return
        state = {
            "format": FORMAT,
            "fingerprint": self.fingerprint_,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": [_plain(row) for row in net.history.to_list()],
            "streams": [[g.get_state() for g in stream] for stream in net._streams_],
        }
        self._write(Path(self.path), state)

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # What a kill leaves here is overwritten by the next epoch that is written.
        beside = path.with_name(f".{path.name}.new")
        try:
            torch.save(state, beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a history without NumPy's types, which torch.load would refuse."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}


def _fingerprint(net: Any, X: Any, y: Any) -> str:
    """Return a hash of what decides the result of training."""
    hashed = hashlib.sha256()
    settings = (net.alpha, net.mixing, net.warmup_epochs, net.seeds_, net.lr, net.batch_size)
    rest = (net.max_epochs, net.optimizer_.param_groups[0].get("weight_decay"), net.criterion_)
    hashed.update(repr((settings, rest, net.module_)).encode())
    for values in (X, y, net._weight_):
        if is_array(values):
            _hash_array(hashed, values)
    return hashed.hexdigest()


def _hash_array(hashed: Any, values: Any) -> None:
    """Add an array's shape, type and up to a thousand of its rows to a hash."""
    tensor = as_tensor(values)
    hashed.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
    rows = torch.linspace(0, len(tensor) - 1, min(len(tensor), 1000)).long()
    hashed.update(tensor[rows.to(tensor.device)].cpu().contiguous().numpy().tobytes())
