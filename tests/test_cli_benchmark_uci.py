import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner
from uci_folders import raw_table, write_delgado, write_raw

from mixup_tab.cli import app


def call(*arguments):
    command = ["benchmark", "uci", *(str(a) for a in arguments)]
    return CliRunner().invoke(app, command, env={"COLUMNS": "80"})


def raw(home, output, *more):
    options = ("--protocol", "raw", "--data-home", home, "--jobs", 1, "--folds", 2)
    return call(*options, "--output", output, *more)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_delgado(home, "iris", "wine")
    return write_raw(home, iris=raw_table(), pears=raw_table(50, seed=1))


def test_raw_writes_rows_and_a_report_and_goes_on(home, tmp_path):
    out = tmp_path / "deep" / "out"
    first = raw(home, out, "--datasets", "pears", "--methods", "ERM,MLPClassifier")
    assert first.exit_code == 0, first.output
    assert len(pd.read_csv(out / "results.csv")) == 4
    before = (out / "results.csv").read_text()
    second = raw(home, out, "--methods", "ERM,MLPClassifier")
    assert second.exit_code == 0, second.output
    assert (out / "results.csv").read_text().startswith(before)
    assert len(pd.read_csv(out / "results.csv")) == 8
    assert len(json.loads((out / "run.json").read_text())["sessions"]) == 2
    assert "On 2 tables: ERM has" in " ".join(second.stdout.split())
    assert second.stdout.replace("\n", "").endswith("report.html")
    assert "MLPClassifier" in (out / "report.html").read_text(encoding="utf-8")


def test_tables_fit_into_eighty_columns(home, tmp_path):
    result = raw(home, tmp_path / "out", "--datasets", "pears", "--methods", "ERM,RandomForest")
    (row,) = [line for line in result.stdout.splitlines() if line.startswith(" RandomForest")]
    assert "…" not in row
    assert len(row.split()) == 7


def test_delgado_and_paper_run_from_their_folders(home, tmp_path):
    result = call(
        *("--protocol", "delgado", "--data-home", home, "--jobs", 1),
        *("--methods", "MixupClassifier", "--output", tmp_path / "delgado"),
    )
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "delgado" / "results.csv")) == 8
    assert "beside 179 published" in " ".join(result.stdout.split())
    result = call(
        *("--protocol", "paper", "--data-home", home, "--datasets", "iris", "--jobs", 1),
        *("--repeats", 2, "--alpha", "0.2", "--output", tmp_path / "paper"),
    )
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "paper" / "results.csv")) == 2 * 2 * 3
    assert (tmp_path / "paper" / "pictures" / "alpha-curves.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "fast"), "protocol='fast' not known. Known are: paper, delgado, raw"),
        (("--protocol", "raw", "--repeats", 3), "repeats=3 means nothing for protocol='raw'"),
        (("--protocol", "paper", "--methods", "ERM"), "methods=['ERM'] means nothing for"),
        (("--protocol", "paper", "--alpha", "much"), "alpha must be a number, got 'much'"),
        (("--protocol", "raw", "--datasets", "moon"), "datasets=moon not in"),
        (("--protocol", "raw", "--methods", "Oracle"), "methods='Oracle' not known here"),
        (("--protocol", "delgado", "--device", "abacus"), "device='abacus' cannot be used"),
    ],
)
def test_bad_options_end_before_anything_is_made(home, tmp_path, arguments, message):
    result = call(*arguments, "--data-home", home, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_run_is_refused(home, tmp_path):
    options = ("--datasets", "pears", "--methods", "ERM")
    raw(home, tmp_path, *options)
    result = raw(home, tmp_path, *options, "--seed", 3)
    assert result.exit_code == 2
    assert "seed 0 there, 3 now" in " ".join(result.output.split())


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT as a terminal does")
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(home, tmp_path):
    out = tmp_path / "out"
    # A runner in the background ignores the signal, and so would its children.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mixup_tab.cli import app\n"
        "app(sys.argv[1:])\n"
    )
    arguments = ["benchmark", "uci", "--protocol", "paper", "--data-home", home]
    arguments += ["--datasets", "iris", "--repeats", 100, "--jobs", 2, "--output", out]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    rows = out / "results.csv"
    deadline = time.monotonic() + 180  # other work may slow the start of processes
    try:
        while not (rows.exists() and rows.read_text().count("\n") > 3):
            assert time.monotonic() < deadline, "no result after three minutes"
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, shown
    assert "they are kept" in shown
    assert len(pd.read_csv(rows)) >= 3
    assert not json.loads((out / "run.json").read_text())["sessions"][0]["finished"]
