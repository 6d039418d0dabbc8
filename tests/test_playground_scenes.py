import numpy as np
import pandas as pd
import pytest

from mixup_tab.playground.scenes import MOST_ROWS, table_scene, toy_scenes


def write(path, rows=60, **columns):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "age": rng.integers(0, 90, rows),
            "kind": np.resize(["b", "a", "c"], rows),
        }
    ).assign(**columns)
    frame.to_csv(path, index=False)
    return frame


def rows_of(X, y):
    return {(*map(float, row), int(code)) for row, code in zip(X, y, strict=True)}


def test_toys_come_from_their_seed():
    first, again, other = toy_scenes(0), toy_scenes(0), toy_scenes(1)
    for one, same, different in zip(first, again, other, strict=True):
        assert one.X.shape == (100, 2)
        assert one.X_held_out.shape == (1000, 2)
        assert set(one.y) == {0, 1}
        assert np.array_equal(one.X, same.X)
        assert not np.array_equal(one.X, different.X)


def test_every_row_of_a_table_trains_or_is_held_out_and_classes_are_halved(tmp_path):
    frame = write(tmp_path / "t.csv")
    scene = table_scene(tmp_path / "t.csv", "size", "age", "kind")
    assert scene.classes == ("a", "b", "c")
    assert scene.columns == ("size", "age")
    assert np.bincount(scene.y).tolist() == np.bincount(scene.y_held_out).tolist() == [10] * 3
    train, held_out = rows_of(scene.X, scene.y), rows_of(scene.X_held_out, scene.y_held_out)
    assert not train & held_out
    codes = frame["kind"].map({"a": 0, "b": 1, "c": 2})
    columns = frame[["size", "age"]].to_numpy(np.float32)
    assert train | held_out == rows_of(columns, codes)
    assert scene.notes == ()


def test_rows_with_missing_values_are_left_out_and_told(tmp_path):
    frame = write(tmp_path / "t.csv")
    frame.loc[:2, "size"] = None
    frame.loc[3:4, "kind"] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    scene = table_scene(tmp_path / "t.csv", "size", "age", "kind")
    assert len(scene.y) + len(scene.y_held_out) == 55
    assert scene.notes == ("5 rows with a missing value are left out.",)


def test_a_large_table_is_drawn_from_and_keeps_its_rare_class(tmp_path):
    write(tmp_path / "t.csv", 9000, kind=np.repeat(["rare", "often"], [2, 8998]))
    scene = table_scene(tmp_path / "t.csv", "size", "age", "kind")
    assert len(scene.y) + len(scene.y_held_out) == MOST_ROWS + 2
    assert np.bincount(scene.y)[1] == np.bincount(scene.y_held_out)[1] == 1
    assert "of the 9,000 rows were drawn at random" in scene.notes[0]
    other = table_scene(tmp_path / "t.csv", "size", "age", "kind", random_state=1)
    assert rows_of(scene.X, scene.y) != rows_of(other.X, other.y)


ROLES = {"x": "size", "y": "age", "target": "kind"}


@pytest.mark.parametrize(
    ("roles", "columns", "message"),
    [
        ({"x": "weight"}, {}, "x='weight' is no column. Give one of: size, age, kind."),
        ({"y": "size"}, {}, "x='size' is also given as --y. Give three columns."),
        (
            {},
            {"kind": np.arange(60) // 5},
            "target='kind' has 12 different values; the page",
        ),
        ({"x": "kind", "target": "size"}, {}, "x='kind' holds values of kind 'text'"),
        ({}, {"age": 3.0}, "y='age' is 3 in every row"),
        ({}, {"age": 1e9 + np.arange(60) / 60}, "y='age' is 1e+09 in every row"),
        ({}, {"age": np.arange(60) * 1e37}, "y='age' holds values as large as 5.9e+38"),
        ({}, {"kind": "a"}, "target='kind' is 'a' in all 60 rows"),
        ({}, {"kind": ["z", *"ab" * 29, "a"]}, "single row of class 'z'"),
        ({}, {"size": [1.0, 2.0] * 5 + [None] * 50}, "has 10 rows with a value of 'size'"),
    ],
)
def test_columns_that_cannot_be_drawn_are_refused(tmp_path, roles, columns, message):
    write(tmp_path / "t.csv", **columns)
    with pytest.raises(ValueError, match=r"Give|Add") as told:
        table_scene(tmp_path / "t.csv", **{**ROLES, **roles})
    assert message in str(told.value)


def test_a_table_without_rows_is_refused_for_that(tmp_path):
    (tmp_path / "t.csv").write_text("size,age,kind\n")
    with pytest.raises(ValueError, match=r"has 0 rows with a value of .*Add rows"):
        table_scene(tmp_path / "t.csv", **ROLES)
