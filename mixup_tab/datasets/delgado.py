"""The 121 data sets of Fernández-Delgado et al. (2014), with partitions and results."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.datasets.archives import check_size, count_members, read_gzip, untar
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.home import check_name, facts, get_data_home
from mixup_tab.datasets.tables import (
    ENDING,
    TARGET,
    in_a_line,
    plain_names,
    read_plain,
    to_bunch,
)

URL = "http://persoal.citius.usc.es/manuel.fernandez.delgado/papers/jmlr/data.tar.gz"
FOLDS = ("fold1", "fold2", "fold3", "fold4")
# <set>/<set>_R.dat, <set>/<set>_train_R.dat, <set>/conxuntos.dat and the like.
_NEEDED = re.compile(r"(?P<set>[\w.-]+)/((?P=set)(_train|_test)?_R|conxuntos(_kfold)?)\.dat")
_DESCRIPTION = """\
{name}, one of the 121 data sets of Fernández-Delgado, Cernadas, Barro and Amorim, "Do we need
hundreds of classifiers to solve real world classification problems?", JMLR 15 (2014)
3133-3181, in the study's own numeric form, with its partitions.

Categories are coded as numbers. Columns are standardised over all rows, including test rows, or
per file if there are two, or not at all; several sets have errors. Use it only to compare with
the study's results.

folds: {folds}.
"""

Split = tuple[np.ndarray, np.ndarray]


class Partitions(NamedTuple):
    """Row numbers of a set's partitions: see :func:`fetch_delgado`."""

    tune: Split
    folds: list[Split]
    two_files: bool


def fetch_delgado(
    name: str,
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
    size_limit: float = 2**31,
    time_limit: float = 3600.0,
) -> Bunch | tuple:
    """Return a data set of the 121-set study in its numeric form, with its partitions.

    Parameters
    ----------
    name : str
        One of :func:`list_delgado`.
    data_home : str or path-like, default=None
        Folder of downloads (see :func:`~mixup_tab.datasets.get_data_home`), or one with
        ``delgado121/<name>.csv.gz`` (a header, the last column ``target``) and
        ``folds/<name>.csv.gz`` (columns row, file, tune, fold1 to fold4).
    download_if_missing : bool, default=True
        False raises OSError instead of downloading the authors' archive.
    return_X_y : bool, default=False
        True returns ``(data, target)``.
    as_frame : bool, default=False
        True returns a DataFrame and a Series.
    size_limit : float, default=2**31
        Maximum size in bytes of the archive file, and of its unpacked content.
    time_limit : float, default=3600.0
        Maximum time of a download in seconds.

    Returns
    -------
    Bunch, or tuple (data, target)
        data : ndarray of float64, shape (rows, features)
            Numbers, as in the study.
        target : ndarray of int64, shape (rows,)
            Class codes.
        folds : list of (train, test)
            Row numbers. Usually the study's four folds, which are separate random draws; or
            the training file and the test file if the archive has two.
        tune : (train, valid)
            Row numbers on which the study chose hyperparameters.
        two_files : bool
            Whether the archive has separate files for training and testing.
        feature_names, target_names : list
            Columns and classes.
        DESCR : str
            Description of the set.

    Raises
    ------
    ValueError
        If the name is unknown, or files cannot be read or are too large.
    OSError
        If the set is missing and cannot be downloaded; the message says how to do it manually.

    Notes
    -----
    The authors do not publish a checksum of their archive. The download must be a complete
    ``tar.gz`` file, which has its own checksum, and hold data sets of the study.
    """
    home = get_data_home(data_home)
    check_name(
        name, {*list_delgado(home), *list_delgado()}, "mixup_tab.datasets.list_delgado()"
    )
    if name in _in_tables(home):
        frame, partitions = _from_tables(home, name, size_limit)
    else:
        frame, partitions = _from_archive(
            home, name, download_if_missing, size_limit, time_limit
        )
    _check_partitions(home, name, partitions, len(frame))
    folds = "the test file" if partitions.two_files else "the study's four draws"
    return to_bunch(
        frame,
        task="classification",
        as_frame=as_frame,
        return_X_y=return_X_y,
        DESCR=_DESCRIPTION.format(name=name, folds=folds),
        **partitions._asdict(),
    )


def list_delgado(data_home: str | os.PathLike | None = None) -> list[str]:
    """Return names of data sets of the 121-set study.

    Parameters
    ----------
    data_home : str or path-like, default=None
        List only the sets that this folder holds, with their partitions. None: all 121.

    Returns
    -------
    list of str

    Examples
    --------
    >>> len(list_delgado())
    121
    """
    if data_home is None:
        return sorted(published_accuracies().index)
    home = get_data_home(data_home)
    unpacked = _unpacked(home)
    folders = unpacked.iterdir() if unpacked.is_dir() else ()
    return sorted({*_in_tables(home), *(folder.name for folder in folders)})


def published_accuracies() -> pd.DataFrame:
    """Return the test accuracies of 179 classifiers on 121 data sets, in percent.

    Returns
    -------
    DataFrame of shape (121, 179)
        One row per data set, one column per classifier; NaN if the study has no result.

    References
    ----------
    Fernández-Delgado, Cernadas, Barro and Amorim, "Do we need hundreds of classifiers to solve
    real world classification problems?", JMLR 15 (2014) 3133-3181.

    Examples
    --------
    >>> published_accuracies()["parRF_caret"].mean().round(1)
    np.float64(82.0)
    """
    path = facts("published") / "delgado2014_accuracy_179_classifiers.csv"
    return pd.read_csv(path, index_col="dataset")


# ------------------------------------------------------------- from a folder of tables


def _in_tables(home: Path) -> set[str]:
    return set(plain_names(home / "delgado121")) & set(plain_names(home / "folds"))


def _from_tables(home: Path, name: str, size_limit: float) -> tuple[pd.DataFrame, Partitions]:
    frame = read_plain(home / "delgado121" / f"{name}{ENDING}", (), size_limit)
    path = home / "folds" / f"{name}{ENDING}"
    try:
        table = pd.read_csv(io.BytesIO(read_gzip(path, size_limit)))
        if len(table) != len(frame):
            raise ValueError(f"it has {len(table)} rows and the data {len(frame)}")
        return _numeric(frame), _partitions(table.astype({"row": "int64"}))
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"{path} does not match the table of that name: {in_a_line(error)}. Use files that "
            "belong together."
        ) from error


def _partitions(table: pd.DataFrame) -> Partitions:
    two_files = bool((table["file"] != "all").any())
    folds = [_split(table, column, "test") for column in (("file",) if two_files else FOLDS)]
    return Partitions(_split(table, "tune", "valid"), folds, two_files)


def _split(table: pd.DataFrame, column: str, held_out: str) -> Split:
    rows = table["row"].to_numpy()
    train, out = ((table[column] == part).to_numpy() for part in ("train", held_out))
    return rows[train], rows[out]


def _numeric(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(frame, "float64") | {TARGET: "int64"})


# ------------------------------------------------------------- from the authors' archive


def _unpacked(home: Path) -> Path:
    return home / "delgado" / "sets"


def _place(member: str) -> str | None:
    """Return where a needed file of the archive goes: ``<set>/<file>``."""
    tail = "/".join(PurePosixPath(member).parts[-2:])
    return tail if _NEEDED.fullmatch(tail) else None


def _check_partitions(home: Path, name: str, partitions: Partitions, rows: int) -> None:
    """Raise ValueError if a partition is empty or has row numbers that do not exist."""
    for part in (part for split in (partitions.tune, *partitions.folds) for part in split):
        if not len(part) or part.min() < 0 or part.max() >= rows:
            raise ValueError(
                f"The partitions of {name} in {home} do not match its {rows} rows. Replace its "
                "files."
            )


def _from_archive(
    home: Path, name: str, download_if_missing: bool, size_limit: float, time_limit: float
) -> tuple[pd.DataFrame, Partitions]:
    folder = _unpacked(home) / name
    archive = home / "delgado" / "data.tar.gz"

    def check(path: Path) -> None:
        if not count_members(path, size_limit, _place):
            raise ValueError("it holds no data set of the study")

    if not folder.is_dir():
        fetch_file(
            URL,
            archive,
            size_limit=size_limit,
            time_limit=time_limit,
            check=check,
            download_if_missing=download_if_missing,
        )
    try:
        if not folder.parent.is_dir():
            untar(archive, folder.parent, size_limit, _place)
        return _read_folder(folder, size_limit)
    # pandas and NumPy raise all of these for content that is not numeric.
    except (FileNotFoundError, ValueError, LookupError, OverflowError, TypeError) as error:
        raise ValueError(
            f"{folder} differs from the study's archive ({in_a_line(error)}). Delete "
            f"{folder.parent} and {archive}, and fetch again."
        ) from error


def _read_folder(folder: Path, size_limit: float) -> tuple[pd.DataFrame, Partitions]:
    size = sum(path.stat().st_size for path in folder.glob("*.dat"))
    check_size("its content", size, size_limit)
    whole = folder / f"{folder.name}_R.dat"
    two = [folder / f"{folder.name}_{part}_R.dat" for part in ("train", "test")]
    frames = [
        pd.read_csv(io.StringIO(path.read_text()), sep="\t", index_col=0)
        for path in ([whole] if whole.is_file() else two)
    ]
    frame = pd.concat(frames, ignore_index=True).rename(columns={"clase": TARGET})
    tune, folds = (
        _read_splits(folder / file) for file in ("conxuntos.dat", "conxuntos_kfold.dat")
    )
    if len(frames) == 2:
        folds = [_in_two(list(map(len, frames)))]
    return _numeric(frame), Partitions(tune[0], folds, len(frames) == 2)


def _in_two(sizes: Sequence[int]) -> Split:
    rows = np.arange(sum(sizes))
    return rows[: sizes[0]], rows[sizes[0] :]


def _read_splits(path: Path) -> list[Split]:
    """Read lines of row numbers (from 0), alternating between training and held-out rows."""
    rows = [line.split() for line in path.read_text().splitlines()]
    lines = [np.sort(np.array(row, dtype=int)) for row in rows if row]
    return list(zip(lines[::2], lines[1::2], strict=True))
