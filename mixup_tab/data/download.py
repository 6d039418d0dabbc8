"""One file from the network: whole, verified, and in place at once, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

# Seconds without a single byte after which a server is given up.
TIMEOUT = 60.0
DAY = 86_400.0


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
        where. Nothing half-written is left behind.
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
    _discard_old(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder, path.name)
        try:
            _download(url, partial)
            _check_sum(partial, sha256)
            check(partial)
        except (OSError, ValueError) as error:
            raise OSError(
                f"{path.name} could not be had from {url}: {_reason(error)}. Try again later, "
                f"or {by_hand}."
            ) from error
        os.replace(partial, path)


def _discard_old(folder: Path) -> None:
    """Remove what a killed process left; what is younger may be another's that goes on."""
    for partial in folder.glob(".partial-*"):
        if time.time() - partial.stat().st_mtime > DAY:
            shutil.rmtree(partial, ignore_errors=True)


def _download(url: str, path: Path) -> None:
    with contextlib.ExitStack() as opened:

        def close_at_last(response: requests.Response, **_: object) -> None:
            opened.callback(response.close)  # pooch leaves that of a failed download open

        hooks = {"response": close_at_last}
        pooch.HTTPDownloader(timeout=TIMEOUT, hooks=hooks)(url, str(path), None)


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
