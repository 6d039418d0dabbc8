"""Steps of pipelines in saved models: the same bits again, or one clear error."""

import copy
import datetime
import functools
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import skrub
from hostile import members, nodes
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn import model_selection
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, SelectPercentile, VarianceThreshold, chi2
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    MixupSearchCV,
    TableEncoder,
    VicinalSampler,
)
from mixup_tab.audio import AudioReader, RejectingClassifier, Spectrogram
from mixup_tab.estimators import RescaledClassifier, RescaledRegressor
from mixup_tab.persistence import load_model, save_model
from mixup_tab.persistence.pipelines import to_bytes
from mixup_tab.persistence.trusted import TRUSTED

ROWS = 60
RNG = np.random.default_rng(0)
Y = np.arange(ROWS) % 3
NUMBERS = pd.DataFrame(RNG.normal(size=(ROWS, 3)), columns=list("abc"))
GAPS = NUMBERS.mask(NUMBERS > 1)
WORDS = pd.DataFrame({"color": RNG.choice(["red", "green", "blue"], ROWS), "code": Y // 2})
MIXED = NUMBERS.assign(color=WORDS["color"])
TEXT = [f"lot {k} of {k % 5} and {k % 7}" for k in range(ROWS)]
DAYS = pd.date_range("2024-01-01", periods=ROWS, freq="7h")
TABLE = GAPS.assign(
    **WORDS,
    place=WORDS["color"].astype("category"),
    text=TEXT,
    day=DAYS,
    wait=DAYS - DAYS[0],
    written=DAYS.strftime("%d.%m.%Y"),
    nothing=None,
    whole=pd.array([None, *range(ROWS - 1)], dtype="Int64"),
)
NET = MixupClassifier(hidden_layer_sizes=(2,), max_epochs=1, random_state=0).fit(NUMBERS, Y)


def dates(column):
    return skrub.TableVectorizer(), pd.DataFrame({"day": column, "size": NUMBERS["a"]})


STEPS = {
    "StandardScaler": (StandardScaler(), NUMBERS),
    "MinMaxScaler": (MinMaxScaler(), NUMBERS),
    "MaxAbsScaler": (MaxAbsScaler(), NUMBERS),
    "RobustScaler": (RobustScaler(), NUMBERS),
    "Normalizer": (Normalizer(), NUMBERS),
    "Binarizer": (Binarizer(), NUMBERS),
    "QuantileTransformer": (
        QuantileTransformer(n_quantiles=50, output_distribution="normal"),
        GAPS,
    ),
    "PowerTransformer": (PowerTransformer(), GAPS),
    "Box and Cox": (PowerTransformer(method="box-cox"), NUMBERS.abs() + 1),
    "KBinsDiscretizer": (KBinsDiscretizer(3), NUMBERS),
    "bins as numbers": (KBinsDiscretizer(3, encode="ordinal", dtype=np.float32), NUMBERS),
    "PolynomialFeatures": (PolynomialFeatures(3), NUMBERS),
    "SplineTransformer": (SplineTransformer(), NUMBERS),
    "periodic splines": (
        SplineTransformer(extrapolation="periodic", include_bias=False, sparse_output=True),
        NUMBERS,
    ),
    "VarianceThreshold": (VarianceThreshold(0.9), NUMBERS),
    "SelectKBest": (SelectKBest(k=2), NUMBERS),
    "SelectPercentile": (SelectPercentile(chi2), NUMBERS.abs()),
    "PCA": (PCA(2, whiten=True), NUMBERS),
    "TruncatedSVD": (TruncatedSVD(2), NUMBERS),
    "SimpleImputer": (SimpleImputer(add_indicator=True), GAPS),
    "a constant": (SimpleImputer(strategy="constant", fill_value=0), GAPS),
    "gaps of pandas": (
        SimpleImputer(missing_values=pd.NA, strategy="most_frequent"),
        pd.DataFrame({"a": pd.Series(Y, dtype="Int64").mask(Y == 0)}),
    ),
    "KNNImputer": (KNNImputer(weights="distance"), GAPS),
    "MissingIndicator": (MissingIndicator(), GAPS),
    "OneHotEncoder": (OneHotEncoder(handle_unknown="ignore", drop="if_binary"), WORDS),
    "rare levels": (
        OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=21,
            sparse_output=False,
            dtype=np.int32,
        ),
        WORDS.assign(color=TEXT),
    ),
    "given levels": (OneHotEncoder(categories=[["red", "green", "blue"], [0, 1]]), WORDS),
    "levels with gaps": (OneHotEncoder(), WORDS.mask(GAPS.isna().to_numpy()[:, :2])),
    "OrdinalEncoder": (OrdinalEncoder(dtype=int), WORDS),
    "numbers with gaps": (OrdinalEncoder(), WORDS.mask(GAPS.isna().to_numpy()[:, :2])),
    "TargetEncoder": (TargetEncoder(cv=2), WORDS),
    "ColumnTransformer": (
        ColumnTransformer(
            [
                ("one", StandardScaler(), NUMBERS.columns[:2]),
                ("two", OneHotEncoder(), ["color"]),
            ],
            remainder="passthrough",
            n_jobs=1,
        ),
        MIXED,
    ),
    "columns by dtype": (
        make_column_transformer(
            (StandardScaler(), make_column_selector(dtype_include=np.number)),
            (OneHotEncoder(), lambda frame: ["color"]),
        ).set_output(transform="default"),
        MIXED,
    ),
    "columns by place": (
        ColumnTransformer(
            [("one", StandardScaler(), slice(0, 2)), ("no", "drop", [False, False, True])],
            remainder=MinMaxScaler(),
        ),
        NUMBERS,
    ),
    "a DataFrame comes out": (
        make_column_transformer((StandardScaler(), ["b"])).set_output(transform="pandas"),
        NUMBERS,
    ),
    "FeatureUnion": (make_union(StandardScaler(), "passthrough", PCA(1)), NUMBERS),
    "Pipeline": (make_pipeline(SimpleImputer(), "passthrough", StandardScaler()), GAPS),
    "FunctionTransformer": (FunctionTransformer(np.log1p, inverse_func=np.expm1), abs(NUMBERS)),
    "CountVectorizer": (CountVectorizer(stop_words="english"), TEXT),
    "TfidfVectorizer": (TfidfVectorizer(stop_words=["lot"], dtype=np.float32), TEXT),
    "TableVectorizer": (skrub.TableVectorizer(high_cardinality=skrub.StringEncoder(5)), TABLE),
    "table for trees": (skrub.tabular_pipeline("regressor")[:-1], TABLE),
    "table for nets": (skrub.tabular_pipeline(Ridge())[:-1], TABLE),
    "table of polars": (
        skrub.TableVectorizer(),
        pl.DataFrame({"a": NUMBERS["a"].to_list(), "color": TEXT, "at": DAYS.to_list()}),
    ),
    "days of polars": (
        skrub.TableVectorizer(),
        pl.DataFrame({"day": [day.date() for day in DAYS], "a": NUMBERS["a"].to_list()}),
    ),
    "Cleaner": (skrub.Cleaner(), TABLE),
    "ApplyToCols": (skrub.ApplyToCols(StandardScaler(), cols=["a"]), NUMBERS),
    "selected by dtype": (
        skrub.ApplyToCols(StandardScaler(), cols=skrub.selectors.numeric(), exclude_cols="a"),
        NUMBERS,
    ),
    "DatetimeEncoder": (
        skrub.ApplyToCols(skrub.DatetimeEncoder(periodic_encoding="circular"), cols=["day"]),
        TABLE[["day", "a"]],
    ),
    "SelectCols": (skrub.SelectCols(skrub.selectors.glob("[ab]")), NUMBERS),
    "DropCols": (skrub.DropCols("a"), NUMBERS),
    "SquashingScaler": (skrub.SquashingScaler(), GAPS.assign(d=1.0, e=Y == 1)),
    "days": dates([day.date() for day in DAYS]),
    "days in a zone": dates(DAYS.tz_localize("Europe/Berlin")),
    "days in an unnamed zone": dates(
        DAYS.tz_localize(datetime.timezone(datetime.timedelta(hours=-3, minutes=-30)))
    ),
}


@functools.cache
def fitted(name):
    """A pipeline of a fitted step and a net, which need not fit each other."""
    step, data = STEPS[name]
    return Pipeline([("step", step.fit(data, Y)), ("net", NET)])


def transformed(pipeline, data):
    """Return what a step makes of a table: values, dtypes and names."""
    found = pipeline[0].transform(data)
    if hasattr(found, "columns"):
        columns = ((name, found[name]) for name in found.columns)
        return [(str(name), str(one.dtype), one.to_numpy()) for name, one in columns]
    if scipy.sparse.issparse(found):
        found = found.toarray()
    return [("", str(found.dtype), found)]


@pytest.mark.parametrize("name", STEPS)
def test_a_loaded_step_gives_the_same_bits(name, tmp_path):
    pipeline, data = fitted(name), STEPS[name][1]
    expected, params = transformed(pipeline, data), pipeline[0].get_params(deep=False)
    save_model(pipeline, tmp_path / "m")
    again = load_model(tmp_path / "m")
    for (name, dtype, values), known in zip(transformed(again, data), expected, strict=True):
        assert (name, dtype) == known[:2]
        np.testing.assert_array_equal(values, known[2])
    # Saving leaves the pipeline as it was.
    assert all(value is params[key] for key, value in pipeline[0].get_params(False).items())
    assert again[0].get_params(deep=False).keys() == params.keys()


PIPELINES = {
    "a table of all kinds": (skrub.TableVectorizer(), SimpleImputer(), TABLE),
    "numbers and words": (
        make_column_transformer(
            (make_pipeline(SimpleImputer(), QuantileTransformer(n_quantiles=20)), ["a", "b"]),
            (OneHotEncoder(sparse_output=False), make_column_selector("color")),
        ),
        StandardScaler(),
        MIXED,
    ),
}


@pytest.mark.parametrize(("first", "second", "data"), PIPELINES.values(), ids=PIPELINES)
def test_a_loaded_pipeline_predicts_the_same_bits(first, second, data, tmp_path):
    net = MixupClassifier(hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
    pipeline = make_pipeline(first, second, net).fit(data, Y)
    save_model(pipeline, tmp_path / "m")
    expected = pipeline.predict_proba(data)
    assert np.array_equal(load_model(tmp_path / "m").predict_proba(data), expected)


def test_a_search_of_a_pipeline_that_chooses_columns_is_saved(tmp_path):
    search = searched()
    save_model(search, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert np.array_equal(again.predict_proba(MIXED), search.predict_proba(MIXED))
    assert again.estimator.fit(MIXED, Y).n_features_in_ == 4  # the pipeline that was given


def searched():
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(sparse_output=False), make_column_selector("color")),
    )
    net = MixupClassifier(hidden_layer_sizes=(2,), max_epochs=1, random_state=0)
    pipeline = Pipeline([("columns", columns), ("net", net)])
    return MixupSearchCV(pipeline, {"net__alpha": [0.3]}, cv=2).fit(MIXED, Y)


def resampled():
    net = MixupClassifier(hidden_layer_sizes=(2,), max_epochs=1, random_state=0)
    steps = StandardScaler(), VicinalSampler(random_state=0), net
    return make_resampling_pipeline(*steps).fit(NUMBERS, Y)


def test_a_pipeline_that_resamples_is_saved(tmp_path):
    pipeline = resampled()
    save_model(pipeline, tmp_path / "m")
    again = load_model(tmp_path / "m").predict_proba(NUMBERS)
    assert np.array_equal(again, pipeline.predict_proba(NUMBERS))


def of_logarithms():
    net = MixupRegressor(hidden_layer_sizes=(2,), max_epochs=1, random_state=0)
    model = TransformedTargetRegressor(net, func=np.log1p, inverse_func=np.expm1)
    return model.fit(NUMBERS, NUMBERS["a"] ** 2)


def test_a_net_of_logarithms_is_saved(tmp_path):
    model = of_logarithms()
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m").predict(NUMBERS)
    np.testing.assert_array_equal(again, model.predict(NUMBERS))


@pytest.mark.parametrize(
    ("step", "data", "message"),
    [
        (skrub.TableVectorizer(high_cardinality=skrub.GapEncoder(2)), TABLE, "GapEncoder"),
        (FunctionTransformer(lambda X: X), NUMBERS, "with func=.*numpy's: log, log1p"),
        (FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 1}), NUMBERS, "func="),
        (
            SelectKBest(lambda X, y: X[0], k=1),
            NUMBERS,
            "score_func=.*feature_selection's: f_cl",
        ),
        (TfidfVectorizer(tokenizer=str.split, token_pattern=None), TEXT, "method_descriptor"),
        (TfidfVectorizer(token_pattern="(a+)+$"), ["aa"] * ROWS, "token_pattern="),
        (CountVectorizer(encoding="latin-1"), TEXT, "encoding="),
        (KNNImputer(metric=lambda x, y, **_: 0.0), NUMBERS, "metric="),
    ],
)
def test_a_step_that_cannot_be_saved_is_named(step, data, message, tmp_path):
    pipeline = Pipeline([("step", step.fit(data, Y)), ("net", NET)])
    with pytest.raises(ValueError, match=f"this model cannot be saved: it holds .*{message}"):
        save_model(pipeline, tmp_path / "m")


# -------------------------------------------------------------- what compiled code relies on


def on(name, attribute, change, part=lambda step: step):
    """Return how an attribute of one of the steps becomes another one."""

    def broken():
        pipeline = copy.deepcopy(fitted(name))
        owner = part(pipeline[0])
        setattr(owner, attribute, change(getattr(owner, attribute)))
        return pipeline

    return broken


def to_datetime(step):
    return next(
        part
        for one in vars(step)["_preprocessors"]
        for part in getattr(one, "transformers_", {}).values()
        if type(part).__name__ == "ToDatetime"
    )


def last_of(arrays, change):
    return [*arrays[:-1], change(arrays[-1])]


def hidden(array, last):
    """Return a masked array whose last entry is another one, which comparisons pass over."""
    return np.ma.MaskedArray(np.r_[array[:-1], last], np.arange(len(array)) == len(array) - 1)


BROKEN = {
    "fewer columns than levels": on("OneHotEncoder", "_n_features_outs", lambda n: [1, 1]),
    "columns of one feature": on("OneHotEncoder", "_n_features_outs", lambda n: n[:1]),
    "more features": on("OneHotEncoder", "n_features_in_", lambda n: n + 1),
    "levels in no order": on(
        "given levels", "categories_", lambda c: last_of(c, lambda a: a[::-1].astype(float))
    ),
    "levels twice": on("OneHotEncoder", "categories_", lambda c: [c[0], c[1] * 0]),
    "numbers among levels": on(
        "OneHotEncoder", "categories_", lambda c: [np.array([3, 1, "x"], dtype=object), c[1]]
    ),
    "no levels": on("OneHotEncoder", "categories_", lambda c: [c[0], c[1][:0]]),
    "a dropped level that is not there": on(
        "OneHotEncoder", "_drop_idx_after_grouping", lambda d: np.array([7, 0], dtype=object)
    ),
    "a dropped level before the first": on(
        "OneHotEncoder",
        "_drop_idx_after_grouping",
        lambda d: np.array([None, -1], dtype=object),
    ),
    "a rare level that is not there": on(
        "rare levels", "_infrequent_indices", lambda r: [r[0] + 10**6, *r[1:]]
    ),
    "levels that become others": on(
        "rare levels",
        "_default_to_infrequent_mappings",
        lambda m: [m[0] + 10**6, *m[1:]],
    ),
    "levels whose places hide": on(
        "rare levels",
        "_default_to_infrequent_mappings",
        lambda m: [hidden(m[0], 10**6), *m[1:]],
    ),
    "levels that hide": on("given levels", "categories_", lambda c: [c[0], hidden(c[1], -1)]),
    "levels that become nothing": on(
        "rare levels", "_default_to_infrequent_mappings", lambda m: [None] * len(m)
    ),
    "bins of other levels": on(
        "KBinsDiscretizer", "_n_features_outs", lambda n: [1] * len(n), lambda s: s._encoder
    ),
    "knots in no order": on(
        "SplineTransformer", "t", lambda t: t[::-1], lambda s: s.bsplines_[0]
    ),
    "a degree that is too high": on(
        "SplineTransformer", "k", lambda k: 50, lambda s: s.bsplines_[0]
    ),
    "no coefficients": on("SplineTransformer", "c", lambda c: c[:2], lambda s: s.bsplines_[0]),
    "more outputs": on("SplineTransformer", "n_features_out_", lambda n: 10**9),
    "another dtype of dates": on("days", "output_dtype_", lambda d: "string", to_datetime),
    "a zone that is a file": on(
        "days", "output_time_zone_", lambda z: "dateutil//etc/passwd", to_datetime
    ),
    "a zone that is no text": on("days", "output_time_zone_", lambda z: 1, to_datetime),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_step_that_does_not_agree_with_itself_is_refused(broken, tmp_path):
    """Saving reads what it wrote, so that an error in reading is an error in saving."""
    with pytest.raises(ValueError, match=r"'m' cannot be loaded here \("):
        save_model(broken(), tmp_path / "m")


# ------------------------------------------------------------------------ the trusted types


def others():
    """Fitted models of all kinds that hold trusted types beside steps."""
    small = {"hidden_layer_sizes": (2,), "max_epochs": 1}
    packs = {"candidates": [small], "cv": 2}
    values = NUMBERS["a"]
    yield MixupEnsembleClassifier(**packs).fit(NUMBERS, Y)
    yield MixupEnsembleRegressor(**packs).fit(NUMBERS, values)
    yield RescaledClassifier(MixupClassifier(0.3, mixing="mixup", **small)).fit(NUMBERS, Y)
    regressor = MixupRegressor(0.3, mixing="mixup", **small)
    yield RescaledRegressor(regressor).fit(NUMBERS, values)
    yield RejectingClassifier.from_fitted(NET, unknown=9)
    for method in ("sigmoid", "isotonic", "temperature"):
        yield CalibratedClassifierCV(FrozenEstimator(NET), method=method).fit(NUMBERS, Y)
    search = MixupSearchCV(MixupClassifier(**small), {"alpha": [0.3]}, cv=2).fit(NUMBERS, Y)
    kinds = ("KFold", "ShuffleSplit", "StratifiedKFold", "StratifiedShuffleSplit")
    for kind in (*kinds, "GroupKFold", "StratifiedGroupKFold", "TimeSeriesSplit"):
        yield copy.copy(search).set_params(cv=getattr(model_selection, kind)())
    of_text = make_column_selector(dtype_include=object)
    yield make_pipeline(make_column_transformer((OneHotEncoder(), of_text)), NET)
    yield make_pipeline(TableEncoder().fit(TABLE, Y), AudioReader(), Spectrogram(), NET)


@pytest.mark.slow
def test_every_trusted_type_is_held_by_a_model():
    """A line of the list that nobody needs is a risk without a use."""
    held = {}
    for model in (*map(fitted, STEPS), resampled(), searched(), of_logarithms(), *others()):
        for node in nodes(json.loads(members(to_bytes(model)[0])["schema.json"])):
            name = f"{node['__module__']}.{node['__class__']}"
            held.setdefault(node["__loader__"], set()).add(name)
    assert held == TRUSTED
