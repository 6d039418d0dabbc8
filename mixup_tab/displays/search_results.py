"""Reading the results of a search for its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def without(params: dict[str, Any], name: str) -> Sequence[tuple[str, Any]]:
    """Return what is set beside one parameter, in the order of the names."""
    return sorted((key, value) for key, value in params.items() if key != name)


def metric_key(search: Any, metric: str | None) -> str:
    """Return the end of a metric's keys in ``cv_results_``; None is the one of ``refit``."""
    if not search.multimetric_:
        if metric is not None:
            raise ValueError(f"metric={metric!r} is for searches of several metrics.")
        return "score"
    metric = search.refit if metric is None and isinstance(search.refit, str) else metric
    if f"mean_test_{metric}" not in search.cv_results_:
        known = [k[10:] for k in search.cv_results_ if k.startswith("mean_test_")]
        raise ValueError(f"metric must be one of {known}, got {metric!r}.")
    return metric


def name_of_score(search: Any) -> str:
    """Return what the score of a search with one metric is called."""
    if isinstance(search.scoring, str):
        return search.scoring
    if search.scoring is not None:
        return getattr(search.scoring, "__name__", "score")
    return "accuracy" if hasattr(search.estimator, "predict_proba") else "R²"
