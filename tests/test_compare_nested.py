import numpy as np
import pandas as pd
import pytest
import skrub
from numpy.testing import assert_allclose
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.compare.choosing import (
    Setting,
    best_alpha,
    make_net,
    probabilities,
    search_alpha,
)
from mixup_tab.compare.folds import make_splits
from mixup_tab.compare.nested import ERM, MIXUP, REFERENCE, execute, run_split
from mixup_tab.compare.question import Roles, ask

SETTING = Setting((0.1, 1.0), seed=5)


def table(rows=80):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "color": rng.choice(["red", "green", None], rows),
            "day": pd.date_range("2024-01-01", periods=rows),
        }
    )
    frame["price"] = frame["size"] + 0.5 * rng.normal(size=rows)
    frame["bought"] = np.where(frame["price"] > 0, "yes", "no")
    frame.loc[::9, "size"] = np.nan
    return frame


@pytest.fixture(scope="module")
def classes():
    return ask(table(), Roles("bought", drop=("price",)))


@pytest.fixture(scope="module")
def values():
    return ask(table(), Roles("price", drop=("bought",)))


@pytest.fixture(scope="module")
def split(classes):
    return make_splits(classes, 2, 1, seed=0)[0]


@pytest.fixture(scope="module")
def outcome(classes, split):
    return run_split(classes, split, SETTING)


def by_hand(question, split, final):
    """Fit the final step behind skrub's pipeline on the training rows."""
    pipeline = skrub.tabular_pipeline(final)
    pipeline.fit(question.X.iloc[split.train], question.y[split.train])
    return pipeline


def test_methods_score_as_fits_by_hand_do(classes, split, outcome):
    rows = pd.DataFrame(outcome.rows).set_index("method")
    assert list(rows.index) == [ERM, MIXUP, REFERENCE]
    y, X = classes.y[split.test], classes.X.iloc[split.test]
    for name in (ERM, MIXUP):
        net = MixupClassifier(rows.loc[name, "alpha"], device="cpu", random_state=5)
        proba = by_hand(classes, split, net).predict_proba(X)
        assert rows.loc[name, "error"] == pytest.approx(1 - accuracy_score(y, proba.argmax(1)))
        assert_allclose(rows.loc[name, "log_loss"], log_loss(y, proba), rtol=1e-4)
    assert rows.loc[ERM, "alpha"] == 0
    assert rows.loc[MIXUP, "alpha"] == max((0.1, 1.0), key=outcome.curve.get)
    assert (rows["n_train"] == len(split.train)).all()


def test_the_search_scores_like_grid_search(classes, split, outcome):
    train = classes.take(split.train)
    pipeline = skrub.tabular_pipeline(MixupClassifier(device="cpu", random_state=5))
    search = GridSearchCV(
        pipeline,
        {"mixupclassifier__alpha": [0.0, 0.1, 1.0]},
        scoring="neg_log_loss",
        cv=StratifiedKFold(5, shuffle=True, random_state=5),
        refit=False,
    ).fit(train.X, train.y)
    assert list(outcome.curve) == [0.0, 0.1, 1.0]
    assert_allclose(
        list(outcome.curve.values()), search.cv_results_["mean_test_score"], rtol=1e-3
    )


def test_regression(values):
    split = make_splits(values, 2, 1, seed=0)[0]
    outcome = run_split(values, split, SETTING)
    rows = pd.DataFrame(outcome.rows).set_index("method")
    net = by_hand(values, split, MixupRegressor(0.0, device="cpu", random_state=5))
    predicted = net.predict(values.X.iloc[split.test])
    expected = root_mean_squared_error(values.y[split.test], predicted)
    assert_allclose(rows.loc[ERM, "rmse"], expected, rtol=1e-4)
    assert (rows["r2"] < 1).all()
    assert not outcome.bins


def test_bins_hold_the_test_rows(split, outcome):
    assert list(outcome.bins) == [ERM, MIXUP, REFERENCE]
    assert all(bins["count"].sum() == len(split.test) for bins in outcome.bins.values())


def test_the_same_seed_gives_the_same_result_in_processes(classes, split, outcome):
    (again,) = execute(classes, [split], SETTING, n_jobs=2)
    left = pd.DataFrame(outcome.rows).drop(columns="fit_seconds")
    right = pd.DataFrame(again.rows).drop(columns="fit_seconds")
    pd.testing.assert_frame_equal(left, right)


def test_inner_folds_keep_groups_apart_and_time_in_order(classes, monkeypatch):
    from sklearn.model_selection import StratifiedGroupKFold, TimeSeriesSplit

    seen = []
    for kind in (StratifiedGroupKFold, TimeSeriesSplit):

        def split(self, X, y=None, groups=None, before=kind.split):
            for train, test in before(self, X, y, groups):
                seen.append((train, test))
                yield train, test

        monkeypatch.setattr(kind, "split", split)
    frame = table().assign(shop=lambda f: np.arange(80) // 8)
    for roles in (
        Roles("bought", drop=("price",), groups="shop"),
        Roles("bought", drop=("price",), time="day"),
    ):
        seen.clear()
        question = ask(frame, roles)
        curve = search_alpha(question, make_net(question, SETTING), (1.0,), seed=0)
        assert np.isfinite(curve[1.0])
        assert len(seen) == 5
        for train, test in seen:
            if question.in_order:
                assert train.max() < test.min()
            else:
                assert not set(question.groups[train]) & set(question.groups[test])


def test_a_class_that_comes_late_does_not_stop_the_choice():
    y = np.arange(80) % 2
    y[70:] = 2
    question = ask(table().assign(y=y), Roles("y", time="day"), "classification")
    curve = search_alpha(question, make_net(question, SETTING), (0.1, 1.0), seed=0)
    assert np.isfinite(list(curve.values())).all()
    assert curve[0.1] != curve[1.0]


def test_a_fold_whose_training_rows_lack_a_rare_class_does_not_count():
    y = np.arange(80) % 2
    y[79] = 2
    question = ask(table().assign(y=y), Roles("y"), "classification")
    with pytest.warns(UserWarning, match="least populated|non-finite"):
        curve = search_alpha(question, make_net(question, SETTING), (0.1, 1.0), seed=0)
    assert np.isfinite(list(curve.values())).all()


def test_tables_of_numbers_skip_what_they_do_not_need():
    frame = table()[["size", "price"]].assign(
        empty=np.nan, same=1.0, y=lambda f: f["price"] > 0
    )
    question = ask(frame.drop(columns="price"), Roles("y"))
    net = make_net(question, SETTING)
    assert list(net.named_steps)[:-1] == ["simpleimputer", "squashingscaler"]
    ready = net[:-1].fit_transform(question.X)
    assert np.isfinite(ready).all()
    assert len(ready.T) >= 3
    informative = skrub.tabular_pipeline(MixupClassifier())[:-1].fit_transform(question.X)
    np.testing.assert_allclose(ready[:, 0], informative[:, 0], rtol=1e-5)


def test_best_alpha():
    curve = {0.0: -1.0, 0.1: -2.0, 1.0: -1.5}
    assert best_alpha(curve, mixed=True) == 1.0
    assert best_alpha(curve, mixed=False) == 0.0


def test_a_class_that_training_did_not_see_has_probability_0():
    X = np.zeros((4, 1))
    model = DummyClassifier(strategy="prior").fit(X, [0, 2, 2, 2])
    assert probabilities(model, X, 4)[0].tolist() == [0.25, 0, 0.75, 0]
