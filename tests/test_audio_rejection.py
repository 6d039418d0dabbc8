"""Answers of "unknown": when they are given, and how the threshold is chosen."""

import json

import numpy as np
import pytest
from hostile import nodes, with_schema
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab import MixupClassifier
from mixup_tab.audio.answers import best_words
from mixup_tab.audio.negatives import Negatives
from mixup_tab.audio.other_sounds import with_threshold
from mixup_tab.audio.rejection import RejectingClassifier, choose_threshold
from mixup_tab.persistence import export_onnx, load_model, save_model


@parametrize_with_checks(
    [RejectingClassifier(LogisticRegression(), unknown=-1)],
    expected_failed_checks=lambda _: {
        "check_classifiers_classes": "its labels are text, and unknown is a number"
    },
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)


class Given(BaseEstimator):
    """A fitted classifier whose rows are their own probabilities."""

    def __init__(self, classes):
        self.classes = classes
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return np.asarray(X)


WORDS = ["no", "unknown", "yes"]
ROWS = [[0.6, 0.1, 0.3], [0.4, 0.3, 0.3], [0.3, 0.5, 0.2], [0.1, 0.4, 0.5], [0.45, 0.1, 0.45]]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (-1, ["no", "no", "no", "yes", "no"]),
        (0.0, ["no", "no", "unknown", "yes", "no"]),
        (0.2, ["no", "unknown", "unknown", "unknown", "no"]),
        (0.4, ["no", "unknown", "unknown", "unknown", "unknown"]),
        (1, ["unknown"] * 5),
    ],
)
def test_answers_are_those_of_the_definition(threshold, expected):
    model = RejectingClassifier.from_fitted(Given(WORDS), threshold=threshold)
    assert model.predict(ROWS).tolist() == expected
    assert (model.predict_proba(ROWS) == ROWS).all()


def test_labels_without_unknown_among_them_are_refused_by_the_threshold_alone():
    rows = np.array([[0.6, 0.4], [0.1, 0.9]])
    model = RejectingClassifier.from_fitted(Given(["a", "b"]), threshold=0.7)
    assert model.predict(rows).tolist() == ["unknown", "b"]  # longer than the other labels
    model = RejectingClassifier.from_fitted(Given([3, 5]), threshold=0.7, unknown=-1)
    assert model.predict(rows).tolist() == [-1, 5]
    objects = Given(np.array(["a", "b"], dtype=object))
    model = RejectingClassifier.from_fitted(objects, threshold=0.7)
    assert model.predict(rows).tolist() == ["unknown", "b"]


def test_it_is_cloned_scored_and_knows_what_the_estimator_knows():
    X, y = load_iris(return_X_y=True, as_frame=True)
    net = MixupClassifier(max_epochs=3, random_state=0)
    model = RejectingClassifier(net, threshold=0.5, unknown=0).fit(X, y)
    assert model.score(X, y) == np.mean(model.predict(X) == y)
    assert model.net_ is model.estimator_.net_
    assert model.n_features_in_ == 4
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert model.classes_.tolist() == [0, 1, 2]
    again = clone(model)
    assert again.get_params()["estimator__max_epochs"] == 3
    assert not hasattr(again, "classes_")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"threshold": 1.5}, ValueError, r"threshold=1.5 must be a number in \[-1, 1\]"),
        ({"threshold": float("nan")}, ValueError, "threshold=nan"),
        ({"threshold": "0.5"}, TypeError, "threshold='0.5'"),
        ({"threshold": True}, TypeError, "threshold=True"),
        (
            {"unknown": 3},
            TypeError,
            "unknown=3 must be of the type of the labels",
        ),
    ],
)
def test_bad_parameters_are_one_message(params, error, message):
    with pytest.raises(error, match=message):
        RejectingClassifier.from_fitted(Given(WORDS), **params)


def test_only_unknown_is_no_classifier():
    with pytest.raises(ValueError, match="no label but unknown='unknown'"):
        RejectingClassifier.from_fitted(Given(["unknown"]))


# --------------------------------------------------------------------------- thresholds


def scores(rng, n):
    """Scores with many ties, and some rows where unknown wins."""
    return np.where(rng.random(n) < 0.2, -1.0, rng.integers(0, 12, n) / 12)


@pytest.mark.parametrize("seed", range(40))
def test_the_threshold_is_the_lowest_that_keeps_to_the_rate(seed):
    rng = np.random.default_rng(seed)
    known, other = scores(rng, 30), scores(rng, int(rng.integers(1, 40)))
    known[0] = 1.0
    rate = float(rng.choice([0, 0.05, 0.1, 1 / 3, 0.5, 1]))
    found = choose_threshold(known, other, false_alarms=rate)
    assert found.false_alarms == np.mean(other >= found.threshold) <= rate + 1e-9
    assert found.lost == np.mean(known < found.threshold)
    if found.threshold > 0:  # the next lower number lets one more pass
        assert np.mean(other >= np.nextafter(found.threshold, 0)) > rate + 1e-9


@pytest.mark.parametrize("seed", range(40))
def test_the_threshold_is_the_highest_that_loses_no_more(seed):
    rng = np.random.default_rng(seed)
    known, other = scores(rng, int(rng.integers(1, 40))), scores(rng, 30)
    share = float(rng.choice([0, 0.05, 0.1, 0.29, 0.5, 1]))
    found = choose_threshold(known, other, lost=share)
    assert found.lost == np.mean(known < found.threshold)
    if found.threshold > 0:
        assert found.lost <= share + 1e-9
    if found.threshold < 1:  # the next higher number loses one more
        assert np.mean(known < np.nextafter(found.threshold, 2)) > share + 1e-9


def test_rates_that_no_threshold_keeps_to():
    known, other = np.array([0.5, 0.6]), np.array([0.9, 0.7, 0.2, 0.1])
    with pytest.raises(ValueError, match=r"false_alarms=0.25 is kept by no .* 50.0 % of 4 "):
        choose_threshold(known, other, false_alarms=0.25)
    found = choose_threshold(known, other, false_alarms=0.5)
    assert found == (np.nextafter(0.2, 1), 0.5, 0.0)
    for bad, error in [(-0.1, ValueError), (float("nan"), ValueError), ("5 %", TypeError)]:
        with pytest.raises(error, match=r"must be a share in \[0, 1\]"):
            choose_threshold(known, other, false_alarms=bad)
        with pytest.raises(error, match=r"must be a share in \[0, 1\]"):
            choose_threshold(known, other, lost=bad)


def test_a_margin_is_the_probability_of_the_best_word_less_that_of_unknown():
    rows, words = np.array(ROWS), np.array(WORDS)
    best, margin = best_words(rows, words, "unknown")
    assert best.tolist() == [0, 0, 0, 2, 0]
    assert (
        margin.tolist() == (rows[range(5), best] - rows[:, words == "unknown"][:, 0]).tolist()
    )
    assert best_words(rows, words, "none")[1].tolist() == rows.max(axis=1).tolist()


# ------------------------------------------------------------------------ saved, exported


@pytest.fixture(scope="module")
def flowers():
    """A fitted net, rows, and their labels; virginica counts as none of the others."""
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "unknown"])
    return MixupClassifier(max_epochs=15, random_state=0).fit(X, names[y]), X


def test_the_threshold_is_saved_with_the_model(flowers, tmp_path):
    net, X = flowers
    model = make_pipeline(RejectingClassifier.from_fitted(net, threshold=0.8))
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again[-1].get_params(deep=False) | {"estimator": 0} == {
        "estimator": 0,
        "threshold": 0.8,
        "unknown": "unknown",
    }
    assert (again.predict(X) == model.predict(X)).all()
    assert (model.predict(X) != net.predict(X)).any()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1.1", "1.5", '"0.5"', "true", "null"])
def test_a_threshold_in_a_file_is_a_number_between_minus_1_and_1(value, flowers, tmp_path):
    save_model(RejectingClassifier.from_fitted(flowers[0], threshold=0.8125), tmp_path / "m")

    def change(schema):
        (node,) = (n for n in nodes(schema) if n.get("content") == "0.8125")
        node["content"] = value

    (tmp_path / "m").write_bytes(with_schema((tmp_path / "m").read_bytes(), change))
    with pytest.raises(ValueError, match=r"cannot be loaded here \(.*threshold"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("unknown", ["unknown", "other"])
@pytest.mark.parametrize("threshold", [0.0, 0.8])
def test_an_exported_model_gives_the_same_answers(unknown, threshold, flowers, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    net, X = flowers
    model = RejectingClassifier.from_fitted(net, threshold=threshold, unknown=unknown)
    export_onnx(make_pipeline(model), tmp_path / "m.onnx")
    session = ort.InferenceSession(tmp_path / "m.onnx")
    proba, label = session.run(None, {"X": X})
    np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-5)
    assert label.tolist() == model.predict(X).tolist()
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["unknown"]) == unknown
    assert json.loads(facts.get("threshold", "0.0")) == threshold


def test_a_margin_below_zero_is_said_without_a_sign():
    proba = np.array([[0.2, 0.8]] * 4)
    others = Negatives(proba, np.repeat("noise", 4))
    _, found, said = with_threshold(Given(["no", "unknown"]), proba, others, 0.05, None)
    assert found.threshold == pytest.approx(-0.6)
    assert said.startswith("A word is answered if its probability is at most 0.600 below that")
