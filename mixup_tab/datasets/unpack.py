"""The archive of the 121-set study: the few files of each set that are needed, on disk."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mixup_tab.datasets.members import check_inside

# <set>/<set>_R.dat, <set>/<set>_train_R.dat, <set>/conxuntos.dat and their like.
NEEDED = re.compile(r"(?P<set>[\w.-]+)/((?P=set)(_train|_test)?_R|conxuntos(_kfold)?)\.dat$")


def _needed(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the members that are needed and the last two parts of their paths."""
    for member in archive:
        check_inside([member.name])
        tail = "/".join(PurePosixPath(member.name).parts[-2:])
        if member.isfile() and NEEDED.fullmatch(tail):
            yield member, tail


def check_archive(path: Path) -> None:
    """Refuse a file that is not a whole archive of the study.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    ValueError
        If it is not a whole tar file, has no data sets, or has a member that would leave the
        folder it is extracted to.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            found = sum(1 for _ in _needed(archive))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"it is not a whole tar.gz file ({error})") from error
    if not found:
        raise ValueError("it holds no data set of the study")


def unpack(path: Path, folder: Path) -> None:
    """Write the needed files of the archive into a new folder, all or nothing.

    Parameters
    ----------
    path : Path
        The archive.
    folder : Path
        Gets one folder per data set.

    Raises
    ------
    ValueError
        As :func:`check_archive`.
    """
    check_archive(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as partial:
        new = Path(partial, folder.name)
        with tarfile.open(path, "r:gz") as archive:
            for member, tail in _needed(archive):
                target = new / tail
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())
        if not folder.exists():
            os.replace(new, folder)
