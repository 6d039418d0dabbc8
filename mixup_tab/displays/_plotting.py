"""Helpers of several displays: axes, colors, mixing, and checks of classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from mixup_tab._extras import import_extra
from mixup_tab.mixing import MixingRule
from mixup_tab.mixing._names import as_rule

# Okabe and Ito's colors for color-blind readers, without yellow, which is faint on white.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_GREY = 0.75


def get_axes(ax: Any, name: str | None = None) -> Any:
    """Return ``ax``, or the axes of a new pyplot figure, with a title if there is a name."""
    if ax is None:
        _, ax = import_extra("matplotlib.pyplot", "plots").subplots(layout="constrained")
    if name is not None:
        ax.set_title(name)
    return ax


def get_axes_row(
    ax: Any, count: int, name: str | None = None, n_columns: int = 4
) -> np.ndarray:
    """Return ``count`` axes: those given, or of a new pyplot figure with shared limits."""
    if ax is None:
        pyplot = import_extra("matplotlib.pyplot", "plots")
        n_columns = min(count, n_columns)
        n_rows = -(-count // n_columns)
        figure, grid = pyplot.subplots(
            n_rows,
            n_columns,
            figsize=(1.2 + 3.2 * n_columns, 3.4 * n_rows),
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for unused in grid.flat[count:]:
            unused.remove()
        ax = grid.flat[:count]
        if name is not None:
            figure.suptitle(name)
    axes = np.asarray(ax, dtype=object).ravel()
    if len(axes) != count:
        raise ValueError(f"ax must hold {count} matplotlib Axes, got {len(axes)}.")
    return axes


def class_colors(n_classes: int) -> np.ndarray:
    """Return a color for every class: RGB in [0, 1], shape (n_classes, 3)."""
    matplotlib = import_extra("matplotlib", "plots")
    if n_classes <= len(_COLORS):
        colors = import_extra("matplotlib.colors", "plots")
        return colors.to_rgba_array(_COLORS[:n_classes])[:, :3]
    return matplotlib.colormaps["turbo"](np.linspace(0, 1, n_classes))[:, :3]


def label_colors(labels: ArrayLike) -> np.ndarray:
    """Return the colors of soft labels: that of the class if pure, grey in between."""
    labels = np.asarray(labels, dtype=float)
    even = 1 / labels.shape[1]
    purity = ((labels.max(axis=1, keepdims=True) - even) / (1 - even)).clip(0, 1)
    # As in a diverging color map: from grey towards the color of the largest class.
    cubes = labels**3
    pure = (cubes / cubes.sum(axis=1, keepdims=True)) @ class_colors(labels.shape[1])
    return purity * pure + (1 - purity) * _GREY


def named_classifiers(estimator: Any, name: str | None = None) -> dict[str, Any]:
    """Return classifiers by name; a single one is named after its class."""
    if isinstance(estimator, Mapping):
        if not estimator:
            raise ValueError("estimator must hold at least one fitted classifier, got none.")
        return {str(key): value for key, value in estimator.items()}
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return {name or type(last).__name__: estimator}


def class_codes(estimator: Any, y: ArrayLike, name: str) -> np.ndarray:
    """Return labels as column numbers of a fitted classifier's ``predict_proba``."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"{name} has no predict_proba. Use another classifier, or wrap it in "
            "CalibratedClassifierCV."
        )
    y, classes = np.asarray(y), np.asarray(estimator.classes_)
    unknown = y[~np.isin(y, classes)]
    if len(unknown):
        raise ValueError(
            f"y holds {unknown.tolist()[0]!r}, but {name} was fitted with the classes "
            f"{classes.tolist()}. Drop these rows, or fit on all classes."
        )
    return np.searchsorted(classes, y)


def seeded_generator(random_state: Any) -> torch.Generator:
    """Return a torch generator for a scikit-learn ``random_state``."""
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    return torch.Generator().manual_seed(seed)


def visible_rule(mixing: str | MixingRule) -> MixingRule:
    """Return the rule; raise ValueError unless it mixes inputs for classification."""
    rule = as_rule(mixing)
    if rule.mixes_hidden:
        raise ValueError(
            f"mixing={mixing!r} mixes a hidden layer and leaves inputs unchanged. Use a rule "
            "that mixes inputs, such as 'mixup'."
        )
    if rule.task == "regression":
        raise ValueError(
            f"mixing={mixing!r} is for regression. Use a rule that mixes classes, such as "
            "'mixup'."
        )
    return rule


def mix_batch(
    rule: MixingRule, alpha: float, x: torch.Tensor, y: torch.Tensor, source: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix all rows once, as one batch; return mixed inputs and soft labels."""
    rule = rule.fit(lambda rows: x[rows], y)
    labels = y if rule.needs_labels else None
    mix = rule.draw(alpha, (len(x),), features=x.shape[1:], generator=source, labels=labels)
    onehot = torch.eye(int(y.max()) + 1)[y]
    return rule.mix_x(x, mix), rule.mix_y(onehot, mix)


def column_names(X: Any) -> Sequence[str]:
    """Return the column names of a table; empty strings for an array."""
    if hasattr(X, "columns"):
        return [str(name) for name in X.columns]
    return [""] * np.shape(X)[1]
