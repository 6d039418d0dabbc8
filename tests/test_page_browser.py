"""The report page as a reader has it: opened, clicked and looked at in Chromium."""

import json

import pandas as pd
import pytest
from matplotlib.figure import Figure

from mixup_tab.page import Page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
NAMES = ["wine", "Iris", "set 10", "set 9", "<script>document.title = 'taken'</script>"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    page = Page("Report", "Mixup helps on 3 of 5 sets.", {"seed": "0"})
    frame = pd.DataFrame(
        {
            "set": NAMES,
            "error %": [10.0, 9.5, float("inf"), None, -1],
            "difference": ["−1.3 ± 0.2", "+0.4 ± 1", "−12 ± 3", "", "0 ± 1"],
            "rank": [20, "failed", 3, 100, "failed"],
        }
    )
    page.add_table("Errors", frame, formats={"error %": "{:.1f}"}, best={"error %": "low"})
    wide = pd.DataFrame([range(40)], columns=[f"method number {k}" for k in range(40)])
    page.add_table("Wide", wide, best={"method number 39": "high"})
    figure = Figure(figsize=(9, 4))
    figure.subplots().plot([0, 1], [1, 0])
    page.add_picture("Picture", figure, name="line", alt="a line that falls")
    page.add_details("Sets", [(name, [f"About {name}", frame]) for name in NAMES])
    return page.write(tmp_path_factory.mktemp("report"))


@pytest.fixture
def opened(browser, report):
    _emulate(browser, 1000, [])
    browser.get(report.as_uri())
    return browser


def _emulate(browser, width, features):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _header(browser, column):
    return browser.find_elements("css selector", "table:first-of-type th > button")[column]


def _column(browser, column):
    rows = browser.find_element("css selector", "table").find_elements(
        "css selector", "tbody > tr"
    )
    cells = [row.find_elements("css selector", "th, td")[column] for row in rows]
    return [
        cell.get_property("firstChild")["textContent"] if cell.text else "" for cell in cells
    ]


def _sorted_as(browser):
    table = browser.find_element("css selector", "table")
    return [
        th.get_attribute("aria-sort") for th in table.find_elements("css selector", "thead th")
    ]


def test_numbers_sort_as_numbers_both_ways_and_empty_cells_stay_below(opened):
    _header(opened, 1).click()
    assert _column(opened, 1) == ["-1.0", "9.5", "10.0", "inf", ""]
    assert _sorted_as(opened) == ["none", "ascending", "none", "none"]
    _header(opened, 1).click()
    assert _column(opened, 1) == ["inf", "10.0", "9.5", "-1.0", ""]
    assert _sorted_as(opened) == ["none", "descending", "none", "none"]
    assert _column(opened, 0)[:2] == ["set 10", "wine"]  # whole rows moved


def test_text_sorts_as_a_reader_would(opened):
    _header(opened, 0).click()
    assert _column(opened, 0)[1:] == ["Iris", "set 9", "set 10", "wine"]


def test_numbers_with_a_spread_sort_by_the_number(opened):
    _header(opened, 2).click()
    expected = ["−12 ± 3", "−1.3 ± 0.2", "0 ± 1", "+0.4 ± 1", ""]
    assert _column(opened, 2) == expected


def test_words_among_numbers_stay_below(opened):
    _header(opened, 3).click()
    assert _column(opened, 3) == ["3", "20", "100", "failed", "failed"]
    _header(opened, 3).click()
    assert _column(opened, 3) == ["100", "20", "3", "failed", "failed"]


def test_the_keyboard_sorts(opened):
    opened.execute_script("arguments[0].focus()", _header(opened, 0))
    keys = webdriver.Keys
    webdriver.ActionChains(opened).send_keys(keys.TAB, keys.ENTER).perform()
    assert _sorted_as(opened) == ["none", "ascending", "none", "none"]
    webdriver.ActionChains(opened).send_keys(keys.SPACE).perform()
    assert _sorted_as(opened) == ["none", "descending", "none", "none"]


def test_the_best_cell_is_seen_and_said(opened):
    (cell,) = opened.find_elements("css selector", "table")[0].find_elements(
        "css selector", ".best"
    )
    assert cell.get_property("textContent") == "-1.0 (best)"
    assert cell.value_of_css_property("background-color") != "rgba(0, 0, 0, 0)"


def test_details_open_by_a_click(opened):
    part = opened.find_element("css selector", "details")
    assert not part.find_element("css selector", "p").is_displayed()
    part.find_element("css selector", "summary").click()
    assert part.find_element("css selector", "p").text == "About wine"


def test_nothing_is_fetched_nothing_injected_runs_and_nothing_is_complained_of(browser, report):
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(report.as_uri())
    _header(browser, 1).click()
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


def test_scripts_that_came_in_would_not_run(opened):
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        "document.body.append(s)"
    )
    assert opened.title == "Report"


def test_the_picture_is_there(opened):
    image = opened.find_element("css selector", "img")
    assert image.get_property("complete")
    assert image.get_property("naturalWidth") > 600


@pytest.mark.parametrize("width", [360, 1000])
def test_only_tables_and_pictures_scroll_sideways(opened, width):
    _emulate(opened, width, [])
    root = "document.documentElement"
    assert opened.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    wide = opened.find_elements("css selector", ".scroll")[1]
    assert wide.get_property("scrollWidth") > wide.get_property("clientWidth")


def test_light_and_dark_follow_the_reader(opened):
    grounds = []
    for scheme in ("light", "dark"):
        _emulate(opened, 1000, [{"name": "prefers-color-scheme", "value": scheme}])
        body = opened.find_element("css selector", "body")
        grounds.append(body.value_of_css_property("background-color"))
    assert grounds == ["rgba(255, 255, 255, 1)", "rgba(22, 24, 28, 1)"]


def test_paper_shows_what_is_folded(opened):
    opened.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(
        part.get_property("open") for part in opened.find_elements("tag name", "details")
    )
    opened.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not any(
        part.get_property("open") for part in opened.find_elements("tag name", "details")
    )
