"""Columns and targets of any scale go in as they are.

The exact changes of unit and origin here are those that the numbers survive without rounding,
so that all that a net learns and predicts must be the same to the last bit.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.displays import MixupBoundaryDisplay
from mixup_tab.estimators import RescaledClassifier

RNG = np.random.default_rng(0)
X = RNG.integers(0, 1000, (60, 3)).astype(np.float64)
Y = (X[:, 0] + X[:, 1] > 1000).astype(int)
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
PLAIN = {**SMALL, "mixing": "mixup"}


def whole(offset, dtype=np.int64):
    return lambda x: x.astype(dtype) + np.array(offset, dtype)


MOVES = {
    "far": lambda x: x + 2.0**42,
    "tiny": lambda x: x * 2.0**-200,
    "subnormal": lambda x: x * 2.0**-1060,
    "large": lambda x: x * 2.0**1000,
    "large and far": lambda x: (x + 2.0**40) * 2.0**980,
    "integers": whole(0),
    "16 bits": whole(0, np.uint16),
    "near 2**53": whole(2**53),
    "beyond 2**53": whole(2**62),
    "negative": whole(-(2**63)),
    "unsigned": whole(2**63 + 2**60, np.uint64),
    "lists": lambda x: whole(2**60)(x).tolist(),
    "pandas": lambda x: pd.DataFrame(whole(2**60)(x)),
    "nullable pandas": lambda x: pd.DataFrame(whole(2**60)(x)).astype("Int64"),
    "Arrow in pandas": lambda x: pd.DataFrame(whole(2**60)(x)).astype("int64[pyarrow]"),
}
ESTIMATORS = {
    "default": lambda: MixupClassifier(**SMALL),
    "bins": lambda: MixupClassifier(**SMALL, embedding="quantile"),
    "early stopping": lambda: MixupClassifier(**SMALL, early_stopping=True),
    "rescaled": lambda: RescaledClassifier(MixupClassifier(**PLAIN)),
    "alpha chosen": lambda: MixupClassifier(**{**SMALL, "max_epochs": 1}, alpha="auto"),
    "ensemble": lambda: MixupEnsembleClassifier(
        candidates=[{"alpha": 0.2, "max_epochs": 2, "embedding": "quantile"}],
        cv=2,
        random_state=0,
    ),
    "search": lambda: MixupSearchCV(MixupClassifier(**SMALL), {"alpha": [0.1, 1.0]}, cv=2),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_unit_and_origin_of_columns_change_no_bit(name):
    make = ESTIMATORS[name]
    expected = make().fit(X, Y).predict_proba(X)
    assert expected.std() > 1e-3
    for move in MOVES if name in ("default", "bins") else ("subnormal", "unsigned", "pandas"):
        moved = MOVES[move](X)
        fitted = make().fit(moved, Y)
        assert_array_equal(fitted.predict_proba(moved), expected, err_msg=move)
        one_row = fitted.predict_proba(moved[:1])
        assert_allclose(one_row, expected[:1], rtol=1e-12, err_msg=move)


def test_every_column_may_have_a_scale_of_its_own():
    expected = MixupRegressor(**SMALL).fit(X, X[:, 0]).predict(X)
    moved = X * [2.0**-1060, 2.0**1000, 1.0] + [0, 0, 2.0**40]
    assert_array_equal(MixupRegressor(**SMALL).fit(moved, X[:, 0]).predict(moved), expected)


def test_single_precision_is_the_same_table():
    single, double = X.astype(np.float32), X
    one, other = (MixupClassifier(**SMALL).fit(rows, Y) for rows in (single, double))
    assert_array_equal(one.predict_proba(double), other.predict_proba(double))
    assert_array_equal(one.predict_proba(single), other.predict_proba(single))
    assert_allclose(one.predict_proba(single), other.predict_proba(double), atol=1e-6)


@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
def test_training_that_continues(go_on):
    def continued(x):
        net = MixupClassifier(**SMALL, warm_start=True).fit(x, Y)
        return getattr(net, go_on)(x, Y).predict_proba(x)

    for name in ("far", "tiny", "beyond 2**53"):
        assert_array_equal(continued(MOVES[name](X)), continued(X), err_msg=name)


@pytest.mark.parametrize(
    ("unit", "origin"),
    [(1, 2.0**42), (2.0**-200, 0), (2.0**-1060, 0), (2.0**1000, 0), (2.0**980, 2.0**1020)],
)
def test_unit_and_origin_of_a_target(unit, origin):
    y = X[:, :2].round()
    expected = MixupRegressor(**SMALL).fit(X, y).predict(X)
    moved = MixupRegressor(**SMALL).fit(X, y * unit + origin).predict(X)
    assert moved.dtype == np.float64
    spacing = max(np.spacing(origin), 5e-324) / unit
    assert_allclose((moved - origin) / unit, expected, rtol=1e-6, atol=1e-5 + spacing)


def test_whole_numbers_as_a_target():
    y = X[:, 0].astype(np.int64)
    expected = MixupRegressor(**SMALL).fit(X, y).predict(X)
    moved = MixupRegressor(**SMALL).fit(X, y + 2**52).predict(X)
    assert_allclose(moved - 2**52, expected, atol=1)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e200, 1e308])
@pytest.mark.parametrize("make", [MixupClassifier, MixupRegressor])
def test_weights_of_any_scale(make, unit):
    weight = RNG.uniform(0.1, 1, 60)
    expected = make(**SMALL).fit(X, Y, weight).predict(X)
    assert_allclose(make(**SMALL).fit(X, Y, weight * unit).predict(X), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x + 1e8,
        lambda x: 1.7e9 + 5 * x,  # Unix seconds within a minute
        lambda x: (1.7e18 + 5e9 * x).astype(np.int64),  # nanoseconds
        lambda x: (10 * x).astype(np.int64) + 2**53,
        lambda x: x * 1e-40,
        lambda x: x * 1e300,
        lambda x: np.column_stack([x, np.full(len(x), 1e17)]),
        lambda x: np.where(np.arange(len(x))[:, None] % 50 == 0, 1e300, x),
    ],
)
def test_iris_is_learned_in_any_unit(move):
    flowers, kind = load_iris(return_X_y=True)
    train, test, y_train, y_test = train_test_split(
        move(flowers), kind, stratify=kind, random_state=0
    )
    net = MixupClassifier(max_epochs=20, n_estimators=1, random_state=0).fit(train, y_train)
    assert net.score(test, y_test) > 0.85


def test_a_plane_is_drawn_where_its_points_are():
    points = X[:, :2] / 1000 + 1e9
    display = MixupBoundaryDisplay.from_estimator(
        MixupClassifier(**SMALL).fit(points, Y), points, Y, grid_resolution=5
    )
    assert_array_equal(display.X, points)
    assert len(np.unique(display.boundaries["MixupClassifier"].xx0)) == 5
