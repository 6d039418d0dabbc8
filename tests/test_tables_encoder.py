"""TableEncoder: which column goes where, and what becomes of it."""

import warnings

import numpy as np
import pandas as pd
import polars
import pytest
import skrub
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV, TableEncoder

ROWS = 400
rng = np.random.default_rng(0)
CODES = [f"c{k}" for k in rng.integers(0, 120, ROWS)]
TARGETS = {
    "binary": rng.choice(["no", "yes"], ROWS),
    "multiclass": rng.choice(["a", "b", "c"], ROWS),
    "continuous": rng.normal(size=ROWS),
}
WORDS = [f"lot {k} of the {'red' if k % 3 else 'blue'} box" for k in range(ROWS)]


@parametrize_with_checks([TableEncoder()])
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


def encoded(column, y=None, new=None, **params):
    """Encode one column, and perhaps new rows of it."""
    encoder = TableEncoder(random_state=0, **params)
    beside = pd.DataFrame({"x": column, "beside": np.arange(len(column))})
    trained = encoder.fit_transform(beside, y).drop(columns="beside")
    if new is None:
        return trained
    rows = pd.DataFrame({"x": new, "beside": 0})
    return encoder.transform(rows).drop(columns="beside")


# -------------------------------------------------------------------------------- numbers


def test_numbers_keep_every_digit_and_missing_ones_become_the_median():
    column = pd.Series([2**52 + 1, 1e-300, np.nan, 2**52 + 3, np.inf])
    result = encoded(column)
    assert result["x"].tolist() == [2**52 + 1, 1e-300, 2**52 + 1, 2**52 + 3, 2**52 + 1]
    assert result["x_missing"].tolist() == [0, 0, 1, 0, 1]
    assert encoded([1.0, 2.0, 4.0], new=[None, 3.0])["x"].tolist() == [2, 3]
    assert list(encoded([1.0, 2.0, 4.0], new=[None, 3.0])) == ["x"]
    assert np.isnan(encoded(column, impute=False)["x"]).tolist() == [0, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "column",
    [
        [True, False, True],
        [True, None, False],
        pd.array([1, None, 0], "Int64"),
        pd.array([True, None, False], "boolean"),
        ["1", None, "0"],
        ["1,0 €", "", "0,0 €"],
        np.array([1, 0, 1], "uint8"),
    ],
)
def test_whatever_holds_numbers_is_numbers(column):
    result = encoded(column)
    assert (result.dtypes == np.float64).all()
    assert result["x"].iloc[0] == 1


# ---------------------------------------------------------------------------------- dates

STAMPS = pd.date_range("2023-01-03 07:05", periods=60, freq="37h")
FORMATS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M"]
FORMATS += ["%m/%d/%Y %I:%M %p", "%d %b %Y %H:%M", "%b %d, %Y %I:%M %p", "%m/%d/%y %H:%M"]
FORMATS += ["%d/%b/%Y:%H:%M:%S +0000", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S"]


@pytest.mark.parametrize("form", [None, *FORMATS])
def test_dates_become_their_parts_however_they_are_written(form):
    column = STAMPS if form is None else STAMPS.strftime(form)
    result = encoded(column, new=column[::7])
    stamps = STAMPS[::7]
    assert list(result) == ["x_seconds", "x_month", "x_weekday", "x_hour"]
    np.testing.assert_array_equal(result["x_seconds"], stamps.astype("int64") // 10**6)
    np.testing.assert_array_equal(result["x_month"], stamps.month)
    np.testing.assert_array_equal(result["x_weekday"], stamps.day_of_week)
    np.testing.assert_array_equal(result["x_hour"], stamps.hour)


def test_dates_with_gaps_zones_and_parts_that_are_all_alike():
    berlin = pd.date_range("2024-06-03", periods=9, freq="11h", tz="Europe/Berlin")
    result = encoded(berlin.where(np.arange(9) != 4))
    assert list(result) == ["x_seconds", "x_weekday", "x_hour", "x_seconds_missing"]
    assert result["x_seconds"].iloc[0] == pd.Timestamp("2024-06-02 22:00").timestamp()
    assert encoded(pd.to_timedelta([1, 2, None], "h"))["x"].tolist() == [3600, 7200, 5400]
    assert list(encoded(["07:30", "18:45"] * 5)) == ["x_seconds", "x_hour"]


# ----------------------------------------------------------------------------- categories


def test_few_levels_are_a_category():
    column = ["red"] * 40 + ["blue"] * 40 + [None] * 4 + ["lime"] + ["teal"] * 2
    result = encoded(column, new=["red", "teal", None, "new"])["x"]
    assert list(result.cat.categories) == ["NA", "blue", "rare", "red"]
    assert result.tolist()[:3] == ["red", "rare", "NA"]
    assert result.isna().tolist() == [False, False, False, True]
    hot = encoded(column, categories="one-hot", new=["red", "new"])
    assert list(hot) == ["x_NA", "x_blue", "x_rare", "x_red"]
    assert hot.to_numpy().tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]


def test_a_few_missing_categories_are_missing():
    result = encoded([None, *["red", "blue"] * 20])["x"]
    assert list(result.cat.categories) == ["blue", "red"]
    assert result.isna().sum() == 1


def test_categories_of_pandas_stay_categories_even_where_they_are_numbers():
    column = pd.Categorical([1, 2, 3] * 30)
    assert list(encoded(column)["x"].cat.categories) == ["1", "2", "3"]


# ---------------------------------------------------------------------------------- codes


def others(kind):
    """Return what scikit-learn makes of codes, less the mean of all rows."""
    y = TARGETS[kind]
    encoder = TargetEncoder(smooth=10.0, target_type=kind)
    codes = np.array(CODES, dtype=object)[:, np.newaxis]
    return encoder.fit(codes, y).transform(codes) - encoder.target_mean_


@pytest.mark.parametrize("kind", TARGETS)
def test_codes_are_means_of_the_target(kind):
    result = encoded(CODES, TARGETS[kind], new=CODES)
    np.testing.assert_allclose(result, others(kind), atol=1e-12)
    names = {"multiclass": ["x_a", "x_b", "x_c"]}.get(kind, ["x"])
    assert list(result) == names
    assert (encoded(CODES, TARGETS[kind], new=["new", None]) == 0).all(axis=None)


def test_codes_of_training_rows_are_means_of_the_other_folds():
    y = TARGETS["continuous"]
    seed = np.random.RandomState(0).randint(2**31 - 1)
    codes, expected = np.array(CODES, dtype=object)[:, None], np.zeros(ROWS)
    for train, test in KFold(5, shuffle=True, random_state=seed).split(codes):
        fold = TargetEncoder(smooth=10.0, target_type="continuous").fit(codes[train], y[train])
        expected[test] = fold.transform(codes[test])[:, 0] - fold.target_mean_
    np.testing.assert_allclose(encoded(CODES, y)["x"], expected, atol=1e-12)
    leak = encoded(CODES, y, new=CODES)["x"]
    assert np.corrcoef(leak, y)[0, 1] > 0.4
    assert abs(np.corrcoef(expected, y)[0, 1]) < 0.15


def test_common_codes_are_the_same_in_training_rows_and_others():
    column = pd.Series(["a", "b", "c", "d", "e"] * 120 + CODES)
    y = rng.normal(size=1000)
    train, new = encoded(column, y)["x"], encoded(column, y, new=column)["x"]
    assert np.array_equal(train[:600], new[:600])
    assert not np.array_equal(train[600:], new[600:])


@pytest.mark.parametrize(
    ("y", "columns"),
    [
        (rng.integers(0, 4, ROWS), 4),
        (rng.integers(0, 400, ROWS), 1),  # many numbers are a quantity
        (rng.normal(size=(ROWS, 2)), 2),
        (rng.integers(0, 2, ROWS).astype(float), 1),
        ([f"class {k % 50}" for k in range(ROWS)], 20),
    ],
)
def test_any_target(y, columns):
    assert encoded(CODES, y).shape == (ROWS, columns)


# ----------------------------------------------------------------------------------- text


def test_text_is_encoded_by_skrub():
    seed = np.random.RandomState(0).randint(2**31 - 1)
    encoder = skrub.StringEncoder(20, random_state=seed)
    expected = encoder.fit_transform(pd.Series(WORDS, name="x"))
    np.testing.assert_allclose(encoded(WORDS, TARGETS["binary"]), expected, rtol=1e-5)
    few = encoded(["a b c d e", "a b c d f", "a c b d"] + [None] * 2)
    assert few.shape == (5, 1)


def test_codes_without_a_target_are_text():
    assert list(encoded(CODES))[:2] == ["x_00", "x_01"]


# ---------------------------------------------------------------------------- whole tables


@pytest.mark.parametrize(
    "useless", [7, np.nan, None, "same", pd.NaT, [f"id-{k}" for k in range(ROWS)]]
)
def test_columns_that_tell_nothing_are_dropped(useless):
    table = pd.DataFrame({"size": rng.normal(size=ROWS)}).assign(useless=useless)
    encoder = TableEncoder().fit(table, TARGETS["binary"])
    assert encoder.kinds_ == {"size": "number", "useless": "dropped"}
    assert list(encoder.get_feature_names_out()) == list(encoder.transform(table)) == ["size"]


def mixed():
    return pd.DataFrame(
        {
            "size": np.where(np.arange(ROWS) % 9, np.arange(ROWS) / 7, np.nan),
            "color": np.array(["red", "blue", None], dtype=object)[np.arange(ROWS) % 3],
            "code": CODES,
            "about": WORDS,
            "day": pd.date_range("2024-01-01", periods=ROWS),
            "paid": np.arange(ROWS) % 4 == 0,
        },
        index=pd.RangeIndex(5, ROWS + 5),
    )


def test_the_seed_alone_decides():
    y, results = TARGETS["binary"], []
    for noise in (1, 2):
        np.random.seed(noise)  # noqa: NPY002
        encoder = TableEncoder(random_state=3)
        results.append([encoder.fit_transform(mixed(), y), encoder.transform(mixed())])
    for one, again in zip(*results, strict=True):
        pd.testing.assert_frame_equal(one, again)
    assert one.index.equals(mixed().index)
    other = TableEncoder(random_state=4).fit_transform(mixed(), y)
    assert not other["code"].equals(results[0][0]["code"])


def test_polars_and_arrays_give_the_same_as_pandas():
    y = TARGETS["binary"]
    expected = TableEncoder(random_state=0).fit_transform(mixed(), y).reset_index(drop=True)
    table = TableEncoder(random_state=0).fit_transform(polars.from_pandas(mixed()), y)
    pd.testing.assert_frame_equal(table, expected)
    array = TableEncoder(random_state=0).fit(mixed().astype(object).to_numpy(), y)
    assert list(array.kinds_.values()) == [
        *("number", "category", "codes", "text", "date", "number")
    ]
    rows = array.transform(mixed().astype(object).to_numpy())
    assert list(rows)[:2] == ["x0", "x5"]
    np.testing.assert_array_equal(rows["x3_00"].shape, ROWS)


def test_boosting_finds_the_categories():
    y = np.where(mixed()["color"].eq("red"), "yes", "no")
    model = make_pipeline(
        TableEncoder(random_state=0), HistGradientBoostingClassifier(max_iter=5)
    )
    assert model.fit(mixed(), y).score(mixed(), y) == 1
    assert model[-1].is_categorical_.sum() == 1


def test_rows_are_encoded_alone_as_together():
    encoder = TableEncoder(random_state=0).fit(mixed(), TARGETS["multiclass"])
    together = encoder.transform(mixed().head(4))
    alone = [encoder.transform(mixed().iloc[[k]]) for k in range(4)]
    pd.testing.assert_frame_equal(together, pd.concat(alone), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="size"), "size"),
        (lambda t: t.assign(size="abc"), r"column 'size' .*'number'.*\"?abc.* Correct these"),
        (lambda t: t.assign(day="someday"), "column 'day' .*'date'.*someday"),
        (lambda t: t.assign(size=[[1]] * len(t)), "column 'size' .*numbers"),
        (lambda t: t.head(0), "X has no rows"),
    ],
)
def test_rows_that_do_not_fit(change, message):
    encoder = TableEncoder(random_state=0).fit(mixed(), TARGETS["binary"])
    with pytest.raises(ValueError, match=message):
        encoder.transform(change(mixed()))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (pd.DataFrame({"a": [[1], [2]]}), "column 'a' holds mixed values"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "(?s)unique column names.*'a' 2"),
        (pd.DataFrame({"a": [1, 1], "b": ["x", "x"]}), "no informative column: all 2"),
        (pd.DataFrame({"a": [1, 2, None], "a_missing": [1, 2, 3]}), "named 'a_missing'"),
        (pd.DataFrame({"a": [1.0]}), "at least 2"),
        (pd.DataFrame(index=[1, 2]), "no columns"),
    ],
)
def test_tables_that_cannot_be_encoded(X, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(X)


def test_what_is_ordinary_warns_of_nothing():
    encoder = TableEncoder(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.fit_transform(mixed(), ["one", *["two"] * (ROWS - 1)])
        encoder.transform(mixed().assign(color="new", code=None, size=None))


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_a_net_behind_it_is_validated_searched_and_cloned(kind):
    X, size = mixed(), np.nan_to_num(mixed()["size"])
    y = size if kind is MixupRegressor else np.where(size > 30, "large", "small")
    net = kind(n_estimators=1, max_epochs=2, hidden_layer_sizes=(8,), random_state=0)
    search = MixupSearchCV(
        make_pipeline(TableEncoder(random_state=0), net),
        {f"{kind.__name__.lower()}__alpha": [0.0, 0.3]},
        cv=2,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    encoder, last = TableEncoder(random_state=0), clone(search.best_estimator_[-1])
    last.fit(encoder.fit_transform(X, y), y)
    assert last.is_categorical_.sum() == 1
    np.testing.assert_array_equal(last.predict(encoder.transform(X)), search.predict(X))
