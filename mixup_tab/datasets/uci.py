"""Fetch data sets of the UCI archive by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from mixup_tab._plain import check_limit
from mixup_tab.datasets.archives import SIZE_LIMIT, read_members
from mixup_tab.datasets.cards import UciCard, cards
from mixup_tab.datasets.download import fetch_file
from mixup_tab.datasets.home import check_name, get_data_home
from mixup_tab.datasets.tables import (
    ENDING,
    TARGET,
    in_a_line,
    plain_names,
    read_plain,
    read_table,
    to_bunch,
)


def fetch_uci(
    name: str,
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = True,
    size_limit: float | None = None,
    time_limit: float = 600.0,
) -> Bunch | tuple:
    """Return a data set of the UCI archive, downloaded on first use.

    A file ``<name>.csv.gz`` in ``data_home`` is used instead of a download, even if the name
    has no card. It has a header, ``target`` as last column, and empty cells for missing values.

    Parameters
    ----------
    name : str
        One of :func:`list_uci`.
    data_home : str or path-like, default=None
        Folder of downloads or plain files; see :func:`~mixup_tab.datasets.get_data_home`.
    download_if_missing : bool, default=True
        False raises OSError instead of downloading.
    return_X_y : bool, default=False
        True returns ``(data, target)``.
    as_frame : bool, default=True
        False returns arrays, numeric if all features are numbers, else of objects.
    size_limit : float or None, default=None
        Maximum size in bytes of the archive file, and of the data read from it or from a plain
        file; checked before reading. None is 256 MiB, and for data from an archive 1 MiB plus
        64 bytes per cell of the table.
    time_limit : float, default=600.0
        Maximum time of a download in seconds.

    Returns
    -------
    Bunch, or tuple (data, target)
        data : DataFrame of shape (rows, features)
            Numbers, and pandas categories; missing values are NaN.
        target : Series of shape (rows,)
            Labels as in the archive, or numbers.
        frame : DataFrame of shape (rows, features + 1)
            Both; the last column is ``target``. None with ``as_frame=False``.
        feature_names : list of str
            Columns of ``data``.
        target_names : list of labels, or None
            Sorted; None for regression.
        task : {"classification", "regression"}
            Type of target.
        DESCR : str
            Description, licence and citation.
        card : UciCard or None
            Facts about the set; see :class:`~mixup_tab.datasets.cards.UciCard`.
        url : str or None
            Address of the archive file.

    Raises
    ------
    ValueError
        If the name is unknown, or a file is too large or does not match its card.
    OSError
        If the set is missing and cannot be downloaded; the message says how to do it manually.

    Notes
    -----
    An archive file is verified by the sha256 in its card. Most cards have none, because the
    archive publishes none; such a file must still be a complete zip file, which has checksums
    of its members, with as many rows as the card states.
    """
    if size_limit is not None:
        check_limit("size_limit", size_limit)
    home = get_data_home(data_home)
    known = cards()
    plain = home / f"{name}{ENDING}"
    check_name(name, {*known, *plain_names(home)}, "mixup_tab.datasets.list_uci(data_home)")
    card = known.get(name)
    if card is None or plain.is_file():
        frame = read_plain(plain, _text_columns(card), size_limit or SIZE_LIMIT)
    else:
        frame = _from_archive(card, home, download_if_missing, size_limit, time_limit)
    return to_bunch(
        frame,
        task=card.task if card else _task(frame),
        as_frame=as_frame,
        return_X_y=return_X_y,
        DESCR=card.description() if card else f"{name}: a table in {home}.",
        card=card,
        url=card.url if card else None,
    )


def _text_columns(card: UciCard | None) -> list[str]:
    if card is None:
        return []
    text = [name for name, dtype in card.columns.items() if dtype == "category"]
    return [TARGET if name == card.target else name for name in text]


def _from_archive(
    card: UciCard,
    home: Path,
    download_if_missing: bool,
    size_limit: float | None,
    time_limit: float,
) -> pd.DataFrame:
    path, files = archive_path(card, home), card.files

    def read(file: Path) -> pd.DataFrame:
        wanted = files.members + files.label_members
        return read_table(card, read_members(file, wanted, size_limit or card.size_limit))

    # Read as a check, so that an unreadable download is not kept.
    fetch_file(
        card.url,
        path,
        size_limit=size_limit or SIZE_LIMIT,
        time_limit=time_limit,
        check=read,
        sha256=card.sha256,
        download_if_missing=download_if_missing,
    )
    try:
        return read(path)
    except ValueError as error:
        reason = in_a_line(error)
        raise ValueError(f"{path} is unusable: {reason}. Delete it and fetch again.") from error


def archive_path(card: UciCard, home: Path) -> Path:
    """Return the path of a card's archive file: ``uci/<number>/<original name>``."""
    return home / "uci" / str(card.uci) / card.url.rsplit("/", 1)[-1]


def list_uci(
    data_home: str | os.PathLike | None = None, *, size_limit: float = SIZE_LIMIT
) -> pd.DataFrame:
    """Return the data sets that :func:`fetch_uci` knows by name.

    Parameters
    ----------
    data_home : str or path-like, default=None
        See :func:`~mixup_tab.datasets.get_data_home`.
    size_limit : float, default=2**28
        Maximum size of a plain file in bytes.

    Returns
    -------
    DataFrame
        One row per set: name, title, task, rows, features, classes, missing (cells), uci
        (number), licence, and local (no download needed). Includes plain files in
        ``data_home``.

    Examples
    --------
    >>> list_uci().set_index("name").loc["iris", ["rows", "features", "classes"]].tolist()
    [150, 4, 3]
    """
    home = get_data_home(data_home)
    known, plain = cards(), plain_names(home)
    rows = [
        _row(card, card.name in plain or archive_path(card, home).is_file())
        for card in known.values()
    ]
    rows += [_plain_row(home, name, size_limit) for name in plain if name not in known]
    table = pd.DataFrame(rows).astype({"classes": "Int64", "uci": "Int64"})
    return table.sort_values("name", ignore_index=True)


def _row(card: UciCard, local: bool) -> dict[str, Any]:
    names = (
        "name", "title", "task", "rows", "features", "classes", "missing", "uci", "licence"
    )  # fmt: skip
    return {name: getattr(card, name) for name in names} | {"local": local}


def _plain_row(home: Path, name: str, size_limit: float) -> dict[str, Any]:
    frame = read_plain(home / f"{name}{ENDING}", (), size_limit)
    task = _task(frame)
    return {
        "name": name,
        "title": name,
        "task": task,
        "rows": len(frame),
        "features": frame.shape[1] - 1,
        "classes": frame[TARGET].nunique() if task == "classification" else None,
        "missing": int(frame.drop(columns=TARGET).isna().sum().sum()),
        "uci": None,
        "licence": "",
        "local": True,
    }


def _task(frame: pd.DataFrame) -> str:
    """Return the task of a table without a card: regression if the target is float."""
    return "regression" if pd.api.types.is_float_dtype(frame[TARGET]) else "classification"
