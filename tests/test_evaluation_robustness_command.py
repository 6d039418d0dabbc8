import pandas as pd
import pytest
from test_evaluation_robustness_plan import numbers
from typer.testing import CliRunner
from uci_folders import write_raw

from mixup_tab.cli import app
from mixup_tab.evaluation.robustness.command import run, whole_splits


def call(home, output, *more):
    command = ["benchmark", "robustness", "--datasets", "six", "--data-home", home]
    command += ["--repeats", 1, "--epochs", 1, "--jobs", 1, "--output", output, *more]
    return CliRunner().invoke(app, list(map(str, command)), env={"COLUMNS": "80"})


def test_rows_tables_and_a_page_are_written(tmp_path):
    home, out = write_raw(tmp_path / "home", six=numbers()), tmp_path / "deep" / "out"
    result = call(home, out)
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(out / "corruption.csv")) == 3 * 4
    assert len(pd.read_csv(out / "curves.csv")) == 3 * 4
    assert len(pd.read_csv(out / "adversarial.csv")) == 3 * 4 * 4
    assert "six, 80% wrong labels: the last error of mixup is" in result.stdout
    assert "…" not in result.stdout
    (row,) = [line for line in result.stdout.splitlines() if line.startswith(" none")]
    assert len(row.split()) == 8  # three that say what, and five figures on one line
    assert "mixup α=1" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "pictures" / "adversarial.png").exists()
    before = (out / "corruption.csv").read_bytes()
    again = call(home, out)
    assert again.exit_code == 2
    assert "holds the results of another run" in " ".join(again.output.split())
    assert (out / "corruption.csv").read_bytes() == before


def test_bad_options_end_before_anything_is_made(tmp_path):
    home = write_raw(tmp_path / "home", six=numbers(classes=3))
    result = call(home, tmp_path / "out")
    assert result.exit_code == 2
    assert "with 3 classes and 80% wrong labels" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_no_processes_and_a_file_for_a_folder_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"output=.*file' is a file. Give a folder"):
        run(output=tmp_path / "file", datasets=["digits"])
    with pytest.raises(ValueError, match="n_jobs must be a number of processes"):
        run(output=tmp_path / "out", datasets=["digits"], n_jobs=0)
    assert not (tmp_path / "out").exists()


def test_a_split_that_some_methods_lack_is_not_averaged():
    part = pd.DataFrame({"repeat": [0, 0, 1], "method": ["ERM", "mixup", "ERM"]})
    begun = pd.DataFrame({"repeat": [0, 1, 2], "method": "ERM"})
    assert whole_splits({"corruption": part})["corruption"]["method"].tolist() == [
        "ERM",
        "mixup",
    ]
    left = whole_splits({"corruption": part, "adversarial": begun})
    assert [len(frame) for frame in left.values()] == [3, 2]
    first = {"corruption": part[:1]}
    assert whole_splits(first) is first
