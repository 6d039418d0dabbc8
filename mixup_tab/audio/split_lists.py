"""The lists that say which sound files are for validation and which for testing."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def below(root: str | os.PathLike, path: str) -> str:
    """Return a path without the folder that it begins with, with forward slashes.

    Parameters
    ----------
    root : str or path-like
        The folder.
    path : str
        ``root`` and more.

    Returns
    -------
    str

    Examples
    --------
    >>> below("sounds", "sounds/yes/1.wav")
    'yes/1.wav'
    """
    # Not pathlib: there may be millions of them.
    return path[len(os.fspath(root)) :].replace(os.sep, "/").lstrip("/")


def read_list(path: Path) -> set[str]:
    """Return the files that a list names.

    Parameters
    ----------
    path : Path
        One ``<label>/<file>`` a line. It need not exist: then it names none.

    Returns
    -------
    set of str
        With forward slashes.

    Raises
    ------
    ValueError
        If it is not text.
    """
    if not path.is_file():
        return set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as text ({error}). Mend or remove it."
        ) from error
    stripped = (line.strip().replace("\\", "/") for line in lines)
    return {str(PurePosixPath(line)) for line in stripped if line}


def read_subsets(root: str | os.PathLike, paths: list[str]) -> list[str] | None:
    """Return "train", "validation" or "test" for each file.

    Parameters
    ----------
    root : str or path-like
        Folder with ``validation_list.txt`` or ``testing_list.txt``.
    paths : list of str
        Files below it. Others that the lists name need not be there.

    Returns
    -------
    list of str, or None without lists

    Raises
    ------
    ValueError
        If both lists name a file, or none names any of the files.
    """
    lists = {name: read_list(Path(root, file)) for name, file in LISTS.items()}
    if not any(lists.values()):
        return None
    both = lists["validation"] & lists["test"]
    if both:
        raise ValueError(
            f"{' and '.join(LISTS.values())} in {root} both name {min(both)!r}. Take it out of "
            "one of them."
        )
    subset_of = {file: name for name, files in lists.items() for file in files}
    names = [below(root, path) for path in paths]
    subsets = [subset_of.get(name, "train") for name in names]
    if set(subsets) == {"train"}:
        raise ValueError(
            f"The lists in {root} name none of its files; they have the form "
            f"{next(iter(subset_of))!r}, and the files {names[0]!r}. Mend or remove them."
        )
    return subsets
