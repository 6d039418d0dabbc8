"""All types and functions that a saved pipeline may hold, by name.

A file cannot cause anything else to be imported, made or called. A line is added only for what
fitted pipelines of this package really hold, and only if making it, setting its attributes and
predicting with it cannot unpickle, open, import or run anything of the file's choice; a test
checks that for each. The list of types that skops trusts is not used.
"""

from __future__ import annotations

from typing import Any

# Version of skops' format, whose kinds of nodes ("loaders") were reviewed for this list.
PROTOCOL = 2

# Functions of NumPy for a FunctionTransformer or a target; a file holds their names.
FUNCTIONS = ("log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "cbrt", "square", "abs")

_PLAIN = {
    # Values and containers. Keys of a dict are strings.
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "DictNode": {"builtins.dict"},
    # Arrays without pickle, dtypes.
    "NdArrayNode": {"numpy.ndarray"},
    "DTypeNode": {"numpy.dtype"},
    # Types of keys, and dtypes of encoders, vectorizers and selectors. Calling them returns a
    # number or text, or fails.
    "TypeNode": {"builtins.int", "builtins.object", "builtins.str"}
    | {"numpy.float32", "numpy.float64", "numpy.int32", "numpy.int64", "numpy.number"},
}

_OURS = {
    "mixup_tab.persistence.pipelines.Stored",
    "mixup_tab.tables.encoder.TableEncoder",
    "mixup_tab.estimators.classifier.MixupClassifier",
    "mixup_tab.estimators.regressor.MixupRegressor",
    "mixup_tab.sampling.sampler.VicinalSampler",
    "mixup_tab.estimators.ensemble_classifier.MixupEnsembleClassifier",
    "mixup_tab.estimators.ensemble_regressor.MixupEnsembleRegressor",
    "mixup_tab.estimators.rescaled.RescaledClassifier",
    "mixup_tab.estimators.rescaled.RescaledRegressor",
    "mixup_tab.audio.rejection.RejectingClassifier",
    "mixup_tab.audio.transformers.AudioReader",
    "mixup_tab.audio.transformers.Spectrogram",
    # Wrappers around our estimators, and cross-validators of searches.
    "sklearn.calibration.CalibratedClassifierCV",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.isotonic.IsotonicRegression",
    "sklearn.frozen._frozen.FrozenEstimator",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedGroupKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.model_selection._split.TimeSeriesSplit",
}

_SKLEARN = {
    "sklearn.compose._column_transformer.ColumnTransformer",
    # In unfitted pipelines inside a search.
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.compose._target.TransformedTargetRegressor",
    "sklearn.pipeline.FeatureUnion",
    "sklearn.pipeline.Pipeline",
    "imblearn.pipeline.Pipeline",
    # Also what "passthrough" becomes.
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
    # Missing numbers.
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.impute._knn.KNNImputer",
    # Numbers.
    "sklearn.preprocessing._data.Binarizer",
    "sklearn.preprocessing._data.MaxAbsScaler",
    "sklearn.preprocessing._data.MinMaxScaler",
    "sklearn.preprocessing._data.Normalizer",
    "sklearn.preprocessing._data.PowerTransformer",
    "sklearn.preprocessing._data.QuantileTransformer",
    "sklearn.preprocessing._data.RobustScaler",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._discretization.KBinsDiscretizer",
    "sklearn.preprocessing._polynomial.PolynomialFeatures",
    "sklearn.preprocessing._polynomial.SplineTransformer",
    "sklearn.decomposition._pca.PCA",
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.feature_selection._univariate_selection.SelectKBest",
    "sklearn.feature_selection._univariate_selection.SelectPercentile",
    "sklearn.feature_selection._variance_threshold.VarianceThreshold",
    # Categories.
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._target_encoder.TargetEncoder",
    # Text.
    "sklearn.feature_extraction.text.CountVectorizer",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
}

_SKRUB = {
    # Tables.
    "skrub._table_vectorizer.Cleaner",
    "skrub._table_vectorizer.PassThrough",
    "skrub._table_vectorizer.ShortReprDict",
    "skrub._table_vectorizer.TableVectorizer",
    "skrub._apply_to_cols.ApplyToCols",
    "skrub._apply_to_each_col.ApplyToEachCol",
    "skrub._apply_to_sub_frame.ApplyToSubFrame",
    "skrub._check_input.CheckInputDataFrame",
    "skrub._drop_uninformative.DropUninformative",
    "skrub._select_cols.DropCols",
    "skrub._select_cols.SelectCols",
    # Dates and durations.
    "skrub._datetime_encoder.DatetimeEncoder",
    "skrub._datetime_encoder._CircularEncoder",
    "skrub._datetime_encoder._SplineEncoder",
    "skrub._duration_to_float.DurationToFloat",
    "skrub._to_datetime.ToDatetime",
    # Numbers.
    "skrub._squashing_scaler.SquashingScaler",
    "skrub._squashing_scaler._MinMaxScaler",
    "skrub._to_float.ToFloat",
    # Categories and text.
    "skrub._clean_categories.CleanCategories",
    "skrub._clean_null_strings.CleanNullStrings",
    "skrub._string_encoder.StringEncoder",
    "skrub._to_categorical.ToCategorical",
    "skrub._to_str.ToStr",
}

TRUSTED: dict[str, set[str]] = {
    **_PLAIN,
    "ObjectNode": _OURS | _SKLEARN | _SKRUB,
}

# Attributes that could make these types run, open or start something, and their allowed values.
FIXED: dict[str, tuple[Any, ...]] = {
    "callbacks": (None,),
    "memory": (None,),  # joblib.Memory unpickles what it finds in a folder
    "n_jobs": (None,),  # starts processes
    "transform_input": (None,),
    "input": ("content",),  # "filename" opens files named in the table
    "encoding": ("utf-8",),  # other names make Python import a codec
    "func": (None, *FUNCTIONS),
    "inverse_func": (None, *FUNCTIONS),
    "metric": ("nan_euclidean",),
    "weights": ("uniform", "distance"),
    "verbose_feature_names_out": (True, False),  # a str is a format string, of any width
    "preprocessor": (None,),
    "tokenizer": (None,),
    "token_pattern": (r"(?u)\b\w\w+\b",),  # others may take for ever
    "analyzer": ("char_wb", "char", "word"),
}
