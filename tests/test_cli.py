"""What all commands have in common: help, version, choices, -q and -v."""

import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from mixup_tab import __version__
from mixup_tab.cli.app import app
from mixup_tab.cli.plain_errors import errors_in_plain_words

COMMANDS = ("train", "predict", "evaluate", "compare", "export", "benchmark", "playground")
SOUNDS = ("train", "predict", "evaluate")
ALL = [[], *([name] for name in COMMANDS), ["speech"], *(["speech", name] for name in SOUNDS)]


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "80"})


def test_version():
    result = call("--version")
    assert (result.exit_code, result.stdout.strip()) == (0, __version__)


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_fits_80_columns(command):
    result = call(*command, "-h")
    assert result.exit_code == 0
    assert result.stdout == call(*command, "--help").stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    cut = result.stdout.partition("Commands:")[2].replace("...", "…") + result.stdout
    assert "…" not in cut
    assert "\\[" not in result.stdout  # would be needed where rich reads the help
    if command not in ([], ["speech"]):
        example = " ".join(["Example: mixup-tab", *command, ""])
        assert example in result.stdout
        assert "--quiet" in result.stdout


def test_the_commands_that_people_need_first_are_on_top():
    shown = call("--help").stdout
    listed = re.findall(r"^  (\w+)  ", shown.partition("Commands:")[2], re.MULTILINE)
    assert listed == [*COMMANDS, "speech"]
    assert "--install-completion" in shown


WRONG_CHOICES = {
    ("train", "a.csv", "--target", "y", "--output", "m", "--task", "x"): "regression",
    ("train", "a.csv", "--target", "y", "--output", "m", "--decimal", "x"): "','",
    ("predict", "m", "a.csv", "--on-error", "x"): "skip",
    ("evaluate", "m", "a.csv", "--on-error", "x"): "skip",
    ("speech", "train", "a", "--output", "m", "--model", "x"): "bcresnet",
    ("speech", "train", "a", "--output", "m", "--level", "x"): "waveform",
    ("speech", "train", "a", "--output", "m", "--mixing", "x"): "cutout",
    ("speech", "evaluate", "m", "a", "--part", "x"): "validation",
}


@pytest.mark.parametrize("arguments", WRONG_CHOICES, ids=" ".join)
def test_a_wrong_choice_lists_the_right_ones(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 2
    assert "'x' is not one of" in result.stderr
    assert WRONG_CHOICES[arguments] in result.stderr
    assert not any(tmp_path.iterdir())


def test_verbose_says_where_an_error_comes_from():
    plain, verbose = (call("predict", "gone", "gone.csv", *more) for more in ([], ["-v"]))
    assert plain.exit_code == verbose.exit_code == 1
    assert plain.stderr.count("\n") == 1
    assert "Traceback" in verbose.stderr
    assert f"mixup-tab {__version__}, torch " in verbose.stderr
    assert verbose.stderr.endswith(plain.stderr)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("folds=1 must be at least 2.", "--folds 1 must be at least 2."),
        ("folds must be at least 2, got 1.", "--folds must be at least 2, got 1."),
        ("Use on_error='skip'.", "Use --on-error skip."),
        ("target='a b' is not a column.", "--target 'a b' is not a column."),
        ("Replace it with --force (overwrite=True).", "Replace it with --force."),
        ("n_jobs must not be 0.", "--jobs must not be 0."),
        ("alpha=1 and x=2", "alpha=1 and x=2"),
        ("target='folds=2' is not a column", "--target 'folds=2' is not a column"),
        ("file 'folds=1.csv' does not exist", "file 'folds=1.csv' does not exist"),
        ("'/data/folds=3/t.csv' is empty", "'/data/folds=3/t.csv' is empty"),
        ("target='price (jobs=x)' is text", "--target 'price (jobs=x)' is text"),
        ("https://x.org/?target=a is gone", "https://x.org/?target=a is gone"),
    ],
)
def test_errors_name_options_as_they_are_typed(message, shown, capsys):
    options = {"folds", "on_error", "target", "force", "jobs"}
    with pytest.raises(typer.Exit), errors_in_plain_words(options):
        raise ValueError(message)
    assert capsys.readouterr().err == f"Error: {shown}\n"


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from mixup_tab.cli.app import app\n"
        f"for command in {ALL}:\n"
        "    assert CliRunner().invoke(app, [*command, '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_help_is_written_in_the_encoding_of_the_output(encoding):
    code = "from mixup_tab.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert f"{'α' if encoding == 'utf-8' else 'alpha'} of mixup" in done.stdout.decode(encoding)
