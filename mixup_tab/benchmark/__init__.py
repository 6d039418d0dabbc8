"""Compare methods on tables: a resumable runner, summaries, and ``mixup-tab benchmark``."""

from mixup_tab.benchmark.report import (
    markdown_table,
    plot_differences,
    summarize,
    write_report,
    write_text,
)
from mixup_tab.benchmark.runner import run_benchmark, score_classifier

__all__ = [
    "markdown_table",
    "plot_differences",
    "run_benchmark",
    "score_classifier",
    "summarize",
    "write_report",
    "write_text",
]
