"""Every type and function that a saved pipeline may hold, by name.

Nothing else is imported, made or called because a file names it, whoever made the file. A line
is added only for what a fitted pipeline of this package really holds, and only if making it,
setting its attributes and predicting with it neither unpickle, open, import nor run anything
that the file decides; a test holds that for each. Names that skops would trust by itself count
for nothing here.
"""

from __future__ import annotations

from typing import Any

# Version of skops' format whose kinds of nodes ("loaders") were read through for the list.
PROTOCOL = 2

_PLAIN = {
    # Values and containers. Keys of a dict are strings.
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "DictNode": {"builtins.dict"},
    # Arrays without pickle, scalars of TruncatedSVD and its kind, dtypes.
    "NdArrayNode": {"numpy.ndarray", "numpy.float32", "numpy.float64"},
    "DTypeNode": {"numpy.dtype"},
    # Types of keys, and the dtype of a text vectorizer.
    "TypeNode": {"builtins.str", "numpy.float64"},
}

# By which skrub's TableVectorizer chooses columns. They look at a column and return a bool.
_FUNCTIONS = {
    "skrub._dataframe._common.is_any_date",
    "skrub._dataframe._common.is_categorical",
    "skrub._dataframe._common.is_numeric",
    "skrub._table_vectorizer._created_by_predicate",
    "skrub.selectors._selectors._cardinality_below",
}

_OURS = {
    "mixup_tab.estimators.classifier.MixupClassifier",
    "mixup_tab.estimators.regressor.MixupRegressor",
}

_SKLEARN = {
    "sklearn.pipeline.Pipeline",
    # Missing numbers.
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    # Text with few different values, and with many.
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
    # Inside of skrub's SquashingScaler and encoder of dates.
    "sklearn.preprocessing._data.RobustScaler",
    "sklearn.preprocessing._polynomial.SplineTransformer",
}

_SKRUB = {
    # tabular_pipeline and the steps of its TableVectorizer.
    "skrub._squashing_scaler.SquashingScaler",
    "skrub._squashing_scaler._MinMaxScaler",
    "skrub._table_vectorizer.TableVectorizer",
    "skrub._table_vectorizer.PassThrough",
    "skrub._table_vectorizer.ShortReprDict",
    "skrub._apply_to_each_col.ApplyToEachCol",
    "skrub._check_input.CheckInputDataFrame",
    "skrub._clean_categories.CleanCategories",
    "skrub._clean_null_strings.CleanNullStrings",
    "skrub._drop_uninformative.DropUninformative",
    "skrub._duration_to_float.DurationToFloat",
    "skrub._to_datetime.ToDatetime",
    "skrub._to_float.ToFloat",
    "skrub._to_str.ToStr",
    "skrub._datetime_encoder.DatetimeEncoder",
    "skrub._datetime_encoder._SplineEncoder",
    "skrub._string_encoder.StringEncoder",
    # Which columns a step is for.
    "skrub.selectors._base.All",
    "skrub.selectors._base.And",
    "skrub.selectors._base.Cols",
    "skrub.selectors._base.Filter",
    "skrub.selectors._base.Sub",
}

TRUSTED: dict[str, set[str]] = {
    **_PLAIN,
    "FunctionNode": _FUNCTIONS,
    "ObjectNode": _OURS | _SKLEARN | _SKRUB,
}

# Attributes by which these types could run, open or start something, and the only values that
# they may have.
FIXED: dict[str, tuple[Any, ...]] = {
    "callbacks": (None,),
    "module": (None,),
    "memory": (None,),  # joblib.Memory unpickles what it finds in a folder
    "n_jobs": (None,),  # starts processes
    "transform_input": (None,),
    "input": ("content",),  # "filename" opens what the table names
    "preprocessor": (None,),
    "tokenizer": (None,),
    "token_pattern": (r"(?u)\b\w\w+\b",),  # another one may take for ever
    "analyzer": ("char_wb", "char", "word"),
}
