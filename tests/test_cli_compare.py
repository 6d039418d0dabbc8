import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.cli.app import app
from mixup_tab.compare import fitting

SHARED = Path(__file__).parents[2] / "shared" / "uci"


@pytest.fixture(autouse=True)
def small_nets(monkeypatch):
    for kind in (MixupClassifier, MixupRegressor):
        small = partial(kind, hidden_layer_sizes=(16,), max_epochs=15, n_estimators=1)
        monkeypatch.setattr(fitting, kind.__name__, small)


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def words(result):
    return " ".join(result.output.split())


def write_table(path, rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "code": [f"{number:03}" for number in range(rows)],
            "size": rng.normal(size=rows),
            "color": rng.choice(["red", "green", None], rows),
            "shop": rng.integers(0, 9, rows),
            "day": pd.date_range("2024-01-01", periods=rows).astype(str),
        }
    )
    frame["bought"] = np.where(frame["size"] + rng.normal(size=rows) > 0, "yes", "no")
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "sales.csv")


SMALL = ("--folds", "2", "--repeats", "1", "--alphas", "0.3", "--jobs", "1")


@pytest.mark.slow
def test_from_a_table_to_predictions(table, tmp_path):
    folder, model = tmp_path / "out", tmp_path / "models" / "sales.mixup"
    result = call(
        *("compare", table, "--target", "bought", "--id", "code", "--drop", "day"),
        *("--drop", "shop", *SMALL, "--output", folder, "--save", model),
    )
    assert result.exit_code == 0, result.output
    assert "α ≈ 0.3" in result.stdout
    assert "95 % interval" in result.stdout
    assert f"Report: {folder / 'report.html'}" in result.stdout
    results = pd.read_csv(folder / "results.csv")
    assert results["method"].value_counts().to_dict() == {
        "plain training": 2,
        "mixup": 2,
        "HistGradientBoosting": 2,
    }
    assert "Does mixup help on sales.csv?" in (folder / "report.html").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "out", "sales.csv"]

    result = call("predict", model, table, "--output", tmp_path / "predicted.csv")
    assert result.exit_code == 0, result.output
    assert "60 predictions" in result.stdout
    predicted = pd.read_csv(tmp_path / "predicted.csv", dtype={"code": str})
    assert list(predicted) == ["code", "prediction", "probability_no", "probability_yes"]
    assert predicted["code"].tolist() == [f"{number:03}" for number in range(60)]
    np.testing.assert_allclose(predicted.iloc[:, 2:].sum(axis=1), 1)
    right = predicted["prediction"] == pd.read_csv(table)["bought"]
    assert right.mean() > 0.6


@pytest.mark.slow
def test_files_are_named_after_the_table_unless_told(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(
        "compare", "sales.csv", "--target", "size", "--save", "m", "--time", "day", *SMALL
    )
    assert result.exit_code == 0, result.output
    assert "RMSE" in result.stdout
    (folder,) = tmp_path.glob("mixup-tab-compare-*")
    assert (folder / "report.html").exists()
    assert call("predict", "m", "sales.csv").exit_code == 0
    assert list(pd.read_csv("sales-predictions.csv")) == ["prediction"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "bougth"), "target='bougth' is no column. Did you mean 'bought'?"),
        (("--target", "bought", "--alphas", "much"), "alpha must be a number, got 'much'"),
        (("--target", "bought", "--groups", "shops"), "groups='shops' is no column"),
        (("--target", "bought", "--decimal", "x"), "decimal must be '.' or ',', got 'x'"),
        (("--target", "bought", "--size-limit", "x"), "must look like 500MB or 2GB, got 'x'"),
    ],
)
def test_what_cannot_be_answered_ends_before_anything_is_made(
    arguments, message, table, tmp_path
):
    result = call(
        *("compare", table, *arguments),
        *("--output", tmp_path / "out", "--save", tmp_path / "model"),
    )
    assert result.exit_code == 1
    assert message in words(result)
    assert [path.name for path in tmp_path.iterdir()] == ["sales.csv"]


def test_places_that_cannot_be_written_to_are_told_before_training(table, tmp_path):
    for place in ("--output", "--save"):
        target = table / "inside" if place == "--output" else tmp_path
        result = call("compare", table, "--target", "bought", place, target)
        assert result.exit_code == 1
        assert "cannot be written" in words(result)


def test_predict_refuses_what_is_no_model(table):
    result = call("predict", table, table)
    assert result.exit_code == 1
    assert "'sales.csv' is not a model of mixup-tab" in words(result)


def test_help_needs_no_torch():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from mixup_tab.cli.app import app\n"
        "for command in ('compare', 'predict'):\n"
        "    assert '--output' in CliRunner().invoke(app, [command, '--help']).stdout\n"
        "print([m for m in ('torch', 'sklearn', 'pandas', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT as a terminal does")
def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    write_table(tmp_path / "sales.csv", rows=600)
    folder = tmp_path / "out"
    # A runner in the background ignores the signal, and so would its children.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mixup_tab.cli.app import app\n"
        "app(sys.argv[1:])\n"
    )
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", code, "compare", str(tmp_path / "sales.csv")),
            *("--target", "bought", "--repeats", "500", "--output", str(folder)),
            *("--save", str(tmp_path / "model"), "--jobs", "2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not folder.exists():
        assert time.monotonic() < deadline, "nothing begun"
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 130, shown
    assert "Stopped" in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "model").exists()
    assert {path.name for path in folder.iterdir()} <= {"results.csv"}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the UCI tables beside the repository")
def test_a_raw_table_of_uci(tmp_path):
    result = call(
        *("compare", SHARED / "credit-approval.csv.gz", "--target", "target"),
        *(*SMALL, "--max-rows", "200", "--output", tmp_path),
    )
    assert result.exit_code == 0, result.output
    error = pd.read_csv(tmp_path / "results.csv").groupby("method")["error"].mean()
    assert (error < 0.25).all()  # 44 % of the rows are of the smaller class
