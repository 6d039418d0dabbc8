"""The estimators inside scikit-learn's and skrub's tools."""

import inspect

import numpy as np
import pandas as pd
import pytest
import sklearn
import skrub
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, StackingRegressor, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import HalvingGridSearchCV, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier, MixupRegressor

SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def small(**params):
    return MixupClassifier(**{**SMALL, "max_epochs": 15, **params})


@pytest.fixture
def raw_table():
    """A table with words, dates, missing values and a target that depends on them."""
    rng = np.random.default_rng(3)
    colour = rng.choice(["red", "green", "blue"], 80)
    size = rng.normal(size=80)
    size[::9] = np.nan
    when = pd.date_range("2026-01-01", periods=80)
    frame = pd.DataFrame({"colour": colour, "size": size, "when": when})
    frame.loc[::7, "colour"] = None
    return frame, np.where((colour == "red") | (np.nan_to_num(size) > 1), "yes", "no")


# --------------------------------------------------------------------------- pipelines


def test_pipeline(three_classes):
    X, y = three_classes
    model = make_pipeline(StandardScaler(), small()).fit(X, y)
    alone = small().fit(StandardScaler().fit_transform(X), y)
    assert_array_equal(
        model.predict_proba(X), alone.predict_proba(StandardScaler().fit_transform(X))
    )


def test_skrub_pipeline(raw_table):
    frame, y = raw_table
    model = skrub.tabular_pipeline(small()).fit(frame, y)
    assert model.score(frame, y) > 0.8
    assert model.predict(frame).dtype == y.dtype


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_set_output_of_a_stack(output, line):
    X, y = line
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = MixupRegressor(**SMALL, max_epochs=2)
    stack = StackingRegressor([("net", net)], LinearRegression(), cv=2)
    outputs = stack.set_output(transform=output).fit(frame, y).transform(frame)
    assert type(outputs).__module__.startswith(output)
    assert outputs.shape == (60, 1)


# ---------------------------------------------------------------------------- searches


def test_halving_grid_search(two_classes):
    search = HalvingGridSearchCV(
        small(),
        {"alpha": [0, 0.2, 1.0]},
        resource="max_epochs",
        min_resources=2,
        max_resources=6,
        cv=2,
        error_score="raise",
    ).fit(*two_classes)
    assert search.n_resources_ == [2, 6]
    assert search.best_estimator_.n_iter_ == 6


def test_cross_val_predict_gives_every_row_once(three_classes):
    X, y = three_classes
    proba = cross_val_predict(small(), X, y, cv=3, method="predict_proba")
    assert proba.shape == (60, 3)
    assert (proba.argmax(1) == y).mean() > 0.7


# ------------------------------------------------------------------------ ensembles


def test_calibration(three_classes):
    X, y = three_classes
    model = CalibratedClassifierCV(small(), method="temperature", cv=2).fit(X, y)
    assert_allclose(model.predict_proba(X).sum(1), 1)
    for fitted in model.calibrated_classifiers_:
        assert_array_equal(fitted.predict_proba(X).argmax(1), fitted.estimator.predict(X))
    assert CalibratedClassifierCV(small(), cv=2).fit(X, y).score(X, y) > 0.7


def test_soft_voting_averages(three_classes):
    X, y = three_classes
    members = [("net", small()), ("linear", LogisticRegression())]
    vote = VotingClassifier(members, voting="soft").fit(X, y)
    mean = np.mean([member.predict_proba(X) for member in vote.estimators_], axis=0)
    assert_allclose(vote.predict_proba(X), mean)


def test_bagging(three_classes):
    X, y = three_classes
    bag = BaggingClassifier(small(max_epochs=8), n_estimators=3, random_state=0)
    bag.fit(X, y)
    assert bag.score(X, y) > 0.8
    assert len({member.random_state for member in bag.estimators_}) == 3


def test_one_versus_rest(three_classes):
    X, y = three_classes
    model = OneVsRestClassifier(small()).fit(X, np.array(["a", "b", "c"])[y])
    assert len(model.estimators_) == 3
    assert model.score(X, np.array(["a", "b", "c"])[y]) > 0.8


def test_transformed_target(line):
    X, y = line
    net = MixupRegressor(**SMALL, max_epochs=40)
    model = TransformedTargetRegressor(net, func=np.log, inverse_func=np.exp)
    assert model.fit(X, np.exp(y)).score(X, np.exp(y)) > 0.5


# -------------------------------------------------------------------- metadata routing


@pytest.fixture
def weights():
    return np.random.default_rng(5).uniform(0.1, 3, 60)


def test_weights_are_routed_through_a_pipeline(two_classes, weights):
    X, y = two_classes
    with sklearn.config_context(enable_metadata_routing=True):
        net = small(max_epochs=3).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, net).fit(X, y, sample_weight=weights)
    scaled = model[0].transform(X)
    expected = small(max_epochs=3).fit(scaled, y, weights)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(scaled))


def test_partial_fit_has_routing(two_classes, weights):
    with sklearn.config_context(enable_metadata_routing=True):
        net = small().set_partial_fit_request(sample_weight=True, classes=True)
        request = net.get_metadata_routing().partial_fit.requests
    assert request == {"sample_weight": True, "classes": True}


# -------------------------------------------------------------------------- inspection


@pytest.mark.parametrize("estimator", [MixupClassifier, MixupRegressor])
def test_clone_keeps_every_parameter(estimator):
    values = {name: object() for name in inspect.signature(estimator).parameters}
    assert estimator(**values).get_params() == values
    changed = estimator(alpha=0.7, hidden_layer_sizes=(3,), callbacks=[])
    assert clone(changed).get_params() == changed.get_params()
    assert (
        repr(changed)
        == f"{estimator.__name__}(alpha=0.7, callbacks=[], hidden_layer_sizes=(3,))"
    )


@pytest.mark.parametrize("fit", [False, True])
def test_html(fit, two_classes):
    net = small(alpha=0.7)
    html = (net.fit(*two_classes) if fit else net)._repr_html_()
    assert "MixupClassifier" in html
    assert "alpha" in html
    assert "0.7" in html
    assert ("Not fitted" in html) != fit


# --------------------------------------------------- scikit-learn's callbacks, from 1.9


class Recording:
    """A FitCallback that notes the tasks, and may ask to stop."""

    def __init__(self, stop_after=None):
        self.begun, self.ended, self.scores = [], [], []
        self.state = None
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.state = "set up"

    def teardown(self, estimator, context):
        self.state = "torn down"

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.begun.append((context.task_name, context.task_id, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.ended.append((context.task_name, context.task_id, context.max_subtasks))
        if context.task_name == "epoch":
            self.scores.append(
                (fitted_estimator.n_iter_, fitted_estimator.score(self.X, self.y))
            )
            return self.stop_after == len(self.scores)
        return False


def recorded(estimator, X, y, **params):
    pytest.importorskip("sklearn.callback")
    recording = Recording(**params)
    recording.X, recording.y = X, y
    estimator.set_callbacks(recording).fit(X, y)
    assert recording.state == "torn down"
    return recording


def test_every_epoch_is_a_task(two_classes):
    X, y = two_classes[0], np.array(["no", "yes"])[two_classes[1]]
    net = small(max_epochs=4)
    recording = recorded(net, X, y)
    root, epochs = ("fit", 0, 4), [("epoch", k, 0) for k in range(4)]
    assert recording.begun == [root, *epochs]
    assert recording.ended == [*epochs, root]
    assert [n_iter for n_iter, _ in recording.scores] == [1, 2, 3, 4]
    assert recording.scores[-1][1] == net.score(X, y)
    proba = net.predict_proba(X)
    assert_array_equal(proba, small(max_epochs=4).fit(X, y).predict_proba(X))
    net.fit(X, y)
    assert len(recording.scores) == 8
    recorded(net, X, y, stop_after=3)
    assert net.n_iter_ == 3


def monitored(estimator, X, y, scoring):
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring=scoring)
    estimator.set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    return [row[scoring] for row in rows]


def test_scores_of_the_classifier_by_epoch(three_classes):
    X, y = three_classes[0], np.array(["a", "b", "c"])[three_classes[1]]
    net = small(max_epochs=4)
    scores = monitored(net, X, y, "accuracy")
    assert len(scores) == 4
    assert scores[-1] == net.score(X, y)


def test_scores_of_the_regressor_by_epoch(line):
    X, y = line[0], 50 + 10 * line[1]
    net = MixupRegressor(**SMALL, max_epochs=4)
    scores = monitored(net, X, y, "r2")
    assert len(scores) == 4
    assert_allclose(scores[-1], net.score(X, y))


def test_progress_bar(two_classes, capsys):
    callback = pytest.importorskip("sklearn.callback")
    small(max_epochs=3).set_callbacks(callback.ProgressBar()).fit(*two_classes)
    shown = capsys.readouterr().out
    assert "MixupClassifier" in shown
    assert "100%" in shown
