"""One file from the network: whole, verified, and in place at once, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pooch
import requests
from filelock import FileLock

# Seconds without a single byte after which a server is given up.
TIMEOUT = 60.0
DAY = 86_400.0
CHUNK = 1 << 16
WHOLE, NOTHING_LEFT = 200, 416


def fetch_file(
    url: str,
    path: Path,
    *,
    check: Callable[[Path], object],
    sha256: str | None = None,
    download_if_missing: bool = True,
) -> None:
    """Bring a file to its place, unless it is there; verify it in any case.

    Parameters
    ----------
    url : str
        Where it comes from.
    path : Path
        Its place. Folders before it are made.
    check : callable
        Called with the path of the downloaded file; raises ValueError if it is no good.
    sha256 : str, default=None
        Checksum of the file, if one is known.
    download_if_missing : bool, default=True
        False raises OSError instead of downloading.

    Raises
    ------
    OSError
        If the file is not there and cannot be had, or is another one; says what to put
        where. Nothing half-written is left behind, but for ``<name>.part`` of a download that
        broke off where ``sha256`` is given: the next call goes on there, if the server can.
    """
    if path.is_file():
        return _check_kept(path, sha256)
    by_hand = f"download {url} by other means and save it as {path}"
    if not download_if_missing:
        raise OSError(
            f"{path} is not there, and download_if_missing=False. Allow the download, or "
            f"{by_hand}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    discard_old(path.parent)
    with _partial(path, keep=sha256 is not None) as partial:
        if path.is_file():
            return None  # another process was faster
        try:
            _download(url, partial)
            _check(partial, sha256, check)
        except (OSError, ValueError) as error:
            raise OSError(
                f"{path.name} could not be had from {url}: {_reason(error)}. Try again later"
                f"{_going_on(partial, sha256)}, or {by_hand}."
            ) from error
        os.replace(partial, path)


@contextlib.contextmanager
def _partial(path: Path, keep: bool) -> Iterator[Path]:
    """Give the place of a download that goes on; if kept, to one process at a time."""
    if not keep:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            yield Path(folder, path.name)
        return
    lock, partial = Path(f"{path}.lock"), Path(f"{path}.part")
    with FileLock(lock):
        try:
            yield partial
        finally:
            with contextlib.suppress(OSError):  # on Windows it goes when it is released
                lock.unlink()


def _check(partial: Path, sha256: str | None, check: Callable[[Path], object]) -> None:
    try:
        _check_sum(partial, sha256)
        check(partial)
    except (OSError, ValueError):
        partial.unlink()  # no beginning of anything
        raise


def _going_on(partial: Path, sha256: str | None) -> str:
    """Say what a download that broke off has brought; of nothing, nothing is kept."""
    size = partial.stat().st_size if partial.is_file() else 0
    if size == 0:
        partial.unlink(missing_ok=True)
    known = size > 0 and sha256 is not None
    return f" (it goes on after the {size / 1e6:,.1f} MB that are here)" if known else ""


def discard_old(folder: Path) -> None:
    """Remove what a killed process left; what is younger may be another's that goes on.

    Parameters
    ----------
    folder : Path
        Where folders ``.partial-*`` may lie.
    """
    for partial in folder.glob(".partial-*"):
        if time.time() - partial.stat().st_mtime > DAY:
            shutil.rmtree(partial, ignore_errors=True)


def _download(url: str, path: Path) -> None:
    """Get a file, or its rest where the beginning lies there already."""
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open(path, "ab"))
        # Bytes as they lie on the server, so that their number says where to go on.
        headers = {"Accept-Encoding": "identity"}
        if file.tell():
            headers["Range"] = f"bytes={file.tell()}-"

        def take(response: requests.Response, **_: object) -> None:
            opened.callback(response.close)  # pooch leaves that of a failed download open
            if response.status_code == WHOLE:
                file.truncate(0)  # the server sends all of it, whatever was asked for

        hooks = {"response": take}
        get = pooch.HTTPDownloader(
            chunk_size=CHUNK, timeout=TIMEOUT, headers=headers, hooks=hooks
        )
        try:
            get(url, file, None)
        except requests.HTTPError as error:
            if error.response.status_code != NOTHING_LEFT or not file.tell():
                raise


def _check_kept(path: Path, sha256: str | None) -> None:
    try:
        _check_sum(path, sha256)
    except ValueError as error:
        raise OSError(
            f"{path} is another file: {error}. Remove it, and fetch again."
        ) from error


def _check_sum(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    found = pooch.file_hash(str(path))
    if found != sha256:
        raise ValueError(f"its sha256 is {found} and should be {sha256}")


def _reason(error: Exception) -> str:
    """Say in plain words what went wrong."""
    if isinstance(error, requests.HTTPError):
        answer = error.response
        return f"the server answered {answer.status_code} {answer.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {TIMEOUT:g} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the server closed the connection before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection to the server"
    return str(error)
