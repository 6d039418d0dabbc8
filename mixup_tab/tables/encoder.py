"""TableEncoder: from a raw table to numbers and categories."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.utils import Tags, check_array, check_consistent_length, check_random_state
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from mixup_tab._extras import import_extra
from mixup_tab.tables.columns import as_dtype, clean

# Text with at most 4 distinct values is a category; so is text with at most 10, if each has 50
# rows on average. With more levels, one-hot columns overfit and means of the target do not.
_FEW_LEVELS, _MOST_LEVELS, _ROWS_PER_LEVEL = 4, 10, 50
# Levels with fewer rows are merged; these may be at most this share of all rows.
_ROWS_OF_LEVEL, _MOST_RARE = 3, 0.2
# Maximum number of columns for a text, and rows needed for each.
_TEXT_COLUMNS, _ROWS_PER_TEXT_COLUMN = 30, 20
# Values with more words than this on average are text.
_WORDS = 3
# A target with more distinct numbers is a quantity; also the maximum number of class means.
_MOST_CLASSES = 20
# Means of the target are shrunk towards the overall mean, as if by 10 more rows, and computed
# out of fold (5 folds) for levels of fewer than 100 rows.
_SMOOTHING, _FOLDS, _COMMON = 10.0, 5, 100
# No column can hold "NA", which is a word for a missing value.
_RARE, _MISSING = "rare", "NA"
_EPOCH, _SECOND = pd.Timestamp("1970-01-01"), pd.Timedelta(seconds=1)


class TableEncoder(TransformerMixin, BaseEstimator):
    """Turn a raw table into columns of numbers and categories for a net or for boosting.

    The content of a column decides its encoding:

    - **Numbers** and booleans, also written as text, become float64. Missing and infinite
      values are replaced by the median; if training rows have missing values, a column
      ``<name>_missing`` marks them (one for all columns with gaps in the same rows).
    - **Dates and times**, also written as text, become seconds since 1970, month, weekday and
      hour (in UTC if they have a zone). Durations become seconds.
    - **Categories**, text with up to 4 distinct values ("levels"), or up to 10 with 50 rows
      each on average, become pandas' categories. Levels of fewer than 3 rows are merged into
      "rare"; "NA" is a level if at least 3 rows are missing. Other missing values and unknown
      levels are missing.
    - **Codes**, text with more levels, become the mean of the target in their level, minus the
      overall mean: one column per class (one for two classes).
    - **Text** with more than 3 words on average and mostly distinct values becomes up to 30
      numbers (``skrub.StringEncoder``).
    - Constant and empty columns are dropped, and so are IDs (codes that are all distinct).

    Text columns need skrub (extra ``tables``).

    Parameters
    ----------
    categories : {"category", "one-hot"}, default="category"
        Output of categories: columns of pandas' ``category`` dtype, which
        :class:`~mixup_tab.MixupClassifier` and scikit-learn's ``HistGradientBoosting``
        recognise; or a column of 0 and 1 for every level, for any estimator.
    impute : bool, default=True
        If False, missing numbers stay missing, for estimators that handle them.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds for codes and of the text encoder.

    Attributes
    ----------
    kinds_ : dict of str to str
        Kind of every column: "number", "date", "category", "codes", "text" or "dropped".
    levels_ : dict of str to dict of str to str
        For each column of categories, the level of each value in the training rows.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str
        Their names, if all are strings.

    Notes
    -----
    For training rows use ``fit_transform(X, y)``, as pipelines do, not
    ``fit(X, y).transform(X)``: it encodes codes of fewer than 100 rows out of fold (5 folds),
    so that they do not reveal their own targets. Without a target, codes are encoded as text.

    Examples
    --------
    >>> import pandas as pd
    >>> from mixup_tab import TableEncoder
    >>> table = pd.DataFrame({"size": [1.5, None, 3, 2] * 9, "color": ["red", "blue"] * 18})
    >>> TableEncoder().fit_transform(table).head(2)
       size  size_missing color
    0   1.5           0.0   red
    1   2.0           1.0  blue
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        "categories": [StrOptions({"category", "one-hot"})],
        "impute": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        categories: str = "category",
        *,
        impute: bool = True,
        random_state: Any = None,
    ) -> None:
        self.categories = categories
        self.impute = impute
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the encoding of every column.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_rows, n_columns)
            Training rows.
        y : array-like, shape (n_rows,) or (n_rows, n_targets), default=None
            Target, for codes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a column holds lists or similar objects, or if no column is informative.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        """Learn the encoding of every column, and encode the training rows.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_rows, n_columns)
            Training rows.
        y : array-like, shape (n_rows,) or (n_rows, n_targets), default=None
            Target, for codes.

        Returns
        -------
        DataFrame, shape (n_rows, n_columns_out)
            Columns of float64 and categories. Codes are encoded out of fold; see Notes.
        """
        self._validate_params()
        frame = self._as_frame(X, reset=True)
        if len(frame) < 2:
            raise ValueError("X has 1 sample (n_samples=1); at least 2 are needed.")
        table = clean(frame.loc[:, [not _is_plain(dtype) for dtype in frame.dtypes]])
        self._dtypes = table.dtypes
        self._formats = table.date_formats, table.number_formats
        typed = _with_numbers(frame, table.frame)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        targets = None if y is None else _targets(y)
        n_targets = 0 if targets is None else targets.shape[1]
        self.kinds_ = {name: _kind(column, n_targets) for name, column in typed.items()}
        codes = self._fit_codes(typed, targets, seed)
        text = self._fit_texts(typed, seed)
        self.levels_ = {name: _levels(typed[name]) for name in self._of_kind("category")}
        self._fit_numbers(typed)
        encoded = self._joined(typed, codes, text)
        if encoded.shape[1] == 0:
            raise ValueError(
                f"X has no informative column: all {frame.shape[1]} are empty, constant or "
                "IDs. Add columns."
            )
        if not encoded.columns.is_unique:
            twice = encoded.columns[encoded.columns.duplicated()][0]
            raise ValueError(f"Two encoded columns would be named {twice!r}. Rename one in X.")
        self._names_out = list(encoded)
        return encoded

    def transform(self, X: Any) -> pd.DataFrame:
        """Encode rows.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like, shape (n_rows, n_columns)
            Rows with the columns of the training rows.

        Returns
        -------
        DataFrame, shape (n_rows, n_columns_out)
            Columns of float64 and categories.

        Raises
        ------
        ValueError
            If a column is missing, or its values have another dtype than in training.
        """
        check_is_fitted(self)
        frame = self._as_frame(X, reset=False)
        dates, numbers = self._formats
        read = {
            name: as_dtype(frame[name], dtype, dates.get(name), numbers.get(name))
            for name, dtype in self._dtypes.items()
        }
        typed = _with_numbers(frame, pd.DataFrame(read, index=frame.index))
        codes = [_look_up(typed[name], *means) for name, means in self._means.items()]
        text = [encoder.transform(typed[name]) for name, encoder in self._texts.items()]
        return self._joined(typed, codes, text)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the encoded columns.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str, shape (n_columns_out,)
        """
        check_is_fitted(self)
        return np.asarray(self._names_out, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def _as_frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Return a table as a DataFrame whose column names are strings."""
        if hasattr(X, "tocsr"):
            raise TypeError("Sparse input is not supported. Pass X.toarray().")
        if not hasattr(X, "columns"):
            X = check_array(X, dtype=None, ensure_all_finite=False)
        validate_data(self, X, reset=reset, skip_check_array=True)
        frame = X.to_pandas() if hasattr(X, "to_pandas") else pd.DataFrame(X).infer_objects()
        if 0 in frame.shape:
            raise ValueError(f"X has no rows or no columns: its shape is {frame.shape}.")
        arrays = not hasattr(X, "columns")
        frame.columns = [f"x{name}" if arrays else str(name) for name in frame]
        return frame

    def _of_kind(self, kind: str) -> list[str]:
        return [name for name, found in self.kinds_.items() if found == kind]

    def _fit_codes(
        self, typed: pd.DataFrame, targets: pd.DataFrame | None, seed: int
    ) -> list[np.ndarray]:
        """Fit the means of all levels; return out-of-fold means of the rows."""
        self._means: dict[str, _Means] = {}
        encoded: list[np.ndarray] = []
        if targets is None:
            return encoded
        check_consistent_length(typed, targets)
        self._target_names = [str(target) for target in targets]
        splitter = KFold(min(_FOLDS, len(typed)), shuffle=True, random_state=seed)
        folds = list(splitter.split(typed))
        for name in self._of_kind("codes"):
            values = np.zeros(targets.shape)
            for others, rows in folds:
                means = _fit_means(typed[name].iloc[others], targets.iloc[others])
                values[rows] = _look_up(typed[name].iloc[rows], *means)
            if values.any():
                self._means[name] = _fit_means(typed[name], targets)
                # For a frequent level the means of the folds differ only by chance, but
                # opposite to the targets of their rows, and trees of an embedding find that.
                words = typed[name].fillna(_MISSING)
                common = words.map(words.value_counts()) >= _COMMON
                values[common] = _look_up(words[common], *self._means[name])
                encoded.append(values)
            else:  # no level occurs in two folds
                self.kinds_[name] = "dropped"
        return encoded

    def _fit_texts(self, typed: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
        self._texts, encoded = {}, []
        for name in self._of_kind("text"):
            columns = int(np.clip(len(typed) // _ROWS_PER_TEXT_COLUMN, 1, _TEXT_COLUMNS))
            encoder = import_extra("skrub", "tables").StringEncoder(columns, random_state=seed)
            with warnings.catch_warnings():  # with few distinct letters it makes fewer columns
                warnings.filterwarnings("ignore", "The matrix shape is", UserWarning)
                encoded.append(encoder.fit_transform(typed[name]))
            self._texts[name] = encoder
        return encoded

    def _numbers(self, typed: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of numbers, including the parts of dates."""
        dates = [_date_parts(typed[name]) for name in self._of_kind("date")]
        return pd.concat([typed[self._of_kind("number")], *dates], axis=1)

    def _fit_numbers(self, typed: pd.DataFrame) -> None:
        numbers = self._numbers(typed)
        missing = numbers.isna()
        varies, gaps = numbers.min() < numbers.max(), missing.any() & ~missing.all()
        self._kept = list(numbers.columns[varies if self.impute else varies | gaps])
        self._gaps = list(missing.loc[:, gaps].T.drop_duplicates().index)
        for name in self._of_kind("number"):
            if not varies[name] and not gaps[name]:
                self.kinds_[name] = "dropped"
        self._imputer = SimpleImputer(strategy="median").set_output(transform="default")
        if self._kept and self.impute:
            self._imputer.fit(numbers[self._kept].to_numpy())

    def _joined(
        self, typed: pd.DataFrame, codes: list[np.ndarray], texts: list[pd.DataFrame]
    ) -> pd.DataFrame:
        """Return the encoded table: numbers, dates, codes, text, categories."""
        numbers = self._numbers(typed)
        parts = [numbers[self._kept]]
        if self.impute:
            missing = numbers[self._gaps].isna().astype(np.float64).add_suffix("_missing")
            parts.append(missing)
            if self._kept:
                values = self._imputer.transform(parts[0].to_numpy())
                parts[0] = pd.DataFrame(values, numbers.index, self._kept)
        for name, values in zip(self._means, codes, strict=True):
            one = values.shape[1] == 1
            names = [name] if one else [f"{name}_{label}" for label in self._target_names]
            parts.append(pd.DataFrame(values, typed.index, names))
        for name, values in zip(self._texts, texts, strict=True):
            names = [f"{name}_{k:02d}" for k in range(values.shape[1])]
            parts.append(pd.DataFrame(values.to_numpy(np.float64), typed.index, names))
        levels = {name: _category(typed[name], known) for name, known in self.levels_.items()}
        categories = pd.DataFrame(levels, index=typed.index)
        if self.categories == "one-hot" and levels:
            categories = pd.get_dummies(categories, dtype=np.float64)
        return pd.concat([*parts, categories], axis=1)


def _is_plain(dtype: Any) -> bool:
    """Whether a column has a NumPy dtype of numbers or booleans."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _with_numbers(frame: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return all columns of a table: plain numbers, and the converted other columns."""
    plain = frame.drop(columns=list(others))
    if not all(map(_is_plain, plain.dtypes)):
        plain = pd.DataFrame({name: as_dtype(plain[name], "number") for name in plain})
    numbers = plain.astype(np.float64)
    others = others.apply(
        lambda column: column / _SECOND if types.is_timedelta64_dtype(column.dtype) else column
    )
    return pd.concat([numbers.where(np.isfinite(numbers)), others], axis=1)[list(frame)]


def _kind(column: pd.Series, n_targets: int) -> str:
    if types.is_numeric_dtype(column.dtype):
        return "number"
    counts, rows = column.value_counts(), len(column)
    if len(counts) + column.isna().any() < 2:
        return "dropped"
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    if column.str.split().str.len().mean() > _WORDS and len(counts) > rows / 2:
        return "text"
    common = counts[counts >= _ROWS_OF_LEVEL]
    if counts.sum() - common.sum() <= _MOST_RARE * rows:
        # Codes become one column per target.
        enough = _MOST_LEVELS if rows >= _ROWS_PER_LEVEL * len(common) else _FEW_LEVELS
        if len(common) <= max(enough, n_targets):
            return "category"
    return "codes" if n_targets else "text"


def _levels(column: pd.Series) -> dict[str, str]:
    """Return the level of every value of a column of categories."""
    counts = column.fillna(_MISSING).value_counts()
    levels = {value: value if n >= _ROWS_OF_LEVEL else _RARE for value, n in counts.items()}
    if levels.get(_MISSING) == _RARE:
        del levels[_MISSING]
    return dict(sorted(levels.items()))


def _category(column: pd.Series, levels: dict[str, str]) -> pd.Categorical:
    known = column.fillna(_MISSING).map(levels)
    return pd.Categorical(known, list(dict.fromkeys(levels.values())))


_Means = tuple[list[str], np.ndarray]


def _targets(y: Any) -> pd.DataFrame:
    """Return the target columns to average: numbers, or one per class."""
    targets = pd.DataFrame(np.asarray(y)).infer_objects()
    labels = targets[0]
    if all(map(types.is_numeric_dtype, targets.dtypes)):
        targets = targets.astype(np.float64)
        whole = targets.shape[1] == 1 and bool((targets[0] % 1 == 0).all())
        if not whole or labels.nunique() > _MOST_CLASSES:
            return targets
    classes = sorted(labels.value_counts().index[:_MOST_CLASSES], key=str)
    classes = classes[1:] if len(classes) == 2 else classes
    return pd.DataFrame({str(label): labels == label for label in classes}).astype(np.float64)


def _fit_means(words: pd.Series, targets: pd.DataFrame) -> _Means:
    """Return levels and their mean targets minus the overall mean; the last row is 0."""
    groups = (targets - targets.mean()).groupby(words.fillna(_MISSING).to_numpy())
    means = groups.sum().div(groups.size() + _SMOOTHING, axis=0)
    return list(means.index), np.vstack([means, np.zeros(len(means.columns))])


def _look_up(words: pd.Series, levels: list[str], means: np.ndarray) -> np.ndarray:
    """Return the means of the levels of rows, 0 for other levels."""
    return means[pd.Index(levels).get_indexer(words.fillna(_MISSING))]


def _date_parts(dates: pd.Series) -> pd.DataFrame:
    parts = {
        "seconds": (dates - _EPOCH) / _SECOND,
        "month": dates.dt.month,
        "weekday": dates.dt.day_of_week,
        "hour": dates.dt.hour,
    }
    return pd.DataFrame(parts).astype(np.float64).add_prefix(f"{dates.name}_")
