import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mixup_tab.page import Page, Picture, Table, Text

NASTY = "<script>alert(1)</script>\"' onload=x &amp;"


def drawing():
    figure = Figure(figsize=(4, 3))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def numbers(table, column):
    return [row[column].number for row in table.rows]


def best(table):
    return [[cell.best for cell in row] for row in table.rows]


class Elements(HTMLParser):
    """All elements with their attributes, and all text outside of style and script."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.inside = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.inside):
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page_with_everything(text="plain"):
    page = Page(f"title {text}", f"summary {text}", {f"fact {text}": f"value {text}"})
    page.add_text(f"heading {text}", [f"one {text}", "two"])
    frame = pd.DataFrame({f"column {text}": [f"cell {text}", "b"], "n": [1, 2]})
    page.add_table("Table", frame, caption=f"caption {text}", best={"n": "high"})
    page.add_picture("Picture", drawing(), name="line", alt=f"alt {text}", caption=text)
    page.add_details("Details", [(f"part {text}", [f"words {text}", frame])])
    return page


# -------------------------------------------------------------------------------- tables


def test_floats_of_a_column_have_the_same_decimals():
    frame = pd.DataFrame(
        {"a": [1.5, 0.25], "b": [123.456, 1], "c": [1e4 / 3, np.nan], "d": [2.0, 30000.0]}
    )
    assert texts(Table(frame)) == [
        ["1.500", "123.5", "3,333", "2"],
        ["0.250", "1.0", "", "30,000"],
    ]


def test_formats_are_strings_or_functions():
    frame = pd.DataFrame({"error": [0.123], "rows": [1500], "kind": ["a"]})
    table = Table(frame, formats={"error": "{:.1%}", "rows": lambda n: f"{n} rows"})
    assert texts(table) == [["12.3%", "1500 rows", "a"]]
    assert numbers(table, 0) == [0.123]
    assert numbers(table, 1) == [1500]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["4.5 ± 0.3", "12.1 ± 1"], [4.5, 12.1]),
        (["−1.3 (−2.0 to −0.5)", "+0.2 (0 to 1)"], [-1.3, 0.2]),
        (["12.4 %", "", "1,250 %"], [12.4, None, 1250]),
        (["2024-01-01", "2025-01-01"], [None, None]),
        (["3 nets", "10 nets"], [None, None]),
        (["1", "forest"], [None, None]),
    ],
)
def test_text_that_begins_with_numbers_sorts_by_them(cells, expected):
    table = Table(pd.DataFrame({"a": cells}))
    assert numbers(table, 0) == expected
    assert texts(table) == [[cell] for cell in cells]


def test_unusual_cells():
    values = [None, pd.NA, np.nan, np.inf, True, [1, 2], 10**20, pd.Timestamp("2026-01-02")]
    table = Table(pd.DataFrame({"a": pd.Series(values, dtype=object)}), formats={"a": str})
    assert [row[0].text for row in table.rows] == [
        *["", "", ""],
        "inf",
        "True",
        "[1, 2]",
        str(10**20),
        "2026-01-02 00:00:00",
    ]
    assert numbers(table, 0) == [None, None, None, np.inf, None, None, 1e20, None]


def test_an_index_with_a_meaning_becomes_the_first_column():
    frame = pd.DataFrame({"n": [1]})
    assert Table(frame).columns == ["n"]
    assert Table(frame[frame["n"] == 1].set_axis([7])).columns == ["n"]
    assert Table(frame.set_axis(["iris"])).columns == ["name", "n"]
    assert Table(frame.rename_axis("fold")).columns == ["fold", "n"]
    wide = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["error"], ["a", "b"]]))
    assert Table(wide).columns == ["error a", "error b"]


def test_the_best_of_columns():
    frame = pd.DataFrame({"m": "abc", "acc": [1, np.nan, 3], "loss": [5, 4, 4]})
    frame["m"] = list("abc")
    table = Table(frame, best={"acc": "high", "loss": "low"})
    assert best(table) == [[False, False, False], [False, False, True], [False, True, True]]


def test_the_best_of_every_row():
    frame = pd.DataFrame({"rows": [9, 9], "a": ["3.1 ± 1", "2 ± 1"], "b": [3.5, 1]})
    table = Table(frame, best={("a", "b"): "low"})
    assert best(table) == [[False, True, False], [False, False, True]]


def test_cells_that_look_the_same_as_the_best_are_marked_with_it():
    frame = pd.DataFrame({"a": [0.501, 0.499, 0.4]})
    table = Table(frame, formats={"a": "{:.1f}"}, best={"a": "high"})
    assert best(table) == [[True], [True], [False]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": {"z": "{}"}}, r"formats names 'z'; the columns are \['a', 'b'\]"),
        ({"best": {"z": "low"}}, "best names 'z'"),
        ({"best": {("a", "z"): "low"}}, "best names 'z'"),
        ({"best": {"a": "min"}}, r"best\['a'\] must be 'high' or 'low', got 'min'"),
    ],
)
def test_bad_settings_of_tables_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Table(pd.DataFrame({"a": [1], "b": [2]}), **settings)


def test_columns_of_the_same_name_are_refused():
    with pytest.raises(ValueError, match="the column 'a' twice"):
        Table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


# ------------------------------------------------------------------------------ pictures


def test_pictures_are_inside_the_page_and_beside_it(tmp_path):
    page = page_with_everything()
    html = page.write(tmp_path).read_text(encoding="utf-8")
    (image,) = Elements(html).all("img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert image["alt"] == "alt plain"
    assert (tmp_path / "pictures" / "line.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "pictures" / "line.svg").read_bytes()


def test_a_picture_is_drawn_when_it_is_added():
    figure = drawing()
    picture = Picture(figure, "a", "a line")
    figure.clear()
    assert picture.svg == Picture(drawing(), "a", "a line").svg


def test_a_picture_of_very_many_points_is_embedded_as_pixels():
    figure = Figure()
    figure.subplots().plot(*np.random.default_rng(0).random((2, 20_000)), "o")
    assert Picture(figure, "a", "points").source.startswith("data:image/png;base64,")


def test_bad_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"name must consist of .* got '../a'"):
        Picture(drawing(), "../a", "a line")
    with pytest.raises(ValueError, match="alt must say what the picture 'a' shows"):
        Picture(drawing(), "a", " ")
    page = page_with_everything()
    page.add_details("More", [("part", [Picture(drawing(), "line", "again")])])
    with pytest.raises(ValueError, match="name='line' is that of two pictures"):
        page.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ the page


def test_what_the_page_is_given_is_shown_and_never_read_as_html():
    expected = Elements(page_with_everything().render())
    found = Elements(page_with_everything(NASTY).render())
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in expected.elements]
    names = [sorted(attrs) for _, attrs in expected.elements]
    assert [sorted(attrs) for _, attrs in found.elements] == names
    assert sum(NASTY in text for text in found.text) >= 10
    assert found.all("img")[0]["alt"] == f"alt {NASTY}"


def test_the_page_refers_to_nothing_outside():
    html = page_with_everything().render()
    for _, attrs in Elements(html).elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert re.match(r"#|data:|$", attrs.get(name, ""))
    assert not re.search(r"https?:|@import|url\(", html)
    (policy,) = [
        attrs["content"] for attrs in Elements(html).all("meta") if "http-equiv" in attrs
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_same_page_has_the_same_bytes():
    assert page_with_everything().render() == page_with_everything().render()


def test_content_of_details_may_be_of_every_kind():
    page = Page("t", "s")
    content = [Text("a"), "b", Table(pd.DataFrame({"c": [1]})), pd.DataFrame({"d": [1]})]
    page.add_details("Details", [("part", [*content, Picture(drawing(), "e", "f")])])
    tags = [tag for tag, _ in Elements(page.render()).elements]
    assert tags.count("table") == 2
    assert tags.count("img") == 1
    with pytest.raises(TypeError, match=r"content must be text, .* got int"):
        page.add_details("Details", [("part", [3])])


def test_an_older_page_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = page_with_everything().write(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", _fail)
    with pytest.raises(OSError, match="disk"):
        page_with_everything("new").write(tmp_path)
    assert path.read_bytes() == before
    names = {entry.name for entry in tmp_path.rglob("*")}
    assert names == {"report.html", "pictures", "line.png", "line.svg"}


def _fail(*_):
    raise OSError("disk full")
