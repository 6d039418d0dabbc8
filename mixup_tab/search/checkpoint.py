"""Finished chunks of a search in a file, so that a killed search can be resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NoReturn, Self

from filelock import FileLock, Timeout

# Bytes of a line, which is a few kB: damage must not fill the memory.
_LONGEST = 2**24


class Checkpoint:
    """A text file: a line that identifies the search, then a line per finished chunk.

    The line of a chunk begins with a hash of itself and of all lines before, so that one that
    was changed, moved, repeated or taken out is noticed. A cut last line is dropped: a process
    that is killed may leave it. Inside of a ``with`` block the file belongs to this search; the
    system gives it free when the process ends, however it ends.

    Parameters
    ----------
    path : str or path-like
        Where the file is or will be.
    identity : dict of str to str
        What must be equal for a search to be resumed from this file.
    accepts : callable
        Called with the number of a chunk and its results; says whether they can be true.

    Raises
    ------
    ValueError
        On entering: if the file exists and is no checkpoint, is damaged, belongs to another
        search, or another search is writing it.
    OSError
        If it cannot be written. What was written before stays.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        identity: dict[str, str],
        accepts: Callable[[Any, Any], bool],
    ) -> None:
        self.path = Path(path)
        self.identity = identity
        self.accepts = accepts
        self.finished: dict[int, list] = {}
        self._hash = ""

    def __enter__(self) -> Self:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(
                f"checkpoint={str(self.path)!r} is in a folder that does not exist. Make it."
            )
        with ExitStack() as stack:
            self._lock(stack)
            self._read()
            self._held = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _lock(self, stack: ExitStack) -> None:
        lock = FileLock(f"{self.path}.lock", timeout=0)
        try:
            stack.enter_context(lock)
        except Timeout:
            raise ValueError(
                f"checkpoint={str(self.path)!r} is being written by another search. Wait until "
                "it has ended, or give another file."
            ) from None
        stack.callback(_remove, lock.lock_file)

    def add(self, chunk: int, results: list) -> None:
        """Append the results of a chunk."""
        line, new_hash = _with_hash(self._hash, _line({"chunk": chunk, "results": results}))
        self._append(line)
        self._hash = new_hash

    def _append(self, line: bytes) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size) if size else self.path.unlink()
            raise OSError(
                error.errno,
                f"checkpoint={str(self.path)!r} cannot be written ({error.strerror}). Finished "
                "fits stay in it: make room and call fit again to resume.",
            ) from error

    # ------------------------------------------------------------------- what is in it

    def _read(self) -> None:
        header = _line(self.identity)
        self._hash = _digest(header)
        exists = self.path.exists()
        whole = self._read_lines(header) if exists else 0
        if exists and whole < self.path.stat().st_size:
            os.truncate(self.path, whole)
        if not whole:
            self._append(header)

    def _read_lines(self, header: bytes) -> int:
        """Return the number of bytes in whole lines."""
        with self.path.open("rb") as file:
            first = file.readline(_LONGEST)
            if header.startswith(first) and first != header:  # nothing, or cut off at once
                return 0
            self._check_header(first, header)
            whole = len(first)
            while (line := file.readline(_LONGEST)).endswith(b"\n"):
                self._read_chunk(line)
                whole += len(line)
        if len(line) == _LONGEST:
            self._refuse("is damaged")
        return whole

    def _check_header(self, line: bytes, header: bytes) -> None:
        if line == header:
            return
        try:
            known = json.loads(line)
        except (ValueError, RecursionError):
            known = None
        if not line.endswith(b"\n") or not isinstance(known, dict) or not known:
            self._refuse("is not a checkpoint of a search")
        differs = [key for key, value in self.identity.items() if known.get(key) != value]
        if not differs:
            self._refuse("is damaged")
        self._refuse(f"belongs to another search: different {', '.join(differs)}")

    def _read_chunk(self, line: bytes) -> None:
        body = b"{" + line[_PREFIX:]
        same, new_hash = _with_hash(self._hash, body)
        try:
            chunk, results = json.loads(body).values()
            new = same == line and chunk not in self.finished
            fine = new and self.accepts(chunk, results)
        except (ValueError, TypeError, AttributeError, RecursionError):
            fine = False
        if not fine:
            self._refuse("is damaged")
        self.finished[chunk] = results
        self._hash = new_hash

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(
            f"checkpoint={str(self.path)!r} {what}. Delete the file, or give another one."
        )


def _line(thing: Any) -> bytes:
    return json.dumps(thing, default=float).encode() + b"\n"


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _with_hash(before: str, body: bytes) -> tuple[bytes, str]:
    """Return a line that begins with a hash of the lines before and of itself, and the hash."""
    new_hash = _digest(before.encode() + body)
    return b'{"hash": "%s", ' % new_hash.encode() + body[1:], new_hash


_PREFIX = len(_with_hash("", b"{")[0])


def _remove(path: str) -> None:
    with suppress(OSError):  # Windows keeps a file that is open
        os.unlink(path)
