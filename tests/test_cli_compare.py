import os
import re
import select
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

from mixup_tab import MixupClassifier, MixupEnsembleClassifier, MixupRegressor
from mixup_tab.cli.app import app
from mixup_tab.compare import fitting
from mixup_tab.persistence import load_model

SHARED = Path(__file__).parents[2] / "shared" / "uci"


@pytest.fixture(autouse=True)
def small_nets(monkeypatch):
    for kind in (MixupClassifier, MixupRegressor):
        small = partial(kind, hidden_layer_sizes=(16,), max_epochs=15, n_estimators=1)
        monkeypatch.setattr(fitting, kind.__name__, small)
    few = [{"hidden_layer_sizes": (4,), "max_epochs": 2}] * 2
    ensemble = partial(MixupEnsembleClassifier, candidates=few, cv=2)
    monkeypatch.setattr(fitting, "MixupEnsembleClassifier", ensemble)


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


SMALL = ("--folds", "2", "--repeats", "1", "--alpha", "0.3", "--jobs", "1")


@pytest.mark.slow
def test_from_a_table_to_predictions(table, tmp_path):
    folder, model = tmp_path / "out", tmp_path / "models" / "sales.mixup"
    result = call(
        *("compare", table, "--target", "bought", "--id", "code", "--drop", "day"),
        *("--drop", "shop", *SMALL, "--output", folder, "--save", model),
    )
    assert result.exit_code == 0, result.output
    assert "α ≈ 0.3" in result.stdout
    assert "Brier" not in result.stdout  # only on the page
    assert "95 % interval" in result.stdout
    assert f"Report: {folder / 'report.html'}" in result.stdout
    results = pd.read_csv(folder / "results.csv")
    assert results["method"].value_counts().to_dict() == {
        "plain training": 2,
        "mixup": 2,
        fitting.installed_boosting(): 2,
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
        (("--target", "bougth"), "--target bougth is not a column. Did you mean 'bought'?"),
        (("--target", "bought", "--alpha", "much"), "alpha must be a number, got 'much'"),
        (("--target", "bought", "--groups", "shops"), "--groups shops is not a column"),
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


@pytest.mark.parametrize(("option", "known"), [("--decimal", ","), ("--task", "regression")])
def test_choices_are_listed(option, known, table):
    result = call("compare", table, "--target", "bought", option, "x")
    assert result.exit_code == 2
    assert f"'{known}'" in words(result)


@pytest.mark.slow
def test_a_model_is_replaced_by_force_only_and_that_is_said_at_once(table, tmp_path):
    model = tmp_path / "model"
    common = ("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "out")
    assert call(*common, "--save", model).exit_code == 0
    before = model.read_bytes()
    refused = call(*common, "--seed", 1, "--save", model)
    assert refused.exit_code == 1
    assert "exists. Choose another path, or replace it with --force" in words(refused)
    assert model.read_bytes() == before
    assert call(*common, "--save", model, "--force").exit_code == 0
    # Only a model is replaced.
    result = call(*common, "--save", table, "--force")
    assert result.exit_code == 1
    assert "exists and is not a model" in words(result)


def test_the_ensemble_is_compared_and_another_run_does_not_resume_it(table, tmp_path):
    common = ("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "out")
    model = tmp_path / "model"
    result = call(*common, "--best", "-q", "--save", model)
    assert result.exit_code == 0, result.output
    boosting, answer = fitting.installed_boosting(), words(result)
    for pair in (
        "mixup at α ≈ 0.3 from plain training",
        f"mixup from {boosting}",
        f"the ensemble from {boosting}",
    ):
        assert f"Too little data to tell {pair}: log-loss" in answer
    assert result.stdout.splitlines()[-2:] == [
        f"Report: {tmp_path / 'out' / 'report.html'}",
        f"Ensemble, fitted on all 60 rows: {model}",
    ]
    assert type(load_model(model)[-1]) is MixupEnsembleClassifier
    predicted = call("predict", model, table, "--output", tmp_path / "predicted.csv")
    assert predicted.exit_code == 0, predicted.output
    assert "split 1 of 2" not in answer
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert list(results["method"].unique()) == ["plain training", "mixup", "ensemble", boosting]
    assert list(results) == [
        *("repeat", "fold", "method", "alpha", "n_train", "n_test", "error", "log_loss"),
        *("brier", "ece", "fit_seconds"),
    ]
    other = call(*common)
    assert other.exit_code == 1
    assert "belongs to another run (different best)" in other.stderr


def test_another_boosting_is_another_run(table, tmp_path, monkeypatch):
    common = ("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lightgbm", None)  # so importing it fails
        assert call(*common).exit_code == 0
        assert "HistGradientBoosting" in (tmp_path / "out" / "results.csv").read_text("utf-8")
    pytest.importorskip("lightgbm")
    other = call(*common)
    assert other.exit_code == 1
    assert "different boosting, versions" in other.stderr


def test_places_that_cannot_be_written_to_are_told_before_training(table, tmp_path):
    for place in ("--output", "--save"):
        target = table / "inside" if place == "--output" else tmp_path
        result = call("compare", table, "--target", "bought", place, target)
        assert result.exit_code == 1
        assert "cannot be written" in words(result)


def test_text_from_outside_is_never_markup(tmp_path):
    frame = pd.read_csv(write_table(tmp_path / "sales[x].csv"))
    frame = frame[["size", "bought"]].rename(columns={"size": "[/x]"})
    frame["bought"] = frame["bought"].map({"yes": "[red]", "no": "<script>$x_$"})
    frame = frame.assign(row_id=range(len(frame)))  # a note says so
    frame.rename(columns={"row_id": "[/b]_id"}).to_csv(tmp_path / "sales[x].csv", index=False)
    folder, model = tmp_path / "out[/y]", tmp_path / "model[/z]"
    table = tmp_path / "sales[x].csv"
    result = call(
        *("compare", table, "--target", "bought", *SMALL, "--output", folder, "--save", model)
    )
    assert result.exit_code == 0, result.output
    shown = words(result)
    for text in (
        "split 2 of 2: log-loss ",
        "[/b]_id",
        f"Report: {folder}",
        f"all 60 rows: {model}",
    ):
        assert text in shown
    page = (folder / "report.html").read_text("utf-8")
    assert "[/x]" in page
    assert "<script>$" not in page
    result = call("predict", model, table, "--output", tmp_path / "p[/q].csv")
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "p[/q].csv")["prediction"]) <= {"[red]", "<script>$x_$"}


@pytest.mark.slow
def test_the_usual_folder_is_found_again_and_is_another_for_other_settings(
    table, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    common = ("compare", "sales.csv", "--target", "bought", *SMALL)
    assert call(*common).exit_code == 0
    again = call(*common)
    assert "Resuming: 2 of 2 splits are done" in again.stdout
    assert call(*common, "--seed", 1).exit_code == 0
    folders = sorted(tmp_path.glob("mixup-tab-compare-sales-*"))
    assert len(folders) == 2
    before = [(folder / "results.csv").read_bytes() for folder in folders]
    refused = call(*common, "--seed", 2, "--output", folders[0])
    assert refused.exit_code == 1
    assert "belongs to another run (different seed)" in refused.stderr
    assert [(folder / "results.csv").read_bytes() for folder in folders] == before


HOSTILE = [
    (("--folds", 10**9), "--folds 1000000000 needs at least"),
    (("--repeats", 0), "repeats must be at least 1"),
    (("--repeats", 10**9), "repeats must be at most 1000"),
    (("--jobs", 0), "--jobs must be a number of processes"),
    (("--seed", -1), "seed must lie in"),
    (("--seed", 2**40), "seed must lie in"),
    (("--device", "nonsense"), "--device nonsense cannot be used here"),
    (("--device", "meta"), "--device meta cannot be used here"),
    (("--alpha", "nan"), "alpha must be a finite number"),
    (("--alpha", "-1"), "alpha must be a finite number"),
    (("--max-rows", -5), "--max-rows must be at least 20"),
    (("--target", ""), "--target '' is not a column"),
    (("--output", "sales.csv"), "'sales.csv/finished.jsonl' cannot be written"),
    (("--output", "/proc/x"), "cannot be written"),
    (("--output", "a" * 300), "too long"),
    (("--save", "sales.csv"), "'sales.csv' exists. Choose another path"),
    (("--save", "folder"), "it is a folder"),
]
HOSTILE_TABLES = ("gone.csv", "folder", "folder.csv", "zero.csv", "empty.csv", "", "x\0.csv")


def test_hostile_arguments_end_in_one_line(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.csv"):
        (tmp_path / name).mkdir()
    (tmp_path / "zero.csv").touch()
    (tmp_path / "empty.csv").write_text("size,bought\n")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.iterdir()}
    cases = [
        (("compare", "sales.csv", "--target", "bought", *SMALL, *more), message)
        for more, message in HOSTILE
    ]
    cases += [(("compare", name, "--target", "bought"), "") for name in HOSTILE_TABLES]
    cases += [(("predict", name, "sales.csv"), "model") for name in HOSTILE_TABLES[:5]]
    for arguments, message in cases:
        result = call(*arguments)
        assert isinstance(result.exception, SystemExit), (arguments, result.exception)
        assert result.exit_code in (1, 2) if "\0" in arguments[1] else result.exit_code == 1
        assert result.stderr.count("Error") == 1, result.stderr
        assert result.exit_code == 2 or result.stderr.count("\n") == 1, result.stderr
        assert message in result.stderr, (arguments, result.stderr)
        assert {p: p.is_file() and p.read_bytes() for p in tmp_path.iterdir()} == before


def test_predict_replaces_neither_the_model_nor_the_table(table, tmp_path):
    before = table.read_bytes()
    for given in ((table, table), (tmp_path / "gone", table)):
        result = call("predict", *given, "--output", table)
        assert result.exit_code == 1
        assert "would replace an input file" in result.stderr
    assert table.read_bytes() == before


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


# Nets as small as those of this file, in a process of its own.
APART = """
import resource, signal, sys
from functools import partial
from mixup_tab import MixupClassifier
from mixup_tab.cli import main
from mixup_tab.compare import fitting
fitting.MixupClassifier = partial(
    MixupClassifier, hidden_layer_sizes=(16,), max_epochs=15, n_estimators=1
)
# A runner in the background ignores the signal, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def start(*arguments, code=APART, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
    )


def bits(folder):
    """All results but the seconds, as they are written."""
    frame = pd.read_csv(folder / "results.csv", dtype=str)
    return frame.drop(columns="fit_seconds").to_csv()


def shown_on_page(folder):
    """The page without seconds, and the pictures."""
    page = re.sub(
        r"<td>[\d.]+</td>(?=\s*</tr>)", "", (folder / "report.html").read_text("utf-8")
    )
    return page, [path.read_bytes() for path in sorted((folder / "pictures").iterdir())]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals as a terminal does")
def test_a_run_that_was_stopped_resumes_and_ends_with_the_same_bits(table, tmp_path):
    common = ("compare", table, "--target", "bought", "--folds", 2, "--repeats", 3)
    common = (*common, "--alpha", "0.3", "--jobs", 1, "--output")
    assert call(*common, tmp_path / "whole").exit_code == 0
    folder = tmp_path / "stopped"
    for lines, stop in ((2, "SIGKILL"), (4, "SIGINT"), (5, "SIGKILL")):
        process, journal = start(*common, folder), folder / "finished.jsonl"
        deadline = time.monotonic() + 300
        while not journal.exists() or len(journal.read_bytes().splitlines()) < lines:
            assert time.monotonic() < deadline, "not that far after five minutes"
            time.sleep(0.01)
        second = call(*common, folder)
        process.send_signal(signal.Signals[stop])
        shown, _ = process.communicate(timeout=300)
        assert second.exit_code == 1, second.output
        assert "is in use by another run" in second.stderr
        assert process.returncode == (130 if stop == "SIGINT" else -signal.SIGKILL), shown
        assert b"Traceback" not in shown
        if stop == "SIGINT":
            assert b"Run the same command to resume" in shown
            assert {path.name for path in folder.iterdir()} == {"finished.jsonl", "results.csv"}
    (folder / ".mixup-tab.1.2").write_text("half a file that a kill has left")
    result = call(*common, folder)
    assert result.exit_code == 0
    assert "Resuming: " in result.stdout
    assert bits(folder) == bits(tmp_path / "whole")
    assert shown_on_page(folder) == shown_on_page(tmp_path / "whole")
    names = {"finished.jsonl", "results.csv", "report.html", "pictures"}
    assert {path.name for path in folder.iterdir()} == names


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_full_disk_ends_in_one_line_and_the_run_resumes(table, tmp_path):
    common = ("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "out")
    full = APART.replace(
        "main()\n", "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\nmain()\n"
    )
    process = start(*common, code=full)
    shown = process.communicate(timeout=300)[0].decode()
    assert process.returncode == 1, shown
    assert "free some space, then run the same command again" in shown.splitlines()[-1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["finished.jsonl"]
    result = call(*common)
    assert result.exit_code == 0, result.output
    assert "Resuming: 1 of 2" in result.stdout


@pytest.mark.slow
def test_any_encoding_of_the_output_will_do(table, tmp_path):
    for encoding in ("cp1252", "ascii"):
        process = start("compare", "--help", PYTHONIOENCODING=encoding, COLUMNS="80")
        assert "alpha to choose from" in process.communicate(timeout=300)[0].decode(encoding)
        assert process.returncode == 0
    folder = tmp_path / "β"
    process = start(
        *("compare", table, "--target", "bought", *SMALL, "--output", folder),
        PYTHONIOENCODING="cp1252",
        COLUMNS="18",
    )
    shown = process.communicate(timeout=300)[0].decode("cp1252")
    assert process.returncode == 0, shown
    assert "at alpha ~ 0.3" in " ".join(shown.split())
    assert shown.rstrip().endswith("\\u03b2/report.html")
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_a_closed_pipe_ends_nothing(table, tmp_path):
    process = start("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "o")
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert (tmp_path / "o" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_dumb_terminal_gets_plain_lines(table, tmp_path):
    import pty

    outer, inner = pty.openpty()
    arguments = ("compare", table, "--target", "bought", *SMALL, "--output", tmp_path / "o")
    process = subprocess.Popen(
        [sys.executable, "-c", APART, *map(str, arguments)],
        stdout=inner,
        env={**os.environ, "TERM": "dumb"},
    )
    shown = b""
    while process.poll() is None or select.select([outer], [], [], 0)[0]:
        if select.select([outer], [], [], 0.1)[0]:
            shown += os.read(outer, 65536)
    os.close(inner)
    os.close(outer)
    assert process.returncode == 0, shown
    assert b"split 2 of 2: log-loss" in shown
    assert b"\x1b" not in shown


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


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the UCI tables beside the repository")
def test_better_probabilities_come_first(tmp_path, monkeypatch):
    """On 540 rows the log-loss falls by half while the error stays, and this was no news."""
    one = partial(MixupClassifier, n_estimators=1)
    monkeypatch.setattr(fitting, "MixupClassifier", one)
    result = call(
        *("compare", SHARED / "cylinder-bands.csv.gz", "--target", "target", "--repeats", "1"),
        *("--alpha", "1", "--output", tmp_path, "-q"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Mixup helps: at α ≈ 1 it lowers the log-loss from ")
    assert "By error, there is no clear difference" in result.stdout.splitlines()[0]
