"""The runner, its summary and ``mixup-tab benchmark``."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner
from uci_folders import raw_table, write_raw

from mixup_tab.benchmark import (
    markdown_table,
    plot_differences,
    run_benchmark,
    score_classifier,
    summarize,
    uci,
    write_report,
    write_text,
)
from mixup_tab.benchmark.report import in_a_sentence
from mixup_tab.cli.app import app
from mixup_tab.metrics import resampled_interval

IRIS, WINE = load_iris(), load_wine(return_X_y=True)
SCORES = ["error", "log_loss", "brier", "ece"]
FAST = {"plain training": GaussianNB(), "mixup": LogisticRegression(C=0.01, max_iter=5000)}


class Probe(ClassifierMixin, BaseEstimator):
    """Logs each fit, then fails or stops if ``action`` says so."""

    def __init__(self, log=None, action="", random_state=None):
        self.log, self.action, self.random_state = log, action, random_state

    def fit(self, X, y):
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{self.random_state} {torch.get_num_threads()}\n")
        if self.action == "fail":
            raise RuntimeError("no power")
        if self.action == "stop":
            raise KeyboardInterrupt
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def run(methods, tables=None, splits=None, **settings):
    """Run with settings that most tests share."""
    settings = {"version": "1", "show": False, **settings}
    tables, splits = tables or {"iris": IRIS}, splits or StratifiedKFold(2)
    return run_benchmark(methods, tables, splits, **settings)


def fits(log):
    return log.read_text().splitlines() if log.exists() else []


# -------------------------------------------------------------------------------- results


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_results_are_those_of_a_loop_by_hand(n_jobs):
    net = MLPClassifier(max_iter=20, early_stopping=True, n_iter_no_change=3)
    methods = {"mlp": make_pipeline(StandardScaler(), net), **FAST}
    tables, splits = {"iris": load_iris, "wine": WINE}, StratifiedKFold(2)
    results = run(methods, tables, splits, random_state=3, n_jobs=n_jobs)
    rows = []
    for table, (X, y) in {"iris": (IRIS.data, IRIS.target), "wine": WINE}.items():
        for split, (train, test) in enumerate(splits.split(X, y)):
            for method, model in methods.items():
                model = clone(model)
                if method == "mlp":
                    model.set_params(mlpclassifier__random_state=3 + split)
                if method == "mixup":
                    model.set_params(random_state=3 + split)
                proba = model.fit(X[train], y[train]).predict_proba(X[test])
                error = np.mean(proba.argmax(1) != y[test])
                row = (table, split, method, 3 + split, len(train), len(test))
                brier = ((proba - np.eye(3)[y[test]]) ** 2).sum(1).mean()
                rows.append((*row, error, log_loss(y[test], proba), brier))
    columns = ["table", "split", "method", "seed", "n_train", "n_test", *SCORES[:3]]
    expected = pd.DataFrame(rows, columns=columns)
    pd.testing.assert_frame_equal(results[columns], expected, check_dtype=False)
    assert list(results.columns[-2:]) == ["failed", "why"]
    assert not results["failed"].any()
    assert (results[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert results.attrs["finished"]


def test_a_class_missing_in_training_has_probability_zero():
    X, y = np.arange(8.0)[:, None], np.array(list("aabbccab"))
    scores = score_classifier(DummyClassifier(), X[:2], y[:2], X[4:8], y[4:8])
    assert scores["error"] == 3 / 4
    assert scores["log_loss"] == pytest.approx(-3 / 4 * np.log(np.finfo(float).eps))


def test_splits_may_be_a_function_or_a_dict_and_tables_of_strings():
    frame = raw_table(30)
    table = frame.drop(columns="target"), frame["target"]
    rows = [(np.arange(20), np.arange(20, 30))]
    by_name = run({"prior": DummyClassifier()}, {"apples": table}, {"apples": rows})
    by_call = run({"prior": DummyClassifier()}, {"apples": table}, lambda X, y: rows)
    assert by_name["n_test"].tolist() == [10]
    pd.testing.assert_frame_equal(by_name[SCORES], by_call[SCORES])


def test_a_callable_is_given_the_seed_and_a_score_may_give_several_rows():
    def score(model, X_train, y_train, X_test, y_test):
        return pd.DataFrame({"part": ["a", "b"], "value": [model, len(X_test)]})

    results = run({"seed": lambda seed: seed}, score=score, random_state=5)
    assert results["part"].tolist() == list("abab")
    assert results["value"].tolist() == [5, 75, 6, 75]


def test_methods_have_one_thread_and_the_number_is_given_back(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run({"probe": Probe(str(tmp_path / "log"))})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert fits(tmp_path / "log") == ["0 1", "1 1"]


@pytest.mark.parametrize("make", [Probe(action="fail"), lambda seed: int("no power")])
def test_a_method_that_fails_becomes_a_row_and_the_others_run(make):
    results = run({"broken": make, "prior": DummyClassifier()}, splits=StratifiedKFold(3))
    assert results["failed"].tolist() == [True, False] * 3
    assert results["why"].str.contains("no power").tolist() == [True, False] * 3
    assert results[SCORES].notna().all(axis=1).tolist() == [False, True] * 3
    assert results.attrs["finished"]


# --------------------------------------------------------------------------------- resuming


def test_a_second_run_repeats_nothing_but_what_failed_or_is_new(tmp_path):
    log = tmp_path / "log"
    probe, output = Probe(str(log)), tmp_path / "run"
    first = run({"probe": probe}, output=output)
    assert len(fits(log)) == 2
    again = run({"probe": probe, "broken": Probe(str(log), "fail")}, output=output)
    assert len(fits(log)) == 4  # the broken one
    kept = again[again["method"] == "probe"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[first.columns], first)
    run({"probe": probe, "broken": Probe(str(log), "fail")}, output=output)
    assert len(fits(log)) == 6  # the broken one, tried again
    assert pd.read_csv(output / "results.csv")["failed"].sum() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2"},
        {"random_state": 1},
        {"splits": StratifiedKFold(2, shuffle=True, random_state=0)},
        {"tables": {"iris": (IRIS.data + 1, IRIS.target)}},
        {"tables": {"other": IRIS}},
        {"params": {"action": "other"}},
        {"name": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_stands_behind_a_result_makes_it_run_again(change, tmp_path):
    log = tmp_path / "log"
    run({"probe": Probe(str(log))}, output=tmp_path)
    name, params = change.pop("name", "probe"), change.pop("params", {})
    run({name: Probe(str(log), **params)}, output=tmp_path, **change)
    assert len(fits(log)) == 4


def test_ctrl_c_returns_and_writes_what_is_finished(tmp_path):
    reported = []
    methods = {"prior": DummyClassifier(), "stop": Probe(action="stop")}
    results = run(
        methods, output=tmp_path, report=lambda rows, folder: reported.append((rows, folder))
    )
    assert not results.attrs["finished"]
    assert results["method"].tolist() == ["prior"]
    assert len(pd.read_csv(tmp_path / "results.csv")) == 1
    assert reported[0][0] is results
    assert reported[0][1] == tmp_path


def test_ctrl_c_before_the_first_result_gives_an_empty_table():
    results = run({"stop": Probe(action="stop")})
    assert results.empty
    assert {"table", "split", "method", "failed"} <= set(results)


SCRIPT = """
import signal, sys, time
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedShuffleSplit
from mixup_tab.benchmark import run_benchmark

class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, log="", random_state=0):
        self.log, self.random_state = log, random_state
    def fit(self, X, y):
        time.sleep(0.2)
        self.classes_ = np.unique(y)
        with Path(self.log).open("a") as file:
            file.write(f"{self.random_state}\\n")
        return self
    def predict_proba(self, X):
        return np.full((len(X), 3), 1 / 3)

if __name__ == "__main__":
    # A runner in the background ignores the signal, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder, n_jobs = Path(sys.argv[1]), int(sys.argv[2])
    splits = StratifiedShuffleSplit(12, random_state=0)
    results = run_benchmark(
        {"slow": Slow(str(folder / "log"))}, {"iris": load_iris()}, splits,
        version="1", output=folder / "run", n_jobs=n_jobs,
    )
    sys.exit(0 if results.attrs["finished"] else 130)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends signals as a terminal does")
@pytest.mark.parametrize(("stop", "n_jobs"), [("SIGKILL", 1), ("SIGINT", 2)])
def test_a_run_that_was_stopped_resumes_and_repeats_nothing(stop, n_jobs, tmp_path):
    log, script = tmp_path / "log", tmp_path / "script.py"
    script.write_text(SCRIPT)
    call = [sys.executable, str(script), str(tmp_path), str(n_jobs)]
    process = subprocess.Popen(call, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    try:
        while len(fits(log)) < 4:
            assert time.monotonic() < deadline, "no result after two minutes"
            time.sleep(0.05)
        process.send_signal(signal.Signals[stop])
        process.communicate(timeout=60)
    finally:
        process.kill()
    finished = {"SIGKILL": 3, "SIGINT": 2}[stop]  # those in the making may be lost
    if stop == "SIGINT":
        assert process.returncode == 130
        finished = len(pd.read_csv(tmp_path / "run" / "results.csv"))
        assert 2 <= finished < 12
    before = len(fits(log))
    assert before < 12
    subprocess.run([*call[:-1], "1"], check=True)  # any number of processes resumes
    assert len(fits(log)) - before <= 12 - finished
    results = pd.read_csv(tmp_path / "run" / "results.csv")
    assert results["split"].tolist() == list(range(12))


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": {}}, "methods must be a non-empty dict by name"),
        ({"methods": {"a": 3}}, r"methods\['a'\] must be an estimator or a callable"),
        ({"tables": {}}, "tables must be a non-empty dict"),
        ({"version": 1}, "version must be a str, got 1"),
        ({"n_jobs": 0}, "n_jobs must be a number of processes"),
        ({"random_state": -1}, r"random_state must lie in \[0, 2\*\*31\), got -1"),
    ],
)
def test_bad_arguments_are_found_before_anything_is_made(settings, message, tmp_path):
    output = tmp_path / "run"
    given = {"methods": FAST, "tables": {"iris": IRIS}, "splits": StratifiedKFold(2)}
    with pytest.raises(ValueError, match=message):
        run_benchmark(**{**given, "version": "1", "output": output, **settings})
    assert not output.exists()


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(ValueError, match="already holds another results"):
        run(FAST, output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]
    taken = tmp_path / "results.csv"
    with pytest.raises(OSError, match="cannot be written"):
        run(FAST, output=taken)
    assert taken.read_text() == "mine"


# ----------------------------------------------------------------------- summary and report


@pytest.fixture(scope="module")
def results():
    tables = {"iris": IRIS, "wine": WINE}
    splits = StratifiedShuffleSplit(4, test_size=0.25, random_state=0)
    return run({**FAST, "broken": Probe(action="fail")}, tables, splits)


def test_summary_pairs_the_splits(results):
    summary = summarize(results).set_index(["table", "method"])
    wide = results[results["table"] == "wine"].pivot(
        index="split", columns="method", values="log_loss"
    )
    share = 45 / 178
    row = summary.loc[("wine", "mixup")]
    ends = [f"log_loss{end}" for end in ("", "_low", "_high")]
    assert tuple(row[ends]) == pytest.approx(resampled_interval(wide["mixup"], share))
    pairs = resampled_interval(wide["mixup"] - wide["plain training"], share)
    ends = [f"log_loss_diff{end}" for end in ("", "_low", "_high")]
    assert tuple(row[ends]) == pytest.approx(pairs)
    assert row["splits"] == 4
    assert summary.loc[("wine", "plain training"), ends].isna().all()
    assert ("wine", "broken") not in summary.index


def test_the_sentence_counts_tables_and_names_both_scores():
    ends = {"error": (0.1, 0.05, 0.2), "log_loss": (0.3, 0.2, 0.4)}
    rows = []
    # By table: difference of mixup in log-loss and in error, each ± 0.1.
    for table, loss, error in (("a", -0.2, -0.05), ("b", -0.05, 0.02), ("c", 0.2, 0.0)):
        for method, shift in (("plain training", np.nan), ("mixup", 1.0), ("other", 9.0)):
            row = {"table": table, "method": method, "splits": 5}
            for metric, gap in (("log_loss", loss), ("error", error)):
                at = ends[metric][0] + (gap if method == "mixup" else 0)
                row |= {metric: at, f"{metric}_diff": shift * gap}
                row |= {
                    f"{metric}_diff_{e}": shift * gap + d
                    for e, d in (("low", -0.1), ("high", 0.1))
                }
            rows.append(row)
    summary = pd.DataFrame(rows)
    assert in_a_sentence(summary) == (
        "mixup beats plain training by log-loss on 2 of 3 tables (mean 0.283 against 0.300; "
        "beyond chance better on 1, worse on 1), and by error on 1 of 3 tables (mean 9.0 % "
        "against 10.0 %; beyond chance better on 0, worse on 0); lower is better."
    )
    few = in_a_sentence(summary.assign(splits=4))
    assert few.count("beyond chance better on 0, worse on 0") == 2
    assert (
        in_a_sentence(summary[summary["method"] != "plain training"].assign(error_diff=np.nan))
        == ""
    )


def test_report_has_sentence_table_failures_and_versions(results, tmp_path):
    write_report(results, tmp_path)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert in_a_sentence(summarize(results)) in text
    assert "| wine | mixup | " in text
    assert "broken failed on iris (4 ×): RuntimeError: no power (test_benchmark.py:" in text
    assert f"torch {torch.__version__.partition('+')[0]}" in text
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_report_without_the_reference_or_any_result(results, tmp_path):
    write_report(results[results["method"] == "broken"], tmp_path)
    assert "broken failed on wine" in (tmp_path / "results.md").read_text(encoding="utf-8")
    write_report(results[results["method"] == "mixup"], tmp_path)
    assert "| wine | mixup | " in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert not (tmp_path / "results.png").exists()


def test_picture_shows_the_differences(results):
    summary = summarize(results)
    for ax, metric, factor in zip(
        plot_differences(summary).axes, ("log_loss", "error"), (1, 100), strict=True
    ):
        (container,) = ax.containers
        expected = factor * summary.loc[summary["method"] == "mixup", f"{metric}_diff"]
        assert container.lines[0].get_xdata() == pytest.approx(expected.to_numpy())
        assert container.lines[0].get_ydata() == pytest.approx([0, 1])


def test_markdown_has_the_index_and_formats(tmp_path):
    frame = pd.DataFrame({"sets": [2.0, np.nan], "note": ["x", None]}, index=["a", "b"])
    frame = frame.rename_axis("rule")
    lines = markdown_table(frame, {"sets": "{:.1f}"}).splitlines()
    assert lines == [
        "| rule | sets | note |",
        "|---|---:|---|",
        "| a | 2.0 | x |",
        "| b |  |  |",
    ]
    path = write_text(tmp_path, "Title", "", "text")
    assert path.read_text(encoding="utf-8").startswith("# Title\n\ntext\n\nMeasured on ")


# ---------------------------------------------------------------- tables, methods and splits


def test_tables_come_from_scikit_learn_a_folder_or_a_card(tmp_path):
    shapes = {name: load()[0].shape for name, load in uci.choose_tables().items()}
    assert shapes == {
        "iris": (150, 4),
        "wine": (178, 13),
        "breast-cancer": (569, 30),
        "digits": (1797, 64),
    }
    frame = raw_table()
    write_raw(tmp_path, apples=frame, iris=raw_table(40), prices=frame.assign(target=0.5))
    tables = uci.choose_tables(None, tmp_path)
    assert list(tables) == ["apples", "iris"]
    X, y = tables["apples"]()
    assert len(X) == len(y) == 60
    assert set(y) == {0, 1, 2}
    assert len(tables["iris"]()[0]) == 40
    assert list(uci.choose_tables(["abalone"])) == ["abalone"]


def test_methods_take_categories_and_missing_values():
    methods = uci.choose_methods(list(uci.METHODS), [0.2, 1, 0.2])
    assert len(methods) == len(uci.METHODS) + 1
    assert {"mixup α=0.2", "mixup α=1"} < set(methods)
    frame = raw_table()
    results = run(
        {
            name: model
            for name, model in methods.items()
            if name not in ("MixupEnsembleClassifier", "mixup α=1")
        },
        {"apples": (frame.drop(columns="target"), frame["target"])},
    )
    assert not results["failed"].any(), results["why"].unique()
    assert (results["error"] < 0.4).mean() >= 0.8


def test_rare_classes_share_a_stratum_and_no_row_is_left_out():
    y = np.array([0] * 8 + [1] * 5 + [2] * 2 + [3] + [4])
    assert uci.strata(y, 4).tolist() == [0] * 8 + [1] * 5 + [2] * 4
    assert uci.strata(y[:-2], 4).tolist() == [0] * 8 + [1] * 7  # alone still too few
    parts = uci.stratified_folds(4, 7, repeats=2)(None, y)
    assert len(parts) == 8
    for repeat in (parts[:4], parts[4:]):
        assert sorted(np.concatenate([test for _, test in repeat])) == list(range(len(y)))
    again = uci.stratified_folds(4, 8)(None, y)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(parts[4:], again, strict=True))
    (train, test), other = uci.random_splits(2, 5)(None, y)
    assert sorted([*train, *test]) == list(range(len(y)))
    expected = StratifiedShuffleSplit(1, test_size=0.25, random_state=6)
    assert np.array_equal(other[1], next(expected.split(y, uci.strata(y, 2)))[1])


# --------------------------------------------------------------------------- command line


def call(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)], env={"COLUMNS": "80"})


def test_command_ends_with_the_sentence_and_the_next_step_and_resumes(tmp_path):
    folder = tmp_path / "deep" / "out"
    options = ("--datasets", "iris", "--jobs", 1, "--output", folder, "--repeats", 2)
    options = (*options, "--methods", "plain training,mixup", "--alpha", 1)
    first = call(*options)
    assert first.exit_code == 0, first.output
    rows = pd.read_csv(folder / "results.csv")
    assert rows["method"].tolist() == ["plain training", "mixup α=1"] * 2
    assert rows["seed"].tolist() == [0, 0, 1, 1]
    sentence = in_a_sentence(summarize(rows))
    assert sentence.startswith("mixup α=1 beats plain training by log-loss on ")
    step = "Does it help on your own table? mixup-tab compare FILE --target COLUMN"
    assert " ".join(first.stdout.split()).endswith(f"{sentence} {step}")
    assert str(folder) in first.stdout.replace("\n", "")
    # Tables fit into eighty columns.
    assert "…" not in first.stdout
    names = {path.name for path in folder.iterdir()}
    assert names == {"finished.jsonl", "results.csv", "results.md", "results.png"}
    call(*options)
    again = pd.read_csv(folder / "results.csv")
    pd.testing.assert_frame_equal(again, rows)  # the seconds too: nothing was run again


def test_command_takes_a_folder_of_tables_and_makes_a_new_folder(tmp_path, monkeypatch):
    home = write_raw(tmp_path / "home", apples=raw_table())
    monkeypatch.chdir(tmp_path)
    result = call(
        "--data-home", home, "--methods", "MLPClassifier", "--repeats", 1, "--jobs", 1
    )
    assert result.exit_code == 0, result.output
    (folder,) = tmp_path.glob("mixup-tab-benchmark-*")
    assert pd.read_csv(folder / "results.csv")["table"].tolist() == ["apples"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--datasets", "iris,moon"), "datasets must be some of iris, wine"),
        (("--data-home", "{tmp}"), "holds no classification table"),
        (("--methods", "magic"), "methods must be some of plain training, mixup"),
        (("--alpha", "-1"), "alpha must be a finite number of at least 0"),
        (("--alpha", "much"), "alpha must be a number, got 'much'"),
        (("--repeats", "0"), "repeats must lie in [1, 1000], got 0"),
        (("--jobs", "0"), "--jobs must be a number of processes"),
    ],
)
def test_bad_options_end_before_anything_is_made(arguments, message, tmp_path):
    arguments = [text.format(tmp=tmp_path) for text in arguments]
    result = call(*arguments, "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT as a terminal does")
def test_ctrl_c_writes_what_is_finished_and_exits_130(tmp_path):
    folder = tmp_path / "out"
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mixup_tab.cli.app import app\n"
        "app(sys.argv[1:])\n"
    )
    options = ["benchmark", "--datasets", "iris", "--repeats", "500", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options, "--output", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    deadline = time.monotonic() + 120
    try:
        while len(fits(folder / "finished.jsonl")) < 5:
            assert time.monotonic() < deadline, "no result after two minutes"
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, shown
    assert "Run the same command to resume" in shown
    assert len(pd.read_csv(folder / "results.csv")) >= 4
    assert "| iris | mixup α=0.2 |" in (folder / "results.md").read_text(encoding="utf-8")
