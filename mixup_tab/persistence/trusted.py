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
    # Arrays without pickle, dtypes.
    "NdArrayNode": {"numpy.ndarray"},
    "DTypeNode": {"numpy.dtype"},
    # Types of keys, and the dtype of a text vectorizer.
    "TypeNode": {"builtins.str", "numpy.float64"},
}

_OURS = {
    "mixup_tab.persistence.pipelines.Stored",
    "mixup_tab.tables.encoder.TableEncoder",
    "mixup_tab.estimators.classifier.MixupClassifier",
    "mixup_tab.estimators.regressor.MixupRegressor",
    "mixup_tab.estimators.ensemble_classifier.MixupEnsembleClassifier",
    "mixup_tab.estimators.ensemble_regressor.MixupEnsembleRegressor",
    "mixup_tab.estimators.rescaled.RescaledClassifier",
    "mixup_tab.estimators.rescaled.RescaledRegressor",
    "mixup_tab.audio.transformers.AudioReader",
    "mixup_tab.audio.transformers.Spectrogram",
    # What holds one of our estimators, or finds the best.
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
    "sklearn.pipeline.Pipeline",
    # Missing numbers.
    "sklearn.impute._base.SimpleImputer",
    # Inside of skrub's encoder of text.
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
}

_SKRUB = {
    # Text.
    "skrub._string_encoder.StringEncoder",
    "skrub._to_str.ToStr",
}

TRUSTED: dict[str, set[str]] = {
    **_PLAIN,
    "ObjectNode": _OURS | _SKLEARN | _SKRUB,
}

# Attributes by which these types could run, open or start something, and the only values that
# they may have.
FIXED: dict[str, tuple[Any, ...]] = {
    "callbacks": (None,),
    "memory": (None,),  # joblib.Memory unpickles what it finds in a folder
    "n_jobs": (None,),  # starts processes
    "transform_input": (None,),
    "input": ("content",),  # "filename" opens what the table names
    "preprocessor": (None,),
    "tokenizer": (None,),
    "token_pattern": (r"(?u)\b\w\w+\b",),  # another one may take for ever
    "analyzer": ("char_wb", "char", "word"),
}
