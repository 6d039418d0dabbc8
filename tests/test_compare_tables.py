"""From a table to a task: typed columns, checks, folds, samples."""

import sys

import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.columns import Columns
from mixup_tab.compare.folds import check_folds, make_splits, sample_rows
from mixup_tab.compare.task import Task, prepare
from mixup_tab.tables.columns import as_dtype, clean, dtype_of

# -------------------------------------------------------------------------------- columns

DAYS = pd.date_range("2024-01-01", periods=4)
DTYPES = {
    "number": [[1, 2], [1.5, None], [True, False], [True, None], pd.array([1, None], "Int64")],
    "text": [["a", None], [None, None], [1, "a"], [1.5, "a"], pd.Categorical(["x", "y"])],
    "date": [DAYS, DAYS.date],
    "date with zone": [DAYS.tz_localize("UTC"), list(DAYS.tz_localize("Asia/Tokyo"))],
    "duration": [DAYS - DAYS[0]],
}


def test_every_column_gets_one_dtype_and_keeps_its_missing_values():
    for dtype, several in DTYPES.items():
        for values in several:
            column = pd.Series(values, name="c")
            if dtype != "number" and isinstance(values, list):
                column = column.astype(object)
            typed, dtypes, *_ = clean(column.to_frame())
            assert dtypes == {"c": dtype}, values
            assert dtype_of(typed["c"]) == dtype.removesuffix(" with zone")
            assert typed["c"].isna().tolist() == column.isna().tolist()


def test_text_is_cleaned_once_and_new_values_in_the_same_way():
    days = pd.date_range("2024-01-11", periods=4)
    frame = pd.DataFrame(
        {
            "half": ["1.5", "?", "n/a", "2"],
            "eu": days.strftime("%d/%m/%Y"),
            "zip": ["01", "02", "1a", "none"],
            "inf": [np.inf, 1.0, 2.0, 3.0],
        }
    )
    typed, dtypes, date_formats, *_ = clean(frame)
    assert dtypes == {"half": "number", "eu": "date", "zip": "text", "inf": "number"}
    assert date_formats == {"eu": "%d/%m/%Y"}
    assert typed["half"].fillna(-1).tolist() == [1.5, -1, -1, 2]
    assert typed["eu"].tolist() == days.tolist()
    assert typed["inf"].isna().tolist() == [True, False, False, False]
    for name in frame:
        new = as_dtype(frame[name][::-1], dtypes[name], date_formats.get(name))
        assert new.dropna().tolist() == typed[name][::-1].dropna().tolist() or name == "zip"
    # Alone it could be a day of May as well as one of January.
    assert as_dtype(pd.Series(["05/01/2024"]), "date", "%d/%m/%Y").dt.month.tolist() == [1]


@pytest.mark.parametrize("values", [[[1], [2]], [{"a": 1}, None], [b"x", b"y"]])
def test_values_that_are_no_single_value_are_refused(values):
    with pytest.raises(ValueError, match=r"column 'c d' .*--drop 'c d'"):
        clean(pd.DataFrame({"c d": values}))


def test_converting_to_a_dtype():
    assert as_dtype(pd.Series([1, 2]), "text").tolist() == ["1", "2"]
    assert as_dtype(pd.Series(["True", None, "False"]), "number").iloc[[0, 2]].tolist() == [
        1,
        0,
    ]
    for dtype in ("number", "date", "duration"):
        assert as_dtype(pd.Series([np.nan, np.nan]), dtype).isna().all()
    for values, dtype, why in [
        (["1", "x"], "number", "'?x'?"),
        (["1", "x"], "date", "'?x'?|format"),
        (["2024/01/05"], "date", "%d/%m/%Y"),
        (DAYS, "number", "type 'date'"),
        ([5.0], "date", "type 'number'"),
    ]:
        with pytest.raises(
            ValueError, match=f"'c' should hold values of type '{dtype}': .*{why}"
        ):
            as_dtype(pd.Series(values, name="c"), dtype, "%d/%m/%Y")


def test_without_skrub_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skrub", None)
    with pytest.raises(ImportError, match=r"needs skrub.*mixup-tab\[tables\]"):
        clean(pd.DataFrame({"t": ["1-2", "b"]}))


# ----------------------------------------------------------------------------------- task


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "color": rng.choice(["red", "green"], rows),
            "bought": rng.choice(["no", "yes"], rows),
            "price": rng.normal(size=rows),
            "level": rng.integers(0, 3, rows),
            "shop": rng.integers(0, 12, rows),
            "day": pd.date_range("2024-01-01", periods=rows)[rng.permutation(rows)].astype(str),
            "code": [f"c{number:03}" for number in rng.permutation(rows)],
        }
    )


def test_classes_are_codes_in_the_order_of_their_names():
    task = prepare(table(), Columns("bought", drop=("code",)))
    assert task.classes == ("no", "yes")
    assert task.y.tolist() == (table()["bought"] == "yes").astype(int).tolist()
    assert task.dtypes == dict.fromkeys(["size", "price", "level", "shop"], "number") | {
        "color": "text",
        "day": "date",
    }


def test_auto_tells_classes_from_quantities():
    for target, classes in {
        "level": ("0", "1", "2"),
        "price": (),
        "bought": ("no", "yes"),
    }.items():
        task = prepare(table(), Columns(target, drop=("code",)))
        assert task.classes == classes
        # Words cannot be a quantity, so there is nothing to say about them.
        assert any("--task" in note for note in task.notes) == (target != "bought")
    assert not prepare(table(), Columns("level", drop=("code",)), "regression").classes
    floats = table().assign(level=lambda f: f["level"].astype(float))
    assert prepare(floats, Columns("level")).classes == ("0.0", "1.0", "2.0")
    truth = table().assign(level=lambda f: f["level"] > 0)
    assert prepare(truth, Columns("level")).classes == ("False", "True")


def test_words_for_missing_values_are_classes_like_any_other():
    frame = table().assign(pain=np.where(table()["size"] > 0, "none", "some"))
    assert prepare(frame, Columns("pain")).classes == ("none", "some")


def test_rows_without_a_target_are_left_out_and_mentioned():
    frame = table()
    frame.loc[[3, 7], "bought"] = None
    task = prepare(frame, Columns("bought"))
    assert len(task.y) == len(task.X) == 58
    assert "Rows without a value of 'bought' left out: 2." in task.notes


def test_columns_with_another_purpose_are_no_features():
    task = prepare(table(), Columns("bought", id="code", drop=("price",), groups="shop"))
    assert list(task.X) == ["size", "color", "level", "day"]
    same = table()["shop"].to_numpy()[:, None] == table()["shop"].to_numpy()
    assert np.array_equal(task.groups[:, None] == task.groups, same)


def test_rows_are_ordered_by_time():
    # Written day first, they would be in another order as text.
    frame = table().assign(day=lambda f: pd.to_datetime(f["day"]).dt.strftime("%d.%m.%Y"))
    task = prepare(frame, Columns("price", time="day"))
    ordered = table().sort_values("day")
    assert np.array_equal(task.y, ordered["price"])
    assert np.array_equal(task.X["size"], ordered["size"])
    assert task.in_order


def test_row_numbers_are_pointed_at():
    frame = table().assign(customer_id=range(60))
    assert any("--id customer_id" in note for note in prepare(frame, Columns("bought")).notes)


def permuted(f):
    return np.random.default_rng(0).permutation(60) + 7


def drawn(f):
    return np.random.default_rng(0).choice(10**6, 60, replace=False)


def words_of(f):
    return f["level"].map({0: "low", 1: "mid", 2: "high"})


BOUGHT = Columns("bought")


@pytest.mark.parametrize(
    ("columns", "change", "message"),
    [
        (Columns("Bougth"), {}, "Did you mean 'bought'"),
        (Columns("BOUGHT"), {}, "Did you mean 'bought'"),
        (Columns("zzz"), {}, "Columns: size, color"),
        (Columns("bought", drop=("coolor",)), {}, "drop='coolor' is not a column"),
        (Columns("bought", id="bought"), {}, "also given as --id"),
        (Columns("bought", groups="shop", time="day"), {}, "cannot be combined"),
        (BOUGHT, {"bought": None}, "missing in every row"),
        (BOUGHT, {"bought": "no"}, "'no' in all 60 rows"),
        (Columns("code"), {}, "60 different values in 60 rows and looks like an ID"),
        (Columns("n"), {"n": permuted}, "looks like an ID"),
        (Columns("user_id"), {"user_id": drawn}, "looks like an ID"),
        (Columns("day"), {"day": lambda f: pd.to_datetime(f["day"])}, "type 'date'"),
        (
            Columns("price"),
            {"price": lambda f: f["price"].where(f.index > 0, np.inf)},
            "infinite",
        ),
        (
            Columns("price"),
            {"price": lambda f: f["price"] * 1e300},
            "too large to compute with",
        ),
        (
            Columns("price"),
            {"price": lambda f: f["price"] * 1e-200},
            "differences are too small",
        ),
        (
            Columns("price"),
            {"price": [str(2**60 + number) for number in range(0, 120, 2)]},
            "differences are too small",
        ),
        (BOUGHT, {"size": [[1]] * 60}, "column 'size' holds"),
        # The target again, in other words, in other units, upside down.
        (BOUGHT, {"a": lambda f: f["bought"]}, "'a' leaks the target 'bought'.*--drop a"),
        (Columns("level"), {"a": words_of}, "'a' leaks the target"),
        (Columns("price"), {"a": lambda f: 100 * f["price"] + 3}, "'a' leaks the target"),
        (Columns("price"), {"a": lambda f: -np.exp(f["price"])}, "'a' leaks the target"),
        (
            Columns("bought", time="day"),
            {"day": lambda f: f["day"].where(f.index != 4)},
            "1 rows do not",
        ),
        (Columns("bought", time="color"), {}, "time='color' must hold a number"),
        (
            Columns("bought", groups="shop"),
            {"shop": lambda f: f["shop"].where(f.index > 4)},
            "groups='shop' is missing in 5 rows",
        ),
    ],
)
def test_tables_that_are_refused(columns, change, message):
    with pytest.raises(ValueError, match=message):
        prepare(table().assign(**change), columns)


def test_tables_without_rows_or_features_or_with_a_name_twice_are_refused():
    frame = table()
    for wrong, message in [
        (frame.iloc[:0], "has 0 rows and 8 columns"),
        (frame[["bought"]], "no column is left"),
        (pd.concat([frame, frame[["size"]]], axis=1), "more than one column called 'size'"),
    ]:
        with pytest.raises(ValueError, match=message):
            prepare(wrong, BOUGHT)


def test_tasks_that_do_not_fit_the_target():
    with pytest.raises(ValueError, match=r"needs numbers\. Use --task classification"):
        prepare(table(), Columns("bought"), "regression")
    with pytest.raises(ValueError, match="task must be one of auto, classification"):
        prepare(table(), Columns("bought"), "ranking")


def test_columns_that_are_merely_related_to_the_target_are_kept():
    noise = np.random.default_rng(1).normal(size=60)
    frame = table().assign(close=lambda f: f["price"] + 0.01 * noise)
    assert "close" in prepare(frame, Columns("price")).X
    assert "code" in prepare(frame, Columns("price")).X  # another value in every row
    nearly = table().assign(again=lambda f: f["bought"].where(f.index != 5, "yes"))
    assert nearly["again"].ne(nearly["bought"]).sum() == 1
    assert "again" in prepare(nearly, Columns("bought")).X


@pytest.mark.parametrize("scale", ["{:.2f}", "{:.1f} %", "€ {:,.2f}"])
def test_a_target_in_such_a_form_is_a_quantity(scale):
    values = np.random.default_rng(5).normal(2_000, 900, 60)
    frame = table().assign(price=[scale.format(value) for value in values])
    if scale == "{:.2f}":
        frame["price"] = frame["price"].str.replace(".", ",")
    frame.loc[:2, "price"] = "NA", "?", None
    task = prepare(frame, Columns("price"))
    assert not task.is_classification
    assert "Rows without a value of 'price' left out: 3." in task.notes
    np.testing.assert_allclose(task.y, values[3:], atol=0.06)
    assert "price" not in task.number_formats


@pytest.mark.parametrize(("words", "classes"), [(["0", "1", "NA"], 3), (["0.5", "1", "NA"], 0)])
def test_words_for_missing_values_in_a_target_are_classes_but_no_quantities(words, classes):
    frame = table().assign(y=np.resize(np.array(words, object), 60))
    task = prepare(frame, Columns("y"))
    assert len(task.classes) == classes
    assert len(task.y) == (60 if classes else 40)
    assert len(prepare(frame, Columns("y"), "regression").y) == 40


def test_an_index_of_a_frame_is_mentioned():
    frame = table().set_index("code")
    assert any("index 'code'" in note for note in prepare(frame, Columns("bought")).notes)
    frame = table().assign(__index_level_0__=range(60))
    assert any("__index_level_0__" in n for n in prepare(frame, Columns("bought")).notes)


# ---------------------------------------------------------------------------------- folds

ROWS = 90


def small_task(*, classes=("no", "yes"), groups=False, in_order=False):
    rng = np.random.default_rng(0)
    y = rng.integers(0, len(classes), ROWS) if classes else rng.normal(size=ROWS)
    X = pd.DataFrame({"x": rng.normal(size=ROWS)})
    return Task(X, y, classes, np.arange(ROWS) // 6 if groups else None, in_order, Columns("y"))


@pytest.mark.parametrize("classes", [("no", "yes"), ()])
@pytest.mark.parametrize("groups", [False, True])
def test_every_row_is_tested_once_per_repeat(classes, groups):
    task = small_task(classes=classes, groups=groups)
    splits = make_splits(task, 5, 2, seed=3)
    assert [(split.repeat, split.fold) for split in splits] == [
        (repeat, fold) for repeat in range(2) for fold in range(5)
    ]
    for repeat in range(2):
        tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
        assert sorted(tested) == list(range(ROWS))
    for split in splits:
        assert sorted([*split.train, *split.test]) == list(range(ROWS))
        assert split.test_share == len(split.test) / ROWS
        if groups:
            assert not set(task.groups[split.train]) & set(task.groups[split.test])
        elif classes:
            assert abs(task.y[split.test].mean() - task.y.mean()) < 1.5 / len(split.test)
    assert not np.array_equal(splits[0].test, splits[5].test)
    again = make_splits(task, 5, 1, seed=4)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(again, splits[5:], strict=True))


def test_test_rows_come_after_training_rows_in_time():
    splits = make_splits(small_task(in_order=True), 4, 3, seed=0)
    assert len(splits) == 4
    for split in splits:
        assert split.train.max() < split.test.min()


def test_training_rows_of_one_class_or_group_are_refused():
    task = small_task(in_order=True)
    task.y[:40] = 1
    with pytest.raises(ValueError, match=r"fold 1 hold class 'yes' only\. Use fewer --folds"):
        make_splits(task, 5, 1, seed=0)
    task = small_task(groups=True)
    task.groups[:] = np.arange(ROWS) // 45
    with pytest.raises(ValueError, match="are a single group"):
        make_splits(task, 2, 1, seed=0)


def test_folds_that_the_table_is_too_small_for():
    frame = table()
    task = prepare(frame, Columns("bought", drop=("shop",)))
    check_folds(task, 5, 1)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        check_folds(task, 1, 1)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        check_folds(task, 5, 0)
    with pytest.raises(ValueError, match=r"has 60 rows .* needs at least 80"):
        check_folds(task, 20, 1)
    rare = frame.assign(bought=frame["bought"].where(frame.index > 1, "perhaps"))
    with pytest.raises(ValueError, match=r"fewer rows than folds=5: 'perhaps' \(2\)"):
        check_folds(prepare(rare, Columns("bought")), 5, 1)
    few = frame.assign(shop=frame["shop"] % 4)
    with pytest.raises(ValueError, match="groups='shop' has 4 different values"):
        check_folds(prepare(few, Columns("bought", groups="shop")), 5, 1)


def test_a_sample_keeps_the_shares_of_classes_and_a_row_per_fold():
    rows = 2_000
    frame = table(rows).assign(kind=["rare"] * 6 + ["often"] * 600 + ["most"] * (rows - 606))
    task = prepare(frame, Columns("kind"))
    sample = sample_rows(task, 200, 5, seed=0)
    counts = dict(zip(task.classes, np.bincount(sample.y), strict=True))
    assert counts == {"rare": 5, "often": 60, "most": 139}
    assert len(sample.X) == 204
    assert any("204 of the 2,000 rows" in note for note in sample.notes)
    rows = task.X["size"].tolist()
    assert all(
        task.y[rows.index(size)] == code
        for size, code in zip(sample.X["size"], sample.y, strict=True)
    )
    assert sample.X.equals(sample_rows(task, 200, 5, seed=0).X)
    assert not sample.X.equals(sample_rows(task, 200, 5, seed=1).X)


def test_a_sample_keeps_groups_whole_and_time_in_order():
    task = prepare(table(600), Columns("price", groups="shop"))
    sample = sample_rows(task, 300, 5, seed=0)
    assert 200 < len(sample.y) <= 300
    for group in np.unique(sample.groups):
        assert np.sum(sample.groups == group) == np.sum(task.groups == group)
    task = prepare(table(600), Columns("price", time="day"))
    sample = sample_rows(task, 300, 5, seed=0)
    place = [task.y.tolist().index(value) for value in sample.y]
    assert place == sorted(place)
    assert len(place) == 300


def test_small_tables_are_not_sampled():
    task = prepare(table(), Columns("price"))
    assert sample_rows(task, 60, 5, seed=0) is task
    with pytest.raises(ValueError, match="max_rows must be at least 20, got 3"):
        sample_rows(task, 3, 5, seed=0)
