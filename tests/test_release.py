"""What a release says of itself agrees in every file that says it."""

import re
import tomllib
from pathlib import Path

import mixup_tab

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = [path.read_text(encoding="utf-8") for path in ROOT.glob(".github/workflows/*.yml")]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_citation_and_release_notes_have_the_version():
    assert f"\nversion: {mixup_tab.__version__}\n" in read("CITATION.cff")
    newest = re.search(r"^## ([\d.]+)", read("CHANGES.md"), re.MULTILINE)[1]
    assert mixup_tab.__version__.startswith(newest)


def test_every_file_names_the_same_repository():
    names = ("CITATION.cff", "CHANGES.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
    for name in names:
        found = set(re.findall(r"https://github\.com/[\w-]+/mixup-tab", read(name)))
        assert found == {PROJECT["urls"]["Homepage"]}, name


def test_every_version_of_python_that_is_promised_is_tested():
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    tested = re.search(r"python: \[(.+)\]", read(".github/workflows/tests.yml"))[1]
    assert re.findall(r"3\.\d+", tested) == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_actions_are_pinned_by_their_commit():
    used = re.findall(r"uses: (.+)", "\n".join(WORKFLOWS))
    assert used
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [action for action in used if not pinned.fullmatch(action)] == []


def test_workflows_have_no_rights_unless_a_job_asks():
    assert WORKFLOWS
    assert all("\npermissions: {}\n" in text for text in WORKFLOWS)


def test_the_tests_of_the_lowest_versions_exist():
    assert all((ROOT / name).exists() for name in read(".ci/core_tests.txt").split())
    assert "@.ci/core_tests.txt" in read(".ci/run")
