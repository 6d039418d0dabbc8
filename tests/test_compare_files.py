"""From a file to a table: formats, numbers as people write them, labels, damaged files."""

import bz2
import codecs
import datetime
import decimal
import gzip
import io
import lzma
import random
import re

import numpy as np
import pandas as pd
import pytest
from hostile import mutate_bytes, number_of_cases

from mixup_tab.compare.columns import Columns
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.task import prepare
from mixup_tab.tables.columns import MISSING_WORDS, as_dtype, clean

# -------------------------------------------------------------------------------- reading

FRAME = pd.DataFrame(
    {"n": [1.5, np.nan, 3.0], "t": ["x", "y, z", None], "code": ["007", "08", "1"]}
)


def lines(frame, path):
    frame.to_json(path, orient="records", lines=True, date_format="iso")


WRITERS = {
    "t.csv": lambda frame, path: frame.to_csv(path, index=False),
    "t.CSV": lambda frame, path: frame.to_csv(path, index=False),
    "t.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "semicolons.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";"),
    "t.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "t.jsonl": lines,
    "t.ndjson.gz": lines,
    "t.parquet": lambda frame, path: frame.to_parquet(path),
    "t.feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_table(name, tmp_path):
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    WRITERS[name](FRAME, tmp_path / name)
    read = read_table(tmp_path / name, text=["code"])
    assert list(read) == list(FRAME)
    assert clean(read).frame["n"].equals(FRAME["n"])
    assert read["code"].tolist() == ["007", "08", "1"]
    assert read["t"].tolist()[:2] == ["x", "y, z"]
    assert read["t"].isna().tolist() == [False, False, True]


def test_leading_zeros_are_kept_in_text_only(tmp_path):
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
        ("a.xlsx", b"", r"unknown extension\. Use one of \.csv"),
        ("a.parquet.gz", b"", "unknown extension"),
        ("a", b"", "unknown extension"),
        ("missing/a.csv", None, "does not exist"),
        ("", None, "is a folder"),
    ],
)
def test_files_that_are_no_table(name, content, message, tmp_path):
    if "parquet" in name or "feather" in name:
        pytest.importorskip("pyarrow")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


# ---------------------------------------------------------------------- files of all kinds

ISO = [pd.Timestamp("2024-01-05"), pd.Timestamp("2024-02-05")]
NOT_TEXT, MORE = "is not text: it holds zero bytes", "more fields than its header"
NT = {"n": [1, 2], "t": ["x", "y"]}
NAMES = ("a b", "[x]", "<b>", "None", "1")
YES, MIXED, LAST = ["yes", "no", "YES"], ["2024-01-05", "05.02.2024"], ["…"] * 3 + [2]
HALF = {"n": [1.5, 2.5], "t": ["x", "y"]}
# By name and content: the columns that come out, "…" for a missing value; or a part of the
# message. A third item is a part of the note that goes with it.
FILES = [
    # Encodings, line ends, separators, headers.
    ("a.csv", codecs.BOM_UTF8 + "größe,t\n1,ü\n".encode(), {"größe": [1], "t": ["ü"]}),
    ("a.csv", "n,t\n1,ä\n".encode("utf-16"), {"n": [1], "t": ["ä"]}),
    ("a.csv", codecs.BOM_UTF16_BE + "n,t\n1,ä\n".encode("utf-16-be"), {"n": [1], "t": ["ä"]}),
    ("a.csv", "n,t\n1,ä\n".encode("utf-16-le"), NOT_TEXT),
    ("a.csv", "n,t\n1,ä\n".encode("utf-16")[:-1], "is not text in UTF-8"),
    ("a.csv", "n,t\n1,ä\n".encode("utf-32"), NOT_TEXT),
    ("a.csv", "n,t\n1,ä\n".encode("latin-1"), "iconv -f WINDOWS-1252 -t UTF-8"),
    ("a.csv", "näme,t\n1,x\n".encode("latin-1"), "iconv -f WINDOWS-1252 -t UTF-8"),
    ("a.csv", b"n,t\r\n1,x\r\n2,y\r\n", NT),
    ("a.csv", b"n,t\r1,x\r2,y\r", NT),
    ("a.csv", b"n,t\n1,x\n2,y", NT),
    ("a.csv", b"\n\r\nn,t\n\n1,x\n\n2,y\n\n", NT),
    ("a.csv", b"n\tt\n1,5\tx\n2,5\ty\n", HALF),
    ("a.csv", b"n|t\n1|x\n2|y\n", NT),
    ("a.csv", b'"n, or so";t\n1;x\n', {"n, or so": [1], "t": ["x"]}),
    ("a.csv", b"sep=;\r\nn;t\r\n1,5;x\r\n2,5;y\r\n", HALF),
    ("a.csv", b'"sep=\t"\nn\tt\n1\tx\n2\ty\n', NT),
    ("a.csv", b"n,t,\n1,x,\n2,y,\n", NT),
    ("a.csv", b"n,t\n1,x,\n2,y,\n", NT),
    ("a.csv", b",t\n0,x\n1,y\n", {"Unnamed: 0": [0, 1], "t": ["x", "y"]}),
    ("a.csv", b"n\n1\n2\n", {"n": [1, 2]}),
    ("a.csv", b"n,t\n", {"n": [], "t": []}),
    ("a.csv", b"a b,[x],<b>,None,1\n" + b"1," * 4 + b"1", {name: [1] for name in NAMES}),
    ("a.csv", b"NA,NA\n1,2\n", "more than one column called 'NA'"),
    ("a.csv", b"# made by us\nn,t\n1,x\n", MORE + r".* without comments above it"),
    ("a.csv", b"n,t\n1,x,3\n2,y,\n", MORE),
    ("a.csv", b"n,t\n1,x\n2,y,3\n", "Expected 2 fields in line 3, saw 3"),
    ("a.csv", b"n,t,u\n1,x\n2,y,3\n", {"n": [1, 2], "t": ["x", "y"], "u": ["…", 3]}),
    ("a.csv", b'n,t\n1,"x\ny, ""z"""\n', {"n": [1], "t": ['x\ny, "z"']}),
    ("a.csv", b'n,t\n1,"x\n2,y\n', "EOF inside string"),
    ("a.csv", b"n,t\n1,x\0y\n", NOT_TEXT),
    ("a.csv", gzip.compress(b"n,t\n1,x\n"), NOT_TEXT),
    ("a.csv", b"  \n \n", "is empty"),
    # Values.
    ("a.csv", b"n\n1e400\n-inf\nInfinity\n5\n", {"n": ["…", "…", "…", 5]}),
    ("a.csv", b"n\n1" + b"0" * 29 + b"\n2\n", {"n": [1e29, 2]}),
    ("a.csv", b"b,c\nTrue,yes\nFALSE,no\n,YES\n", {"b": [1, 0, "…"], "c": YES}),
    ("a.csv", b"n,t\nNA,?\n3,n/a \n,y\n", {"n": ["…", 3, "…"], "t": ["…", "…", "y"]}),
    ("a.csv", b"n,t\n1, x\nz,y \n", {"n": ["1", "z"], "t": ["x", "y"]}),
    ("a.csv", b"d\n2024-01-05\n2024-02-05\n", {"d": ISO}, ""),
    ("a.csv", b"d\n05.01.2024\n05.02.2024\n", {"d": ISO}, "'05.01.2024' is 05 January 2024"),
    ("a.csv", b"d\n01/05/2024\n02/05/2024\n", {"d": ISO}, "Day and month could be swapped"),
    ("a.csv", b"d\n05/01/2024\n26/02/2024\n", {"d": [ISO[0], pd.Timestamp("2024-02-26")]}, ""),
    ("a.csv", b"d\n2024-01-05\n05.02.2024\n", {"d": MIXED}, "Look like dates"),
    ("a.csv", b"d\n2024-01-05T02:00+02:00\n2024-02-05T00:00+00:00\n", {"d": ISO}, ""),
    ("a.csv", b"v\n12 kg\n7 kg\n", {"v": ["12 kg", "7 kg"]}, "Look like numbers.*'12 kg'"),
    ("a.csv", b"v\n12\nso\n13\n", {"v": ["12", "so", "13"]}, "Look like numbers.*'so'"),
    # JSON.
    ("a.jsonl", b'{"n": 1, "t": "x"}\n{"t": "y", "n": 2.0}\n\n', NT),
    ("a.json", b'[{"n": 1, "t": "x"}, {"n": 2, "t": "y"}]', NT),
    ("a.jsonl", b'{"n": 1}\n{"b": true, "n": null}\n', {"n": [1, "…"], "b": ["…", 1]}),
    ("a.jsonl", b'{"n": NaN}\n{"n": -Infinity}\n{"n": 1e999}\n{"n": 2}', {"n": LAST}),
    ("a.jsonl", b'{"n": {"a": 1}}\n{"n": {"a": 2}}\n', r"column 'n' holds .*\(--drop n "),
    ("a.jsonl", b'{"n": [1, 2]}\n', r"column 'n' holds .*\(--drop n "),
    ("a.jsonl", b'{"n": 1, "n": 2}\n', "more than one column called 'n'"),
    ("a.jsonl", b"[1, 2]\n", "does not hold one object per row"),
    ("a.jsonl", b"1\n2\n", "does not hold one object per row"),
    ("a.json", b"[" * 100_000, "cannot be read"),
    ("a.json", b'{"n": [1, 2]', "cannot be read"),
    ("a.jsonl", b"", "is empty"),
    # Wrong extensions.
    ("a.parquet", b"n,t\n1,x\n", "cannot be read .*extension"),
    ("a.feather", b"n,t\n1,x\n", "cannot be read .*extension"),
]  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_files_of_all_kinds(case, tmp_path):
    name, content, expected, note = (*case, None)[:4]
    (tmp_path / name).write_bytes(content)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            clean(read_table(tmp_path / name))
        return
    typed = clean(read_table(tmp_path / name))
    assert same_values(typed.frame) == expected
    assert note is None or (re.search(note, " ".join(typed.notes)) if note else not typed.notes)


def same_values(frame):
    return {name: ["…" if pd.isna(v) else v for v in frame[name]] for name in frame}


# ------------------------------------------------------------- numbers as people write them

WRITTEN = [
    (["3,14", "2"], [3.14, 2], ","),
    (["1.234,5", "1.234", "7"], [1234.5, 1234, 7], ","),
    (["1,234.5", "12,345,678"], [1234.5, 12345678], "."),
    (["1,234,567", "1,234"], [1234567, 1234], "."),
    (["1,23,456.5"], [123456.5], "."),  # India
    (["1 234,5", "1\u202f000", "2\u00a0000\u00a0000"], [1234.5, 1000, 2000000], ","),
    (["1'234.5", "2’000"], [1234.5, 2000], "."),
    (["1 234", "56"], [1234, 56], ""),
    (["6,7 %", "12%"], [6.7, 12], ",%"),
    (["$1,000.25", "-$3.5", "$-4", "($5)"], [1000.25, -3.5, -4, -5], ".$"),
    (["1.000,5 €", "€ 2"], [1000.5, 2], ",€"),
    (["5.5-", "(6.5)", "−7.5", "+8"], [-5.5, -6.5, -7.5, 8], "."),
    (["0,123", "4,567"], [0.123, 4.567], ","),  # no thousands begin with 0
    (["1,5e3", "2"], [1500, 2], ","),
    (["1,2345"], [1.2345], ","),
]


@pytest.mark.parametrize(("words", "numbers", "form"), WRITTEN)
def test_numbers_as_people_write_them(words, numbers, form):
    column = pd.Series([*words, "NA", None], name="x")
    typed = clean(column.to_frame())
    assert typed.dtypes == {"x": "number"}
    assert typed.number_formats == {"x": form}
    assert typed.frame["x"].iloc[:-2].tolist() == pytest.approx(numbers)
    assert typed.frame["x"].iloc[-2:].isna().all()
    assert f"Read as numbers: 'x' ({words[0]!r} is {numbers[0]:g})." in typed.notes
    # In another file a value is alone, and may be plain numbers there.
    for word, number in zip(words, numbers, strict=True):
        assert as_dtype(pd.Series([word]), "number", None, form).tolist() == [number]
    if "%" in form:
        with pytest.raises(ValueError, match="it held percentages in training"):
            as_dtype(pd.Series([0.067]), "number", None, form)
    else:
        assert as_dtype(pd.Series([2.5]), "number", None, form).tolist() == [2.5]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["1,234", "5,678"], "'1,234' could be 1234 or 1.234). Set the decimal mark"),
        (["1.000 €", "5 €"], "'1.000 €' could be 1 or 1000"),
        (["5 $", "5 €", "6 €"], "'5 $', '5 €'"),
        (["6 %", "7"], "'6 %', '7'"),
        (["12 kg", "3 g"], "'12 kg', '3 g'"),
        (["EUR 12", "USD 5"], "'EUR 12', 'USD 5'"),
        (["1.5", "2,5"], "'1.5', '2,5'"),
        (["1.5", "-", "2.5"], "'-'"),
        (["--5", "(-5)", "5"], None),
        (["1,234,56", "1.2.3", "A1", "lot 3"], None),
    ],
)
def test_what_looks_like_numbers_but_is_not_clear_stays_text(words, reason):
    typed = clean(pd.DataFrame({"x": words}))
    assert typed.dtypes == {"x": "text"}
    assert typed.frame["x"].tolist() == words
    assert (reason is None) == (not typed.notes)
    assert reason is None or f"'x' ({reason}" in typed.notes[0]
    assert reason is None or "are read as text" in typed.notes[0]


def test_other_columns_or_the_option_say_which_mark_is_meant(tmp_path):
    unclear = {"x": ["1,234", "5,678"]}
    for other, mark, expected in [
        (["0,5", "1"], None, 1.234),
        (["0.5", "1"], None, 1234),
        (["7", "1"], ",", 1.234),
        (["7", "1"], ".", 1234),
        (["0.5", "1"], ",", 1.234),
    ]:
        typed = clean(pd.DataFrame({**unclear, "y": other}), mark)
        assert typed.frame["x"].iloc[0] == expected
        new = as_dtype(pd.Series(["1,234"]), "number", None, typed.number_formats["x"])
        assert new.tolist() == [expected]
    both = pd.DataFrame({**unclear, "y": ["0,5", "1"], "z": ["0.5", "1"]})
    assert clean(both).dtypes["x"] == "text"
    # Whole thousands beside a decimal comma look like plain numbers.
    (tmp_path / "a.csv").write_text("price;pieces\n1.234,50;1.234\n3,20;950\n")
    assert clean(read_table(tmp_path / "a.csv")).frame["pieces"].tolist() == [1234, 950]
    (tmp_path / "a.csv").write_text("pieces,t\n1.234,x\n950,y\n")
    assert clean(read_table(tmp_path / "a.csv")).frame["pieces"].tolist() == [1.234, 950]
    read = read_table(tmp_path / "a.csv", text="all")
    assert clean(read, ",").frame["pieces"].tolist() == [1234, 950]
    with pytest.raises(ValueError, match=r"decimal must be '\.' or ',', got 'x'"):
        prepare(both, Columns("x"), decimal="x")


def test_numbers_of_another_format_are_refused_in_new_files():
    for value, form in [("1.5", ","), ("1,5", "."), ("1,234", ""), ("5", ".%"), ("5 $", "€")]:
        with pytest.raises(ValueError, match=f"'{re.escape(value)}' is not written as '1"):
            as_dtype(pd.Series([value], name="x"), "number", None, form)
    with pytest.raises(ValueError, match=r"'x' should hold .* 'number'"):
        as_dtype(pd.Series(["1,5"], name="x"), "number")


# ------------------------------------------------------------------------- labels as written

# In the order of their codes.
LABELS = {
    "words": ["?", "NA", "None", "n/a", "nan", "null"],
    "truth": ["False", "True"],
    "zeros": ["01", "02", "007", "10"],
    "alike": ["01", "1", "1.0", "2", "1000", "1e3"],
    "long": ["12345678901234567", "12345678901234568", "9007199254740992000001"],
    "mixed": ["1", "10", "9", "a", "b c"],
}
WRITE = {
    "a.csv": lambda frame, path: frame.to_csv(path, index=False),
    "a.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "a.feather": lambda frame, path: frame.to_feather(path),
    "a.jsonl": lines,
}


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_kept_as_they_are_written(kind, name, tmp_path):
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
    labels = np.resize(np.array(LABELS[kind], object), 60)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": labels})
    frame["shop"], frame["y"] = labels, labels
    frame.loc[:1, "y"] = None, ""
    WRITE[name](frame, tmp_path / name)
    read = read_table(tmp_path / name, text=["y", "shop"])
    task = prepare(read, Columns("y", groups="shop"), "classification")
    assert task.classes == tuple(LABELS[kind])
    assert [task.classes[code] for code in task.y] == labels[2:].tolist()
    assert np.array_equal(pd.factorize(task.groups)[0], pd.factorize(labels[2:])[0])
    assert "Rows without a value of 'y' left out: 2." in task.notes
    assert any("same number in different spellings" in n for n in task.notes) == (
        kind == "alike"
    )


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (pd.array([True, False, None], "boolean"), ("False", "True")),
        (pd.array([2**60 + 1, 2**60 + 2, None], "Int64"), (f"{2**60 + 1}", f"{2**60 + 2}")),
        ([1.0, 2.0, np.nan], ("1.0", "2.0")),
        (pd.Categorical(["b", "a", None], ["a", "b", "unused"]), ("a", "b")),
        ([" b", "a ", "  "], ("a", "b")),
        (pd.Series([1, "a", None], dtype=object), ("1", "a")),
    ],
)
def test_labels_that_are_typed_already(values, classes, tmp_path):
    column = pd.Series(values).iloc[np.resize([0, 1, 2], 60)].reset_index(drop=True)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": column})
    tables = [frame]
    if pd.api.types.infer_dtype(column) != "mixed-integer":
        frame.to_parquet(tmp_path / "a.parquet")
        tables += [read_table(tmp_path / "a.parquet")]
    for table in tables:
        task = prepare(table, Columns("y"), "classification")
        assert task.classes == classes
        assert "Rows without a value of 'y' left out: 20." in task.notes


def test_categories_are_classes_also_where_they_are_numbers():
    y = pd.Categorical(np.resize([1.5, 2.5], 60))
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60), "y": y})
    assert prepare(frame, Columns("y")).classes == ("1.5", "2.5")


def test_json_keeps_its_own_spelling(tmp_path):
    """Booleans, numbers with a fractional part and long ones are spelled by the file."""
    spelled = ["true", "1.0", "1e3", f"{2**60 + 1}", '"01"']
    rows = [f'{{"x": {x}, "y": {spelled[x % 5]}}}' for x in range(60)]
    (tmp_path / "a.json").write_text("\n".join(rows))
    task = prepare(read_table(tmp_path / "a.json"), Columns("y"))
    assert sorted(task.classes) == ["01", "1.0", f"{2**60 + 1}", "1e3", "true"]


def test_words_for_missing_values_count_in_features_whatever_the_format(tmp_path):
    words = [*sorted(MISSING_WORDS), "5", "missing"]
    frame = pd.DataFrame({"n": words[:-1], "t": words[:-2] + words[-1:]})
    skrub = pytest.importorskip("skrub")
    cleaned = skrub.Cleaner(drop_null_fraction=None).fit_transform(frame)
    assert cleaned["n"].isna().sum() == len(MISSING_WORDS)
    for name, write in WRITE.items():
        write(frame, tmp_path / name)
        typed = clean(read_table(tmp_path / name))
        assert typed.dtypes == {"n": "number", "t": "text"}, name
        assert typed.frame["n"].dropna().tolist() == [5], name
        assert typed.frame["t"].dropna().tolist() == ["missing"], name
        for column, dtype in typed.dtypes.items():  # at predict
            again = as_dtype(read_table(tmp_path / name, text=["t"])[column], dtype)
            assert again.equals(typed.frame[column]), name


# ------------------------------------------------------------------------- Parquet, Feather

LATE = datetime.datetime(9000, 1, 1)
ARROW = [
    ([[1], [2]], {}, "holds mixed values"),
    ([{"a": 1}, {"a": 2}], {}, "holds mixed values"),
    ([b"x", b"y"], {}, "holds bytes values"),
    ([datetime.time(1), None], {}, "holds time values"),
    ([decimal.Decimal("1.50"), None], {}, [1.5, "…"]),
    ([datetime.date(2024, 1, 5), None], {}, [ISO[0], "…"]),
    ([datetime.timedelta(2), None], {}, [pd.Timedelta("2D"), "…"]),
    ([True, None], {}, [1, "…"]),
    ([2**64 - 1, None], {"type": "uint64"}, [2.0**64, "…"]),
    (["a", None], {"type": "large_string"}, ["a", "…"]),
    ([None, None], {}, ["…", "…"]),
    ([LATE, None], {"type": "timestamp[ms]"}, [pd.Timestamp(LATE), "…"]),
    ([ISO[0].tz_localize("UTC"), None], {}, [ISO[0], "…"]),
]  # fmt: skip


@pytest.mark.parametrize("extension", ["parquet", "feather"])
@pytest.mark.parametrize(("values", "options", "expected"), ARROW)
def test_types_of_arrow(values, options, expected, extension, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    content, path = pyarrow.table({"c": pyarrow.array(values, **options)}), tmp_path / "a.x"
    path = path.with_suffix(f".{extension}")
    write = {"parquet": parquet_of, "feather": feather_of}[extension]
    path.write_bytes(write(content))
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=rf"column 'c' {expected}.*\(--drop c "):
            clean(read_table(path))
    else:
        assert same_values(clean(read_table(path)).frame) == {"c": expected}


def parquet_of(content, **options):
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(content, out, **options)
    return out.getvalue()


def feather_of(content, **options):
    from pyarrow import feather

    out = io.BytesIO()
    feather.write_feather(content, out, **options)
    return out.getvalue()


@pytest.mark.parametrize("extension", ["parquet", "feather"])
def test_an_index_is_a_column(extension, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path, frame = tmp_path / f"a.{extension}", pd.DataFrame({"x": [1, 2]})
    several = pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["k", "l"])
    write = {"parquet": parquet_of, "feather": feather_of}[extension]
    for index, names in [
        (pd.Index([7, 8], name="customer"), ["x", "customer"]),
        (several, ["x", "k", "l"]),
        (pd.Index(["a", "b"]), ["x", "__index_level_0__"]),
        (pd.RangeIndex(2), ["x"]),
    ]:
        path.write_bytes(write(pyarrow.Table.from_pandas(frame.set_index(index))))
        assert list(read_table(path)) == names
    twice = frame.set_index(pd.Index([7, 8], name="x"))
    path.write_bytes(write(pyarrow.Table.from_pandas(twice)))
    with pytest.raises(ValueError, match="more than one column called 'x'"):
        read_table(path)


# ----------------------------------------------------------------------------- file sizes


@pytest.mark.parametrize("name", [f"a.csv.{end}" for end in ("gz", "bz2", "xz", "zst")])
def test_packed_text_has_a_limit(name, tmp_path):
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zst}
    content = b"n\n" + b"1\n" * 10**6
    (tmp_path / name).write_bytes(pack[name.rpartition(".")[2]](content))
    assert (tmp_path / name).stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"more than 1,000,000 bytes .* raise --size-limit"):
        read_table(tmp_path / name, size_limit=10**6)
    (tmp_path / name).write_bytes(pack[name.rpartition(".")[2]](content[:300_000]))
    assert len(read_table(tmp_path / name, size_limit=10**6)) > 10_000


def zst(content):
    return pytest.importorskip("pyarrow").compress(content, "zstd", asbytes=True)


def test_parquet_and_feather_have_a_limit(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    long = pyarrow.array(["a" * 10_000] * 2_000)
    tables = {
        "dictionary": {"t": long.dictionary_encode()},
        "text": {"t": long},
        "numbers": {"n": np.zeros(2 * 10**6)},
        "nothing": {"n": pyarrow.nulls(2 * 10**6)},
    }
    for name, content in tables.items():
        for write in (parquet_of, feather_of):
            path = tmp_path / f"{name}.{write.__name__.removesuffix('_of')}"
            path.write_bytes(write(pyarrow.table(content), compression="zstd"))
            assert path.stat().st_size < 100_000
            with pytest.raises(ValueError, match=r"more than 10,000,000 bytes"):
                read_table(path, size_limit=10**7)
            assert len(read_table(path, size_limit=10**8)) >= 2_000


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_what_a_feather_file_declares_is_checked_before_it_is_unpacked(compression, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    rows, path = 60_000, tmp_path / "a.feather"
    word = pyarrow.array(["a", "b"] * (rows // 2)).dictionary_encode()
    columns = {"n": np.zeros(rows), "word": word}
    content = feather_of(pyarrow.table(columns), compression=compression)
    path.write_bytes(content)
    assert len(read_table(path)) == rows
    size = (8 * rows).to_bytes(8, "little")
    assert content.count(size) == 1
    path.write_bytes(content.replace(size, (2**45).to_bytes(8, "little")))
    with pytest.raises(ValueError, match="takes more than"):
        read_table(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.jsonl", "a.json", "a.csv"])
def test_damaged_files_give_a_table_or_one_clear_error(name, tmp_path):
    """MIXUP_TAB_FUZZ sets the number of files."""
    rng, path = random.Random(0), tmp_path / name
    frame = pd.concat([FRAME.assign(day=ISO[0], flag=True)] * 5, ignore_index=True)
    if name == "a.json":
        frame.to_json(path, orient="records", date_format="iso")
    else:
        (WRITE | {"a.jsonl": lines})[name](frame, path)
    good = path.read_bytes()
    for _ in range(number_of_cases(60)):
        path.write_bytes(mutate_bytes(good, rng))
        try:
            clean(read_table(path, size_limit=10**7))
        except ValueError as error:
            message = str(error)
            assert message.startswith(("file 'a.", "column ")), message
            assert message.endswith("."), message


# ------------------------------------------------------------------------------------ zones


def test_dates_with_a_zone_are_dates_in_utc_and_need_one_in_new_files():
    utc = pd.DataFrame({"d": ISO})["d"]
    tokyo = utc.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    offsets = pd.Series(["2024-01-05T02:00+0200", "2024-02-05T01:00+0100"], name="d")
    for column in (tokyo, tokyo.astype(object), offsets):
        typed = clean(column.to_frame())
        assert typed.dtypes == {"d": "date with zone"}
        assert typed.frame["d"].tolist() == ISO
        form = typed.date_formats.get("d")
        again = as_dtype(column, "date with zone", form)
        assert again.equals(typed.frame["d"])
        assert as_dtype(tokyo.dt.tz_convert("UTC"), "date with zone", form).tolist() == ISO
        with pytest.raises(ValueError, match=r"'d' should hold .* 'date with zone'"):
            as_dtype(utc, "date with zone", form)
        with pytest.raises(ValueError, match=r"'d' should hold .* 'date with zone'"):
            as_dtype(utc.astype(str), "date with zone", form)
    assert as_dtype(tokyo.astype(str), "date with zone").tolist() == ISO
    for column in (tokyo, tokyo.astype(str), offsets):
        with pytest.raises(ValueError, match="'d' should hold values of type 'date'"):
            as_dtype(column, "date")
    with pytest.raises(ValueError, match="column 'd' holds dates with and without a zone"):
        clean(pd.concat([tokyo.astype(object), utc.astype(object)]).to_frame())
