"""Folders of data sets: the user's downloads, and facts that come with the package."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection
from pathlib import Path

ENVIRONMENT_VARIABLE = "MIXUP_TAB_DATA"


def get_data_home(data_home: str | os.PathLike | None = None) -> Path:
    """Return the folder where downloads are kept; it need not exist yet.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. None uses the environment variable ``MIXUP_TAB_DATA``, or
        ``~/mixup_tab_data`` if it is not set.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the path exists and is not a folder.

    Examples
    --------
    >>> get_data_home("tables").name
    'tables'
    """
    if data_home is None:
        data_home = os.environ.get(ENVIRONMENT_VARIABLE) or Path("~", "mixup_tab_data")
    home = Path(data_home).expanduser()
    if home.exists() and not home.is_dir():
        raise ValueError(f"data_home={str(home)!r} is not a folder. Use a folder.")
    return home


def facts(name: str) -> Path:
    """Return the folder "uci", "speech" or "published" with facts about data sets."""
    here = Path(__file__).parent
    # In the wheel, or in the repository for an editable installation.
    roots = (here / "files", here.parents[1] / "datasets")
    return next((root / name for root in roots if (root / name).is_dir()), roots[-1] / name)


def check_name(name: str, known: Collection[str], listing: str) -> None:
    """Raise ValueError with similar names unless a data set is known."""
    if name in known:
        return
    similar = difflib.get_close_matches(str(name), sorted(known), n=3, cutoff=0.5)
    hint = f" Similar: {', '.join(similar)}." if similar else ""
    raise ValueError(f"name={name!r} is not known.{hint} {listing} lists all names.")
