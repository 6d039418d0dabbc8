import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV
from uci_folders import raw_table, write_raw

from mixup_tab.estimators.rescaled import RescaledClassifier
from mixup_tab.evaluation.protocols.calibration import METHODS, CalibrationPlan
from mixup_tab.evaluation.runs import perform

# A colour may be in test rows only; the benchmark says nothing of it either.
pytestmark = pytest.mark.filterwarnings("ignore:Found unknown categories:UserWarning")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    tables = {"apples": raw_table(), "big_pears": raw_table(90, classes=2, seed=1)}
    return write_raw(tmp_path_factory.mktemp("home"), **tables)


def test_every_method_of_a_fold_has_the_same_rows_and_the_same_net(home):
    plan = CalibrationPlan.make(["apples"], folds=2, data_home=home)
    trials = {task.method: plan.prepare(task) for task in plan.tasks() if task.fold == 1}
    assert tuple(trials) == METHODS
    first = trials["ERM"]
    for trial in trials.values():
        np.testing.assert_array_equal(trial.test, first.test)
        np.testing.assert_array_equal(trial.X, first.X)
    assert first.model.alpha == 0
    assert trials["ERM tempered"].model.estimator.get_params() == first.model.get_params()
    assert isinstance(trials["mixup tempered"].model, CalibratedClassifierCV)
    rescaled = trials["mixup rescaled"].model
    assert isinstance(rescaled, RescaledClassifier)
    assert rescaled.estimator.get_params() == trials["mixup"].model.get_params()
    assert trials["mixup"].model.mixing == "mixup"


def test_the_front_learns_of_training_rows_only(home, tmp_path):
    frame = raw_table()
    plan = CalibrationPlan.make(["apples"], ["ERM"], folds=2, data_home=home)
    (task, _) = plan.tasks()
    before = plan.prepare(task)
    frame.loc[before.test, "weight [kg]"] *= 1000
    moved = CalibrationPlan.make(
        ["apples"], ["ERM"], folds=2, data_home=write_raw(tmp_path, apples=frame)
    )
    after = moved.prepare(task)
    assert_allclose(after.X[before.train], before.X[before.train])
    assert not np.allclose(after.X[before.test], before.X[before.test])


def test_a_temperature_leaves_the_decisions_as_they_are(home):
    plan = CalibrationPlan.make(["big-pears"], ["ERM tempered"], folds=2, data_home=home)
    outcomes = [perform(plan, task) for task in plan.tasks()[:2]]
    net, tempered = (outcome.row for outcome in outcomes)
    assert [net["method"], tempered["method"]] == ["ERM", "ERM tempered"]
    assert net["accuracy"] == tempered["accuracy"]
    assert net["log_loss"] != tempered["log_loss"]


def test_rare_classes_do_not_spoil_the_temperature(tmp_path):
    frame = raw_table(60, classes=3)
    frame.loc[[0, 1], "target"] = ["_first", "z_last"]  # of one row each
    home = write_raw(tmp_path, rare=frame)
    plan = CalibrationPlan.make(["rare"], ["ERM tempered"], folds=2, data_home=home)
    task = next(task for task in plan.tasks() if task.method == "ERM tempered")
    trial = plan.prepare(task)
    model = trial.model.fit(trial.X[trial.train], trial.y[trial.train])
    assert set(trial.y[trial.test]) - set(model.classes_)  # a class that was not trained on
    assert model.classes_.tolist() == list(range(len(model.classes_)))
    (inner,) = model.calibrated_classifiers_
    assert 0.05 < inner.calibrators[0].beta_ < 5


def test_what_a_method_is_compared_with_is_added(home):
    plan = CalibrationPlan.make(methods=["mixup rescaled"], data_home=home, max_rows=80)
    assert plan.methods == ("mixup", "mixup rescaled")
    assert {task.dataset for task in plan.tasks()} == {"apples"}
    assert pd.Series(plan.identity())["protocol"] == "calibration"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["SVC"]}, "methods='SVC' not known here. Known: ERM, ERM tempered"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"max_rows": 3}, "max_rows=3 leaves no table"),
    ],
)
def test_bad_options_are_found_before_training(home, options, message):
    with pytest.raises(ValueError, match=message):
        CalibrationPlan.make(**{"data_home": home, **options})
