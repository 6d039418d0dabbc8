"""Parquet files as memory-mapped arrays: values, errors that name the column, no halves."""

import numpy as np
import pandas as pd
import pytest

from mixup_tab.datasets import parquet_to_array

pytest.importorskip("pyarrow")


def table(rows: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "small": rng.integers(-100, 100, rows).astype(np.int16),
            "kind": rng.choice(["a", "bcd"], rows),
            "large": rng.normal(size=rows) * 1e6,
            "yes": rng.random(rows) < 0.5,
        }
    )


@pytest.fixture
def write(tmp_path):
    def to_file(frame, **options):
        frame.to_parquet(tmp_path / "table.parquet", index=False, **options)
        return tmp_path / "table.parquet"

    return to_file


@pytest.mark.parametrize("group", [7, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_arrays_hold_what_pandas_reads(write, tmp_path, group, dtype):
    frame = table()
    path = write(frame, row_group_size=group)
    X, y = parquet_to_array(path, tmp_path / "new", target="kind", dtype=dtype)
    assert X.dtype == dtype
    assert isinstance(X, np.memmap)
    assert not X.flags.writeable
    assert np.array_equal(X, frame.drop(columns="kind").to_numpy(dtype))
    assert y.tolist() == frame["kind"].tolist()
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["X.npy", "y.npy"]


def test_chosen_columns_come_in_the_given_order(write, tmp_path):
    frame = table()
    options = {"target": "large", "columns": ["yes", "small"], "dtype": np.int8}
    X, y = parquet_to_array(write(frame), tmp_path / "a" / "new", **options)
    assert np.array_equal(X, frame[["yes", "small"]].to_numpy(np.int8))
    assert np.array_equal(y, frame["large"])


def with_column(name, values):
    return table(4).assign(**{name: values})


BAD = {
    "text": (table(), {"target": "small"}, "'kind' holds .*string, not numbers. Encode"),
    "no target": (table(), {"target": "sort"}, "'sort' is not in the file; the columns are"),
    "no column": (table(), {"target": "kind", "columns": ["x"]}, "'x' is not in the file"),
    "none": (table()[["kind"]], {"target": "kind"}, "no columns"),
    "itself": (table(), {"target": "yes", "columns": ["yes"]}, "'yes' is the target"),
    "no rows": (table(0), {"target": "kind", "columns": ["small"]}, "n_samples=0"),
    "null": (
        with_column("small", pd.array([1, None, 3, 4], "Int64")),
        {"target": "kind"},
        "'small' has missing values in the 4 rows after row 0. Fill",
    ),
    "null target": (
        with_column("kind", ["a", None, "b", "b"]),
        {"target": "kind"},
        "'kind' has missing values",
    ),
    "infinite": (
        with_column("large", [1, 2, np.inf, 4]),
        {"target": "kind"},
        "'large' holds inf in row 2, which float32 cannot hold",
    ),
    "too large": (
        with_column("large", [1, 1e39, 3, 4]),
        {"target": "kind"},
        r"'large' holds 1e\+39 in row 1, which float32 cannot hold. Replace it",
    ),
    "fraction": (
        with_column("large", [1, 2, 3, 4.5]),
        {"target": "kind", "dtype": "int16"},
        "'large' holds 4.5 in row 3, which int16 cannot hold",
    ),
    "dtype": (table(), {"target": "kind", "dtype": "U5"}, "dtype must be"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_and_leave_nothing(write, tmp_path, case):
    frame, options, message = BAD[case]
    path = write(frame)
    with pytest.raises(ValueError, match=message):
        parquet_to_array(path, tmp_path / "new", **options)
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


@pytest.mark.parametrize("damage", [lambda b: b"no Parquet", lambda b: b[:-9], lambda b: b""])
def test_a_damaged_file_is_refused(write, tmp_path, damage):
    path = write(table())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="cannot be read as a Parquet file"):
        parquet_to_array(path, tmp_path / "new", target="kind")


def test_damaged_rows_leave_nothing(write, tmp_path):
    path = write(table(), row_group_size=100, compression="gzip")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a Parquet file"):
        parquet_to_array(path, tmp_path / "new", target="kind")
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


def test_an_existing_folder_stays_as_it_is(write, tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(FileExistsError, match=r"new' exists. Delete it"):
        parquet_to_array(write(table()), tmp_path / "new", target="kind")
    assert not [*(tmp_path / "new").iterdir()]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table.parquet"):
        parquet_to_array(tmp_path / "table.parquet", tmp_path / "new", target="kind")


def test_a_table_that_the_disk_cannot_hold_is_refused(write, tmp_path, monkeypatch):
    # The table that would fill a real disk takes too long to write.
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 11_999}))
    with pytest.raises(ValueError, match=r"X takes 12,000 bytes \(1,000 rows of 3 float32\)"):
        parquet_to_array(
            write(table()), tmp_path / "new", target="kind", columns=["small", "large", "yes"]
        )
