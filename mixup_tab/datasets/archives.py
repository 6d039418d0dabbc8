"""Read zip files in memory; unpack tar.gz files completely or not at all.

A small archive may unpack to endless zeros, so sizes are checked before and while reading.
"""

from __future__ import annotations

import errno
import gzip
import io
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count as count_from
from pathlib import Path, PureWindowsPath
from typing import IO, BinaryIO

from mixup_tab._files import new_folder

# Where a member of an archive goes, or None to leave it out.
Place = Callable[[str], str | None]

SIZE_LIMIT = 2**28  # bytes of an archive file or a table
_DEEPEST = 3  # archives within each other
_DIRECTORY_LIMIT = 4 * 2**20  # bytes of a zip file's list of members
_HEADER_LIMIT = 2**14  # bytes between two members of a tar file
_MOST_MEMBERS = 200_000
_PART = 2**16
# RuntimeError: password; its subclass NotImplementedError: unknown compression. The last three:
# invalid positions and lengths.
_NO_ZIP = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),
    *(struct.error, OSError, OverflowError),
)
_BAD_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


def check_inside(names: Sequence[str]) -> None:
    """Raise ValueError if the path of a member leads outside of the target folder."""
    for name in names:
        path = PureWindowsPath(name)  # knows both kinds of slash
        if path.anchor or ".." in path.parts:
            raise ValueError(f"its member {name!r} would leave the folder it is extracted to")


def check_size(what: str, size: int, size_limit: float) -> None:
    """Raise ValueError if something is larger than the limit."""
    if size > size_limit:
        raise ValueError(
            f"{what} has {size:,} bytes or more, and the limit is size_limit={size_limit:,}. "
            "Raise the limit if you trust the file"
        )


def read_gzip(path: Path, size_limit: float = SIZE_LIMIT) -> bytes:
    """Return the content of a gzip file of up to ``size_limit`` bytes.

    Raises ValueError if it is larger, or not a complete gzip file.
    """
    try:
        with gzip.open(path) as file:  # twice: the first time only to count, in little memory
            size = 0
            while part := file.read(_PART):
                size += len(part)
                check_size("its content", size, size_limit)
        with gzip.open(path) as file:
            return file.read(size)
    except (zlib.error, EOFError, OSError) as error:
        raise ValueError(f"it is not a complete gzip file ({error})") from error


# ------------------------------------------------------------------------------- zip


def read_members(path: Path, wanted: Sequence[str], size_limit: float) -> list[bytes]:
    """Return the contents of members of a zip archive, without extracting it to disk.

    Members are found with or without their folders, and in archives inside the archive, because
    the UCI archive packs some sets twice. Raises ValueError if the file is not a complete zip
    archive, has a member outside of its folder, lacks a wanted one, or if the wanted ones have
    more than ``size_limit`` bytes together.
    """
    # Compressing an archive again hardly makes it smaller.
    inner_limit = max(size_limit, 4 * path.stat().st_size)
    contents: list[bytes] = []
    try:
        with path.open("rb") as file, _open_zip(file) as archive:
            for name in wanted:
                rest = size_limit - sum(map(len, contents))
                contents.append(_read_member(archive, name, rest, inner_limit))
    except _NO_ZIP as error:
        raise ValueError(f"it is not a complete zip file ({error})") from error
    return contents


def _open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip archive, unless its list of members is too long for memory."""
    file.seek(max(file.seek(0, io.SEEK_END) - 2**16 - 22, 0))
    _, found, end = file.read().rpartition(b"PK\5\6")
    size = int.from_bytes(end[8:12], "little") if found else 0
    check_size("its list of members", size, _DIRECTORY_LIMIT)
    return zipfile.ZipFile(file)


def _read_member(
    archive: zipfile.ZipFile, wanted: str, size_limit: float, inner_limit: float
) -> bytes:
    found = next(_find(archive, wanted, size_limit, inner_limit, _DEEPEST), None)
    if found is None:
        raise ValueError(f"it has no member {wanted!r}; it has {_listed(archive.namelist())}")
    return found


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _find(
    archive: zipfile.ZipFile, wanted: str, size_limit: float, inner_limit: float, depth: int
) -> Iterator[bytes]:
    members = archive.infolist()
    check_inside([member.filename for member in members])
    for member in members:
        if f"/{member.filename}".endswith(f"/{wanted}"):
            yield _unpack(archive, member, size_limit)
    for member in members if depth > 1 else ():
        if member.filename.endswith(".zip"):
            inner_limit -= member.file_size
            content = io.BytesIO(_unpack(archive, member, inner_limit + member.file_size))
            with _open_zip(content) as inner:
                yield from _find(inner, wanted, size_limit, inner_limit, depth - 1)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size_limit: float) -> bytes:
    check_size(f"its member {member.filename!r}", member.file_size, size_limit)
    # Other methods may unpack to blocks of any size.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its member {member.filename!r} has an unsupported compression")
    return archive.read(member)  # never more than file_size


# ---------------------------------------------------------------------------- tar.gz


def untar(path: Path, folder: Path, size_limit: float, place: Place = str) -> None:
    """Write the files of a tar.gz archive into a new folder, completely or not at all.

    The archive is read once, in small parts. ``place`` takes a member's name and returns its
    path below the folder, or None to leave it out; links and devices are left out.
    Raises ValueError if the file is not a complete tar.gz archive of up to ``size_limit``
    bytes, or has a member outside of its folder. Raises OSError if it cannot be written.
    """
    with new_folder(folder) as new, _complete_tar(path, size_limit) as members:
        for member, content in members:
            target = place(member.name)
            if target is not None:
                _write(new / target, content)


def _write(path: Path, content: IO[bytes]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            shutil.copyfileobj(content, file, _PART)
    except OSError as error:
        if error.errno in _BAD_NAME:
            raise ValueError(f"its member {path.name!r} cannot be written ({error})") from error
        raise


def count_members(path: Path, size_limit: float, place: Place) -> int:
    """Return how many files :func:`untar` would write; raises as it does."""
    with _complete_tar(path, size_limit) as members:
        return sum(place(member.name) is not None for member, _ in members)


@contextmanager
def _complete_tar(
    path: Path, size_limit: float
) -> Iterator[Iterator[tuple[tarfile.TarInfo, IO[bytes]]]]:
    """Open a tar.gz archive and yield its files; verify the checksum on exit."""
    try:
        with gzip.open(path) as file:
            content = _Forward(file, size_limit)
            with tarfile.open(fileobj=content, mode="r:") as archive:  # type: ignore[call-overload]
                yield _files(archive, content)
            while file.read(_PART):  # gzip's checksum is at the end
                check_size("its content", file.tell(), size_limit)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is not a complete tar.gz file ({error})") from error


def _files(
    archive: tarfile.TarFile, content: _Forward
) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for count in count_from(1):
        content.allowed = _HEADER_LIMIT
        member = archive.next()
        if member is None:
            return
        archive.members.clear()  # type: ignore[attr-defined]
        if count > _MOST_MEMBERS:
            raise ValueError(f"it has more than {_MOST_MEMBERS:,} members")
        check_inside([member.name])
        if member.issparse():
            raise ValueError(f"its member {member.name!r} has an unsupported compression")
        check_size("its content", member.offset_data + member.size, content.size_limit)
        packed = archive.extractfile(member) if member.isfile() else None
        if packed is not None:
            content.allowed = member.size
            with packed:
                yield member, packed


class _Forward:
    """The unpacked content of a file, which tarfile reads once and in small parts.

    tarfile alone would read headers of any length into memory, and seek anywhere.
    """

    def __init__(self, file: gzip.GzipFile, size_limit: float) -> None:
        self.file, self.size_limit = file, size_limit
        self.allowed = _HEADER_LIMIT

    def read(self, size: int) -> bytes:
        if not 0 <= size <= self.allowed:
            raise ValueError("it has a header of unusual length")
        self.allowed -= size
        check_size("its content", self.tell() + size, self.size_limit)
        return self.file.read(size)

    def seek(self, place: int) -> int:
        if place < self.tell():
            raise ValueError("its members overlap")
        check_size("its content", place, self.size_limit)
        return self.file.seek(place)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True
