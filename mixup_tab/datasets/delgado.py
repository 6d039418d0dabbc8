"""The 121 data sets of Fernández-Delgado et al. (2014), with the study's partitions."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.datasets.bunch import to_bunch
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.home import check_name, get_data_home
from mixup_tab.datasets.partitions import Partitions, from_lines, from_table
from mixup_tab.datasets.plain import ENDING, TARGET, plain_names, read_plain
from mixup_tab.datasets.published import published_accuracies
from mixup_tab.datasets.unpack import check_archive, unpack

URL = "http://persoal.citius.usc.es/manuel.fernandez.delgado/papers/jmlr/data.tar.gz"
DESCRIPTION = """\
{name}, one of the 121 data sets of Fernández-Delgado, Cernadas, Barro and Amorim, "Do we need
hundreds of classifiers to solve real world classification problems?", JMLR 15 (2014)
3133-3181, in the study's own numeric form, with its partitions.

Categories are coded as numbers. Columns are standardised over all rows, test rows included, or
file by file where there are two, or not at all; several sets have errors. Use it for comparing
with the study's figures only.

folds: {folds}.
"""


def fetch_delgado(
    name: str,
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
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

    Returns
    -------
    Bunch, or tuple (data, target)
        data : ndarray of float64, shape (rows, features)
            Numbers, as the study has them.
        target : ndarray of int64, shape (rows,)
            Codes of the classes.
        folds : list of (train, test)
            Row numbers. The four folds of the study, which are separate random draws, not a
            division; or the training file and the test file where the archive has two.
        tune : (train, valid)
            Row numbers that the study chose hyperparameters on.
        two_files : bool
            Whether the archive has a file for training and one for testing.
        feature_names, target_names : list
            Columns and classes.
        DESCR : str
            What the set is.

    Raises
    ------
    ValueError
        For a name that is not known, or files that cannot be read.
    OSError
        If the set is not there and cannot be downloaded; says which file to put where.

    Notes
    -----
    The authors publish no checksum of their archive. What is downloaded must be a whole
    ``tar.gz`` file, which carries its own, and hold data sets of the study.
    """
    home = get_data_home(data_home)
    local = list_delgado(home)
    check_name(name, {*local, *list_delgado()}, "mixup_tab.datasets.list_delgado()")
    if name in _in_tables(home):
        frame, parts = _from_tables(home, name)
    else:
        frame, parts = _from_archive(home, name, download_if_missing)
    held_out = "the test file" if parts.two_files else "the study's four draws"
    return to_bunch(
        frame,
        task="classification",
        as_frame=as_frame,
        return_X_y=return_X_y,
        DESCR=DESCRIPTION.format(name=name, folds=held_out),
        **parts._asdict(),
    )


def list_delgado(data_home: str | os.PathLike | None = None) -> list[str]:
    """Return names of the 121-set study.

    Parameters
    ----------
    data_home : str or path-like, default=None
        A folder: the sets that lie there, data and partitions. None: all 121.

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


def _in_tables(home: Path) -> set[str]:
    return set(plain_names(home / "delgado121")) & set(plain_names(home / "folds"))


def _from_tables(home: Path, name: str) -> tuple[pd.DataFrame, Partitions]:
    frame = read_plain(home / "delgado121" / f"{name}{ENDING}")
    path = home / "folds" / f"{name}{ENDING}"
    table = pd.read_csv(path)
    if len(table) != len(frame):
        raise ValueError(
            f"{path} has {len(table)} rows and the data {len(frame)}. Give files that belong "
            "together."
        )
    return _typed(frame), from_table(table)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(dict.fromkeys(frame, "float64") | {TARGET: "int64"})


def _unpacked(home: Path) -> Path:
    return home / "delgado" / "sets"


def _from_archive(
    home: Path, name: str, download_if_missing: bool
) -> tuple[pd.DataFrame, Partitions]:
    folder = _unpacked(home) / name
    archive = home / "delgado" / "data.tar.gz"
    if not folder.is_dir():
        fetch_file(URL, archive, check=check_archive, download_if_missing=download_if_missing)
    try:
        if not folder.parent.is_dir():
            unpack(archive, folder.parent)
        return _read_folder(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder} is not as the study's archive has it ({error}). Remove {folder.parent} "
            f"and {archive}, and fetch again."
        ) from error


def _read_folder(folder: Path) -> tuple[pd.DataFrame, Partitions]:
    """Read a set as the authors' archive has it."""
    whole = folder / f"{folder.name}_R.dat"
    two = [folder / f"{folder.name}_{part}_R.dat" for part in ("train", "test")]
    frames = [
        pd.read_csv(io.StringIO(path.read_text()), sep="\t", index_col=0)
        for path in ([whole] if whole.is_file() else two)
    ]
    frame = pd.concat(frames, ignore_index=True).rename(columns={"clase": TARGET})
    tune, folds = (
        (folder / file).read_text() for file in ("conxuntos.dat", "conxuntos_kfold.dat")
    )
    parts = from_lines(tune, folds, [len(frame) for frame in frames])
    return _typed(frame), parts
