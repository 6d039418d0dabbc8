"""The playground as a reader has it: the slider moved and the picture looked at in Chromium."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest

from mixup_tab.playground.page import make_page
from mixup_tab.playground.scenes import toy_scenes

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
PANELS = ("boundary", "samples", "density", "calibration", "scores")
EVIL = "</script><script>document.title = 'taken'</script>"
STILL = {"name": "prefers-reduced-motion", "value": "reduce"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    moons, circles = toy_scenes()
    scenes = [moons, replace(circles, classes=(EVIL, "inner"), target="ring")]
    path = tmp_path_factory.mktemp("playground") / "page.html"
    path.write_text(make_page(scenes, [0.0, 0.2, 1.0, 8.0]), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page):
    _emulate(browser, 1000, [STILL])
    browser.get(page.as_uri())
    return browser


def _emulate(browser, width, features):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def _picture(browser, name):
    return browser.execute_script(
        "return document.getElementById(arguments[0]).toDataURL()", name
    )


def _pictures(browser):
    return {name: _picture(browser, name) for name in PANELS}


def _words(browser, name):
    return browser.find_element("id", name).get_property("textContent")


def _press(browser, *keys):
    browser.execute_script("document.getElementById('alpha').focus()")
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def _until(browser, condition, what):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 10, poll_frequency=0.05).until(lambda _: condition(), what)


def test_the_keyboard_moves_alpha_and_every_picture_and_text_follows(opened):
    assert _words(opened, "value") == "0.2"
    before, said = _pictures(opened), _words(opened, "status")
    texts = {name: _words(opened, f"{name}-text") for name in PANELS}
    _press(opened, webdriver.Keys.RIGHT)
    assert _words(opened, "value") == "1"
    after = _pictures(opened)
    assert all(before[name] != after[name] for name in PANELS)
    assert _words(opened, "status") != said
    assert all(_words(opened, f"{name}-text") != texts[name] for name in PANELS[:4])
    _press(opened, webdriver.Keys.HOME)
    assert _words(opened, "value") == "0"
    _press(opened, webdriver.Keys.END, webdriver.Keys.LEFT, webdriver.Keys.LEFT)
    assert _pictures(opened) == before


def test_what_is_said_is_what_was_measured(opened, page):
    html = page.read_text("utf-8")
    start = html.index('id="data">') + len('id="data">')
    data, _ = json.JSONDecoder().raw_decode(html[start:])
    _press(opened, webdriver.Keys.END)
    scores = data["scenes"][0]["scores"]
    said = _words(opened, "status").replace("\u00a0", " ")
    assert said.startswith("α = 8")
    assert f"error {100 * scores['error'][3]:.1f} %" in said
    assert f"log-loss {scores['log_loss'][3]:.3f} (α = 0: {scores['log_loss'][0]:.3f})" in said
    assert opened.find_element("id", "alpha").get_attribute("aria-valuetext") == "8"
    live = opened.find_element("id", "status")
    assert live.get_attribute("aria-live") == "polite"
    for name in PANELS:
        canvas = opened.find_element("id", name)
        assert canvas.get_attribute("role") == "img"
        assert "at α = 8" in canvas.get_attribute("aria-label")


def test_the_other_data_set_is_a_choice_of_the_keyboard(opened):
    before = _pictures(opened)
    opened.execute_script("document.querySelector('[name=scene]').focus()")
    webdriver.ActionChains(opened).send_keys(webdriver.Keys.RIGHT).perform()
    after = _pictures(opened)
    assert all(before[name] != after[name] for name in PANELS if name != "density")
    assert [li.text for li in opened.find_elements("css selector", "#legend li")] == [
        *("ring:", EVIL, "inner"),
    ]
    assert opened.title == "mixup playground"


def test_nothing_is_fetched_and_nothing_is_complained_of(browser, page):
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(page.as_uri())
    _press(browser, webdriver.Keys.RIGHT)
    events = [
        json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
    ]
    sent = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in sent
    assert all(url.startswith("data:") for url in sent if url != page.as_uri())
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [320, 360, 768, 1200])
def test_nothing_is_wider_than_the_screen(opened, width):
    _emulate(opened, width, [STILL])
    root = "document.documentElement"
    assert opened.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    for name in PANELS:
        canvas = opened.find_element("id", name)
        assert canvas.rect["x"] >= 0
        assert canvas.rect["x"] + canvas.rect["width"] <= width
        _until(
            opened,
            lambda c=canvas: c.get_property("width") == c.get_property("clientWidth"),
            f"{name} redrawn at its size",
        )


def test_light_and_dark_are_drawn_in_their_own_colours(opened):
    scheme = {"name": "prefers-color-scheme", "value": "light"}
    _emulate(opened, 1000, [STILL, scheme])
    light = _pictures(opened)
    _emulate(opened, 1000, [STILL, {**scheme, "value": "dark"}])
    for name in PANELS:
        _until(opened, lambda n=name: _picture(opened, n) != light[n], f"{name} in dark")
    _emulate(opened, 1000, [STILL, scheme])
    _until(opened, lambda: _pictures(opened) == light, "all panels in light again")


def test_motion_ends_where_stillness_is_at_once(opened):
    _press(opened, webdriver.Keys.RIGHT)
    expected = _picture(opened, "samples")
    _press(opened, webdriver.Keys.LEFT)
    _emulate(opened, 1000, [])
    _press(opened, webdriver.Keys.RIGHT)
    assert _words(opened, "value") == "1"
    _until(opened, lambda: _picture(opened, "samples") == expected, "the same samples")


def test_play_goes_on_by_itself_and_stops_when_pressed(opened):
    play = opened.find_element("id", "play")
    _press(opened, webdriver.Keys.HOME)
    play.click()
    assert play.get_attribute("aria-pressed") == "true"
    assert "Pause" in play.text
    _until(opened, lambda: _words(opened, "value") == "1", "two steps")
    play.click()
    assert play.get_attribute("aria-pressed") == "false"


def test_a_click_on_the_scores_moves_alpha(opened):
    canvas = opened.find_element("id", "scores")
    to_the_right = canvas.rect["width"] / 2 - 14
    webdriver.ActionChains(opened).move_to_element_with_offset(
        canvas, int(to_the_right), 0
    ).click().perform()
    assert _words(opened, "value") == "8"


def test_contours_of_a_cone_are_a_circle(opened):
    lines = opened.execute_script(
        "const size = 41, values = [];"
        "for (let row = 0; row < size; row++) for (let column = 0; column < size; column++)"
        "  values.push(0.3 - Math.hypot(column / 40 - 0.5, row / 40 - 0.5));"
        "return contours(values, size)"
    )
    (line,) = lines
    assert line[0] == line[-1]
    assert all(math.dist(point, (0.5, 0.5)) == pytest.approx(0.3, abs=1e-3) for point in line)
    length = sum(math.dist(*pair) for pair in pairwise(line))
    assert length == pytest.approx(2 * math.pi * 0.3, rel=0.01)
