"""Files and folders that appear complete and verified, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixup_tab._extras import import_extra

TIMEOUT = 60.0  # seconds without a single byte
DAY = 86_400.0
_CHUNK = 1 << 16
_WHOLE_FILE, _NOTHING_LEFT = 200, 416  # answers to a request for the rest of a file

Check = Callable[[Path], object]


def fetch_file(
    url: str,
    path: Path,
    *,
    check: Check | None = None,
    sha256: str | None = None,
    download_if_missing: bool = True,
) -> None:
    """Download a file unless it exists; verify its checksum either way.

    ``check`` gets the path of the downloaded file and raises ValueError if it is unusable.
    Missing parent folders are made.

    Raises OSError if the file cannot be downloaded, or its checksum is wrong; the message says
    which file to save where. Only a broken download of known ``sha256`` leaves something,
    ``<name>.part``, which the next call continues if the server can.
    """
    if path.is_file():
        return _check_existing(path, sha256)
    by_hand = f"download {url} yourself and save it as {path}"
    if not download_if_missing:
        raise OSError(
            f"{path} does not exist and download_if_missing=False. Allow the download, or "
            f"{by_hand}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    discard_old(path.parent)
    with _partial_file(path, resumable=sha256 is not None) as partial:
        if path.is_file():
            return None  # another process was faster
        try:
            _download(url, partial)
            _verify(partial, sha256, check)
        except (OSError, ValueError) as error:
            raise OSError(
                f"{path.name} could not be downloaded from {url}: {_reason(error)}. Try again "
                f"later{_what_remains(partial, sha256)}, or {by_hand}."
            ) from error
        os.replace(partial, path)


@contextlib.contextmanager
def _partial_file(path: Path, resumable: bool) -> Iterator[Path]:
    """Yield where to download to; a resumable download is locked for other processes."""
    if not resumable:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            yield Path(folder, path.name)
        return
    lock = Path(f"{path}.lock")
    with import_extra("filelock", "data").FileLock(lock):
        try:
            yield Path(f"{path}.part")
        finally:
            with contextlib.suppress(OSError):  # on Windows it goes when it is released
                lock.unlink()


def _download(url: str, path: Path) -> None:
    """Download a file, or the rest of one whose beginning exists."""
    requests = import_extra("requests", "data")
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open(path, "ab"))
        # Uncompressed in transit, so that the size so far says where to continue.
        headers = {"Accept-Encoding": "identity"}
        if file.tell():
            headers["Range"] = f"bytes={file.tell()}-"
        response = opened.enter_context(
            requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        )
        if response.status_code == _NOTHING_LEFT and file.tell():
            return
        response.raise_for_status()
        if response.status_code == _WHOLE_FILE:
            file.truncate(0)  # the server sends all of it, whatever the request
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)


def _verify(partial: Path, sha256: str | None, check: Check | None) -> None:
    try:
        _check_sum(partial, sha256)
        if check is not None:
            check(partial)
    except (OSError, ValueError):
        partial.unlink()  # not worth continuing
        raise


def _what_remains(partial: Path, sha256: str | None) -> str:
    """Say how much of a broken download is kept; an empty file is removed."""
    size = partial.stat().st_size if partial.is_file() else 0
    if size == 0:
        partial.unlink(missing_ok=True)
    if size == 0 or sha256 is None:
        return ""
    return f" (it continues after the {size / 1e6:,.1f} MB downloaded so far)"


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
        raise ValueError(f"its sha256 is {found} and should be {sha256}")


def _reason(error: Any) -> str:
    """Explain a failed download in plain words."""
    exceptions = import_extra("requests", "data").exceptions
    if isinstance(error, exceptions.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {TIMEOUT:g} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the server closed the connection before the end of the file"
    if isinstance(error, exceptions.ConnectionError):
        return "there is no connection to the server"
    return str(error)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that is moved to its place when the block has succeeded.

    If the folder exists by then, because another process was faster, that one stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    discard_old(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        new = Path(partial, folder.name)
        new.mkdir()
        yield new
        try:
            os.replace(new, folder)
        except OSError:
            if not folder.is_dir():
                raise


def discard_old(folder: Path) -> None:
    """Remove what killed processes left; younger folders may still be in use."""
    for partial in folder.glob(".partial-*"):
        if time.time() - partial.stat().st_mtime > DAY:
            shutil.rmtree(partial, ignore_errors=True)
