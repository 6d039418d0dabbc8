"""Archives: zip files read in memory, tar.gz files unpacked completely or not at all."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from mixup_tab.datasets.download import new_folder

# Where a member of an archive goes, or None to leave it out.
Place = Callable[[str], str | None]


def check_inside(names: Sequence[str]) -> None:
    """Raise ValueError if a member's path would leave the folder it is extracted to."""
    for name in names:
        path = PureWindowsPath(name)  # knows both kinds of slash
        if path.anchor or ".." in path.parts:
            raise ValueError(f"its member {name!r} would leave the folder it is extracted to")


def read_members(path: Path, wanted: Sequence[str]) -> list[bytes]:
    """Return the contents of members of a zip archive, without extracting it to disk.

    Members are found with or without their folders, and in archives inside the archive, because
    the UCI archive wraps some sets twice. Raises ValueError if the file is not a complete zip
    archive, has a member outside of its folder, or lacks a wanted one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_member(archive, name) for name in wanted]
    # RuntimeError: with a password; NotImplementedError, a subclass: unknown compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"it is not a complete zip file ({error})") from error


def _read_member(archive: zipfile.ZipFile, wanted: str) -> bytes:
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


def untar(path: Path, folder: Path, place: Place = str) -> None:
    """Write the files of a tar.gz archive into a new folder, completely or not at all.

    The archive is read once, a part of a file at a time. ``place`` takes a member's name and
    returns its path below the folder, or None to leave it out; links and devices are left out.
    Raises ValueError if the file is not a complete tar.gz archive, or has a member outside of
    its folder.
    """
    with new_folder(folder) as new, _complete_tar(path) as archive:
        for member, target in _members(archive, place):
            (new / target).parent.mkdir(parents=True, exist_ok=True)
            packed = archive.extractfile(member)
            assert packed is not None  # it is a file
            with packed, open(new / target, "wb") as file:
                shutil.copyfileobj(packed, file)


def count_members(path: Path, place: Place) -> int:
    """Return how many files :func:`untar` would write; raises as it does."""
    with _complete_tar(path) as archive:
        return sum(1 for _ in _members(archive, place))


@contextmanager
def _complete_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar.gz archive, whose checksum is verified on leaving."""
    try:
        with gzip.open(path) as content, tarfile.open(fileobj=content, mode="r|") as archive:
            yield archive
            while content.read(1 << 20):
                pass  # gzip's checksum stands at the end
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is not a complete tar.gz file ({error})") from error


def _members(archive: tarfile.TarFile, place: Place) -> Iterator[tuple[tarfile.TarInfo, str]]:
    for member in archive:
        check_inside([member.name])
        target = place(member.name)
        if member.isfile() and target is not None:
            yield member, target
