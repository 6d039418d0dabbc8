"""Files in chunks: a cell is read the same way whatever chunk it is in."""

import bz2
import codecs
import gzip
from datetime import timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.cells import CellReader
from mixup_tab.compare.chunks import read_chunks
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.task import prepare

WRITE = {
    "a.csv": lambda frame, path: frame.to_csv(path, index=False),
    "a.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "a.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "a.jsonl": lambda frame, path: frame.to_json(
        path, orient="records", lines=True, date_format="iso", date_unit="ns"
    ),
    "a.json": lambda frame, path: frame.to_json(
        path, orient="records", date_format="iso", date_unit="ns"
    ),
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "a.feather": lambda frame, path: frame.to_feather(path),
}
ROWS = 40
SIZES = (1, 7, ROWS)
DAYS = pd.date_range("2024-01-01", periods=ROWS, freq="7h")
COUNT = np.arange(ROWS) % 7
COLUMNS = {
    "dates in a zone": DAYS.tz_localize("Europe/Berlin"),
    "dates in UTC": DAYS.tz_localize("UTC"),
    "dates in an unnamed zone": DAYS.tz_localize(timezone(timedelta(hours=-3, minutes=-30))),
    "dates in milliseconds": DAYS.astype("datetime64[ms]").tz_localize("UTC"),
    "dates as text with a zone": DAYS.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "dates as text": DAYS.strftime("%d.%m.%Y"),
    "dates with gaps": DAYS.tz_localize("UTC").where(COUNT > 1),
    "dates as objects": pd.Series([day.date() for day in DAYS], dtype=object),
    "durations": pd.to_timedelta(COUNT, "h"),
    "whole numbers with gaps": pd.array([None, *COUNT[1:]], dtype="Int64"),
    "decimals": pd.Series([Decimal(int(number)) / 4 for number in COUNT], dtype=object),
    "truth values": pd.array([None, *(COUNT[1:] > 3)], dtype="boolean"),
    "categories": pd.Categorical(COUNT.astype(str), ordered=True),
    "words": COUNT.astype(str).astype(object) + np.array("x", dtype=object),
    "nothing": [None] * ROWS,
    "one value": ["x"] * ROWS,
    "one date": DAYS[:1].tz_localize("UTC").repeat(ROWS),
    # What a chunk of its own would not show.
    "money": [f"{1000 * number:_},50 €".replace("_", ".") for number in range(1, ROWS + 1)],
    "share": [f"{number} %" for number in range(ROWS)],
    "a late word": ["1"] * (ROWS - 1) + ["one"],
    "a late gap": [*range(ROWS - 1), None],
    "a late fraction": [*range(ROWS - 1), 0.1],
}
# pandas writes durations and dates without a time to JSON in ways of its own.
NOT_IN_JSON = ("durations", "dates as objects", "dates in milliseconds")


@pytest.mark.parametrize("name", WRITE)
def test_cells_are_read_alike_in_chunks_of_any_size(name, tmp_path):
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    frame = pd.DataFrame(COLUMNS)
    if "json" in name:
        frame = frame.drop(columns=[*NOT_IN_JSON])
    target = np.where(np.arange(ROWS) % 2, "yes", "no")
    task = prepare(frame.assign(target=target), Columns("target"))
    formats = task.dtypes, task.date_formats, task.number_formats
    WRITE[name](frame, tmp_path / name)
    read = []
    for rows in SIZES:
        chunks = read_chunks(tmp_path / name, set(frame), rows=rows)
        assert list(next(chunks)) == list(frame)
        cells = CellReader(*formats, {})
        parts = [cells.read(chunk) for chunk in chunks]
        assert max(map(len, parts)) == rows
        read.append(pd.concat(parts).astype(dict(task.X.dtypes)))
    for again in read:
        assert again.index.tolist() == list(range(1, ROWS + 1))
        pd.testing.assert_frame_equal(again.reset_index(drop=True), task.X, rtol=1e-15)


def chunks(content, name, folder, **options):
    (folder / name).write_bytes(content)
    names, *found = read_chunks(folder / name, {"n", "t"}, **options)
    return list(names), pd.concat(found)


CSV = [
    (b"n,t\n1,x\n2,y\n", ["n", "t"]),
    (b"n,t\r1,x\r2,y\r", ["n", "t"]),
    (b"\n\r\nn,t\r\n\r\n1,x\r\n2,y", ["n", "t"]),
    (b"n;t\n1;x\n2;y\n", ["n", "t"]),
    (b'"sep=|"\nn|t\n1|x\n2|y\n', ["n", "t"]),
    (b"n,t,\n1,x,\n2,y,\n", ["n", "t"]),
    (b"n,t\n1,x,\n2,y\n", ["n", "t"]),
    (b'n,t\n"1", x\n2,"y"\n', ["n", "t"]),
    (b"n,u,t\n1,,x\n2,5,y\n", ["n", "u", "t"]),
    ("n,ä,t\n1,ö,x\n2,ü,y\n".encode("utf-16"), ["n", "ä", "t"]),
    (codecs.BOM_UTF8 + b"n,t\n1,x\n2,y\n", ["n", "t"]),
]


@pytest.mark.parametrize(("content", "names"), CSV)
def test_csv_of_all_kinds(content, names, tmp_path):
    for more in ({}, {"rows": 1}):
        found, frame = chunks(content, "a.csv", tmp_path, **more)
        assert found == names
        assert frame.to_dict("list") == {"n": ["1", "2"], "t": ["x", "y"]}
    for packed, pack in {"a.csv.gz": gzip.compress, "a.csv.bz2": bz2.compress}.items():
        assert chunks(pack(content), packed, tmp_path)[0] == names


def test_a_row_of_many_lines_and_cells_that_lack(tmp_path):
    content = b'n,t,u\n1,"x\n\n""y"", z",3\n2\n'
    _, frame = chunks(content, "a.csv", tmp_path, rows=1)
    assert frame["t"].tolist() == ['x\n\n"y", z', None]
    assert frame.index.tolist() == [1, 2]


BROKEN = [
    ("a.csv", b"", "is empty"),
    ("a.csv", b" \n\n", "is empty"),
    ("a.csv", b"n,n\n1,2\n", "more than one column called 'n'"),
    ("a.csv", b"n,t\n1,x\n2,y,3\n", "row 2 has 3 fields, but the header has 2"),
    ("a.csv", b'n,t\n1,"x\n2,y\n', "a quotation mark is never closed"),
    ("a.csv", b"n,t\n1,x\0\n", "is not text"),
    ("a.csv", b"n,t\n1,\xff\n", "is not text in UTF-8"),
    ("a.csv.gz", b"hello", "cannot be read .*gzip"),
    ("a.csv.gz", gzip.compress(b"n,t\n1,2\n" * 99, mtime=0)[:-20], "cannot be read"),
    ("a.jsonl", b'{"n": 1}\n{"n": \n', "row 2 is not an object such as"),
    ("a.jsonl", b'{"n": 1}\n[2]\n', "row 2 is not an object such as"),
    ("a.jsonl", b'{"n": 1, "n": 2}\n', "row 1 has more than one column called 'n'"),
    ("a.json", b'[{"n": 1}', r"^file 'a.json' cannot be read \(Expecting"),
    ("a.parquet", b"hello", "cannot be read"),
    ("a.xlsx", b"", "unknown extension"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_files_are_one_clear_error(name, content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        chunks(content, name, tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"n,t\n1,x\n2,y,3\n4,z\n"),
        ("a.jsonl", b'{"n": 1, "t": "x"}\n{"n" 2}\n{"n": 4, "t": "z"}\n'),
        ("a.jsonl", b'{"n": 1, "t": "x"}\n{"n": 2, "n": 3}\n{"n": 4, "t": "z"}\n'),
    ],
)
def test_rows_that_cannot_be_read_are_skipped(name, content, tmp_path):
    skipped = []
    _, frame = chunks(content, name, tmp_path, skip=lambda *problem: skipped.append(problem))
    assert frame.to_dict("list") == {"n": ["1", "4"], "t": ["x", "z"]}
    assert frame.index.tolist() == [1, 3]
    assert [row for row, _ in skipped] == [2]


def test_any_line_of_json_may_bring_a_column(tmp_path):
    content = b'{"n": 1}\n{"t": [1, "a"], "u": true}\n{"n": null}\n'
    names, frame = chunks(content, "a.jsonl", tmp_path, rows=1)
    assert names == ["n", "t", "u"]
    assert frame["n"].tolist()[0] == "1"
    assert frame["n"].isna().tolist() == [False, True, True]
    assert frame["t"].tolist()[1] == '["1", "a"]'


@pytest.mark.parametrize(
    "content", [b"n,t\n1,x" + b"y" * 9000, b"n" * 9000, b'n,t\n1,"' + b"\n" * 9000]
)
def test_a_row_has_a_limit_of_size_and_a_file_has_none(content, tmp_path):
    with pytest.raises(ValueError, match="takes more than 5,000 bytes"):
        chunks(content, "a.csv", tmp_path, size_limit=5000)
    _, frame = chunks(b"n,t\n" + b"1,x\n" * 9000, "a.csv", tmp_path, size_limit=5000)
    assert len(frame) == 9000


@pytest.mark.parametrize("name", ["a.parquet", "a.feather"])
def test_an_index_that_is_a_range_is_a_column(name, tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"t": list("abcde")}, index=pd.RangeIndex(10, 20, 2, name="n"))
    if name == "a.parquet":
        frame.to_parquet(tmp_path / name)
    else:
        from pyarrow import Table, feather

        feather.write_feather(Table.from_pandas(frame), tmp_path / name)
    first, *rest = read_chunks(tmp_path / name, {"n"}, rows=2)
    assert set(first) == {"n", "t"}
    assert pd.concat(rest)["n"].tolist() == [10, 12, 14, 16, 18]


# ------------------------------------------------------------------- cells that are wrong

DTYPES = {"n": "number", "d": "date", "z": "date with zone", "w": "duration", "m": "number"}
DATES, NUMBERS = {"d": "%d.%m.%Y"}, {"m": ",%"}
GOOD = {"n": "1e3", "d": "31.01.2024", "z": "2024-01-31T10:00Z", "w": "2 days", "m": "1,5 %"}
BAD = {
    "n": ("1,5", "is not a number"),
    "d": ("2024-01-31", "is not a date such as '31.01.2024'"),
    "z": ("2024-01-31T10:00", "is not a date such as '2024-01-31T13:30+01:00'"),
    "w": ("soon", "is not a duration such as"),
    "m": ("1.5", "is not a number such as '1,5 %'"),
}


def with_bad_cells(rows=30):
    frame = pd.DataFrame([GOOD] * rows, index=pd.RangeIndex(1, rows + 1), dtype=object)
    for place, (name, (value, _)) in enumerate(BAD.items()):
        frame.loc[[place + 3, place + 20], name] = value
    return frame


def test_cells_that_cannot_be_read_are_listed_and_empty():
    found = []
    cells = CellReader(DTYPES, DATES, NUMBERS, {}, found.append)
    typed = cells.read(with_bad_cells())
    assert typed.isna().to_numpy().sum() == len(found) == 10
    for place, (name, (value, reason)) in enumerate(BAD.items()):
        own = [each for each in found if each.column == name]
        assert [each.row for each in own] == [place + 3, place + 20]
        assert all(each.value == value and each.reason.startswith(reason) for each in own)
        assert typed.index[typed[name].isna()].tolist() == [place + 3, place + 20]


@pytest.mark.parametrize("name", BAD)
def test_the_first_cell_that_cannot_be_read_is_named(name):
    frame = with_bad_cells()[[name]]
    cells = CellReader({name: DTYPES[name]}, DATES, NUMBERS, {})
    row = 3 + list(BAD).index(name)
    message = rf"column '{name}' should hold values of type '.*', but row {row} holds '"
    with pytest.raises(ValueError, match=message):
        cells.read(frame)


def test_a_column_of_another_kind_is_refused_even_if_cells_are_skipped():
    frame = pd.DataFrame({"n": [f"v{number}" for number in range(1500)]}, dtype=object)
    with pytest.raises(ValueError, match=r"at least 1,000 values do not"):
        CellReader({"n": "number"}, {}, {}, {}, lambda problem: None).read(frame)
    days = pd.DataFrame({"n": pd.date_range("2024-01-01", periods=3)})
    with pytest.raises(ValueError, match="it holds values of type 'date'"):
        CellReader({"n": "number"}, {}, {}, {}, lambda problem: None).read(days)


def test_values_that_were_not_in_the_training_table_are_counted_over_all_chunks():
    cells = CellReader({"c": "text"}, {}, {}, {"c": {"red": "red", "NA": "NA"}})
    assert cells.unseen() == ""
    for values in (["red", "blue", None], ["NA", "blue", "pink"], ["a", "b", "c"]):
        cells.read(pd.DataFrame({"c": values}, dtype=object))
    assert cells.unseen() == "'c' ('blue', 'pink', 'a', 2 more in 6 rows)"
