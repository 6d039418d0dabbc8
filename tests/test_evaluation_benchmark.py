import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from mixup_tab.evaluation import BenchmarkDisplay, compare, summarize
from mixup_tab.evaluation.benchmark import methods, plan
from mixup_tab.evaluation.runs import Task, perform
from mixup_tab.evaluation.statistics import resampled_interval
from mixup_tab.evaluation.tables import BUNDLED, load

PLAN = plan(["iris"], protocols=["paper"], device="cpu")
TASK = Task("paper", "iris", "ERM", fold=1, seed=4)


@pytest.fixture(scope="module")
def results():
    return compare(["iris", "wine"], protocols=["paper"], repeats=3, device="cpu")


def test_rows_are_the_same_every_time_but_for_the_seconds():
    first, second = (perform(PLAN, TASK).row for _ in "ab")
    seconds = {"fit_seconds", "predict_seconds"}
    assert {key: first[key] for key in first.keys() - seconds} == {
        key: second[key] for key in second.keys() - seconds
    }


def test_results_do_not_depend_on_the_number_of_processes(results):
    rows = compare(["wine"], protocols=["paper"], repeats=3, device="cpu", n_jobs=2)
    keys = ["dataset", "method", "fold"]
    one = results.set_index(keys).sort_index()[["error", "log_loss", "brier"]].loc[["wine"]]
    two = rows.set_index(keys).sort_index()[one.columns]
    pd.testing.assert_frame_equal(one, two)


def test_scores_agree_with_their_definitions():
    row = perform(PLAN, TASK).row
    from sklearn.model_selection import StratifiedShuffleSplit

    X, y = load("iris")
    train, test = next(StratifiedShuffleSplit(1, test_size=0.25, random_state=4).split(X, y))
    model = methods("paper", (), 4, "cpu")["ERM"].fit(X[train], y[train])
    proba = model.predict_proba(X[test])
    truth = np.eye(3)[y[test]]
    assert row["error"] == np.mean(proba.argmax(1) != y[test])
    assert row["log_loss"] == pytest.approx(-np.log((proba * truth).sum(1)).mean())
    assert row["brier"] == pytest.approx(((proba - truth) ** 2).sum(1).mean())


def test_paper_protocol_is_the_papers_setting_for_all_methods():
    for name, model in methods("paper", (0.3,), 0, "cpu").items():
        params = model[-1].get_params()
        assert params["hidden_layer_sizes"] == (128, 128)
        assert params["batch_size"] == 16
        assert params["learning_rate_init"] == 0.001
        assert params.get("max_epochs", params.get("max_iter")) == 10
        assert params["alpha"] == (0.3 if name.startswith("mixup") else 0)


def test_summary_pairs_the_repeats(results):
    summary = summarize(results).set_index(["dataset", "method"])
    wide = results[results["dataset"] == "wine"].pivot(
        index="fold", columns="method", values="error"
    )
    difference = wide["mixup α=0.2"] - wide["ERM"]
    row = summary.loc[("wine", "mixup α=0.2")]
    expected = resampled_interval(difference.to_numpy(), 0.25)
    assert (row["error_diff"], row["error_diff_low"], row["error_diff_high"]) == expected
    assert row["error"] == pytest.approx(wide["mixup α=0.2"].mean())
    assert np.isnan(summary.loc[("wine", "ERM"), "error_diff"])


def test_picture_shows_every_table_and_method(results):
    display = BenchmarkDisplay.from_results(results)
    left, right = display.axes_[0]
    assert [text.get_text() for text in left.get_yticklabels()] == ["iris", "wine"]
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["ERM", "mixup α=0.2", "MLPClassifier"]
    shown = {container.get_label(): container for container in right.containers}
    assert set(shown) == {"mixup α=0.2", "MLPClassifier"}
    points = shown["mixup α=0.2"].lines[0].get_xdata()
    summary = summarize(results)
    expected = summary.loc[summary["method"] == "mixup α=0.2", "error_diff"]
    assert points == pytest.approx(100 * expected.to_numpy())


def test_alphas_that_are_zero_or_twice_there_count_once():
    rows = compare(["iris"], alphas=[0, 1, 1.0], protocols=["paper"], repeats=1)
    assert rows["method"].tolist() == ["ERM", "mixup α=1", "MLPClassifier"]


def test_tables_are_those_of_scikit_learn():
    X, y = load("wine")
    expected = load_wine()
    assert np.array_equal(X, expected.data)
    assert np.array_equal(y, expected.target)
    assert {name: load(name)[0].shape for name in BUNDLED} == {
        "iris": (150, 4),
        "wine": (178, 13),
        "breast-cancer": (569, 30),
        "digits": (1797, 64),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"datasets": ["moon"]}, "datasets=moon not known. Known are: iris"),
        ({"alphas": [float("nan")]}, "alpha must be a finite number"),
        ({"protocols": ["fast"]}, "protocol='fast' not known"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"seed": -1}, "seed must lie in"),
        ({"device": "abacus"}, "device='abacus'"),
    ],
)
def test_bad_arguments_are_found_before_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(**{"datasets": ["iris"], **arguments})
