"""The report page: as a file, and as a reader has it, opened and clicked in Chromium."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mixup_tab._page import Picture, Table, write_page

NASTY = "<script>document.title = 'taken'</script>\"' onload=x &amp;"


def drawing(width=4):
    figure = Figure(figsize=(width, 3))
    figure.subplots().plot([0, 1], [0, 1])
    return figure


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
            self.text.append(data.strip())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def everything(folder, text="plain"):
    frame = pd.DataFrame({f"column {text}": [f"cell {text}", "b"], "n": [1, 2]})
    return write_page(
        folder,
        f"title {text}",
        f"summary {text}",
        {
            f"heading {text}": [f"one {text}", "two"],
            "Table": [Table(frame, f"caption {text}")],
            "Picture": [Picture(drawing(), "line", f"alt {text}", text)],
        },
        details={f"part {text}": [f"words {text}", Table(frame.rename_axis(f"index {text}"))]},
        facts={f"fact {text}": f"value {text}"},
    )


def test_cells_are_shown_as_their_column_says(tmp_path):
    frame = pd.DataFrame(
        {
            "share": [0.123, np.nan],
            "rows": [1500, 20],
            "score": [1234.5678, 0.25],
            "long": ["x" * 300, None],
        },
        index=pd.Index(["a", "b"], name="set"),
    )
    html = write_page(
        tmp_path, "t", "s", {"T": [Table(frame, formats={"share": "{:.1%}", "rows": str})]}
    ).read_text("utf-8")
    shown = re.findall(r"<t[hd]>(.*?)</t[hd]>", html)
    assert shown[:5] == ["set", "share", "rows", "score", "long"]
    assert shown[5:10] == ["a", "12.3%", "1500", "1,235", "x" * 300]
    assert shown[10:] == ["b", "", "20", "0", ""]
    right = re.search(r"<style>(#table.*?)</style>", html)[1]
    assert re.findall(r"nth-child\((\d)\)", right) == ["2", "3", "4"]


def test_pictures_are_inside_the_page_and_beside_it(tmp_path):
    html = everything(tmp_path).read_text(encoding="utf-8")
    (image,) = Elements(html).all("img")
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert image["alt"] == "alt plain"
    assert (tmp_path / "pictures" / "line.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "pictures" / "line.svg").read_bytes()


def test_a_picture_of_very_many_points_is_embedded_as_pixels(tmp_path):
    figure = Figure()
    figure.subplots().plot(*np.random.default_rng(0).random((2, 20_000)), "o")
    page = write_page(tmp_path, "t", "s", {"P": [Picture(figure, "a", "points")]})
    assert 'src="data:image/png;base64,' in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("names", "alt", "message"),
    [
        (["../a"], "a line", r"name must be letters, digits, .* got '../a'"),
        (["a"], " ", "alt must say what the picture 'a' shows"),
        (["a", "a"], "a line", "name='a' is used for two pictures"),
    ],
)
def test_bad_pictures_are_refused(names, alt, message, tmp_path):
    pictures = [Picture(drawing(), name, alt) for name in names]
    with pytest.raises(ValueError, match=message):
        write_page(tmp_path, "t", "s", {"P": pictures})
    assert list(tmp_path.iterdir()) == []


def test_text_is_shown_and_never_read_as_html(tmp_path):
    expected = Elements(everything(tmp_path).read_text("utf-8"))
    found = Elements(everything(tmp_path, NASTY).read_text("utf-8"))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in expected.elements]
    names = [sorted(attrs) for _, attrs in expected.elements]
    assert [sorted(attrs) for _, attrs in found.elements] == names
    assert sum(NASTY in text for text in found.text) >= 12
    assert found.all("img")[0]["alt"] == f"alt {NASTY}"


def test_the_page_refers_to_nothing_outside_and_has_the_same_bytes_again(tmp_path):
    html = everything(tmp_path).read_text("utf-8")
    for _, attrs in Elements(html).elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert re.match(r"#|data:|$", attrs.get(name, ""))
    assert not re.search(r"https?:|@import|url\(", html)
    (policy,) = [
        attrs["content"] for attrs in Elements(html).all("meta") if "http-equiv" in attrs
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert everything(tmp_path).read_text("utf-8") == html


def test_an_older_page_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = everything(tmp_path)
    before = path.read_bytes()

    def fail(*paths):
        raise OSError(28, "disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk"):
        everything(tmp_path, "new")
    assert path.read_bytes() == before
    names = {entry.name for entry in tmp_path.rglob("*")}
    assert names == {"report.html", "pictures", "line.png", "line.svg"}


# ------------------------------------------------------------------------- in a browser

NAMES = ["wine", "Iris", "set 10", "set 9", NASTY]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    frame = pd.DataFrame(
        {
            "set": NAMES,
            "error %": [10.0, 9.5, float("inf"), None, -1],
            "difference": ["−1.3 ± 0.2", "+0.4 ± 1", "−12 ± 3", "", "0 ± 1"],
            "rank": ["1,020", "failed", "3", "100", "failed"],
            "day": ["2024-01-03", "2024-01-01", "", "2025-01-01", "2023-12-31"],
        }
    )
    wide = pd.DataFrame([range(40)], columns=[f"method number {k}" for k in range(40)])
    return write_page(
        tmp_path_factory.mktemp("report"),
        "Report",
        "Mixup helps on 3 of 5 sets.",
        {
            "Errors": [Table(frame, formats={"error %": "{:.1f}"})],
            "Wide": [Table(wide)],
            "Picture": [Picture(drawing(9), "line", "a line that falls")],
            NASTY: ["Text."],
        },
        details={name: [f"About {name}", Table(frame)] for name in NAMES},
        facts={"seed": "0"},
    )


def emulate(browser, width, *features):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": list(features)})


@pytest.fixture
def opened(browser, report):
    emulate(browser, 1000)
    browser.get(report.as_uri())
    return browser


def press(browser, column):
    browser.find_elements("css selector", "thead button")[column].click()


def shown(browser, column):
    rows = browser.find_element("tag name", "tbody").find_elements("tag name", "tr")
    return [row.find_elements("tag name", "td")[column].text for row in rows]


def order(browser):
    heads = browser.find_elements("css selector", "table:first-of-type thead th")[:5]
    return [th.get_attribute("aria-sort") for th in heads]


SORTED = {
    0: (["Iris", "set 9", "set 10", "wine"], slice(1, None)),
    1: (["-1.0", "9.5", "10.0", "inf", ""], slice(None)),
    2: (["−12 ± 3", "−1.3 ± 0.2", "0 ± 1", "+0.4 ± 1", ""], slice(None)),
    3: (["3", "100", "1,020", "failed", "failed"], slice(None)),
    4: (["2023-12-31", "2024-01-01", "2024-01-03", "2025-01-01", ""], slice(None)),
}


@pytest.mark.slow
def test_columns_sort_as_a_reader_would(opened):
    for column, (expected, rows) in SORTED.items():
        press(opened, column)
        assert shown(opened, column)[rows] == expected
    assert order(opened) == ["none"] * 4 + ["ascending"]
    press(opened, 1), press(opened, 1)
    assert shown(opened, 1) == ["inf", "10.0", "9.5", "-1.0", ""]  # empty cells stay below
    assert shown(opened, 0)[:2] == ["set 10", "wine"]  # whole rows moved
    press(opened, 3), press(opened, 3)
    assert shown(opened, 3) == ["1,020", "100", "3", "failed", "failed"]


@pytest.mark.slow
def test_the_keyboard_sorts(opened):
    from selenium.webdriver import ActionChains, Keys

    head = opened.find_element("css selector", "thead button")
    opened.execute_script("arguments[0].focus()", head)
    ActionChains(opened).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert order(opened)[:2] == ["none", "ascending"]
    ActionChains(opened).send_keys(Keys.SPACE).perform()
    assert order(opened)[:2] == ["none", "descending"]


@pytest.mark.slow
def test_details_open_by_a_click_and_on_paper(opened):
    parts = opened.find_elements("tag name", "details")
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(part.get_property("open") for part in parts)
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not any(part.get_property("open") for part in parts)
    parts[0].find_element("tag name", "summary").click()
    assert parts[0].find_element("tag name", "p").text == "About wine"


@pytest.mark.slow
def test_nothing_is_fetched_nothing_injected_runs_and_nothing_is_reported(browser, report):
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(report.as_uri())
    press(browser, 1)
    events = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    sent = [
        e["params"]["request"]["url"]
        for e in events
        if e["method"] == "Network.requestWillBeSent"
    ]
    assert report.as_uri() in sent
    assert all(url.startswith("data:") for url in sent if url != report.as_uri())
    assert browser.title == "Report"
    assert browser.get_log("browser") == []
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        "document.body.append(s)"
    )
    assert browser.title == "Report"


@pytest.mark.slow
def test_only_tables_and_pictures_scroll_sideways(opened):
    root = "document.documentElement"
    for width in (360, 1000):
        emulate(opened, width)
        assert opened.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
        wide = opened.find_elements("css selector", ".scroll")[1]
        assert wide.get_property("scrollWidth") > wide.get_property("clientWidth")
    image = opened.find_element("css selector", "img")
    assert image.get_property("complete")
    assert image.get_property("naturalWidth") > 600


@pytest.mark.slow
def test_numbers_stand_right_and_words_left(opened):
    cells = opened.find_elements("css selector", "tbody td")[:3]
    ways = [cell.value_of_css_property("text-align") for cell in cells]
    assert ways == ["left", "right", "left"]


@pytest.mark.slow
def test_light_and_dark_follow_the_reader(opened):
    grounds = []
    for scheme in ("light", "dark"):
        emulate(opened, 1000, {"name": "prefers-color-scheme", "value": scheme})
        body = opened.find_element("css selector", "body")
        grounds.append(body.value_of_css_property("background-color"))
    assert grounds == ["rgba(255, 255, 255, 1)", "rgba(22, 24, 28, 1)"]
