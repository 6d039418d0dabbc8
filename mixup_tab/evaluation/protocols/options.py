"""What the benchmarks are told: checked before anything is trained."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from mixup_tab.datasets import get_data_home


def check_count(name: str, value: int, least: int = 1) -> int:
    """Return a number of things if it is large enough, else raise ValueError."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}.")
    return value


def check_jobs(n_jobs: int) -> int:
    """Return a number of processes if it is one, else raise ValueError."""
    if n_jobs == 0:
        raise ValueError("n_jobs must be a number of processes, or -1 for one per core, got 0.")
    return n_jobs


def check_seed(seed: int) -> int:
    """Return a seed if it is one, else raise ValueError."""
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie in [0, 2**31), got {seed!r}.")
    return seed


def check_home(data_home: str | os.PathLike | None) -> str | None:
    """Return the whole path of a folder of data sets, or None for the default one.

    Raises
    ------
    ValueError
        If it is not a folder.
    """
    if data_home is None:
        return None
    home = get_data_home(data_home)
    if not home.is_dir():
        raise ValueError(f"data_home={str(data_home)!r} is not a folder. Give one that exists.")
    return str(home.resolve())


def read_names(datasets: Sequence[str] | None) -> list[str] | None:
    """Return names of data sets; files among them stand for the names in their first column.

    Parameters
    ----------
    datasets : sequence of str or None
        Names, and paths of files with one name per line; a header ``name`` is skipped, and so
        are further columns.

    Returns
    -------
    list of str or None
        None for None, which means all.

    Raises
    ------
    ValueError
        If a file holds no name.
    """
    if datasets is None:
        return None
    names: list[str] = []
    for entry in datasets:
        path = Path(entry)
        names += _names_in(path) if path.suffix in (".csv", ".txt") else [entry]
    return list(dict.fromkeys(names))


def _names_in(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            names = [row[0].strip() for row in csv.reader(file) if row and row[0].strip()]
    except (OSError, UnicodeError) as error:
        raise ValueError(f"datasets={str(path)!r} cannot be read ({error}).") from error
    names = names[1:] if names[:1] == ["name"] else names
    if not names:
        raise ValueError(f"datasets={str(path)!r} holds no name. Put one on each line.")
    return names


def check_datasets(
    names: Sequence[str] | None, known: Collection[str], where: str
) -> list[str]:
    """Return names if all are known, or all known ones for None.

    Parameters
    ----------
    names : sequence of str or None
        What was asked for.
    known : collection of str
        What is there.
    where : str
        What holds them, for the message.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If one is not known or none is there.
    """
    if not known:
        raise ValueError(f"data_home: there is no data set in {where}. Give another folder.")
    unknown = [name for name in names or () if name not in known]
    if unknown:
        some = ", ".join(list(known)[:8]) + (", …" if len(known) > 8 else "")
        raise ValueError(f"datasets={', '.join(unknown)} not in {where}. There are: {some}")
    return list(known) if names is None else list(names)
