"""The UCI tables that scikit-learn carries, so that no download is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from sklearn import datasets

BUNDLED: dict[str, Callable] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast-cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}


def check_names(names: Iterable[str]) -> list[str]:
    """Return the names if all are known.

    Raises
    ------
    ValueError
        That lists the known ones.
    """
    names = list(names)
    unknown = [name for name in names if name not in BUNDLED]
    if unknown:
        raise ValueError(
            f"datasets={', '.join(unknown)} not known. Known are: {', '.join(BUNDLED)}."
        )
    return names


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and labels of a bundled table.

    Parameters
    ----------
    name : {"iris", "wine", "breast-cancer", "digits"}
        Which one.

    Returns
    -------
    X : ndarray of shape (rows, features)
    y : ndarray of shape (rows,)
    """
    (name,) = check_names([name])
    return BUNDLED[name](return_X_y=True)
