"""Pictures of ``mixup-tab benchmark robustness``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

_NAMES = {"fgsm": "FGSM", "ifgsm": "I-FGSM"}


def draw_curves(curves: pd.DataFrame) -> Figure:
    """Draw test errors by epoch, a row per table and a column per rate.

    Parameters
    ----------
    curves : DataFrame
        Rows of "curves".

    Returns
    -------
    matplotlib Figure
    """
    datasets, rates = curves["dataset"].unique(), curves["rate"].unique()
    figure, axes = _grid(len(datasets), len(rates))
    for row, dataset in zip(axes, datasets, strict=True):
        for ax, rate in zip(row, rates, strict=True):
            part = curves[(curves["dataset"] == dataset) & (curves["rate"] == rate)]
            for method, group in part.groupby("method", sort=False):
                mean = 100 * group.groupby("epoch")["test_error"].mean()
                ax.plot(mean.index, mean, label=method, lw=1.2)
            ax.set_title(f"{dataset}, {rate:.0%} wrong labels", loc="left")
            ax.set(xlabel="epoch", ylabel="test error %")
    axes[0, 0].legend(framealpha=0.8, edgecolor="none")
    return figure


def draw_attacks(attacks: pd.DataFrame) -> Figure:
    """Draw errors against ε, a row per table and a column per attack.

    Parameters
    ----------
    attacks : DataFrame
        Of :func:`~mixup_tab.evaluation.robustness.report.summarize_attacks`.

    Returns
    -------
    matplotlib Figure
    """
    changed = attacks[attacks["box"] != "none"]
    datasets = changed["dataset"].unique()
    kinds = list(changed.groupby(["box", "attack"], sort=False).groups)
    figure, axes = _grid(len(datasets), len(kinds))
    for row, dataset in zip(axes, datasets, strict=True):
        for ax, (box, attack) in zip(row, kinds, strict=True):
            here = (changed["box"] == box) & (changed["attack"] == attack)
            part = changed[here & (changed["dataset"] == dataset)]
            for method, group in part.groupby("method", sort=False):
                points = [0, *group["eps"]], [group["clean %"].iloc[0], *group["error %"]]
                ax.plot(*points, label=method, marker=".")
            ax.set_title(f"{dataset}, {box} box, {_NAMES[attack]}", loc="left")
            ax.set(xlabel="ε", ylabel="test error %")
    axes[0, 0].legend(framealpha=0.8, edgecolor="none")
    return figure


def _grid(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(3.6 * columns, 2.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey="row")
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
    return figure, axes
