"""What the documentation says is run and looked up; the site itself is built by CI."""

import importlib.util
import inspect
import pydoc
import re
from pathlib import Path

import pytest
from test_imports import FLOORS

import mixup_tab
from mixup_tab import persistence
from mixup_tab.mixing._names import RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", flags=re.MULTILINE)
PAGES = {
    path.relative_to(DOCS).as_posix(): BLOCK.findall(path.read_text(encoding="utf-8"))
    for folder in (".", "user_guide")
    for path in sorted((DOCS / folder).glob("*.rst"))
}
INDEX = PAGES.pop("index.rst")
WITH_CODE = [name for name, blocks in PAGES.items() if blocks]


def plain(block):
    return "\n".join(line[3:] for line in block.splitlines())


def test_the_first_page_shows_code_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [plain(block).strip() in readme for block in INDEX] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_CODE)
def test_code_of_a_page_runs_from_top_to_bottom(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in PAGES[name]:
        exec(compile(plain(block), name, "exec"), names)
    assert capsys.readouterr().out


def test_every_page_of_the_guide_has_code():
    assert [n for n in PAGES if n.startswith("user_guide/") and n not in WITH_CODE] == [
        "user_guide/index.rst"
    ]


def test_every_name_that_a_page_mentions_exists():
    pages = [*map(DOCS.joinpath, PAGES), *(ROOT / "examples").glob("*.py")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r":\w+:`[^`]*?(mixup_tab(?:\.\w+)+)", text):
            assert pydoc.locate(name) is not None, f"{page.name}: {name}"


def test_the_table_of_rules_has_every_name():
    text = (DOCS / "user_guide" / "mixing_rules.rst").read_text(encoding="utf-8")
    assert set(re.findall(r'^   \* - ``"([a-z_+]+)"``$', text, flags=re.MULTILINE)) == set(
        RULES
    )


def test_the_table_of_rooms_is_in_the_order_of_imports():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = re.findall(r"`(?:mixup_tab/)?(\w+)(?:/|\.py)`(?=[^|]* \|)", text)
    listed = [room for room in rooms if room in FLOORS]
    assert sorted(listed) == sorted(FLOORS)
    assert [FLOORS[room] for room in listed] == sorted(FLOORS.values())


def public_names(room):
    module = importlib.import_module(f"mixup_tab.{room}")
    if hasattr(module, "__all__"):
        return set(module.__all__)
    classes = inspect.getmembers(module, inspect.isclass)
    here = {name for name, value in classes if value.__module__ == module.__name__}
    return {name for name in here if not name.startswith("_")}


def test_the_reference_lists_every_public_name_as_it_is_imported():
    short = {name for name in mixup_tab.__all__ if name != "__version__"}
    rooms = {room for room in FLOORS if not room.startswith("_")} - {"cli"}
    names = [f"{room}.{name}" for room in rooms for name in public_names(room) - short]
    pages = [path for path in (DOCS / "api").glob("*.rst") if path.name != "index.rst"]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert sorted(re.findall(r"^   mixup_tab\.(\S+)$", text, re.M)) == sorted([*names, *short])
    index = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    for path in pages:
        assert f"   {path.stem}\n" in index
        assert f".. include:: {path.name}\n" in index


def test_the_index_of_the_guide_says_what_every_page_answers():
    text = (DOCS / "user_guide" / "index.rst").read_text(encoding="utf-8")
    questions = re.findall(r"^   \* - :doc:`(\w+)`\n     - .*\?$", text, re.M)
    pages = [path.stem for path in (DOCS / "user_guide").glob("*.rst") if path.stem != "index"]
    assert sorted(questions) == sorted(pages)
    assert re.findall(r"^   (\w+)$", text, re.M) == questions


def test_every_example_is_listed():
    examples = [path.name for path in (ROOT / "examples").glob("*.py")]
    listed = re.findall(
        r"^\| `(\w+\.py)", (ROOT / "examples" / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(listed) == sorted(examples)


def test_every_example_has_a_title():
    title = re.compile(r'"""\n(.+)\n(=+)\n')  # or the gallery would not link its page
    for path in (ROOT / "examples").glob("*.py"):
        found = title.match(path.read_text(encoding="utf-8"))
        assert found, path.name
        assert len(found[1]) <= len(found[2]), path.name


def test_persistence_lists_only_what_users_call():
    assert sorted(persistence.__all__) == [
        *("ModelFile", "export_onnx", "load_model", "read_model", "save_model"),
        "write_model_card",
    ]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_checker_of_links_finds_what_is_broken(tmp_path):
    expected = {
        '<a href="other.html#there">': None,
        '<a href="https://example.org">': None,
        '<a href="mailto:a@example.org">': None,
        '<a href="#here">': None,
        '<a href="other.html#nowhere">': "no such place",
        '<a href="gone.html">': "no such file",
        '<img src="gone.png">': "no such file",
        '<img srcset="gone.png 2x" src="data:,">': "no such file",
        '<a href="../outside.html">': "no such file",
        '<script src="https://example.org/a.js">': "from elsewhere",
        '<link href="//example.org/a.css">': "from elsewhere",
        '<a href="file:///home/somebody/page.html">': "one machine",
    }
    site, faults = tmp_path / "site", load(DOCS / "check_links.py").faults
    site.mkdir()
    (tmp_path / "outside.html").write_text("")
    (site / "other.html").write_text('<p id="there">')
    for link, fault in expected.items():
        (site / "page.html").write_text(f'<p id="here">{link}')
        assert [fault in line for line in faults(site)] == [True] * bool(fault), link
    (site / "page.html").write_text("")
    (site / "a.css").write_text("@font-face {src: url('https://example.org/a.woff2')}")
    assert ["from elsewhere" in line for line in faults(site)] == [True]
