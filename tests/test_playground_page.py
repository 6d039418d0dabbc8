import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mixup_tab.playground import write_playground
from mixup_tab.playground.page import make_page
from mixup_tab.playground.scenes import Scene

EVIL = "</script><script>document.title = 'taken'</script>"
COLUMNS = {"x": "a", "y": "b", "target": "c"}


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)).astype(np.float32), np.arange(40) % 2
    return Scene(EVIL, ("<b>", "&"), (EVIL, "no"), X[:20], y[:20], X[20:], y[20:], "t")


class Scripts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "script"
        if self.inside:
            self.found.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1] += data


def test_a_page_comes_from_its_seed_and_its_data_comes_back(small):
    page = make_page([small], [0.0, 1.0], 3)
    assert page == make_page([small], [0.0, 1.0], 3)
    assert page != make_page([small], [0.0, 1.0], 4)
    data, _ = Scripts(page).found
    assert json.loads(data)["scenes"][0]["classes"] == [EVIL, "no"]
    assert json.loads(data)["alphas"] == [0.0, 1.0]


def test_a_page_names_nothing_outside_itself(small):
    page = make_page([small], [0.0, 1.0])
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|(?:src|href)=\"(?!data:)|@import|url\(", page)


def test_a_page_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path):
    output = tmp_path / "new" / "page.html"
    output.parent.mkdir()
    output.write_text("older")
    assert write_playground(output, alphas=[0.2]) == output
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in output.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "page.csv"}, r"output='.*page.csv' must end in .html"),
        ({"output": "."}, "output='.' is a folder. Give the name of a file"),
        ({"x": "a"}, "x='a' is a column, but of what"),
        ({"table": "t.csv", "x": "a", "y": "b"}, "table='t.csv' is given without --target"),
        ({"table": "t.csv", **COLUMNS}, "file 't.csv' does not exist"),
        ({"random_state": -1}, "random_state must be a whole number from 0"),
        ({"alphas": [-1]}, "alpha must be a finite number of at least 0"),
        ({"alphas": [0]}, "alphas must hold 1 to 24 different values beside 0, got 0"),
    ],
)
def test_arguments_that_make_no_page(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = {"output": "page.html", **arguments}
    with pytest.raises(ValueError, match=message):
        write_playground(**arguments)
    assert not any(tmp_path.iterdir())
