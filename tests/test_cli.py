import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

from mixup_tab import __version__
from mixup_tab.cli import app
from mixup_tab.evaluation.run_folder import COLUMNS


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


SMALL = ("benchmark", "--datasets", "iris", "--repeats", "3", "--jobs", "1")


def test_version():
    assert call("version").stdout.strip() == __version__


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from mixup_tab.cli import app\n"
        "result = CliRunner().invoke(app, ['--help'])\n"
        "assert 'benchmark' in result.stdout\n"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_benchmark_writes_table_picture_and_rows(tmp_path):
    folder = tmp_path / "deep" / "out"
    result = call(*SMALL, "--alpha", "0.1,1", "--protocol", "paper", "--output", folder)
    assert result.exit_code == 0, result.output
    assert "mixup α=0.1" in result.stdout
    assert "mixup α=1" in result.stdout
    assert result.stdout.replace("\n", "").endswith(str(folder))
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")
    rows = pd.read_csv(folder / "results.csv")
    assert tuple(rows.columns) == COLUMNS
    assert len(rows) == 3 * 4
    assert set(rows["method"]) == {"ERM", "mixup α=0.1", "mixup α=1", "MLPClassifier"}


def test_default_output_is_a_new_folder_under_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*SMALL, "--protocol", "paper", "--repeats", "1")
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.iterdir()
    assert result.stdout.rstrip().endswith(folder.name)
    assert sorted(path.name for path in folder.iterdir()) == [
        "reliability.csv",
        "results.csv",
        "results.png",
        "run.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--datasets", "iris,moon"), "datasets=moon not known. Known are: iris, wine"),
        (("--alpha", "-1"), "alpha must be a finite number of at least 0"),
        (("--alpha", "much"), "alpha must be a number, got 'much'"),
        (("--protocol", "fast"), "protocol='fast' not known. Known are: paper, default"),
        (("--repeats", "0"), "repeats must be at least 1, got 0"),
        (("--seed", "-3"), "seed must lie in"),
        (("--device", "abacus"), "device='abacus' cannot be used here"),
    ],
)
def test_bad_options_end_before_anything_is_made(arguments, message, tmp_path):
    result = call("benchmark", *arguments, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "taken"
    path.write_text("mine")
    result = call(*SMALL, "--output", path)
    assert result.exit_code == 2
    assert "cannot be written to" in result.output
    assert "--output" in result.output
    assert path.read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT as a terminal does")
def test_ctrl_c_keeps_what_is_done(tmp_path):
    folder = tmp_path / "out"
    # A runner in the background ignores the signal, and so would its children.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mixup_tab.cli import app\n"
        "app(sys.argv[1:])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *SMALL, "--repeats", "5000", "--output", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    rows = folder / "results.csv"
    deadline = time.monotonic() + 60
    while not (rows.exists() and rows.read_text().count("\n") > 3):
        assert time.monotonic() < deadline, "no result after a minute"
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert "they are kept" in shown
    assert len(pd.read_csv(rows)) >= 3
    assert (folder / "results.png").exists()
