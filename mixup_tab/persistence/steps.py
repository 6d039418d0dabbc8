"""Steps of pipelines: replace what a file cannot hold, and check what was read.

For example, a function that selects columns is replaced by the selected columns. Checks cover
what compiled code relies on: an encoder with wrong counts would write beyond its array.
"""

from __future__ import annotations

import copy
import re
import zoneinfo
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from mixup_tab.persistence.trusted import FUNCTIONS

_SCORES = ("f_classif", "f_regression", "chi2", "mutual_info_classif", "mutual_info_regression")
_SPLINE = "scipy.interpolate._bsplines.BSpline"
_OFFSET = re.compile(r"UTC([+-]\d\d:\d\d)?")


def written(part: Any) -> Any:
    """Return an object to write, which may be a changed copy.

    Raises
    ------
    ValueError
        If one of its attributes cannot be saved.
    """
    change = _CHANGED.get(_name(part))
    if change is None:
        return part
    part = copy.copy(part)
    change(part)
    return part


def check_read(part: Any) -> None:
    """Undo what :func:`written` changed, and check what compiled code relies on.

    Raises
    ------
    Exception
        Of any type, if something is inconsistent.
    """
    for name in vars(part):  # no attribute may hide a method
        if callable(getattr(type(part), name, None)):
            raise ValueError(f"the method {name!r:.40} of a {type(part).__name__} is replaced")
    _CHECKED.get(_name(part), _nothing)(part)


def _name(part: Any) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _nothing(part: Any) -> None:
    """Do nothing."""


# -------------------------------------------------------------------------- chosen columns


def _name_columns(part: Any) -> None:
    """Replace the column selectors of a ColumnTransformer by lists of columns."""
    if not hasattr(part, "transformers_"):
        return
    lists: dict[int, Any] = {}  # keeps the identity of shared objects

    def listed(columns: Any) -> Any:
        plain = columns.tolist() if hasattr(columns, "tolist") else columns
        return lists.setdefault(id(columns), plain)

    steps = zip(part.transformers, part._columns, strict=True)
    part.transformers = [(name, step, listed(columns)) for (name, step, _), columns in steps]
    part.transformers_ = [(*step, listed(columns)) for *step, columns in part.transformers_]
    part._columns = [*map(listed, part._columns)]


def _name_selected(part: Any) -> None:
    """Replace selectors of skrub by the selected columns."""
    for name in ("used_inputs_", "_columns", "columns_", "dropped_cols_"):
        if hasattr(part, name):
            part.cols = list(getattr(part, name))
            if hasattr(part, "exclude_cols"):
                part.exclude_cols = None
            return


# ------------------------------------------------------------------------------ categories


def _check_one_hot(part: Any) -> None:
    """Check that no row can set a column beyond those of the encoder."""
    if not hasattr(part, "categories_"):
        return
    features, dropped = len(part.categories_), part._drop_idx_after_grouping
    empty = [None] * features
    rare, places = empty, empty
    if part._infrequent_enabled:
        rare, places = part._infrequent_indices, part._default_to_infrequent_mappings
    dropped = empty if dropped is None else dropped
    per_column = zip(part.categories_, rare, places, dropped, strict=True)
    fine = part.n_features_in_ == features and type(part._n_features_outs) is list
    fine = fine and all(_fits(*column) for column in per_column)
    if not fine or part._n_features_outs != part._compute_n_features_outs():
        raise ValueError("the categories of a OneHotEncoder are inconsistent")


def _fits(levels: Any, rare: Any, places: Any, drop: Any) -> bool:
    """Whether each level of a column maps to one of its output columns."""
    count = len(levels)
    fine = _in_order(levels) and (rare is None) == (places is None)
    if fine and rare is not None:
        count -= len(rare) - 1
        fine = _within(rare, len(levels)) and _within(places, count)
        fine = fine and len(rare) > 0 and len(places) == len(levels)
    return fine and (drop is None or (type(drop) is int and 0 <= drop < count))


def _within(numbers: np.ndarray, stop: int) -> bool:
    fine = type(numbers) is np.ndarray and numbers.dtype.kind == "i" and numbers.ndim == 1
    return bool(fine and ((numbers >= 0) & (numbers < stop)).all())


def _in_order(levels: np.ndarray) -> bool:
    """Whether a binary search for any of these levels ends at one of them."""
    if type(levels) is not np.ndarray or levels.ndim != 1 or not len(levels):
        return False  # comparisons of a masked array skip values
    if levels.dtype.kind == "O":  # text is looked up in a dict instead
        numbers = [one for one in levels if type(one) in (int, float, bool) and one == one]
        return all(one < other for one, other in pairwise(numbers))
    if levels.dtype.kind == "f" and np.isnan(levels[-1]):
        levels = levels[:-1]
    return bool((levels[:-1] < levels[1:]).all())


def _check_words(part: Any) -> None:
    words = getattr(part, "vocabulary_", {})
    if type(words) is not dict or [*words.values()] != [*range(len(words))]:
        raise ValueError("a vocabulary in it has wrong numbers")


# --------------------------------------------------------------------------------- numbers


def _list_bins(part: Any) -> None:
    if hasattr(part, "bin_edges_"):
        part.bin_edges_ = list(part.bin_edges_)


def _join_bins(part: Any) -> None:
    if hasattr(part, "bin_edges_"):
        edges, part.bin_edges_ = part.bin_edges_, np.empty(len(part.bin_edges_), dtype=object)
        part.bin_edges_[:] = edges


def _check_splines(part: Any) -> None:
    if not hasattr(part, "bsplines_"):
        return
    kinds = {_name(spline) for spline in part.bsplines_}
    shapes = {spline.c.shape for spline in part.bsplines_}
    outputs = sum(spline.c.shape[1] - (not part.include_bias) for spline in part.bsplines_)
    if kinds != {_SPLINE} or len(shapes) != 1 or part.n_features_out_ != outputs:
        raise ValueError("the splines of a SplineTransformer are inconsistent")


def _to_spline(parts: Any) -> Any:
    """Make a spline with its constructor, which checks what compiled code relies on."""
    from scipy.interpolate import BSpline

    return BSpline(*parts)


# ------------------------------------------------------------------------------- functions


def _name_score(part: Any) -> None:
    from sklearn import feature_selection

    part.score_func = _name_of(part, "score_func", feature_selection, _SCORES)


def _find_score(part: Any) -> None:
    from sklearn import feature_selection

    part.score_func = _named(part.score_func, feature_selection, _SCORES)


def _name_functions(part: Any) -> None:
    for name in ("func", "inverse_func"):
        if getattr(part, name) is not None:
            setattr(part, name, _name_of(part, name, np, FUNCTIONS))


def _find_functions(part: Any) -> None:
    for name in ("func", "inverse_func"):
        if getattr(part, name) is not None:
            setattr(part, name, _named(getattr(part, name), np, FUNCTIONS))
            if getattr(part, "kw_args", None):  # could be an output array
                raise ValueError("a FunctionTransformer in it has kw_args")


def _name_of(part: Any, parameter: str, module: Any, names: Sequence[str]) -> str:
    """Return the name of a function from a list."""
    function = getattr(part, parameter)
    for name in names:
        if getattr(module, name) is function:
            return name
    raise ValueError(
        f"this model cannot be saved: it holds a {type(part).__name__} with "
        f"{parameter}={function!r:.60}. Use one of {module.__name__}'s: {', '.join(names)}."
    )


def _named(name: Any, module: Any, names: Sequence[str]) -> Callable[..., Any]:
    if name not in names:
        raise ValueError(f"a function in it is {name!r:.40}")
    return getattr(module, name)


# --------------------------------------------------------------------------------- answers


def _check_rejection(part: Any) -> None:
    """Check the parameters of a RejectingClassifier, as ``fit`` does."""
    if hasattr(part, "estimator_"):
        part._keep(part.estimator_)


# ----------------------------------------------------------------------------------- dates


def _check_dates(part: Any) -> None:
    if hasattr(part, "output_dtype_"):
        _check_zone(part.output_time_zone_)
        dtype = part.output_dtype_
        kind = "M" if _name(dtype) in STEP_FORMS else getattr(dtype, "kind", None)
        if kind != "M":
            raise ValueError(f"a ToDatetime has the dtype {dtype!r:.40}")


def _check_zone(zone: str | None) -> None:
    """Check the name of a time zone, because pandas would open any file of that name."""
    if zone is None or _OFFSET.fullmatch(zone) or zone in zoneinfo.available_timezones():
        return
    raise ValueError(f"a date in it has the time zone {zone!r:.40}")


def _from_pandas_dtype(dtype: Any) -> list[str]:
    return [dtype.unit, str(dtype.tz)]


def _to_pandas_dtype(parts: list[str]) -> Any:
    import pandas as pd

    _check_zone(parts[1])
    return pd.DatetimeTZDtype(*parts)


def _from_polars_dtype(dtype: Any) -> list[str | None]:
    return [getattr(dtype, "time_unit", None), getattr(dtype, "time_zone", None)]


def _to_polars_dtype(parts: list[Any]) -> Any:
    import polars as pl

    _check_zone(parts[1])
    return pl.Date() if parts[0] is None else pl.Datetime(*parts)


def _to_missing(_: Any) -> Any:
    import pandas as pd

    return pd.NA


# ------------------------------------------------------------------------------ boosting


def _from_boosting(model: Any) -> dict[str, Any]:
    from mixup_tab.persistence.boosting import to_plain  # not every model has trees

    return to_plain(model)


def _to_boosting(kind: str, plain: dict[str, Any]) -> Any:
    from mixup_tab.persistence.boosting import from_plain

    return from_plain(kind, plain)


# By name of the type, so that no package is imported without need.
_SELECTION = "sklearn.feature_selection._univariate_selection."
_CHANGED = {
    "sklearn.compose._column_transformer.ColumnTransformer": _name_columns,
    "sklearn.compose._target.TransformedTargetRegressor": _name_functions,
    "sklearn.preprocessing._discretization.KBinsDiscretizer": _list_bins,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _name_functions,
    f"{_SELECTION}SelectKBest": _name_score,
    f"{_SELECTION}SelectPercentile": _name_score,
    "skrub._apply_to_cols.ApplyToCols": _name_selected,
    "skrub._apply_to_each_col.ApplyToEachCol": _name_selected,
    "skrub._apply_to_sub_frame.ApplyToSubFrame": _name_selected,
    "skrub._select_cols.DropCols": _name_selected,
    "skrub._select_cols.SelectCols": _name_selected,
}
_CHECKED = {
    "mixup_tab.audio.rejection.RejectingClassifier": _check_rejection,
    "sklearn.compose._target.TransformedTargetRegressor": _find_functions,
    "sklearn.feature_extraction.text.CountVectorizer": _check_words,
    "sklearn.feature_extraction.text.TfidfVectorizer": _check_words,
    "sklearn.preprocessing._discretization.KBinsDiscretizer": _join_bins,
    "sklearn.preprocessing._encoders.OneHotEncoder": _check_one_hot,
    "sklearn.preprocessing._function_transformer.FunctionTransformer": _find_functions,
    "sklearn.preprocessing._polynomial.SplineTransformer": _check_splines,
    f"{_SELECTION}SelectKBest": _find_score,
    f"{_SELECTION}SelectPercentile": _find_score,
    "skrub._to_datetime.ToDatetime": _check_dates,
}
# Functions to and from plain forms, for objects that are not estimators or have more than
# attributes.
STEP_FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "builtins.slice": (lambda part: [part.start, part.stop, part.step], lambda p: slice(*p)),
    "pandas.DatetimeTZDtype": (_from_pandas_dtype, _to_pandas_dtype),
    "pandas.api.typing.NAType": (lambda missing: None, _to_missing),
    # Their names before pandas 3.
    "pandas.core.dtypes.dtypes.DatetimeTZDtype": (_from_pandas_dtype, _to_pandas_dtype),
    "pandas._libs.missing.NAType": (lambda missing: None, _to_missing),
    "polars.datatypes.classes.Date": (_from_polars_dtype, _to_polars_dtype),
    "polars.datatypes.classes.Datetime": (_from_polars_dtype, _to_polars_dtype),
    _SPLINE: (
        lambda spline: [spline.t, spline.c, spline.k, spline.extrapolate],
        _to_spline,
    ),
    **{
        f"sklearn.ensemble._hist_gradient_boosting.gradient_boosting.{kind}": (
            _from_boosting,
            partial(_to_boosting, kind),
        )
        for kind in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
    },
}
