"""Download files completely and verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock

from mixup_tab._extras import import_extra
from mixup_tab._files import discard_old, explained, is_full
from mixup_tab._plain import check_limit

TIMEOUT = 60.0  # seconds without a single byte
_MOST_REDIRECTS = 10
_LATER = "Try again later"
_CHUNK = 1 << 16
_WHOLE_FILE, _NOTHING_LEFT = 200, 416  # answers to a request for the rest of a file

Check = Callable[[Path], object]


class _Stopped(OSError):
    """A download that was stopped here; ``remedy`` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def fetch_file(
    url: str,
    path: Path,
    *,
    size_limit: float,
    time_limit: float,
    check: Check | None = None,
    sha256: str | None = None,
    download_if_missing: bool = True,
) -> None:
    """Download a file unless it exists; verify its checksum either way.

    ``size_limit`` is in bytes, ``time_limit`` in seconds. ``check`` gets the path of the
    downloaded file and raises ValueError if it is unusable. Missing parent folders are created.

    Raises OSError if the file cannot be downloaded, or its checksum is wrong; the message says
    how to download it manually. A broken download of known ``sha256`` leaves ``<name>.part``,
    which the next call resumes if the server supports that.
    """
    check_limit("size_limit", size_limit)
    check_limit("time_limit", time_limit)
    if path.is_file():
        return _check_existing(path, sha256)
    manually = f"download {url} yourself and save it as {path}"
    if not download_if_missing:
        raise OSError(
            f"{path} does not exist and download_if_missing=False. Allow the download, or "
            f"{manually}."
        )
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        discard_old(path.parent)
        with _partial_file(path, resumable=sha256 is not None) as partial:
            if path.is_file():
                return None  # another process was faster
            try:
                _download(url, partial, size_limit, time_limit)
                _verify(partial, sha256, check)
            except (OSError, ValueError) as error:
                reason, remedy = _explain(error)
                raise OSError(
                    f"{path.name} could not be downloaded from {url}: {reason}. "
                    f"{remedy}{_what_remains(partial, sha256)}, or {manually}."
                ) from error
            os.replace(partial, path)


@contextlib.contextmanager
def _partial_file(path: Path, resumable: bool) -> Iterator[Path]:
    """Yield the path to download to; a resumable download is locked for other processes."""
    if not resumable:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            yield Path(folder, path.name)
        return
    lock = Path(f"{path}.lock")
    with FileLock(lock):
        try:
            yield Path(f"{path}.part")
        finally:
            with contextlib.suppress(OSError):  # on Windows, it is deleted on release
                lock.unlink()


def _download(url: str, path: Path, size_limit: float, time_limit: float) -> None:
    """Download a file, or the rest of a partial one."""
    import_extra("requests", "data")  # before anything is written
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open(path, "ab"))
        # Uncompressed in transit, so that the size so far is where to resume.
        headers = {"Accept-Encoding": "identity"}
        if file.tell():
            headers["Range"] = f"bytes={file.tell()}-"
        parts = opened.enter_context(contextlib.closing(_stream(url, headers, time_limit)))
        answer = next(parts)
        if answer.status_code == _NOTHING_LEFT and file.tell():
            return
        answer.raise_for_status()
        if answer.status_code == _WHOLE_FILE:
            file.truncate(file.seek(0))  # the server sends the whole file regardless
        stated = answer.headers.get("Content-Length", "")
        _check_size(file, int(stated) if stated.isdecimal() else 0, size_limit)
        for chunk in parts:
            _check_size(file, len(chunk), size_limit)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _check_size(file: BinaryIO, more: int, size_limit: float) -> None:
    size = file.tell() + more
    if size > size_limit:
        file.truncate(0)  # not worth resuming
        raise _Stopped(
            f"it has {size:,} bytes or more, and the limit is size_limit={size_limit:,}",
            "Raise the limit if you trust the server",
        )


def _stream(url: str, headers: dict[str, str], time_limit: float) -> Generator[Any]:
    """Yield the server's response, then its content.

    A separate thread reads, because requests' time limits do not stop a server that sends byte
    by byte. The thread ends with the response, or soon after this generator.
    """
    parts: queue.Queue[Any] = queue.Queue(maxsize=8)
    stopped = threading.Event()

    def read() -> None:
        try:
            with _ask(url, headers) as answer:
                for part in chain([answer], answer.iter_content(_CHUNK), [None]):
                    parts.put(part)
                    if stopped.is_set():
                        return
        except BaseException as error:
            parts.put(error)

    deadline = time.monotonic() + min(time_limit, threading.TIMEOUT_MAX)
    threading.Thread(target=read, daemon=True).start()
    try:
        while (part := parts.get(timeout=max(deadline - time.monotonic(), 0))) is not None:
            if isinstance(part, BaseException):
                raise part
            yield part
    except queue.Empty:
        raise _Stopped(
            f"it took longer than time_limit={time_limit:g} seconds", "Raise the limit"
        ) from None
    finally:
        stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:  # the thread may be waiting to put
                parts.get_nowait()


def _ask(url: str, headers: dict[str, str]) -> Any:
    """Return the response after all redirects."""
    requests = import_extra("requests", "data")
    visited = [url]
    while len(visited) <= _MOST_REDIRECTS:
        with requests.Session() as session:
            # Redirects are followed here, because requests would read all of their content.
            session.get_redirect_target = lambda answer: None
            answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        target = requests.Session.get_redirect_target(session, answer)
        if target is None:
            return answer
        answer.close()
        old, url = url, requests.compat.urljoin(url, target)
        if not url.startswith(("https:", "http:")[: 1 + old.startswith("http:")]):
            raise _Stopped(f"it redirects to {url!r}, which is not secure", _LATER)
        if url in visited:
            raise _Stopped(f"it redirects in a loop, to {url} again", _LATER)
        visited.append(url)
    raise _Stopped(f"it redirects more than {_MOST_REDIRECTS} times, last to {url}", _LATER)


def _verify(partial: Path, sha256: str | None, check: Check | None) -> None:
    try:
        _check_sum(partial, sha256)
        if check is not None:
            check(partial)
    except (OSError, ValueError):
        partial.unlink()  # not worth resuming
        raise


def _what_remains(partial: Path, sha256: str | None) -> str:
    """Say how much of a broken download is kept; remove an empty file."""
    size = partial.stat().st_size if partial.is_file() else 0
    if size == 0:
        partial.unlink(missing_ok=True)
    if size == 0 or sha256 is None:
        return ""
    return f" (it resumes after the {size / 1e6:,.1f} MB downloaded so far)"


def _check_existing(path: Path, sha256: str | None) -> None:
    try:
        _check_sum(path, sha256)
    except ValueError as error:
        raise OSError(
            f"{path} is not the expected file: {error}. Delete it and fetch again."
        ) from error


def _check_sum(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(f"its sha256 is {found}, but should be {sha256}")


def _explain(error: Any) -> tuple[str, str]:
    """Return why a download failed, and what to do."""
    exceptions = import_extra("requests", "data").exceptions
    if isinstance(error, _Stopped):
        return str(error), error.remedy
    if isinstance(error, OSError) and is_full(error):
        return f"there is no space for it ({error.strerror})", "Free space and try again"
    if isinstance(error, exceptions.HTTPError):
        code = error.response.status_code
        return f"the server answered {code} {error.response.reason}", _LATER
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {TIMEOUT:g} seconds", _LATER
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the server closed the connection before the end of the file", _LATER
    if isinstance(error, exceptions.SSLError):
        return f"the server's certificate cannot be verified ({error})", _LATER
    if isinstance(error, exceptions.ConnectionError):
        return "the server cannot be reached", _LATER
    return str(error), _LATER
