"""Finished chunks of a search in a file, so that a killed search can be resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import torch
from joblib.hashing import NumpyHasher


class Checkpoint:
    """A text file: a line that identifies the search, then a line per finished chunk.

    Parameters
    ----------
    path : str or path-like
        Where the file is or will be.
    identity : dict of str to str
        What must be equal for a search to be resumed from this file.

    Raises
    ------
    ValueError
        If the file exists and is no checkpoint, or belongs to another search.
    """

    def __init__(self, path: str | os.PathLike, identity: dict[str, str]) -> None:
        self.path = Path(path)
        self.identity = identity
        self.finished: dict[int, list] = {}
        text = self.path.read_bytes() if self.path.exists() else b""
        if _line(identity).startswith(text):  # nothing, or cut off at once
            self._write(identity, mode="wb")
        else:
            self._read(text)

    def add(self, chunk: int, results: list) -> None:
        """Append the results of a chunk."""
        self._write({"chunk": chunk, "results": results}, mode="ab")

    def _write(self, line: Any, mode: str) -> None:
        with self.path.open(mode) as file:
            file.write(_line(line))
            file.flush()
            os.fsync(file.fileno())

    def _read(self, text: bytes) -> None:
        whole = text[: text.rfind(b"\n") + 1]  # a killed process may leave half a line
        try:
            first, *rest = [json.loads(line) for line in whole.splitlines()]
            known = dict(first)
            self.finished = {line["chunk"]: line["results"] for line in rest}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"checkpoint={str(self.path)!r} is not a checkpoint of a search. Give a file "
                "that does not exist yet."
            ) from error
        differs = [key for key, value in self.identity.items() if known.get(key) != value]
        if differs:
            raise ValueError(
                f"checkpoint={str(self.path)!r} belongs to another search: different "
                f"{', '.join(differs)}. Delete the file, or give another one."
            )
        if len(whole) < len(text):
            os.truncate(self.path, len(whole))


def _line(thing: Any) -> bytes:
    plain = json.dumps(thing, default=lambda scalar: scalar.item())
    return plain.encode() + b"\n"


class _Hasher(NumpyHasher):
    """joblib's, by the numbers of tensors too; their pickles differ between processes."""

    def save(self, obj: Any) -> None:
        if isinstance(obj, torch.Tensor):
            obj = type(obj), obj.detach().cpu().numpy()
        super().save(obj)


def fingerprint(thing: Any) -> str:
    """Return a hash that is the same in every process."""
    try:
        return _Hasher("md5").hash(thing)
    except Exception:  # what pickle refuses, such as a lambda
        return joblib.hash(cloudpickle.dumps(thing))
