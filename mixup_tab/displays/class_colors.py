"""Colours of classes and of soft labels, told apart by colour-blind readers too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Okabe and Ito's colours without yellow, which is hard to see on white.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_GREY = (0.75, 0.75, 0.75)


def class_colors(n_classes: int) -> np.ndarray:
    """Return a colour for every class.

    Parameters
    ----------
    n_classes : int
        How many.

    Returns
    -------
    ndarray of shape (n_classes, 3)
        Red, green and blue, in [0, 1].

    Examples
    --------
    >>> from mixup_tab.displays.class_colors import class_colors
    >>> class_colors(2).shape
    (2, 3)
    """
    from matplotlib import colormaps, colors

    if n_classes <= len(_COLORS):
        return np.array([colors.to_rgb(color) for color in _COLORS[:n_classes]])
    return colormaps["turbo"](np.linspace(0, 1, n_classes))[:, :3]


def label_colors(soft: ArrayLike) -> np.ndarray:
    """Return the colours of soft labels: that of the class where it is pure, grey between.

    Parameters
    ----------
    soft : array-like of shape (rows, classes)
        Weights of the classes, which sum to one.

    Returns
    -------
    ndarray of shape (rows, 3)
        Red, green and blue, in [0, 1].

    Examples
    --------
    >>> from mixup_tab.displays.class_colors import label_colors
    >>> label_colors([[0.5, 0.5]])
    array([[0.75, 0.75, 0.75]])
    """
    soft = np.asarray(soft, dtype=float)
    fair = 1 / soft.shape[1]
    sure = ((soft.max(axis=1, keepdims=True) - fair) / (1 - fair)).clip(0, 1)
    # As in a diverging colour map: towards the largest class, through grey.
    pure = (soft**3 / (soft**3).sum(axis=1, keepdims=True)) @ class_colors(soft.shape[1])
    return sure * pure + (1 - sure) * np.array(_GREY)
