"""What other thresholds of a speech model would do: a curve and a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

# Shares of other sounds that are taken for a word, for the rows of the table.
_RATES = (0.005, 0.01, 0.02, 0.05, 0.1)
_TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw_tradeoff(curve: pd.DataFrame, threshold: float) -> Figure:
    """Draw words missed against false alarms for all thresholds, and mark the model's.

    Parameters
    ----------
    curve : DataFrame
        From :meth:`~.evaluation.Evaluation.tradeoff`, not empty.
    threshold : float
        The model's.

    Returns
    -------
    matplotlib Figure
    """
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axes = figure.subplots()
    alarms, missed = 100 * curve["false_alarms"], 100 * curve["missed"]
    axes.plot(alarms, missed, color="#0072b2", clip_on=False)
    here = _row_of(curve, threshold)
    label = f"threshold of the model: {threshold:.2f}"
    mark: dict[str, Any] = {"linestyle": "", "clip_on": False, "zorder": 3, "label": label}
    axes.plot(alarms[here], missed[here], marker="o", color="#d55e00", **mark)
    axes.legend()
    axes.grid(alpha=0.3)
    axes.set(xlabel="false alarms, % of other sounds", ylabel="words missed, %")
    hourly = axes.twiny()
    hourly.set_xlabel("false alarms per hour of other sounds")
    scale = curve["false_alarms_per_hour"].max() / alarms.max()  # the first refuses nothing
    for each, one in ((axes, 1.0), (hourly, scale)):
        # Linear below 1 %, so that 0 has a place.
        each.set_xscale("symlog", linthresh=one)
        each.set_xlim(0, 100 * one)
        each.xaxis.set_major_formatter("{x:g}")
    axes.set_xticks(_TICKS)
    axes.set_ylim(0)
    return figure


def threshold_table(curve: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return what the model's threshold does, and the lowest ones for some rates.

    Parameters
    ----------
    curve : DataFrame
        From :meth:`~.evaluation.Evaluation.tradeoff`, not empty.
    threshold : float
        The model's.

    Returns
    -------
    DataFrame
    """
    rows = {"as the model": _row_of(curve, threshold)}
    for rate in _RATES:
        rows[f"at most {100 * rate:g} %"] = int(
            (curve["false_alarms"] <= rate + 1e-9).to_numpy().argmax()
        )
    chosen = curve.iloc[list(rows.values())]
    return pd.DataFrame(
        {
            "threshold": [threshold, *chosen["threshold"][1:]],
            "words missed %": 100 * chosen["missed"].to_numpy(),
            "false alarms %": 100 * chosen["false_alarms"].to_numpy(),
            "false alarms per hour": chosen["false_alarms_per_hour"].to_numpy(),
        },
        index=pd.Index(rows, name="false alarms wanted"),
    )


def _row_of(curve: pd.DataFrame, threshold: float) -> int:
    """Return the row that tells what a threshold does: nothing changes up to the next one."""
    row = np.searchsorted(curve["threshold"].to_numpy(), threshold)
    return min(int(row), len(curve) - 1)
