"""Files inside a zip archive, read without ever being extracted to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath


def read_members(path: Path, wanted: Sequence[str]) -> list[bytes]:
    """Return the contents of members of a zip archive.

    Parameters
    ----------
    path : Path
        The archive.
    wanted : sequence of str
        Their names, with or without the folders before them. Archives inside the archive are
        looked into as well: some of the UCI archive's are wrapped twice.

    Returns
    -------
    list of bytes
        In the order of ``wanted``.

    Raises
    ------
    ValueError
        If the file is not a whole zip archive, has a member that would leave the folder it is
        extracted to, or lacks one that is wanted.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read(archive, name) for name in wanted]
    # RuntimeError: with a password; NotImplementedError, which it is too: packed otherwise.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"it is not a whole zip file ({error})") from error


def _read(archive: zipfile.ZipFile, wanted: str) -> bytes:
    found = next(_find(archive, wanted), None)
    if found is None:
        raise ValueError(f"it has no member {wanted!r}; it has {', '.join(archive.namelist())}")
    return found


def _find(archive: zipfile.ZipFile, wanted: str) -> Iterator[bytes]:
    names = archive.namelist()
    check_inside(names)
    for name in names:
        if f"/{name}".endswith(f"/{wanted}"):
            yield archive.read(name)
    for name in names:
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(archive.read(name))) as inner:
                yield from _find(inner, wanted)


def check_inside(names: Sequence[str]) -> None:
    """Refuse members whose path leaves the folder that an archive is extracted to.

    Parameters
    ----------
    names : sequence of str
        Members of an archive.

    Raises
    ------
    ValueError
        That names the first such member.
    """
    for name in names:
        path = PureWindowsPath(name)  # takes both kinds of slash
        if path.anchor or ".." in path.parts:
            raise ValueError(f"its member {name!r} would leave the folder it is extracted to")
