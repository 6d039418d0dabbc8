"""The playground: its data, its numbers, its page, and the page in a browser."""

import base64
import json
import math
import re
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mixup_tab import MixupClassifier
from mixup_tab.metrics import classification_scores
from mixup_tab.playground import write_playground
from mixup_tab.playground.measuring import (
    MIXINGS,
    ROWS_PER_DOT,
    describe,
    draw_samples,
    fit_scenes,
    log_norms,
    plane,
    settings,
)
from mixup_tab.playground.page import make_page
from mixup_tab.playground.scenes import MOST_ROWS, Scene, table_scene, toy_scenes

EVIL = "</script><script>document.title = 'taken'</script>"
COLUMNS = {"x": "size", "y": "age", "target": "kind"}
ALPHAS = [0.0, 0.4, 3.0]

# -------------------------------------------------------------------------------- scenes


@pytest.fixture
def table(tmp_path):
    """Write a table of three classes, or of the columns given, and return its path."""

    def write(rows=60, **columns):
        rng = np.random.default_rng(0)
        usual = {
            "size": rng.normal(size=rows),
            "age": rng.integers(0, 90, rows),
            "kind": np.resize(["b", "a", "c"], rows),
        }
        pd.DataFrame(usual).assign(**columns).to_csv(tmp_path / "t.csv", index=False)
        return tmp_path / "t.csv"

    return write


def rows_of(X, y):
    return {(*map(float, row), int(code)) for row, code in zip(X, y, strict=True)}


def test_toys_come_from_their_seed():
    first, again, other = toy_scenes(0), toy_scenes(0), toy_scenes(1)
    amounts = product(("two moons", "circles"), ("little", "some", "much"), (50, 200))
    assert [(one.data, one.noise, len(one.X)) for one in first] == [*amounts]
    assert first[3].name == "two moons, some noise, 200 training rows"
    assert np.array_equal(first[2].X, first[3].X[:50])
    for one, same, different in zip(first, again, other, strict=True):
        assert one.X_held_out.shape == (1000, 2)
        assert set(one.y) == {0, 1}
        assert np.array_equal(one.X, same.X)
        assert not np.array_equal(one.X, different.X)


def test_every_row_of_a_table_is_for_training_or_held_out_and_classes_are_halved(table):
    scene = table_scene(table(), **COLUMNS)
    assert scene.classes == ("a", "b", "c")
    assert scene.columns == ("size", "age")
    assert np.bincount(scene.y).tolist() == np.bincount(scene.y_held_out).tolist() == [10] * 3
    train, held_out = rows_of(scene.X, scene.y), rows_of(scene.X_held_out, scene.y_held_out)
    assert not train & held_out
    frame = pd.read_csv(table())
    codes = frame["kind"].map({"a": 0, "b": 1, "c": 2})
    assert train | held_out == rows_of(frame[["size", "age"]].to_numpy(np.float32), codes)
    assert scene.notes == ()


def test_rows_with_missing_values_are_left_out_with_a_note(table):
    sizes, kinds = np.arange(60.0), np.resize(["b", "a", "c"], 60).astype(object)
    sizes[:3], kinds[3:5] = np.nan, None
    scene = table_scene(table(size=sizes, kind=kinds), **COLUMNS)
    assert len(scene.y) + len(scene.y_held_out) == 55
    assert scene.notes == ("5 rows with a missing value are left out.",)


def test_rows_of_a_large_table_are_drawn_and_its_rare_class_is_kept(table):
    path = table(9000, kind=np.repeat(["rare", "often"], [2, 8998]))
    scene = table_scene(path, **COLUMNS)
    assert len(scene.y) + len(scene.y_held_out) == MOST_ROWS + 2
    assert np.bincount(scene.y)[1] == np.bincount(scene.y_held_out)[1] == 1
    assert "of the 9,000 rows were drawn at random" in scene.notes[0]
    other = table_scene(path, **COLUMNS, random_state=1)
    assert rows_of(scene.X, scene.y) != rows_of(other.X, other.y)


@pytest.mark.parametrize(
    ("names", "columns", "message"),
    [
        (
            {"x": "weight"},
            {},
            "x must be one of the columns 'size', 'age', 'kind', got 'weight'",
        ),
        ({"y": "size"}, {}, "x='size' is the same column as y. Give three."),
        ({}, {"kind": np.arange(60) // 5}, "target='kind' has 12 different values; the page"),
        ({"x": "kind", "target": "size"}, {}, "x='kind' holds values of"),
        ({}, {"age": 3.0}, "y='age' is 3 in every row"),
        ({}, {"age": 1e9 + np.arange(60) / 60}, "y='age' is 1e+09 in every row"),
        ({}, {"age": np.arange(60) * 1e37}, "y='age' holds values up to 5.9e+38"),
        ({}, {"kind": "a"}, "target='kind' is 'a' in all 60 rows"),
        ({}, {"kind": ["z", *"ab" * 29, "a"]}, "single row of class 'z'"),
        ({}, {"size": [1.0, 2.0] * 5 + [None] * 50}, "of 'size', 'age' and 'kind', got 10."),
        ({}, {"rows": 0}, "at least 20 rows with a value of 'size', 'age' and 'kind', got 0."),
    ],
)
def test_columns_that_cannot_be_drawn_are_refused(table, names, columns, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        table_scene(table(**columns), **{**COLUMNS, **names})


# ------------------------------------------------------------------------------- numbers


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 180)
    X = (rng.normal(size=(180, 2)) + 2 * np.eye(3, 2)[y]).astype(np.float32)
    return Scene("t", ("a", "b"), tuple("xyz"), X[:60], y[:60], X[60:], y[60:])


@pytest.fixture(scope="module")
def nets(scene):
    return fit_scenes([scene], ALPHAS)[0]


@pytest.fixture(scope="module")
def numbers(scene, nets):
    return describe(scene, nets)


def test_nets_of_the_stack_are_those_of_a_single_fit(scene, nets):
    both = [*MIXINGS].index("mixup+cutmix")
    assert [(net.mixing, net.alpha_) for net in nets] == settings(ALPHAS)
    assert settings(ALPHAS)[1 + 2 * both + 1] == ("mixup+cutmix", 3.0)
    alone = MixupClassifier(3.0, device="cpu", random_state=0)
    expected = alone.fit(scene.X, scene.y).predict_proba(scene.X_held_out)
    found = nets[1 + 2 * both + 1].predict_proba(scene.X_held_out)
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_grid_holds_probabilities_on_the_plane(numbers, nets):
    size = numbers["grid"]["size"]
    packed = np.frombuffer(base64.b64decode(numbers["grid"]["data"]), dtype=np.uint8)
    grid = packed.reshape(len(nets), 2, size, size) / 255
    left, right, bottom, top = numbers["limits"]
    xs, ys = np.linspace(left, right, size), np.linspace(bottom, top, size)
    for row, column in ((0, 0), (size - 1, 3), (40, size - 1)):
        expected = nets[1].predict_proba(np.float32([[xs[column], ys[row]]]))[0, :2]
        assert grid[1, :, row, column] == pytest.approx(expected, abs=0.51 / 255)


def test_scores_and_curves_are_of_the_held_out_rows(numbers, scene, nets):
    rows, losses = len(scene.y_held_out), []
    for k, net in enumerate(nets):
        proba = net.predict_proba(scene.X_held_out)
        expected = classification_scores(scene.y_held_out, proba)
        for name in ("error", "log_loss", "ece"):
            assert numbers["scores"][name][k] == pytest.approx(expected[name], abs=1e-5)
        own = proba.astype(float)[range(rows), scene.y_held_out]
        losses.append(-np.log(own.clip(np.finfo(float).eps)))
        assert losses[-1].mean() == pytest.approx(expected["log_loss"], abs=1e-5)
        gain = losses[0] - losses[-1]
        assert numbers["scores"]["gain"][k] == pytest.approx(gain.mean(), abs=1e-5)
        spread = 1.96 * stats.sem(gain)
        assert numbers["scores"]["spread"][k] == pytest.approx(spread, abs=1e-5)
        names = ("count", "confidence", "accuracy")
        count, confidence, accuracy = (np.array(numbers["bins"][k][name]) for name in names)
        assert count.sum() == rows
        assert count.min() >= ROWS_PER_DOT
        assert count @ accuracy / rows == pytest.approx(1 - expected["error"], abs=1e-4)
        assert count @ confidence / rows == pytest.approx(proba.max(axis=1).mean(), abs=1e-4)
        assert (np.diff(confidence) > 0).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_samples_have_weights_from_the_beta_distribution(alpha):
    drawn = [draw_samples(300, [0.0, alpha], seed) for seed in range(8)]
    mixup, cutmix = 1, 2
    for one in drawn:
        assert one["x"][mixup] == one["y"][mixup]
        assert {*one["x"][cutmix], *one["y"][cutmix]} == {0.0, 1.0}
    lam = np.array([one["x"][mixup] for one in drawn])
    places = np.linspace(0.05, 0.95, 19)
    found = (lam.ravel() <= places[:, None]).mean(axis=1)
    assert found == pytest.approx(stats.beta(alpha, alpha).cdf(places), abs=0.04)
    kept = np.array([[one[name][cutmix] for name in "xy"] for one in drawn])
    assert kept.mean() == pytest.approx(0.5, abs=0.04)
    # Both columns have one chance p: they agree with probability E[p² + (1 − p)²].
    agree = 1 - alpha / (2 * alpha + 1)
    assert (kept[:, 0] == kept[:, 1]).mean() == pytest.approx(agree, abs=0.04)


def test_samples_move_between_their_rows_when_alpha_changes():
    drawn = draw_samples(40, [0, 0.2, 1, 8])
    plain, *mixed = np.array(drawn["x"])[:4]  # plain training and mixup
    assert (plain == 1).all()
    assert drawn["first"][:41] == [*range(40), 0]
    assert len(drawn["second"]) == len(MIXINGS)
    assert all(sorted(second[:40]) == list(range(40)) for second in drawn["second"])
    sides = [np.sign(lam - 0.5) for lam in mixed]
    assert (sides[0] == sides[2]).all()
    assert (np.diff([abs(lam - 0.5) for lam in mixed], axis=0) <= 1e-3).all()


def test_norms_make_the_density_of_lambda():
    (none, norm), lam = log_norms([0, 0.3]), 0.2
    assert none is None
    density = (lam * (1 - lam)) ** (0.3 - 1) / np.exp(norm)
    assert density == pytest.approx(stats.beta(0.3, 0.3).pdf(lam), rel=1e-5)


def test_a_far_point_is_left_out_of_the_picture_with_a_note(scene, nets):
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    X[7] = 1e6
    assert all(abs(limit) < 5 for limit in plane(X))
    far = replace(scene, X=X, y=np.arange(500) % 3)
    (note,) = describe(far, nets)["notes"]
    assert note.endswith("outside the picture.")


def test_large_values_close_together_stay_apart_in_the_picture(scene, nets):
    """Such as times of one hour, in seconds since 1970."""
    X = np.float64(1.7e9) + 60 * np.arange(120.0).reshape(-1, 2)
    times = replace(scene, X=X, y=np.arange(60) % 3)
    numbers = describe(times, nets)
    left, right, bottom, top = numbers["limits"]
    assert right - left > 7000
    assert top - bottom > 7000
    assert np.abs(np.array(numbers["points"]["x"]) - X[:, 0]).max() < 0.1


def test_a_constant_column_has_a_margin():
    for value in (0.0, -3.0, 1e9):
        column = np.full(5, value, np.float32)
        left, right, bottom, top = plane(np.column_stack([column, np.arange(5)]))
        assert np.float32(left) < value < np.float32(right)
        assert (bottom, top) == pytest.approx((-0.2968, 4.2968))


# ---------------------------------------------------------------------------------- page


def scripts(page):
    """What a browser takes for scripts: each ends at the next closing tag."""
    return re.findall(r"<script[^>]*>(.*?)</script", page, re.DOTALL)


def test_a_page_comes_from_its_seed_and_holds_its_data_and_nothing_from_outside(scene):
    few = {"X": scene.X[:20], "y": np.arange(20) % 3}
    evil = replace(scene, data=EVIL, columns=("<b>", "&"), classes=(EVIL, "y", "z"), **few)
    page = make_page([evil], [0.0, 1.0], 3)
    assert page == make_page([evil], [0.0, 1.0], 3)
    data, _ = scripts(page)
    assert json.loads(data)["scenes"][0]["classes"] == [EVIL, "y", "z"]
    assert json.loads(data)["alphas"] == [0.0, 1.0]
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|(?:src|href)=\"(?!data:)|@import|url\(", page)


def test_a_page_replaces_an_older_one_and_leaves_no_other_file(tmp_path, table):
    output = tmp_path / "new" / "page.html"
    output.parent.mkdir()
    output.write_text("older")
    assert write_playground(output, table=table(), **COLUMNS, alphas=[0.2]) == output
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in output.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "page.csv"}, r"output must be a file that ends in .html, got 'page.csv'"),
        ({"output": "."}, r"output must be a file that ends in .html, got '.'"),
        ({"x": "a"}, "x='a' is a column, but no table is given"),
        (
            {"table": "t.csv", "x": "a", "y": "b"},
            "needs x, y and target, but target is missing",
        ),
        ({"table": "t.csv", **COLUMNS}, "'t.csv' does not exist"),
        ({"random_state": -1}, "random_state must be an integer from 0"),
        ({"alphas": [-1]}, "alpha must be a finite number of at least 0"),
        ({"alphas": [0]}, "alphas must hold 1 to 24 different values above 0, got 0"),
    ],
)
def test_arguments_that_make_no_page(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        write_playground(**{"output": "page.html", **arguments})
    assert not any(tmp_path.iterdir())


# -------------------------------------------------------------------------------- browser


PANELS = ("boundary", "samples", "density", "calibration", "scores")
STILL = {"name": "prefers-reduced-motion", "value": "reduce"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    moons, circles = (
        [scene for scene in toy_scenes() if scene.data == data and len(scene.y) == 50]
        for data in ("two moons", "circles")
    )
    circles = [replace(scene, classes=(EVIL, "inner"), target="ring") for scene in circles]
    scenes = [*moons[::2], *circles[::2]]  # of little and of much noise
    path = tmp_path_factory.mktemp("playground") / "page.html"
    path.write_text(make_page(scenes, [0.0, 0.2, 1.0, 8.0]), encoding="utf-8")
    return path


class Reader:
    """A reader of the page: presses keys and looks at pictures and texts."""

    def __init__(self, browser, page):
        from selenium import webdriver

        self.browser, self.keys = browser, webdriver.Keys
        self.chains = webdriver.ActionChains
        self.screen()
        browser.get(page.as_uri())

    def screen(self, width=1000, features=(STILL,)):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": list(features)}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def element(self, name):
        return self.browser.find_element("id", name)

    def picture(self, name):
        script = "return document.getElementById(arguments[0]).toDataURL()"
        return self.browser.execute_script(script, name)

    def pictures(self):
        return {name: self.picture(name) for name in PANELS}

    def text(self, name):
        return self.element(name).get_property("textContent").replace("\u00a0", " ")

    def press(self, *keys, at="#alpha"):
        self.browser.execute_script(f"document.querySelector('{at}').focus()")
        self.chains(self.browser).send_keys(*keys).perform()

    def wait(self, condition, what):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 10, poll_frequency=0.05).until(lambda _: condition(), what)


@pytest.fixture
def reader(browser, page):
    return Reader(browser, page)


@pytest.mark.slow
def test_the_keyboard_moves_alpha_and_every_picture_and_text_follows(reader):
    reader.press(reader.keys.HOME, reader.keys.RIGHT)
    assert reader.text("value") == "0.2"
    before, said = reader.pictures(), reader.text("status")
    texts = {name: reader.text(f"{name}-text") for name in PANELS}
    reader.press(reader.keys.RIGHT)
    assert reader.text("value") == "1"
    after = reader.pictures()
    assert all(before[name] != after[name] for name in PANELS)
    assert reader.text("status") != said
    assert all(reader.text(f"{name}-text") != texts[name] for name in PANELS[:4])
    reader.press(reader.keys.HOME)
    assert reader.text("value") == "0"
    reader.press(reader.keys.END, reader.keys.LEFT, reader.keys.LEFT)
    assert reader.pictures() == before


@pytest.mark.slow
def test_the_status_says_what_was_measured(reader, page):
    data = json.loads(scripts(page.read_text("utf-8"))[0])
    reader.press(reader.keys.END)
    much = next(one for one in data["scenes"] if one["noise"] == "much")
    net = 3 * [*data["mixings"]].index("mixup+cutmix") + 3  # of plain training and three α
    scores = {name: (values[0], values[net]) for name, values in much["scores"].items()}
    said = reader.text("status")
    assert said.startswith("α = 8")
    assert f"error {100 * scores['error'][1]:.1f} %" in said
    assert f"log-loss {scores['log_loss'][1]:.3f} (α = 0: {scores['log_loss'][0]:.3f})" in said
    assert f"by {abs(scores['gain'][1]):.3f} " in reader.text("verdict")
    assert reader.element("alpha").get_attribute("aria-valuetext") == "8"
    assert reader.element("status").get_attribute("aria-live") == "polite"
    for name in PANELS:
        assert reader.element(name).get_attribute("role") == "img"
        assert "at α = 8" in reader.element(name).get_attribute("aria-label")


@pytest.mark.slow
def test_the_keyboard_chooses_the_other_data_set(reader):
    before = reader.pictures()
    reader.press(reader.keys.RIGHT, at="[name=data]")
    after = reader.pictures()
    assert all(before[name] != after[name] for name in PANELS if name != "density")
    legend = reader.browser.find_elements("css selector", "#legend li")
    assert [item.text for item in legend] == ["ring:", EVIL, "inner"]
    assert reader.browser.title == "mixup playground"


@pytest.mark.slow
def test_mixing_helps_where_there_is_much_noise_and_harms_where_there_is_little(reader):
    reader.press(reader.keys.HOME, reader.keys.RIGHT)
    assert reader.text("verdict").startswith("Mixing helps here: it lowers the log-loss by")
    reader.press(reader.keys.RIGHT, at="[name=noise]:checked")  # round to the first
    assert reader.text("verdict").startswith("Mixing harms here: it raises the log-loss by")
    reader.press(reader.keys.HOME)
    assert reader.text("verdict") == "This is plain training. Move α to mix."


@pytest.mark.slow
@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_every_rule_of_mixing_has_pictures_of_its_own(reader, mixing):
    before, said = reader.pictures(), reader.text("samples-text")
    place = ["mixup+cutmix", "mixup", "cutmix"].index(mixing)
    reader.press(*[reader.keys.RIGHT] * place, at="[name=mixing]:checked")
    after = reader.pictures()
    assert all(before[name] != after[name] for name in PANELS)
    assert reader.text("samples-text") != said


@pytest.mark.slow
def test_the_address_keeps_the_setting(reader, page):
    reader.press(reader.keys.END)
    reader.press(reader.keys.RIGHT, at="[name=data]:checked")
    reader.press(reader.keys.RIGHT, at="[name=mixing]:checked")
    address, pictures = reader.browser.current_url, reader.pictures()
    kept = "#data=circles&noise=much&mixing=mixup&alpha=8"
    assert address == page.as_uri() + kept
    reader.browser.get("about:blank")
    reader.browser.get(address)
    assert reader.pictures() == pictures
    changed = kept.replace("=8", "=1")
    reader.browser.execute_script("location.hash = arguments[0]", changed)
    reader.wait(lambda: reader.text("value") == "1", "the setting of another address")


@pytest.mark.slow
def test_an_address_that_makes_no_sense_shows_the_usual_setting(reader, page):
    expected = reader.pictures()
    reader.browser.get("about:blank")
    reader.browser.get(page.as_uri() + "#data=%3Cb%3E&noise=none&mixing=&alpha=&%E0%A4%A")
    assert reader.pictures() == expected
    assert reader.browser.get_log("browser") == []


@pytest.mark.slow
def test_nothing_is_fetched_and_the_console_stays_empty(browser, page):
    browser.get_log("performance"), browser.get_log("browser")
    Reader(browser, page)
    events = (json.loads(entry["message"]) for entry in browser.get_log("performance"))
    sent = [
        event["message"]["params"]["request"]["url"]
        for event in events
        if event["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in sent
    assert all(url.startswith("data:") for url in sent if url != page.as_uri())
    assert browser.get_log("browser") == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 768, 1200])
def test_nothing_is_wider_than_the_screen(reader, width):
    reader.screen(width)
    root = "document.documentElement"
    script = f"return {root}.scrollWidth <= {root}.clientWidth"
    assert reader.browser.execute_script(script)
    for name in PANELS:
        canvas = reader.element(name)
        assert canvas.rect["x"] >= 0
        assert canvas.rect["x"] + canvas.rect["width"] <= width
        reader.wait(
            lambda c=canvas: c.get_property("width") == c.get_property("clientWidth"),
            f"{name} redrawn at its size",
        )


@pytest.mark.slow
def test_light_and_dark_are_drawn_in_their_own_colours(reader):
    scheme = {"name": "prefers-color-scheme", "value": "light"}
    reader.screen(features=[STILL, scheme])
    light = reader.pictures()
    reader.screen(features=[STILL, {**scheme, "value": "dark"}])
    for name in PANELS:
        reader.wait(lambda n=name: reader.picture(n) != light[n], f"{name} in dark")
    reader.screen(features=[STILL, scheme])
    reader.wait(lambda: reader.pictures() == light, "all panels in light again")


@pytest.mark.slow
def test_animation_ends_in_the_same_picture_and_play_moves_alpha(reader):
    reader.press(reader.keys.RIGHT)
    expected = reader.picture("samples")
    reader.press(reader.keys.LEFT)
    reader.screen(features=[])
    reader.press(reader.keys.RIGHT)
    assert reader.text("value") == "1"
    reader.wait(lambda: reader.picture("samples") == expected, "the same samples")
    play = reader.element("play")
    reader.press(reader.keys.HOME)
    play.click()
    assert "Pause" in play.text
    reader.wait(lambda: reader.text("value") == "1", "two steps")
    play.click()
    assert "Play" in play.text


@pytest.mark.slow
def test_a_click_on_the_scores_moves_alpha(reader):
    canvas = reader.element("scores")
    right = int(canvas.rect["width"] / 2 - 14)
    reader.chains(reader.browser).move_to_element_with_offset(
        canvas, right, 0
    ).click().perform()
    assert reader.text("value") == "8"


@pytest.mark.slow
def test_the_contour_of_a_cone_is_a_circle(reader):
    (line,) = reader.browser.execute_script(
        "const size = 41, values = [];"
        "for (let row = 0; row < size; row++) for (let column = 0; column < size; column++)"
        "  values.push(0.3 - Math.hypot(column / 40 - 0.5, row / 40 - 0.5));"
        "return contours(values, size)"
    )
    assert line[0] == line[-1]
    assert all(math.dist(point, (0.5, 0.5)) == pytest.approx(0.3, abs=1e-3) for point in line)
    length = sum(math.dist(*pair) for pair in pairwise(line))
    assert length == pytest.approx(2 * math.pi * 0.3, rel=0.01)
