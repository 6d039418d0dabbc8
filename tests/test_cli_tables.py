"""``mixup-tab train``, ``predict``, ``evaluate`` and ``export`` on small files."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mixup_tab import MixupEnsembleClassifier
from mixup_tab._files import locked
from mixup_tab.cli.app import app
from mixup_tab.compare.evaluate import score_numbers
from mixup_tab.compare.predict import predict_to
from mixup_tab.compare.saving import load_model
from mixup_tab.metrics import classification_scores

ROWS = 80


def call(*arguments, stdin=None):
    arguments = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, arguments, input=stdin, env={"COLUMNS": "200"})


def words(result):
    return " ".join(result.output.split())


def sales(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "code": [f"{number:03}" for number in range(rows)],
            "size": rng.normal(size=rows).round(3),
            "color": rng.choice(["red", "green", None], rows),
            "price": [f"{number},50 €" for number in rng.integers(1, 99, rows)],
            "day": pd.date_range("2024-01-01", periods=rows).strftime("%d.%m.%Y"),
            "shop": rng.integers(0, 8, rows),
        }
    )
    frame["bought"] = np.where(frame["size"] + rng.normal(size=rows) / 2 > 0, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Table, a classifier, a regressor of quantiles, and what training them printed."""
    folder = tmp_path_factory.mktemp("tables")
    sales().to_csv(folder / "sales.csv", index=False)
    common = ("train", folder / "sales.csv", "--id", "code", "--target")
    result = call(*common, "bought", "--alpha", "0.3", "--output", folder / "m")
    assert result.exit_code == 0, result.output
    (folder / "shown").write_text(result.stdout, encoding="utf-8")
    result = call(
        *(*common, "size", "--quantiles", "0.1,0.5,0.9", "--validation-fraction", "0"),
        *("--drop", "bought", "--output", folder / "q"),
    )
    assert result.exit_code == 0, result.output
    assert "It was not evaluated on held-out rows." in result.stdout
    return folder


# ---------------------------------------------------------------------------------- train


def test_training_says_what_was_fitted_and_how_good_it_is(folder):
    shown = (folder / "shown").read_text("utf-8")
    assert "MixupClassifier (α = 0.3) predicts 'bought', no or yes, from 5 columns." in shown
    assert "On 16 held-out rows: error " in shown
    assert "log-loss" in shown
    assert "; always predicting 'yes': error " in shown or "predicting 'no': error " in shown
    assert f"Fitted on all 80 rows: {folder / 'm'} (model card: m.md)" in shown
    card = (folder / "m.md").read_text("utf-8")
    for text in ("Predicts bought", "sales.csv", "price", "log-loss", "held-out rows"):
        assert text in card
    names = {path.name for path in folder.iterdir()}
    assert (
        {"m", "m.md", "q", "q.md"} <= names <= {"m", "m.md", "q", "q.md", "sales.csv", "shown"}
    )
    pipeline, about = load_model(folder / "m")
    assert (about.target, about.id, about.classes) == ("bought", "code", ["no", "yes"])
    assert (pipeline[-1].alpha, about.number_formats) == (0.3, {"price": ",€"})


@pytest.mark.slow
def test_alpha_is_chosen_and_rows_are_left_out_by_groups_or_time(folder, tmp_path):
    common = (
        "train",
        folder / "sales.csv",
        "--target",
        "bought",
        "--drop",
        "code",
        "--jobs",
        1,
    )
    for number, more in enumerate(
        [("--alpha", "0,0.3", "--groups", "shop"), ("--time", "day"), ("--alpha", "auto")]
    ):
        result = call(*common, *more, "--output", tmp_path / f"m{number}", "-q")
        assert result.exit_code == 0, result.output
        assert ("On 16 held-out rows" if "--time" in more else "held-out rows") in result.stdout
        assert "Fitted on" not in result.output
        assert load_model(tmp_path / f"m{number}")[1].alpha in (0, 0.3, 0.5, 1)
    assert (
        "On 16 held-out rows"
        in call(*common, "--time", "day", "--output", tmp_path / "t").stdout
    )


@pytest.mark.slow
def test_the_best_model_is_an_ensemble(folder, tmp_path):
    model = tmp_path / "best"
    common = ("train", folder / "sales.csv", "--target", "bought", "--best", "--output", model)
    result = call(*common, "--validation-fraction", "0", "--id", "code")
    assert result.exit_code == 0, result.output
    assert isinstance(load_model(model)[0][-1], MixupEnsembleClassifier)
    result = call("predict", model, folder / "sales.csv", "--output", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "p.csv")) == ROWS


def test_ctrl_c_leaves_nothing(folder, tmp_path):
    def interrupt():
        while not (tmp_path / ".m.lock").exists():
            time.sleep(0.001)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    common = (
        "train",
        folder / "sales.csv",
        "--target",
        "bought",
        "--alpha",
        "0,0.1,0.2,0.3,1,2",
    )
    result = call(*common, "--output", tmp_path / "m")
    thread.join()
    assert result.exit_code == 130
    assert "Stopped." in result.stderr
    assert not any(tmp_path.iterdir())


# -------------------------------------------------------------------------------- predict


def test_predictions_are_written_with_ids_and_probabilities(folder, tmp_path):
    result = call("predict", folder / "m", folder / "sales.csv", "--output", tmp_path / "p.csv")
    assert result.exit_code == 0, result.output
    assert "80 predictions" in result.stdout
    predicted = pd.read_csv(tmp_path / "p.csv", dtype={"code": str})
    assert list(predicted) == ["code", "prediction", "probability_no", "probability_yes"]
    assert predicted["code"].tolist() == sales()["code"].tolist()
    np.testing.assert_allclose(predicted.iloc[:, 2:].sum(axis=1), 1)
    assert (predicted["prediction"] == sales()["bought"]).mean() > 0.7
    result = call("predict", folder / "q", folder / "sales.csv", "--output", "-", "-q")
    quantiles = pd.read_csv(io.StringIO(result.stdout))
    assert list(quantiles)[2:] == ["quantile_0.1", "quantile_0.5", "quantile_0.9"]
    assert (quantiles["prediction"] == quantiles["quantile_0.5"]).all()


def test_a_pipe_in_and_out_gives_the_same(folder, tmp_path):
    table = folder / "sales.csv"
    call("predict", folder / "m", table, "--output", tmp_path / "p.csv")
    piped = call("predict", folder / "m", "-", stdin=table.read_bytes())
    assert piped.exit_code == 0, piped.output
    assert piped.stdout == (tmp_path / "p.csv").read_text()
    assert "Note: " not in piped.stdout


BAD = "900,big,red,5 €,01.02.2024,1\n901,1,blue,x,2024-01-02,2\n902,1,red,7 €,01.02.2024,3,4\n"


def test_bad_cells_and_rows_are_named_or_skipped(folder, tmp_path):
    table, output = tmp_path / "new.csv", tmp_path / "p.csv"
    good = sales().drop(columns="bought").to_csv(index=False)
    table.write_text(good + BAD, encoding="utf-8")
    common = ("predict", folder / "m", table, "--output", output)
    refused = call(*common)
    assert refused.exit_code == 1
    assert "row 83 has 7 fields, but the header has 6" in words(refused)
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]
    result = call(*common, "--on-error", "skip")
    assert result.exit_code == 0, result.output
    for line in (
        "row 81, column 'size': 'big' is not a number",
        "row 82, column 'price': 'x' is not a number such as '1,5 €'",
        "row 82, column 'day': '2024-01-02' is not a date such as '31.01.2024'",
        "row 83 has 7 fields, but the header has 6",
    ):
        assert line in result.stderr
    assert "Note: Unreadable cells treated as empty: 3." in result.stdout
    assert "Note: Unreadable rows skipped: 1." in result.stdout
    assert "'color' ('blue' in 1 row)" in result.stdout
    assert pd.read_csv(output)["code"].tolist() == [*range(80), 900, 901]
    table.write_text(good + BAD.splitlines()[0], encoding="utf-8")
    refused = call(*common, "--force")
    assert "column 'size' should hold values of type 'number', but row 81 holds 'big'" in words(
        refused
    )
    assert len(pd.read_csv(output)) == 82  # the old file


def test_streams_that_are_closed_are_named(folder, monkeypatch):
    table = str(folder / "sales.csv")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="file '-' is standard input, which is closed"):
        predict_to(folder / "m", "-", os.devnull)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ValueError, match="output='-' is standard output, which is closed"):
        predict_to(folder / "m", table, "-")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_large_table_goes_through_a_pipe(folder, tmp_path):
    rows = 50_000
    large = pd.concat([sales()] * (rows // ROWS)).to_csv(index=False).encode()
    command = [sys.executable, "-m", "mixup_tab.cli", "predict", folder / "m", "-"]
    done = subprocess.run(
        [*map(str, command), "--output", "-"], input=large, capture_output=True, check=True
    )
    assert len(pd.read_csv(io.BytesIO(done.stdout))) == rows
    if os.path.exists("/dev/full"):
        with open("/dev/full", "wb") as device:
            full = subprocess.run(
                [*map(str, command)], input=large, stdout=device, stderr=subprocess.PIPE
            )
        assert full.returncode == 1
        assert b"'standard output' cannot be written" in full.stderr
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from mixup_tab.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "predict", folder / "m", "-", "--output"]
    full = subprocess.run(
        [*map(str, command), str(tmp_path / "p.csv")], input=large, capture_output=True
    )
    assert full.returncode == 1
    assert full.stderr.decode().splitlines()[-1].startswith("Error: ")
    assert b"Free some space" in full.stderr
    assert not any(tmp_path.iterdir())


# ------------------------------------------------------------------------------- evaluate


def test_an_evaluation_scores_what_predict_writes(folder, tmp_path):
    new = sales(60, seed=1)
    table, output = tmp_path / "new.csv", tmp_path / "s.json"
    new.to_csv(table, index=False)
    result = call("evaluate", folder / "m", table, "--output", output)
    assert result.exit_code == 0, result.output
    call("predict", folder / "m", table, "--output", tmp_path / "p.csv")
    proba = pd.read_csv(tmp_path / "p.csv").iloc[:, 2:].to_numpy()
    y = (new["bought"] == "yes").to_numpy().astype(int)
    expected = classification_scores(y, proba)
    scores = json.loads(output.read_text())
    assert scores["model"]["error %"] == pytest.approx(100 * expected["error"])
    assert scores["model"]["ECE %"] == pytest.approx(100 * expected["ece"])
    for name, key in {"log-loss": "log_loss", "Brier": "brier"}.items():
        assert scores["model"][name] == pytest.approx(expected[key])
    recalls = [(proba.argmax(1) == y)[y == code].mean() for code in (0, 1)]
    assert scores["model"]["balanced accuracy %"] == pytest.approx(100 * np.mean(recalls))
    assert scores["baseline"]["error %"] == pytest.approx(100 * min(y.mean(), 1 - y.mean()))
    assert scores["baseline"]["balanced accuracy %"] == 50
    counts = pd.crosstab(y, proba.argmax(1)).to_numpy()
    for label, row in zip(("no", "yes"), counts, strict=True):
        assert f"{label} {row[0]} {row[1]}" in words(result)


def test_an_evaluation_of_quantiles_counts_what_is_inside(folder, tmp_path):
    given, output = (folder / "q", folder / "sales.csv"), tmp_path / "s.csv"
    result = call("evaluate", *given, "--output", output)
    assert result.exit_code == 0, result.output
    predicted = call("predict", *given, "--output", "-").stdout
    low, _, high = pd.read_csv(io.StringIO(predicted)).iloc[:, 2:].to_numpy().T
    y = sales()["size"].to_numpy()
    scores = pd.read_csv(output, index_col="score")
    assert scores.loc["R²", "baseline"] == pytest.approx(0)
    assert scores.loc["RMSE", "baseline"] == pytest.approx(y.std())
    inside = scores.loc["inside the interval % (nominal: 80)", "model"]
    assert inside == pytest.approx(100 * np.mean((low <= y) & (y <= high)))


def test_an_evaluation_of_one_quantile_counts_what_is_below():
    y, values = np.arange(10.0), np.full((10, 1), 6.5)
    scores = score_numbers(y, values, 0.0, (0.8,)).scores
    assert scores.loc["below the quantile % (nominal: 80)", "model"] == pytest.approx(70)
    assert not any("interval" in name for name in scores.index)


def test_values_of_a_target_that_are_no_numbers_are_named_or_skipped(folder, tmp_path):
    new = sales(20, seed=1).astype({"size": object})
    new.loc[[3, 5], "size"] = ["big", None]
    new.to_csv(tmp_path / "new.csv", index=False)
    refused = call("evaluate", folder / "q", tmp_path / "new.csv")
    assert refused.exit_code == 1
    assert "target 'size' should hold numbers, but row 4 holds 'big'" in words(refused)
    result = call("evaluate", folder / "q", tmp_path / "new.csv", "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert "row 4, column 'size': 'big' is not a number" in words(result)
    assert "On 18 rows: " in result.stdout
    assert "Rows without a value of 'size' left out: 2." in words(result)
    new.assign(size="big").to_csv(tmp_path / "new.csv", index=False)
    refused = call("evaluate", folder / "q", tmp_path / "new.csv", "--on-error", "skip")
    assert refused.exit_code == 1
    assert "holds values such as 'big'. Check that it is the same column" in words(refused)


def test_labels_that_the_model_has_never_seen_are_named(folder, tmp_path):
    new = sales(20, seed=1)
    new.loc[:3, "bought"] = ["perhaps", "perhaps", "NO", None]
    new.to_csv(tmp_path / "new.csv", index=False)
    result = call("evaluate", folder / "m", tmp_path / "new.csv")
    assert result.exit_code == 0, result.output
    assert "On 16 rows: " in result.stdout
    assert "Rows of classes unknown to the model left out: 'perhaps' (2), 'NO' (1)." in words(
        result
    )
    assert "Rows without a value of 'bought' left out: 1." in words(result)
    new.assign(bought="perhaps").to_csv(tmp_path / "new.csv", index=False)
    result = call("evaluate", folder / "m", tmp_path / "new.csv")
    assert result.exit_code == 1
    assert "no row with a usable target 'bought'" in words(result)


# --------------------------------------------------------------------------------- export


def test_a_model_is_exported(folder, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    result = call("export", folder / "m", path)
    assert result.exit_code == 0, result.output
    onnx.checker.check_model(path)
    assert "exists" in words(call("export", folder / "m", path))
    assert call("export", folder / "m", path, "--force").exit_code == 0
    model = tmp_path / "m"
    model.write_bytes((folder / "m").read_bytes())
    refused = call("export", model, model, "--force")
    assert refused.exit_code == 1
    assert "would replace an input file. Choose another path." in words(refused)
    assert model.read_bytes() == (folder / "m").read_bytes()


# ------------------------------------------------------------------------------ bad input

SALES = ("sales.csv", "--target", "bought")
REFUSED = [
    (("train", *SALES, "--output", "old"), "'old' exists. Choose another path, or replace"),
    (("train", *SALES, "--output", "folder"), "it is a folder"),
    (("train", *SALES, "--output", "sales.csv/m"), "cannot be written"),
    (
        ("train", *SALES, "--output", "m", "--validation-fraction", "0.9"),
        "must lie in [0, 0.5]",
    ),
    (("train", *SALES, "--output", "m", "--alpha", "x"), "alpha must be a number, got 'x'"),
    (("train", *SALES, "--output", "m", "--alpha", "-1"), "alpha"),
    (
        ("train", *SALES, "--output", "m", "--best", "--alpha", "0"),
        "--alpha cannot be combined",
    ),
    (("train", *SALES, "--output", "m", "--quantiles", "0.1"), "needs a numeric target"),
    (("train", *SALES, "--output", "m", "--device", "x"), "--device x cannot be used here"),
    (("train", *SALES, "--output", "m", "--jobs", "0"), "--jobs must be a number of processes"),
    (("train", *SALES, "--output", "m", "--size-limit", "x"), "must look like 500MB"),
    (("train", "sales.csv", "--target", "Bought", "--output", "m"), "Did you mean 'bought'?"),
    (("train", "one.csv", "--target", "y", "--output", "m"), "nothing to predict"),
    (("train", "empty.csv", "--target", "y", "--output", "m"), "'empty.csv' is empty"),
    (("train", "header.csv", "--target", "bought", "--output", "m"), "nothing to learn from"),
    (("train", "gone.csv", "--target", "y", "--output", "m"), "does not exist"),
    (("predict", "MODEL", "sales.csv", "--output", "old"), "'old' exists"),
    (("predict", "MODEL", "sales.csv", "--output", "folder"), "it is a folder"),
    (
        ("predict", "MODEL", "sales.csv", "--output", "sales.csv", "--force"),
        "would replace an input file",
    ),
    (("predict", "MODEL", "empty.csv"), "'empty.csv' is empty"),
    (("predict", "MODEL", "header.csv"), "'header.csv' has no rows to predict for"),
    (("predict", "MODEL", "one.csv"), "has no column 'size', 'color', 'price', 'day', 'shop'"),
    (("predict", "MODEL", "changes.csv"), "row 81 has 9 fields, but the header has 7"),
    (("predict", "MODEL", "twice.csv"), "'size', which is not a number"),
    (("predict", "MODEL", "sales.csv", "--device", "x"), "--device x cannot be used here"),
    (("predict", "sales.csv", "sales.csv"), "is not a model of mixup-tab"),
    (("predict", "gone", "sales.csv"), "'gone' is not a file"),
    (("evaluate", "MODEL", "no-target.csv"), "has no column 'bought'"),
    (("evaluate", "MODEL", "sales.csv", "--output", "s.txt"), "must end in .csv or .json"),
    (("evaluate", "MODEL", "sales.csv", "--output", "old.csv"), "'old.csv' exists"),
    (("export", "gone", "m.onnx"), "'gone' is not a file"),
    (("export", "MODEL", "old"), "'old' exists"),
]


@pytest.fixture
def place(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (folder / "sales.csv").read_text("utf-8")
    files = {
        "sales.csv": text,
        "old": "old",
        "old.csv": "old",
        "empty.csv": "",
        "header.csv": text.partition("\n")[0] + "\n",
        "one.csv": "x,y\n" + "".join(f"{number},same\n" for number in range(30)),
        "changes.csv": text + "a,b,c,d,e,f,g,h,i\n1,2,3,4,5,6,7,8,9\n",
        "twice.csv": text + text,
        "no-target.csv": sales().drop(columns="bought").to_csv(index=False),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "folder").mkdir()
    return tmp_path


def test_what_cannot_be_done_is_one_line_and_leaves_everything_as_it_was(place, folder):
    before = {path: path.is_file() and path.read_bytes() for path in place.iterdir()}
    for arguments, message in REFUSED:
        result = call(*(folder / "m" if part == "MODEL" else part for part in arguments))
        assert result.exit_code == 1, (arguments, result.output)
        assert message in result.stderr, (arguments, result.stderr)
        assert result.stderr.splitlines()[-1].startswith("Error: ")
        assert {p: p.is_file() and p.read_bytes() for p in place.iterdir()} == before, arguments


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_none_is_refused(seed, place):
    result = call("train", *SALES, "--output", "m", "--seed", seed)
    assert result.exit_code == 2
    assert "Invalid value for '--seed'" in result.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_no_table_but_can_be_standard_input(place):
    os.mkfifo("pipe.csv")
    result = call("train", "pipe.csv", "--target", "bought", "--output", "m")
    assert result.exit_code == 1
    assert "'pipe.csv' is not a regular file" in result.stderr
    assert "to pipe CSV into predict or evaluate, use -" in result.stderr


def test_two_commands_do_not_write_to_one_file(place, folder):
    with locked(place / "p.csv", "another"):
        result = call("predict", folder / "m", "sales.csv", "--output", "p.csv")
        trained = call("train", *SALES, "--output", "p.csv")
    for each in (result, trained):
        assert each.exit_code == 1
        assert "--output p.csv is in use by another run" in each.stderr
    assert not (place / "p.csv").exists()


def test_a_link_or_a_device_is_written_to(place, folder):
    assert call("predict", folder / "m", "sales.csv", "--output", os.devnull).exit_code == 0
    os.symlink("old", "link")
    refused = call("predict", folder / "m", "sales.csv", "--output", "link")
    assert "'link' exists" in refused.stderr
    assert (
        call("predict", folder / "m", "sales.csv", "--output", "link", "--force").exit_code == 0
    )
    assert os.path.islink("link")
    assert len(pd.read_csv("old")) == ROWS
