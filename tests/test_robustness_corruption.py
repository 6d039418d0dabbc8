import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import make_blobs
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier
from mixup_tab.robustness.corruption import (
    _WatchErrors,
    evaluate_corruption,
)
from mixup_tab.sampling import VicinalSampler

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0, "device": "cpu"}
BLOBS = make_blobs(300, centers=10 * np.eye(6), random_state=0)


def test_one_nearest_neighbour_memorises_everything():
    X, y = BLOBS
    results = evaluate_corruption(KNeighborsClassifier(1), X, y, [0.2, 0.5], cv=3)
    assert (results[["train_error_real", "train_error_corrupted"]] == 0).all(axis=None)
    by_rate = results.groupby("rate")["last_test_error"].mean()
    assert by_rate[0.2] == pytest.approx(0.2, abs=0.1)
    assert by_rate[0.5] == pytest.approx(0.5, abs=0.1)
    assert results["best_test_error"].isna().all()
    assert results["n_corrupted"].tolist() == [40, 100] * 3


def test_the_nearest_centroid_memorises_nothing():
    X, y = BLOBS
    results = evaluate_corruption(NearestCentroid(), X, y, 0.3, cv=3, random_state=0)
    assert (results["train_error_corrupted"] > 0.9).all()
    assert (results[["train_error_real", "last_test_error"]] < 0.1).all(axis=None)


def test_without_wrong_labels_errors_are_those_of_a_plain_fit(three_classes):
    X, y = three_classes
    y = np.array(["x", "y", "z"])[y]
    net = MixupClassifier(n_estimators=2, **SMALL)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    results, curves = evaluate_corruption(net, X, y, 0, cv=cv, return_curves=True)
    for number, (train, test) in enumerate(cv.split(X, y)):
        net.fit(X[train], y[train])
        row = results.iloc[number]
        assert row["last_test_error"] == np.mean(net.predict(X[test]) != y[test])
        assert row["train_error_real"] == np.mean(net.predict(X[train]) != y[train])
        assert np.isnan(row["train_error_corrupted"])
        curve = curves[curves["split"] == number]["test_error"].to_numpy()
        assert len(curve) == row["epochs"] == 4
        assert curve[-1] == row["last_test_error"]
        assert row["best_test_error"] == curve.min() == curve[int(row["best_epoch"]) - 1]


def test_a_pipeline_is_tested_on_what_its_net_sees(three_classes):
    X, y = three_classes
    X = X * [1, 10, 100, 1000]
    pipeline = make_pipeline(StandardScaler(), MixupClassifier(**SMALL))
    given = {"X_test": X[::2], "y_test": y[::2]}
    results, curves = evaluate_corruption(pipeline, X, y, 0, **given, return_curves=True)
    expected = np.mean(pipeline.fit(X, y).predict(X[::2]) != y[::2])
    assert results["last_test_error"].tolist() == [expected]
    assert curves["test_error"].iloc[-1] == expected


def test_a_pipeline_that_draws_rows_draws_them_of_training_rows_alone(three_classes):
    X, y = three_classes
    pipeline = pytest.importorskip("imblearn.pipeline", reason="needs imbalanced-learn")
    draws = pipeline.make_pipeline(
        StandardScaler(), VicinalSampler(0, random_state=0), MixupClassifier(**SMALL)
    )
    results = evaluate_corruption(draws, X, y, 0.2, cv=2, random_state=0)
    plain = make_pipeline(StandardScaler(), MixupClassifier(**SMALL))
    known = evaluate_corruption(plain, X, y, 0.2, cv=2, random_state=0)
    assert results["best_test_error"].isna().all()
    counts = ["n_train", "n_corrupted", "n_test"]
    assert results[counts].equals(known[counts])


def test_the_callbacks_of_a_pipeline_are_left_as_they_are(three_classes):
    pipeline = make_pipeline(StandardScaler(), MixupClassifier(**SMALL))
    evaluate_corruption(pipeline, *three_classes, 0.2, cv=2)
    assert pipeline[-1].callbacks is None
    assert not hasattr(pipeline[-1], "net_")


def test_a_class_that_is_not_trained_on_is_always_wrong(three_classes):
    X, y = three_classes
    two = y < 2
    given = {"X_test": X[y == 2], "y_test": y[y == 2]}
    net = MixupClassifier(**SMALL)
    results, curves = evaluate_corruption(net, X[two], y[two], 0, **given, return_curves=True)
    assert results["last_test_error"].tolist() == [1.0]
    assert (curves["test_error"] == 1).all()


def test_all_estimators_get_the_same_wrong_labels(three_classes):
    models = MixupClassifier(**SMALL), KNeighborsClassifier(1)
    alike = [evaluate_corruption(m, *three_classes, 0.3, cv=3, random_state=5) for m in models]
    again = evaluate_corruption(models[1], *three_classes, 0.3, cv=3, random_state=5)
    assert alike[1].equals(again)
    assert not alike[0]["last_test_error"].equals(alike[1]["last_test_error"])


@pytest.mark.parametrize("own", [False, True])
def test_watching_does_not_disturb_training(three_classes, noisy_net, own):
    X, y = three_classes
    params = {**SMALL, "n_estimators": 2, "module": noisy_net if own else None}
    alone = MixupClassifier(**params).fit(X, y)
    watched = MixupClassifier(callbacks=[_WatchErrors(X, y)], **params).fit(X, y)
    assert watched.loss_curve_ == alone.loss_curve_
    assert watched.net_.uses_manual_backward() is not own
    np.testing.assert_array_equal(watched.predict_proba(X), alone.predict_proba(X))


def test_few_classes_and_many_wrong_labels(two_classes):
    with pytest.warns(UserWarning, match=r"rates=0.8 with 2 classes: beyond 0.50"):
        evaluate_corruption(KNeighborsClassifier(1), *two_classes, [0.2, 0.8], cv=2)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"rates": [0.2, 1.2]}, ValueError, r"rates must lie in \[0, 1\], got 1.2"),
        ({"rates": float("nan")}, ValueError, r"rates must lie in \[0, 1\], got nan"),
        ({"X_test": [[0.0] * 4]}, ValueError, "y_test is missing. Give both"),
        ({"estimator": LinearRegression()}, TypeError, "LinearRegression is not a classifier"),
        ({"y": np.zeros(60)}, ValueError, "y holds 1 class"),
        ({"y": np.array([0, 1, np.nan] * 20)}, ValueError, "y holds missing labels"),
        ({"rates": "many"}, TypeError, r"rates must be numbers in \[0, 1\], got 'many'"),
        ({"rates": []}, ValueError, "rates holds no number"),
        ({"X_test": np.zeros((2, 3)), "y_test": [0, 1]}, ValueError, "the same features"),
        ({"X_test": np.zeros((2, 4)), "y_test": [0]}, ValueError, "inconsistent numbers"),
        ({"X_test": np.zeros((0, 4)), "y_test": []}, ValueError, "one at least"),
        ({"X": csr_matrix(np.eye(60)[:, :4])}, TypeError, "Sparse input is not supported"),
        ({"estimator": None}, TypeError, "NoneType is not a classifier"),
    ],
)
def test_bad_arguments(three_classes, arguments, kind, message):
    X, y = three_classes
    given = {"estimator": MixupClassifier(**SMALL), "X": X, "y": y, "rates": 0, "cv": 2}
    with pytest.raises(kind, match=message):
        evaluate_corruption(**{**given, **arguments})
