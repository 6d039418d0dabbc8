"""Pictures of benchmark results, after scikit-learn's Display convention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


class BenchmarkDisplay:
    """Test errors of several methods, and the paired differences to plain training.

    Parameters
    ----------
    summary : DataFrame
        From :func:`~mixup_tab.evaluation.summarize`.

    Attributes
    ----------
    figure_ : matplotlib Figure
    axes_ : ndarray of matplotlib Axes
        One row per protocol: errors on the left, differences on the right.

    Examples
    --------
    >>> from mixup_tab.evaluation import BenchmarkDisplay, compare
    >>> results = compare(["iris"], protocols=["paper"], repeats=2)
    >>> display = BenchmarkDisplay.from_results(results)
    >>> len(display.axes_.ravel())
    2
    """

    def __init__(self, summary: pd.DataFrame) -> None:
        self.summary = summary

    @classmethod
    def from_results(cls, results: pd.DataFrame) -> BenchmarkDisplay:
        """Summarise results and draw them.

        Parameters
        ----------
        results : DataFrame
            Rows of :func:`~mixup_tab.evaluation.compare`.

        Returns
        -------
        BenchmarkDisplay
        """
        from mixup_tab.evaluation.benchmark import summarize

        return cls(summarize(results)).plot()

    def plot(self) -> BenchmarkDisplay:
        """Draw the summary.

        Returns
        -------
        BenchmarkDisplay
        """
        from matplotlib.figure import Figure

        protocols = list(self.summary["protocol"].unique())
        datasets = list(self.summary["dataset"].unique())
        height = 1.3 + len(protocols) * (0.9 + 0.75 * len(datasets))
        self.figure_ = Figure(figsize=(10, height), layout="constrained")
        self.axes_ = self.figure_.subplots(len(protocols), 2, squeeze=False, sharey="row")
        for (left, right), protocol in zip(self.axes_, protocols, strict=True):
            part = self.summary[self.summary["protocol"] == protocol]
            left.set_title(f"{_TITLES.get(protocol, protocol)}: test error", loc="left")
            right.set_title("Difference to ERM on the same splits", loc="left")
            self._draw(left, part, datasets, "error")
            self._draw(right, part[part["method"] != "ERM"], datasets, "error_diff")
            left.set_xlim(left=-0.015 * left.get_xlim()[1])  # a point at 0 shows whole
            right.axvline(0, color="0.4", linewidth=0.8)
            left.set_xlabel("%")
            right.set_xlabel("percentage points (left of 0: better than ERM)")
        handles, labels = self.axes_[0, 0].get_legend_handles_labels()
        self.figure_.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), frameon=False
        )
        return self

    def _draw(self, axes: Any, part: pd.DataFrame, datasets: list[str], metric: str) -> None:
        names = list(self.summary["method"].unique())
        for k, name in enumerate(names):
            rows = part[part["method"] == name].set_index("dataset").reindex(datasets)
            if rows[metric].isna().all():
                continue
            mean, low, high = (
                100 * rows[key].to_numpy()
                for key in (metric, f"{metric}_low", f"{metric}_high")
            )
            if metric == "error":
                low = np.maximum(low, 0)
            finite = np.isfinite(low) & np.isfinite(high)
            spread = np.where(finite, [mean - low, high - mean], 0)
            height = np.arange(len(datasets)) + 0.6 * (k / max(len(names) - 1, 1) - 0.5)
            color = "0.55" if name == "MLPClassifier" else f"C{k}"
            axes.errorbar(
                mean, height, xerr=spread, fmt="o", color=color, label=name, capsize=2
            )
        axes.set_yticks(range(len(datasets)), datasets)
        axes.set_ylim(len(datasets) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)


_TITLES = {"paper": "The paper's setting", "default": "Defaults"}
