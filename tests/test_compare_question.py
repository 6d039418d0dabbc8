import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.question import Roles, ask
from mixup_tab.compare.refusals import check_folds
from mixup_tab.compare.sample import sample_rows


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
    question = ask(table(), Roles("bought", drop=("code", "day")))
    assert question.classes == ("no", "yes")
    assert question.y.tolist() == (table()["bought"] == "yes").astype(int).tolist()
    assert question.kinds == dict.fromkeys(["size", "price", "level", "shop"], "number") | {
        "color": "text"
    }


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        ("level", ("0", "1", "2")),
        ("price", ()),
        ("bought", ("no", "yes")),
    ],
)
def test_auto_tells_classes_from_quantities(target, classes):
    question = ask(table(), Roles(target, drop=("code",)))
    assert question.classes == classes
    # Words cannot be a quantity, so there is nothing to say about them.
    assert any("--task" in note for note in question.notes) == (target != "bought")
    assert not ask(table(), Roles("level", drop=("code",)), "regression").classes


def test_whole_numbers_stored_as_floats_are_named_like_whole_numbers():
    frame = table().assign(level=lambda f: f["level"].astype(float))
    assert ask(frame, Roles("level")).classes == ("0", "1", "2")
    truth = table().assign(level=lambda f: f["level"] > 0)
    assert ask(truth, Roles("level")).classes == ("0", "1")


def test_rows_without_a_target_are_left_out_and_said():
    frame = table()
    frame.loc[[3, 7], "bought"] = None
    question = ask(frame, Roles("bought"))
    assert len(question.y) == len(question.X) == 58
    assert "2 rows without a value of 'bought' left out." in question.notes


def test_columns_with_a_role_are_no_features():
    roles = Roles("bought", id="code", drop=("price",), groups="shop")
    question = ask(table(), roles)
    assert list(question.X) == ["size", "color", "level", "day"]
    same = table()["shop"].to_numpy()[:, None] == table()["shop"].to_numpy()
    assert np.array_equal(question.groups[:, None] == question.groups, same)


def test_rows_are_ordered_by_time():
    frame = table()
    question = ask(frame, Roles("price", time="day"))
    ordered = frame.sort_values("day")
    assert np.array_equal(question.y, ordered["price"])
    assert np.array_equal(question.X["size"], ordered["size"])
    assert question.in_order


def test_row_numbers_are_pointed_at():
    frame = table().assign(customer_id=range(60))
    assert any("--id customer_id" in note for note in ask(frame, Roles("bought")).notes)


REFUSED = {
    "no such column": (lambda f: f, Roles("Bougth"), "Did you mean 'bought'"),
    "other case": (lambda f: f.rename(columns=str.upper), Roles("bought"), "'BOUGHT'"),
    "nothing close": (lambda f: f, Roles("zzz"), "There are: size, color"),
    "drop": (lambda f: f, Roles("bought", drop=("coolor",)), "drop='coolor' is no column"),
    "two roles": (lambda f: f, Roles("bought", id="bought"), "also given as --id"),
    "groups and time": (
        lambda f: f,
        Roles("bought", groups="shop", time="day"),
        "cannot both shape the folds",
    ),
    "no rows": (lambda f: f.iloc[:0], Roles("bought"), "has 0 rows and 8 columns"),
    "target only": (lambda f: f[["bought"]], Roles("bought"), "no column is left"),
    "same name twice": (
        lambda f: pd.concat([f, f[["size"]]], axis=1),
        Roles("bought"),
        "more than one column called 'size'",
    ),
    "all missing": (lambda f: f.assign(bought=None), Roles("bought"), "missing in every row"),
    "constant": (lambda f: f.assign(bought="no"), Roles("bought"), "'no' in all 60 rows"),
    "codes": (lambda f: f, Roles("code"), "60 different values in 60 rows and looks like a n"),
    "numbers of rows": (
        lambda f: f.assign(n=np.random.default_rng(0).permutation(60) + 7),
        Roles("n"),
        "looks like a name of the row",
    ),
    "named like an ID": (
        lambda f: f.assign(user_id=np.random.default_rng(0).choice(10**6, 60, replace=False)),
        Roles("user_id"),
        "looks like a name of the row",
    ),
    "dates": (lambda f: f.assign(day=pd.to_datetime(f["day"])), Roles("day"), "kind 'date'"),
    "infinite": (
        lambda f: f.assign(price=f["price"].where(f.index != 4, np.inf)),
        Roles("price"),
        "infinite",
    ),
    "lists": (lambda f: f.assign(size=[[1]] * 60), Roles("bought"), "column 'size' holds"),
    "the target again": (
        lambda f: f.assign(again=f["bought"]),
        Roles("bought"),
        "column 'again' tells the target 'bought' exactly.*--drop again",
    ),
    "in other words": (
        lambda f: f.assign(word=f["level"].map({0: "low", 1: "mid", 2: "high"})),
        Roles("level"),
        "column 'word' tells the target",
    ),
    "in other units": (
        lambda f: f.assign(cents=100 * f["price"] + 3),
        Roles("price"),
        "column 'cents' tells the target",
    ),
    "upside down": (
        lambda f: f.assign(discount=-np.exp(f["price"])),
        Roles("price"),
        "column 'discount' tells the target",
    ),
    "times missing": (
        lambda f: f.assign(day=f["day"].where(f.index != 4)),
        Roles("bought", time="day"),
        "1 rows do not",
    ),
    "no times": (lambda f: f, Roles("bought", time="color"), "time='color' must hold a number"),
    "groups missing": (
        lambda f: f.assign(shop=f["shop"].where(f.index > 4)),
        Roles("bought", groups="shop"),
        "groups='shop' is missing in 5 rows",
    ),
}


@pytest.mark.parametrize(("change", "roles", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(change, roles, message):
    with pytest.raises(ValueError, match=message):
        ask(change(table()), roles)


def test_tasks_that_do_not_fit_the_target():
    with pytest.raises(ValueError, match=r"needs numbers\. Use --task classification"):
        ask(table(), Roles("bought"), "regression")
    with pytest.raises(ValueError, match="task must be one of auto, classification"):
        ask(table(), Roles("bought"), "ranking")


def test_what_is_merely_related_to_the_target_is_not_refused():
    noise = np.random.default_rng(1).normal(size=60)
    frame = table().assign(close=lambda f: f["price"] + 0.01 * noise)
    assert "close" in ask(frame, Roles("price")).X
    assert "code" in ask(frame, Roles("price")).X  # another value in every row says nothing
    nearly = table().assign(again=lambda f: f["bought"].where(f.index != 5, "yes"))
    assert nearly["again"].ne(nearly["bought"]).sum() == 1
    assert "again" in ask(nearly, Roles("bought")).X


def test_folds_that_the_table_is_too_small_for():
    frame = table()
    question = ask(frame, Roles("bought", drop=("shop",)))
    check_folds(question, 5, 1)
    with pytest.raises(ValueError, match="folds must be at least 2, got 1"):
        check_folds(question, 1, 1)
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        check_folds(question, 5, 0)
    with pytest.raises(ValueError, match=r"has 60 rows .* needs at least 80"):
        check_folds(question, 20, 1)
    rare = frame.assign(bought=frame["bought"].where(frame.index > 1, "perhaps"))
    with pytest.raises(ValueError, match=r"fewer rows than folds=5: 'perhaps' \(2\)"):
        check_folds(ask(rare, Roles("bought")), 5, 1)
    few = frame.assign(shop=frame["shop"] % 4)
    with pytest.raises(ValueError, match="groups='shop' has 4 different values"):
        check_folds(ask(few, Roles("bought", groups="shop")), 5, 1)


def test_a_sample_keeps_the_shares_of_classes_and_a_row_per_fold():
    rows = 2_000
    frame = table(rows).assign(kind=["rare"] * 6 + ["often"] * 600 + ["most"] * (rows - 606))
    question = ask(frame, Roles("kind"))
    sample = sample_rows(question, 200, 5, seed=0)
    counts = dict(zip(question.classes, np.bincount(sample.y), strict=True))
    assert counts == {"rare": 5, "often": 60, "most": 139}
    assert len(sample.X) == 204
    assert any("204 of the 2,000 rows" in note for note in sample.notes)
    rows = question.X["size"].tolist()
    assert all(
        question.y[rows.index(size)] == code
        for size, code in zip(sample.X["size"], sample.y, strict=True)
    )
    assert sample.X.equals(sample_rows(question, 200, 5, seed=0).X)
    assert not sample.X.equals(sample_rows(question, 200, 5, seed=1).X)


def test_a_sample_keeps_groups_whole_and_time_in_order():
    question = ask(table(600), Roles("price", groups="shop"))
    sample = sample_rows(question, 300, 5, seed=0)
    assert 200 < len(sample.y) <= 300
    for group in np.unique(sample.groups):
        assert np.sum(sample.groups == group) == np.sum(question.groups == group)
    question = ask(table(600), Roles("price", time="day"))
    sample = sample_rows(question, 300, 5, seed=0)
    place = [question.y.tolist().index(value) for value in sample.y]
    assert place == sorted(place)
    assert len(place) == 300


def test_small_tables_are_taken_whole():
    question = ask(table(), Roles("price"))
    assert sample_rows(question, 60, 5, seed=0) is question
    with pytest.raises(ValueError, match="max_rows must be at least 20, got 3"):
        sample_rows(question, 3, 5, seed=0)
