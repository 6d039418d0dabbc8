import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import mixup_tab

PACKAGE = Path(mixup_tab.__file__).parent
PUBLIC = [name for name in mixup_tab.__all__ if name != "__version__"]

# A room may import from those on lower floors and from itself.
FLOORS = {
    "_extras": 0,
    "_files": 0,
    "_terminal": 0,
    "datasets": 0,
    "losses": 0,
    "metrics": 0,
    "mixing": 0,
    "page": 0,
    "nets": 1,
    "sampling": 1,
    "training": 2,
    "estimators": 3,
    "search": 4,
    "displays": 5,
    "robustness": 5,
    "audio": 6,
    "compare": 7,
    "playground": 8,
    "evaluation": 8,
    "cli": 9,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(path):
    """Names of all modules that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} uses a relative import"
            yield node.module


def rooms_imported(path):
    names = (name.split(".") for name in imported_modules(path))
    return {parts[1] for parts in names if parts[0] == "mixup_tab" and len(parts) > 1}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", [f for f in FILES if room(f) in FLOORS], ids=name_of)
def test_imports_run_one_way(path):
    here = room(path)
    for other in rooms_imported(path) - {here}:
        assert FLOORS.get(other, -1) < FLOORS[here], f"{here} imports {other}"


@pytest.mark.parametrize(
    "path", [f for f in FILES if room(f) in ("mixing", "losses")], ids=name_of
)
def test_the_core_imports_torch_only(path):
    tops = {name.split(".")[0] for name in imported_modules(path)}
    assert tops <= {"torch", "numpy", "mixup_tab"} | set(sys.stdlib_module_names)
    assert rooms_imported(path) <= {"mixing", "losses"}


def test_every_floor_but_later_ones_is_there():
    assert {room(path) for path in FILES} >= {
        "losses",
        "mixing",
        "nets",
        "training",
        "estimators",
    }


def in_fresh_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["torch", "sklearn", "skorch", "numpy", "pandas", "matplotlib"]
    code = f"import sys, mixup_tab; print(*[m for m in {heavy} if m in sys.modules])"
    assert in_fresh_process(code) == []


def test_the_mixing_core_needs_neither_scikit_learn_nor_skorch():
    code = (
        "import sys, mixup_tab.mixing, mixup_tab.losses; "
        "print(*[m for m in ('sklearn', 'skorch', 'pandas') if m in sys.modules])"
    )
    assert in_fresh_process(code) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_found_at_home(name):
    thing = getattr(mixup_tab, name)
    assert thing.__name__ == name
    assert thing is getattr(import_module(thing.__module__), name)


@pytest.mark.parametrize(
    "module",
    [
        "mixup_tab.datasets",
        "mixup_tab.mixing",
        "mixup_tab.nets",
        "mixup_tab.training",
        "mixup_tab.sampling",
        "mixup_tab.estimators",
        "mixup_tab.audio",
        "mixup_tab.displays",
        "mixup_tab.robustness",
        "mixup_tab.compare",
    ],
)
def test_names_that_a_room_offers_exist(module):
    module = import_module(module)
    assert module.__all__
    assert all(hasattr(module, name) for name in module.__all__)


def test_dir_lists_the_public_names():
    listed = in_fresh_process("import mixup_tab; print(*dir(mixup_tab))")
    assert set(mixup_tab.__all__) <= set(listed)


def test_star_import_brings_the_public_names():
    names = {}
    exec("from mixup_tab import *", names)
    assert set(mixup_tab.__all__) <= set(names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mixup_tab' has no attribute 'Mixdown'"):
        mixup_tab.Mixdown  # noqa: B018


def test_the_version_is_that_of_the_package():
    text = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert mixup_tab.__version__ == tomllib.loads(text)["project"]["version"]
