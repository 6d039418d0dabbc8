import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
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
    "_lazy": 0,
    "_page": 1,
    "_plain": 0,
    "_resumable": 1,
    "_torch_private": 0,
    "_terminal": 1,
    "datasets": 1,
    "losses": 1,
    "metrics": 1,
    "mixing": 1,
    "nets": 2,
    "sampling": 2,
    "tables": 2,
    "training": 3,
    "estimators": 4,
    "search": 5,
    "displays": 6,
    "persistence": 6,
    "robustness": 6,
    "audio": 7,
    "benchmark": 8,
    "compare": 8,
    "playground": 9,
    "cli": 10,
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
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path):
    names = (name.split(".") for name in imported_modules(path))
    return {parts[1] for parts in names if parts[0] == "mixup_tab" and len(parts) > 1}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_run_one_way():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in FILES
        if room(path) in FLOORS
        for other in rooms_imported(path) - {room(path)}
        if other in FLOORS and FLOORS[other] >= FLOORS[room(path)]
    ]
    assert wrong == []


def test_no_two_files_import_each_other():
    """Annotations included; a folder's own ``__init__`` only hands out names."""
    files = {module_name(path): path for path in FILES if path.name != "__init__.py"}
    needs = {
        name: {other for other in imported_modules(path) if other in files and other != name}
        for name, path in files.items()
    }
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_no_file_asks_its_own_folder_for_names():
    """``from mixup_tab.nets import MLP`` inside of nets would be a circle in disguise."""
    wrong = [
        module_name(path)
        for path in FILES
        if path.name not in ("__init__.py", "__main__.py")
        and module_name(path).rpartition(".")[0] in set(imported_modules(path)) - {"mixup_tab"}
    ]
    assert wrong == []


def test_the_core_imports_torch_only():
    allowed = {"torch", "numpy", "mixup_tab"} | set(sys.stdlib_module_names)
    for path in FILES:
        if room(path) in ("mixing", "losses"):
            assert {name.split(".")[0] for name in imported_modules(path)} <= allowed
            assert rooms_imported(path) <= {"mixing", "losses", "_plain", "_torch_private"}, (
                path
            )


def test_every_room_has_its_floor():
    assert {room(path) for path in FILES} - {"__init__"} == set(FLOORS)


def test_the_public_names_are_those_that_type_checkers_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mixup_tab")
        for alias in node.names
    }
    assert seen == {(home, n) for home, names in mixup_tab._HOMES.items() for n in names}
    assert {name for _, name in seen} == set(PUBLIC)


def in_fresh_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()


def test_importing_the_package_imports_nothing_heavy():
    heavy = ["torch", "sklearn", "skorch", "numpy", "pandas", "matplotlib"]
    code = f"import sys, mixup_tab; print(*[m for m in {heavy} if m in sys.modules])"
    assert in_fresh_process(code) == []


def test_predicting_imports_neither_trees_nor_boosting():
    heavy = ["sklearn.tree", "sklearn.ensemble", "sklearn.neighbors", "matplotlib"]
    heavy += ["skops", "skrub", "onnx", "torch._dynamo"]
    code = (
        "import sys; from mixup_tab import MixupClassifier, MixupEnsembleRegressor; "
        "from mixup_tab.persistence import load_model; "
        f"print(*[m for m in {heavy} if m in sys.modules])"
    )
    assert in_fresh_process(code) == []


def test_the_mixing_core_needs_neither_scikit_learn_nor_skorch():
    code = (
        "import sys, mixup_tab.mixing, mixup_tab.losses; "
        "print(*[m for m in ('sklearn', 'skorch', 'pandas') if m in sys.modules])"
    )
    assert in_fresh_process(code) == []


def test_public_names_are_found_at_home():
    for name in PUBLIC:
        thing = getattr(mixup_tab, name)
        assert thing.__name__ == name
        assert thing is getattr(import_module(thing.__module__), name)


def test_names_that_a_room_offers_exist():
    for folder in sorted({room(path) for path in FILES if path.parent != PACKAGE} - {"cli"}):
        module = import_module(f"mixup_tab.{folder}")
        assert module.__all__, folder
        assert [name for name in module.__all__ if not hasattr(module, name)] == [], folder


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
