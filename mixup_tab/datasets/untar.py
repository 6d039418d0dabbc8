"""A whole tar.gz archive written to disk, all or nothing."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from mixup_tab.datasets.download import discard_old
from mixup_tab.datasets.members import check_inside


def untar(path: Path, folder: Path) -> None:
    """Write the files of an archive into a new folder, all or nothing.

    The archive is read once from front to back; of no file more than a part is in memory.
    Links and devices are left out.

    Parameters
    ----------
    path : Path
        The archive.
    folder : Path
        Where its files go; does nothing if it is there already. Folders before it are made.

    Raises
    ------
    ValueError
        If it is not a whole tar.gz file, or has a member that would leave the folder.
    OSError
        If the disk is full or cannot be written to.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    discard_old(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
        new = Path(partial, folder.name)
        new.mkdir()
        try:
            with tarfile.open(path, "r:gz") as archive:
                _write(archive, new)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{path} is not a whole tar.gz file ({error})") from error
        if not folder.exists():
            os.replace(new, folder)


def _write(archive: tarfile.TarFile, folder: Path) -> None:
    for member in archive:
        check_inside([member.name])
        if not member.isfile():
            continue
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.extractfile(member) as packed, open(target, "wb") as file:
            shutil.copyfileobj(packed, file)
    while archive.fileobj.read(1 << 20):
        pass  # to the end, where gzip's checksum is
