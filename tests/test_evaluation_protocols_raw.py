import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from uci_folders import raw_table, write_raw

from mixup_tab.evaluation.protocols.contestants import CONTESTANTS
from mixup_tab.evaluation.protocols.peers import CalibratedSVC
from mixup_tab.evaluation.protocols.raw import RawPlan
from mixup_tab.evaluation.protocols.raw_report import against, report_raw, summarize_raw
from mixup_tab.evaluation.protocols.scores import comparable, left_out, mean_scores
from mixup_tab.evaluation.protocols.splits import folds_of, repeat_of, strata
from mixup_tab.evaluation.session import carry_out
from mixup_tab.metrics import expected_calibration_error

FAST = ["MixupClassifier", "HistGradientBoosting", "MLPClassifier"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    tables = {"apples": raw_table(), "big_pears": raw_table(90, classes=2, seed=1)}
    return write_raw(tmp_path_factory.mktemp("home"), **tables)


@pytest.fixture(scope="module")
def session(home, tmp_path_factory):
    plan = RawPlan.make(methods=FAST, folds=2, data_home=home)
    return carry_out(plan, output=tmp_path_factory.mktemp("run"))


def fake(rows):
    columns = ["dataset", "method", "fold", "accuracy"]
    return pd.DataFrame(rows, columns=columns).assign(
        log_loss=lambda r: 1 - r["accuracy"],
        brier=0.1,
        ece=0.2,
        fit_seconds=np.arange(1.0, len(rows) + 1),
        predict_seconds=0.1,
    )


def test_rare_classes_share_a_stratum_and_no_row_is_left_out():
    y = np.array([0] * 8 + [1] * 5 + [2] * 2 + [3] + [4])
    assert strata(y, 4).tolist() == [0] * 8 + [1] * 5 + [2] * 4
    assert strata(y[:-2], 4).tolist() == [0] * 8 + [1] * 7  # alone still too small
    tests = np.concatenate([test for _, test in folds_of(y, 4, seed=0)])
    assert sorted(tests) == list(range(len(y)))
    train, test = repeat_of(y, 0.25, seed=0)
    assert sorted([*train, *test]) == list(range(len(y)))


def test_every_method_of_a_fold_has_the_same_rows(home):
    plan = RawPlan.make(methods=FAST, folds=3, data_home=home)
    for fold in range(3):
        tasks = [t for t in plan.tasks() if t.fold == fold and t.dataset == "apples"]
        first, *others = (plan.prepare(task) for task in tasks)
        assert len(others) == 2
        assert all(np.array_equal(first.test, trial.test) for trial in others)


@pytest.mark.parametrize("name", CONTESTANTS)
def test_contestants_take_text_holes_and_labels_with_gaps(name):
    contestant = CONTESTANTS[name]
    if not contestant.installed:
        pytest.skip(f"{contestant.module} is not installed")
    if name in ("best effort", "TabM"):
        pytest.skip("takes a quarter of a minute")
    frame = raw_table()
    X, y = frame.drop(columns="target"), pd.factorize(frame["target"])[0] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = contestant.for_tables(0, "cpu")
        proba = model.fit(X[:45], y[:45]).predict_proba(X[45:])
    assert np.asarray(model.classes_).tolist() == [0, 2, 4]
    assert proba.shape == (15, 3)
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert np.mean(2 * proba.argmax(axis=1) == y[45:]) > 0.6


@pytest.mark.parametrize("rarest", [5, 2, 1])
def test_support_vectors_give_probabilities_for_rare_classes(rarest):
    rng = np.random.default_rng(0)
    y = np.array([0] * 20 + [1] * 20 + [2] * rarest)
    X = 3 * np.eye(3)[y] + rng.normal(size=(len(y), 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = clone(CalibratedSVC(random_state=1)).fit(X, y)
    proba = model.predict_proba(X)
    assert np.allclose(proba.sum(axis=1), 1)
    assert np.mean(proba.argmax(axis=1) == y) > 0.8


def test_means_are_over_folds_and_unfinished_methods_are_missing():
    results = fake([("t", "a", 0, 0.8), ("t", "a", 1, 0.6), ("t", "b", 0, 0.9)])
    scores = mean_scores(results, "accuracy")
    assert scores.loc["t", "a"] == pytest.approx(0.7)
    assert np.isnan(scores.loc["t", "b"])


def test_methods_and_tables_with_holes_are_left_out_and_named():
    scores = pd.DataFrame(np.ones((20, 3)), columns=["a", "b", "c"])
    scores.loc[0, "b"] = np.nan
    scores.loc[:9, "c"] = np.nan
    kept = comparable(scores)
    assert kept.columns.tolist() == ["a", "b"]
    assert kept.index.tolist() == list(range(1, 20))
    told = left_out(scores, kept)
    assert "on many tables: c." in told
    assert "a method's result: 0." in told


def test_summary_agrees_with_its_definition(session):
    summary = summarize_raw(session.results, session.reliability)
    assert summary.index.is_unique
    assert set(summary.index) == set(FAST)
    assert summary["log-loss"].is_monotonic_increasing
    rows, bins = (
        part[part["method"] == "MLPClassifier"]
        for part in (session.results, session.reliability)
    )
    told = summary.loc["MLPClassifier"]
    assert told["accuracy %"] == pytest.approx(100 * rows["accuracy"].mean())
    assert told["log-loss"] == pytest.approx(rows["log_loss"].mean())
    assert told["ECE"] == pytest.approx(rows["ece"].mean())
    assert told["ECE pooled"] == pytest.approx(expected_calibration_error(bins))
    assert summary["accuracy rank"].sum() == pytest.approx(6)


def test_methods_are_compared_on_tables_that_both_have():
    rows = [("t", "a", 0, 0.8), ("u", "a", 0, 0.6), ("t", "b", 0, 0.9)]
    table = against(fake(rows), "a").set_index("metric")
    assert table["sets"].tolist() == [1, 1, 1]
    assert table.loc["accuracy", "difference"] == pytest.approx(0.1)
    assert table.loc["accuracy", "wins"] == 1
    assert table.loc["log-loss", "wins"] == 1
    assert table.loc["accuracy", "fit time"] == pytest.approx(3)


def test_report_has_every_part(session, tmp_path):
    report = report_raw(session)
    page = report.page.write(tmp_path).read_text(encoding="utf-8")
    for text in (
        *FAST,
        "apples: 60 rows, 3 classes",
        "which differences can be shown",
        "How far probabilities can be believed",
        "versions",
    ):
        assert text in page
    assert {path.name for path in (tmp_path / "pictures").glob("*.svg")} == {
        "critical-difference-accuracy.svg",
        "critical-difference-log-loss.svg",
        "reliability.svg",
    }
    assert report.sentence.startswith("On 2 tables: MixupClassifier has")


def test_large_tables_are_left_out(home):
    plan = RawPlan.make(methods=FAST, data_home=home, max_rows=80)
    assert {task.dataset for task in plan.tasks()} == {"apples"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": ["moon"]}, "datasets=moon not in .*There are: apples, big-pears"),
        ({"datasets": ["none.csv"]}, "datasets='none.csv' cannot be read"),
        ({"methods": ["Oracle"]}, "methods='Oracle' not known here. Known: MixupClassifier"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"folds": 1000}, r"folds=1000 is more than the rows of \w+, \d+\. Give a smaller"),
        ({"max_rows": 3}, "max_rows=3 leaves no table"),
        ({"seed": -1}, "seed must lie in"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"data_home": "nowhere"}, "data_home='nowhere' is not a folder"),
    ],
)
def test_bad_options_are_found_before_training(home, options, message):
    with pytest.raises(ValueError, match=message):
        RawPlan.make(**{"data_home": home, **options})


def test_names_come_from_a_file(home, tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name,rows\napples,60\n\n")
    plan = RawPlan.make([str(path)], methods=FAST, data_home=home)
    assert {task.dataset for task in plan.tasks()} == {"apples"}
