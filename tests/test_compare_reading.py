import gzip

import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.kinds import as_kind, kind_of
from mixup_tab.compare.reading import read_table

FRAME = pd.DataFrame(
    {"n": [1.5, np.nan, 3.0], "t": ["x", "y, z", None], "code": ["007", "08", "1"]}
)


def lines(frame, path):
    frame.to_json(path, orient="records", lines=True)


WRITERS = {
    "t.csv": lambda frame, path: frame.to_csv(path, index=False),
    "t.CSV": lambda frame, path: frame.to_csv(path, index=False),
    "t.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "t.csv.xz": lambda frame, path: frame.to_csv(path, index=False),
    "semicolons.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";"),
    "t.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "t.jsonl": lines,
    "t.ndjson.gz": lines,
    "t.parquet": lambda frame, path: frame.to_parquet(path),
    "t.feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_table(name, tmp_path):
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    WRITERS[name](FRAME, tmp_path / name)
    read = read_table(tmp_path / name, text=["code"])
    assert list(read) == list(FRAME)
    assert read["n"].equals(FRAME["n"])
    assert read["code"].tolist() == ["007", "08", "1"]
    assert read["t"].tolist()[:2] == ["x", "y, z"]
    assert read["t"].isna().tolist() == [False, False, True]


def test_numbers_with_zeros_in_front_are_numbers_unless_kept_as_text(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    assert read_table(tmp_path / "t.csv")["code"].tolist() == [7, 8, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,b,a\n1,2,3\n", "more than one column called 'a'"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n", "is empty"),
        ("a.csv", b"a,b\n1,2,3\n4,5,6\n", "more fields than its header"),
        ("a.csv", b"a,b\n1,2\n4,5,6\n", "cannot be read .*line 3"),
        ("a.csv", b'a,b\n"1,2\n', "cannot be read"),
        ("a.csv", b"a,b\n\xff\xfe,1\n", "not text in UTF-8"),
        ("a.csv.gz", b"hello", "cannot be read .*gzip"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-20], "cannot be read"),
        ("a.jsonl", b"{'a'", "cannot be read"),
        ("a.parquet", b"hello", "cannot be read"),
        ("a.feather", b"hello", "cannot be read"),
        ("a.xlsx", b"", r"unknown ending\. Known are: \.csv"),
        ("a.parquet.gz", b"", "unknown ending"),
        ("a", b"", "unknown ending"),
    ],
)
def test_files_that_are_no_table(name, content, message, tmp_path):
    if "parquet" in name or "feather" in name:
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


def test_files_that_are_not_there(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(ValueError, match="does not exist"):
        read_table(tmp_path / "t.csv")


DAYS = pd.date_range("2024-01-01", periods=2)
KINDS = {
    "number": [[1, 2], [1.5, None], [True, False], [True, None], pd.array([1, None], "Int64")],
    "text": [["a", None], [None, None], [1, "a"], [1.5, "a"], pd.Categorical([1, 2])],
    "date": [DAYS, DAYS.tz_localize("UTC"), DAYS.date],
    "duration": [DAYS - DAYS[0]],
}


@pytest.mark.parametrize(
    ("kind", "values"), [(kind, values) for kind, them in KINDS.items() for values in them]
)
def test_kinds(kind, values):
    column = pd.Series(values, name="c")
    if kind != "number" and isinstance(values, list):
        column = column.astype(object)
    assert kind_of(column) == kind
    brought = as_kind(column, kind)
    assert kind_of(brought) == kind
    assert brought.isna().tolist() == column.isna().tolist()


@pytest.mark.parametrize("values", [[[1], [2]], [{"a": 1}, None], [b"x", b"y"]])
def test_values_that_are_no_single_value_are_refused(values):
    with pytest.raises(ValueError, match=r"column 'c d' .* --drop 'c d'"):
        kind_of(pd.Series(values, name="c d"))


def test_bringing_to_a_kind():
    column = pd.Series(["1", "x"], name="c")
    with pytest.raises(ValueError, match="column 'c' should hold values of kind 'number'"):
        as_kind(column, "number")
    with pytest.raises(ValueError, match="column 'c' should hold values of kind 'date'"):
        as_kind(column, "date")
    assert as_kind(pd.Series([1, 2]), "text").tolist() == ["1", "2"]
    assert as_kind(pd.Series([np.inf, 2.0]), "number").isna().tolist() == [True, False]
    assert as_kind(pd.Series(["True", "False"]), "number").tolist() == [1, 0]
