"""Resumable runs: a pool of processes, and a journal of what they have finished."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from mixup_tab._files import check_writable, locked

# Longest line in bytes: a damaged file must not exhaust memory.
_LONGEST = 2**26

_FIRST = b'{"key": "identity"'


class Journal:
    """A file of finished results, from which the same run resumes after Ctrl-C or a kill.

    The first line (JSON) identifies the run, then there is one line per result, with a hash of
    itself and of the run. The file is locked until the ``with`` block ends; a killed process
    leaves no lock.

    Parameters
    ----------
    path : Path
        The file; its folder is created if there is none.
    identity : mapping of str to JSON value
        What must be equal for the run to be resumed.
    name : str, default=None
        Name of the file in messages, such as ``"checkpoint='a.jsonl'"``; by default its path.
    accepts : callable, default=None
        ``accepts(key, value)`` says whether a result read from the file is valid.

    Attributes
    ----------
    finished : dict of str or int to JSON value
        The results.

    Raises
    ------
    ValueError
        If the file is in use, damaged, or not the journal of this run.
    OSError
        If it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        name: str | None = None,
        accepts: Callable[[Any, Any], bool] | None = None,
    ) -> None:
        self.path = path
        self.name = name or repr(str(path))
        self.finished: dict[Any, Any] = {}
        self._accepts = accepts
        self._run: dict[str, Any] | None = None  # until the first line has been read
        check_writable(path)
        with ExitStack() as held:
            held.enter_context(locked(path, self.name))
            self._open(plain(dict(identity)))
            self._held = held.pop_all()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def add(self, key: str | int, value: Any) -> None:
        """Append a result and flush it to disk."""
        value = plain(value)
        line = {"key": key, "value": value, "hash": self._hash(key, value)}
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):  # a line after half a line would be unreadable
                os.truncate(self.path, size) if size else self.path.unlink()
            raise OSError(
                f"{self.name} cannot be written ({error.strerror}). Finished results are kept: "
                "free some space, then run the same command again to resume."
            ) from error
        self.finished[key] = value

    def _hash(self, key: str | int, value: Any) -> str:
        """Return the hash of a line; it differs between runs."""
        return digest([self._run, key, value])

    def _open(self, identity: dict[str, Any]) -> None:
        size = self._read(identity) if self.path.exists() else 0
        if not size:
            self.path.unlink(missing_ok=True)
            self.add("identity", identity)
            self._run = identity
        elif size < self.path.stat().st_size:
            os.truncate(self.path, size)
        self.finished.pop("identity")

    def _read(self, identity: dict[str, Any]) -> int:
        """Return the number of bytes in complete lines; a kill may leave half a line."""
        size = number = 0
        with self.path.open("rb") as file:
            while (line := file.readline(_LONGEST)).endswith(b"\n"):
                number += 1
                size += len(line)
                self._read_line(number, line)
                if number == 1:
                    self._check(self.finished.get("identity"), identity)
                    self._run = identity
        if len(line) == _LONGEST or not (size or _FIRST.startswith(line[: len(_FIRST)])):
            raise self._foreign()
        return size

    def _check(self, known: Any, identity: dict[str, Any]) -> None:
        if not isinstance(known, dict):
            raise self._foreign()
        differs = [
            name for name in {**known, **identity} if known.get(name) != identity.get(name)
        ]
        if differs:
            raise ValueError(
                f"{self.name} belongs to another run (different {', '.join(differs)}). Delete "
                "it, or choose another path."
            )

    def _read_line(self, number: int, line: bytes) -> None:
        try:
            content = json.loads(line)
            key, value = content["key"], content["value"]
            fine = content["hash"] == self._hash(key, value) and key not in self.finished
            if number > 1 and self._accepts is not None:
                fine = fine and self._accepts(key, value)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            fine = False
        if fine:
            self.finished[key] = value
        elif number == 1:
            raise self._foreign()
        else:
            raise ValueError(
                f"{self.name} is damaged. Delete line {number} of {self.path.name!r} to "
                "compute that result again."
            )

    def _foreign(self) -> ValueError:
        return ValueError(
            f"{self.name} is not a file of finished results, or is damaged. Choose another "
            "path."
        )


def plain(value: Any) -> Any:
    """Return a value after a round trip through JSON, as a resumed run will see it."""
    return json.loads(json.dumps(value, default=_of_numpy))


def _of_numpy(value: Any) -> Any:
    if not hasattr(value, "tolist"):
        raise TypeError(
            f"results must be numbers, text, or lists and dicts of them, got {value!r}."
        )
    return value.tolist()


def digest(value: Any) -> str:
    """Return a hash of a JSON value, the same in every process."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


def open_journal(folder: Path, identity: Mapping[str, Any]) -> Journal:
    """Open the journal of a run in its output folder.

    Refuses a folder with other results, and removes temporary files of a killed run.
    """
    path = folder / "finished.jsonl"
    name = f"output={str(folder)!r}"
    if (folder / "results.csv").exists() and not path.exists():
        raise ValueError(f"{name} already holds another results.csv. Choose another folder.")
    journal = Journal(path, identity, name)
    for place in (folder, folder / "pictures"):
        for old in place.glob(".mixup-tab.*"):
            old.unlink(missing_ok=True)
    return journal


def check_n_jobs(n_jobs: int | None) -> None:
    """Raise ValueError for ``n_jobs=0``."""
    if n_jobs == 0:
        raise ValueError("n_jobs must be a number of processes, or -1 for one per core, got 0.")


def in_processes(
    function: Callable[[Any], Any],
    pieces: Sequence[Any],
    n_jobs: int | None,
    threads: int | None = None,
) -> Generator[Any, None, None]:
    """Call a function for each piece in a pool of processes; yield results as they finish.

    Ctrl-C reaches every process, but only the parent handles it.

    Parameters
    ----------
    function : callable
        Called with a piece.
    pieces : sequence
        Started in this order.
    n_jobs : int or None
        Number of processes, at most one per core; -1 is one per core.
    threads : int, default=None
        Threads per process; None divides the cores among them.

    Raises
    ------
    OSError
        If a process was killed.
    """
    n_jobs = min(joblib.effective_n_jobs(n_jobs), joblib.cpu_count())
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        pool = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    results = pool(joblib.delayed(_call)(os.getpid(), function, piece) for piece in pieces)
    try:
        # "yield from" would close them itself, with the warning that is ignored below.
        for result in results:  # noqa: UP028
            yield result
    except TerminatedWorkerError as error:
        raise OSError(
            "a process was killed, most likely out of memory. Finished results are kept: run "
            "the same command again with fewer processes (n_jobs, --jobs) to resume."
        ) from error
    finally:
        with warnings.catch_warnings():
            # It warns that unfinished pieces are cancelled, as the caller wants.
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def _call(parent: int, function: Callable[[Any], Any], piece: Any) -> Any:
    if os.getpid() != parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return function(piece)
