"""Report benchmark results: means with intervals, as Markdown, picture and sentence."""

from __future__ import annotations

import io
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab._extras import import_extra
from mixup_tab._files import write_whole
from mixup_tab._page import literal
from mixup_tab._terminal import make_console, terminal_table
from mixup_tab.metrics import LEAST_SPLITS, resampled_interval

METRICS = ("error", "log_loss", "brier")
ENDS = ("", "_low", "_high")
PLAIN = "plain training"


def summarize(
    results: pd.DataFrame, reference: str = PLAIN, metrics: Sequence[str] = METRICS
) -> pd.DataFrame:
    """Return means over splits and paired differences to one method, with intervals.

    Parameters
    ----------
    results : DataFrame
        From :func:`~mixup_tab.benchmark.run_benchmark`; failed rows are left out.
    reference : str, default="plain training"
        Method to compare the others with; it may be missing.
    metrics : sequence of str, default=("error", "log_loss", "brier")
        Columns to summarize.

    Returns
    -------
    DataFrame
        One row per ``table`` and ``method``: ``splits``, their number; for each metric its
        mean (``error``) with the ends of its 95 % interval (``error_low``, ``error_high``),
        and the mean difference to the reference on the same splits (``error_diff``,
        ``error_diff_low``, ``error_diff_high``), NaN for the reference. The intervals are
        corrected for splits that share rows (Nadeau and Bengio 2003).
    """
    rows: list[dict[str, Any]] = []
    done = results[~results["failed"]]
    for table, part in done.groupby("table", sort=False):
        share = (part["n_test"] / (part["n_train"] + part["n_test"])).mean()
        wide = {m: part.pivot(index="split", columns="method", values=m) for m in metrics}
        for method in part["method"].unique():
            splits = int((part["method"] == method).sum())
            row: dict[str, Any] = {"table": table, "method": method, "splits": splits}
            for metric, scores in wide.items():
                row |= _ends(metric, scores[method], share)
                other = np.nan if method == reference else scores.get(reference, np.nan)
                row |= _ends(f"{metric}_diff", scores[method] - other, share)
            rows.append(row)
    ends = [f"{m}{diff}{end}" for m in metrics for diff in ("", "_diff") for end in ENDS]
    return pd.DataFrame(rows, columns=["table", "method", "splits", *ends])


def _ends(name: str, scores: pd.Series, test_share: float) -> dict[str, float]:
    values = scores.dropna().to_numpy()
    ends = resampled_interval(values, test_share) if len(values) else (np.nan,) * 3
    return dict(zip((f"{name}{end}" for end in ENDS), ends, strict=True))


def in_a_sentence(summary: pd.DataFrame, reference: str = PLAIN) -> str:
    """Return a sentence on whether mixup beats plain training, by log-loss and by error."""
    return " ".join(
        _sentence(method, rows.dropna(subset="error_diff"), summary, reference)
        for method, rows in summary.groupby("method", sort=False)
        if str(method).startswith("mixup") and rows["error_diff"].notna().any()
    )


def _sentence(method: Any, ours: pd.DataFrame, summary: pd.DataFrame, reference: str) -> str:
    plain = summary[summary["method"] == reference].set_index("table").loc[ours["table"]]
    tables = f"{len(ours)} table{'s' * (len(ours) > 1)}"
    parts, enough = [], ours["splits"] >= LEAST_SPLITS
    for metric, factor, form in (("log_loss", 1, "{:.3f}"), ("error", 100, "{:.1f} %")):
        better = int((enough & (ours[f"{metric}_diff_high"] < 0)).sum())
        worse = int((enough & (ours[f"{metric}_diff_low"] > 0)).sum())
        means = [form.format(factor * each[metric].mean()) for each in (ours, plain)]
        parts.append(
            f"by {metric.replace('_', '-')} on {int((ours[f'{metric}_diff'] < 0).sum())} of "
            f"{tables} (mean {means[0]} against {means[1]}; beyond chance better on {better}, "
            f"worse on {worse})"
        )
    return f"{method} beats {reference} {parts[0]}, and {parts[1]}; lower is better."


def readable(summary: pd.DataFrame, reference: str = PLAIN) -> tuple[pd.DataFrame, str]:
    """Return a summary as a readable table, and a note on its columns."""
    if summary.empty:
        return summary, ""
    columns: dict[str, Any] = {"table": summary["table"], "method": summary["method"]}
    forms = (("error", "error %", 100, 1), ("log_loss", "log-loss", 1, 3))
    for metric, name, factor, decimals in forms:
        ends = (factor * summary[f"{metric}_diff{end}"] for end in ("", "_high"))
        columns[name] = [f"{factor * mean:.{decimals}f}" for mean in summary[metric]]
        columns[f"Δ {name}"] = [
            "" if pd.isna(mean) else f"{mean:+.{decimals}f} ± {_half(high - mean, decimals)}"
            for mean, high in zip(*ends, strict=True)
        ]
    note = (
        f"Means over {summary['splits'].max()} splits. Δ: difference to {reference} on the "
        "same splits, below 0 is better, ± half its 95 % interval, corrected for splits that "
        "share rows (Nadeau and Bengio 2003); ? with one split, or if all splits agree."
    )
    return pd.DataFrame(columns), note


def _half(width: float, decimals: int) -> str:
    return f"{width:.{decimals}f}" if np.isfinite(width) else "?"


def markdown_table(frame: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """Return a table in Markdown.

    Parameters
    ----------
    frame : DataFrame
        A named index becomes the first column. Numbers are right-aligned; missing cells are
        empty.
    formats : mapping of str to str, default=None
        Formats by column, such as ``{"error": "{:.1f}"}``.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab.benchmark import markdown_table
    >>> print(markdown_table(pd.DataFrame({"rule": ["cutmix"], "sets": [2]})))
    | rule | sets |
    |---|---:|
    | cutmix | 2 |
    """
    frame = frame if frame.index.name is None else frame.reset_index()
    formats = formats or {}
    columns, rules = [], []
    for name, cells in frame.items():
        form = formats.get(str(name), "{}")
        columns.append(["" if pd.isna(cell) else form.format(cell) for cell in cells])
        rules.append("---:" if pd.api.types.is_numeric_dtype(cells) else "---")
    lines = [frame.columns, *zip(*columns, strict=True)]
    head, *body = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([head, "|" + "|".join(rules) + "|", *body])


def write_text(output: str | os.PathLike, title: str, *parts: str) -> Path:
    """Write ``results.md``: title, parts, and the versions and machine behind the results.

    Parameters
    ----------
    output : path-like
        Folder.
    title : str
        Heading.
    *parts : str
        Paragraphs and tables; empty ones are left out.

    Returns
    -------
    Path
        Path of the file.
    """
    names = ("mixup-tab", "torch", "scikit-learn", "numpy", "pandas")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    facts = (
        f"Measured on {time.strftime('%Y-%m-%d')} with Python {platform.python_version()}, "
        f"{versions}; {platform.machine()}, {os.cpu_count()} cores."
    )
    path = Path(output) / "results.md"
    text = "\n\n".join([f"# {title}", *filter(None, parts), facts, ""])
    write_whole(path, text.encode())
    return path


def failures(results: pd.DataFrame) -> str:
    """List what failed and why, one line per method and table; empty if nothing did."""
    failed = results[results["failed"]].groupby(["method", "table"], sort=False)["why"]
    return "\n".join(
        f"{method} failed on {table} ({len(why)} ×): {why.iloc[0]}"
        for (method, table), why in failed
    )


def write_report(
    results: pd.DataFrame, output: str | os.PathLike, reference: str = PLAIN
) -> None:
    """Write ``results.md`` and ``results.png``: means, intervals, differences to a method.

    Parameters
    ----------
    results : DataFrame
        From :func:`~mixup_tab.benchmark.run_benchmark`, scored by
        :func:`~mixup_tab.benchmark.score_classifier`.
    output : path-like
        Folder.
    reference : str, default="plain training"
        Method to compare the others with. Without its results, no picture is made.
    """
    summary = summarize(results, reference)
    table, note = readable(summary, reference)
    sentence = in_a_sentence(summary, reference)
    parts = (sentence, markdown_table(table), note, failures(results))
    write_text(output, "Benchmark", *(parts if len(table) else parts[-1:]))
    if len(table) and summary["error_diff"].notna().any():
        picture = io.BytesIO()
        plot_differences(summary, reference).savefig(picture, format="png", dpi=120)
        write_whole(Path(output) / "results.png", picture.getvalue())


def show(results: pd.DataFrame, output: str | os.PathLike) -> None:
    """Print the content of :func:`write_report`, then the sentence, then what to do next."""
    console = make_console()
    if problems := failures(results):
        console.print(problems, style="yellow")
    summary = summarize(results)
    table, note = readable(summary)
    if len(table):
        console.print(terminal_table(table, {}, note=note))
    if not results.attrs["finished"]:
        console.print(
            f"Stopped after {len(results)} results. Run the same command to resume.",
            style="yellow",
            soft_wrap=True,
        )
    console.print(f"Results: {output}", soft_wrap=True)
    console.print(in_a_sentence(summary))
    console.print(
        "Does it help on your own table? mixup-tab compare FILE --target COLUMN", soft_wrap=True
    )


def plot_differences(summary: pd.DataFrame, reference: str = PLAIN) -> Any:
    """Draw the differences to the reference by table; return a Figure."""
    tables, methods = summary["table"].unique(), summary["method"].unique()
    methods = [name for name in methods if name != reference]
    figure = import_extra("matplotlib.figure", "plots").Figure(
        figsize=(10, 1.5 + 0.6 * len(tables)), layout="constrained"
    )
    panels = (("log_loss", "log-loss", 1), ("error", "error, percentage points", 100))
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (metric, label, factor) in zip(axes, panels, strict=True):
        for k, name in enumerate(methods):
            rows = summary[summary["method"] == name].set_index("table").reindex(tables)
            mean, low, high = (factor * rows[f"{metric}_diff{end}"] for end in ENDS)
            spread = np.where(np.isfinite(high - low), [mean - low, high - mean], np.nan)
            height = np.arange(len(tables)) + 0.5 * ((k + 0.5) / len(methods) - 0.5)
            ax.errorbar(mean, height, xerr=spread, fmt="o", label=literal(name), capsize=2)
        ax.axvline(0, color="0.4", linewidth=0.8)
        ax.set_xlabel(f"{label} (left of 0: better than {reference})")
        ax.grid(axis="x", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(tables)), list(map(literal, tables)))
    axes[0].set_ylim(len(tables) - 0.5, -0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
