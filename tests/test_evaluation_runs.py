import json
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.evaluation.run_folder import COLUMNS, KEY, RunFolder
from mixup_tab.evaluation.runs import Plan, Task, Trial, chosen_alpha, execute, perform
from mixup_tab.evaluation.session import carry_out, failure_lines

Y = np.array([0, 0, 1, 1, 2, 2, 0, 1])


class Probe(ClassifierMixin, BaseEstimator):
    """Says with how many threads it was fitted."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.alpha_ = torch.get_num_threads()
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Broken(Probe):
    def fit(self, X, y):
        raise RuntimeError("no power")


class Interrupted(Probe):
    def fit(self, X, y):
        raise KeyboardInterrupt


MODELS = {"prior": DummyClassifier(strategy="prior"), "probe": Probe(), "broken": Broken()}
MODELS["interrupted"] = Interrupted()


@dataclass(frozen=True)
class TinyPlan(Plan):
    methods: tuple = ("prior", "probe")
    folds: int = 2
    seed: int = 0
    train: tuple = (0, 1, 2, 3, 4)

    def identity(self):
        return {"protocol": "tiny", "seed": self.seed}

    def tasks(self):
        return [
            Task("tiny", "eight", method, fold, self.seed + fold, cost=fold)
            for method in self.methods
            for fold in range(self.folds)
        ]

    def prepare(self, task):
        X = np.arange(8.0)[:, None]
        train = np.array(self.train)
        test = np.setdiff1d(np.arange(8), train)
        return Trial(MODELS[task.method], X, Y, train, test, n_classes=3)


def run(tmp_path, plan=None, **settings):
    return carry_out(plan or TinyPlan(), output=tmp_path / "run", **settings)


def test_scores_agree_with_their_definitions():
    outcome = perform(TinyPlan(), Task("tiny", "eight", "prior", 0, 0))
    # Trained on classes 0, 0, 1, 1, 2; tested on 2, 0, 1.
    proba = np.tile([0.4, 0.4, 0.2], (3, 1))
    truth = np.eye(3)[[2, 0, 1]]
    row = outcome.row
    assert (row["n_train"], row["n_test"], row["n_classes"]) == (5, 3, 3)
    assert row["accuracy"] == pytest.approx(1 / 3)
    assert row["error"] == pytest.approx(2 / 3)
    assert row["log_loss"] == pytest.approx(-np.log((proba * truth).sum(1)).mean())
    assert row["brier"] == pytest.approx(((proba - truth) ** 2).sum(1).mean())
    assert row["ece"] == pytest.approx(abs(1 / 3 - 0.4))
    assert outcome.bins["count"].sum() == 3


def test_a_class_missing_in_training_has_probability_zero():
    row = perform(TinyPlan(train=(0, 1, 4, 5)), Task("tiny", "eight", "prior", 0, 0)).row
    # Classes of the test rows are 1, 1, 0, 1; the model knows 0 and 2, half each.
    clipped = -np.log(np.finfo(float).eps)
    assert row["log_loss"] == pytest.approx((3 * clipped + np.log(2)) / 4)


def test_methods_have_one_thread_and_the_number_is_given_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = perform(TinyPlan(), Task("tiny", "eight", "probe", 0, 0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    (apart,) = execute(TinyPlan(), [Task("tiny", "eight", "probe", 0, 0)], n_jobs=2)
    assert here.row["alpha"] == apart.row["alpha"] == "1"


def test_costly_tasks_go_first():
    tasks = TinyPlan(folds=3).tasks()
    done = [outcome.task.cost for outcome in execute(TinyPlan(folds=3), tasks)]
    assert done == sorted(done, reverse=True)


def test_alpha_that_was_chosen_is_told():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    net = MixupClassifier(alpha=0.3, max_epochs=1, random_state=0)
    assert chosen_alpha(net.fit(X, y)) == "0.3"
    search = MixupSearchCV(net, {"alpha": [0.7]}, cv=2).fit(X, y)
    assert chosen_alpha(search) == "0.7"
    assert chosen_alpha(DummyClassifier().fit(X, y)) == ""


def test_a_folder_holds_rows_bins_and_a_record(tmp_path):
    session = run(tmp_path, note="mine")
    folder = session.folder.path
    rows = pd.read_csv(folder / "results.csv")
    assert tuple(rows.columns) == COLUMNS
    assert set(zip(rows["method"], rows["fold"], strict=True)) == {
        ("prior", 0),
        ("prior", 1),
        ("probe", 0),
        ("probe", 1),
    }
    bins = pd.read_csv(folder / "reliability.csv").groupby(list(KEY))["count"].sum()
    assert (bins == 3).all()
    assert len(bins) == 4
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (told,) = record["sessions"]
    assert record["identity"] == {"protocol": "tiny", "seed": 0}
    assert record["seeds"] == [0, 1]
    assert told["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert told["machine"]["cores"] == os.cpu_count()
    assert told["note"] == "mine"
    assert told["start"] <= told["end"]
    assert told["finished"]
    assert not told["failures"]


def test_results_come_in_the_order_of_the_plan(tmp_path):
    keys = [task.key for task in TinyPlan().tasks()]
    for _ in "ab":
        rows = run(tmp_path).results
        assert list(zip(*(rows[name] for name in KEY), strict=True)) == keys


def test_going_on_does_only_what_is_missing(tmp_path):
    run(tmp_path, TinyPlan(methods=("prior",)))
    path = tmp_path / "run" / "results.csv"
    before = path.read_text()
    session = run(tmp_path)
    assert path.read_text().startswith(before)
    assert len(session.results) == 4
    assert len(session.folder.record["sessions"]) == 2
    finished = path.read_text()
    run(tmp_path)
    assert path.read_text() == finished


@pytest.mark.parametrize("cut", [1, 40])
def test_a_half_written_line_is_cut_and_done_again(tmp_path, cut):
    session = run(tmp_path)
    path = tmp_path / "run" / "results.csv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = run(tmp_path)
    scores = ["method", "fold", "log_loss"]
    pd.testing.assert_frame_equal(again.results[scores], session.results[scores])
    assert (again.reliability.groupby(list(KEY))["count"].sum() == 3).all()


def test_a_folder_killed_before_its_first_line_is_gone_on_with(tmp_path):
    RunFolder(tmp_path / "run", TinyPlan(), {})
    (tmp_path / "run" / "results.csv").write_text("protocol,data")
    assert len(run(tmp_path).results) == 4


def test_another_run_is_refused_and_the_difference_is_told(tmp_path):
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(ValueError, match=r"holds another run: seed 0 there, 5 now.*--output"):
        run(tmp_path, TinyPlan(seed=5))
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("results.csv", "mine", "holds a results.csv but no run.json"),
        ("run.json", "[]", "not the record of a run"),
        ("run.json", "{", "not the record of a run"),
    ],
)
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path, name, text, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        run(tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]
    assert (tmp_path / "run" / name).read_text() == text


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_method_that_fails_is_told_by_name_and_the_others_go_on(tmp_path, n_jobs):
    session = run(tmp_path, TinyPlan(methods=("broken", "prior")), n_jobs=n_jobs)
    assert session.finished
    assert set(session.results["method"]) == {"prior"}
    (line,) = failure_lines(session.failures)
    assert line.startswith("broken failed on eight (2 ×): RuntimeError: no power")
    told = session.folder.record["sessions"][0]["failures"]
    assert {failure["fold"] for failure in told} == {0, 1}


def test_ctrl_c_keeps_what_is_done(tmp_path):
    session = run(tmp_path, TinyPlan(methods=("prior", "interrupted"), folds=1))
    assert not session.finished
    assert session.results["method"].tolist() == ["prior"]
    assert not session.folder.record["sessions"][0]["finished"]
