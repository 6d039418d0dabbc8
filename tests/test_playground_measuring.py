import base64

import numpy as np
import pytest
from scipy import stats

from mixup_tab import MixupClassifier
from mixup_tab.metrics import classification_scores
from mixup_tab.playground.measuring import (
    ROWS_PER_DOT,
    describe,
    draw_samples,
    fit_scenes,
    log_norms,
    plane,
)
from mixup_tab.playground.scenes import Scene

ALPHAS = [0.0, 0.4, 3.0]


@pytest.fixture(scope="module")
def three_classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 180)
    X = (rng.normal(size=(180, 2)) + 2 * np.eye(3, 2)[y]).astype(np.float32)
    return Scene("t", ("a", "b"), tuple("xyz"), X[:60], y[:60], X[60:], y[60:])


@pytest.fixture(scope="module")
def nets(three_classes):
    return fit_scenes([three_classes], ALPHAS)[0]


@pytest.fixture(scope="module")
def told(three_classes, nets):
    return describe(three_classes, nets, ALPHAS)


def test_nets_of_the_stack_are_those_that_fit_makes(three_classes, nets):
    assert [net.alpha_ for net in nets] == ALPHAS
    alone = MixupClassifier(3.0, mixing="mixup", n_estimators=1, device="cpu", random_state=0)
    alone.fit(three_classes.X, three_classes.y)
    expected = alone.predict_proba(three_classes.X_held_out)
    assert nets[2].predict_proba(three_classes.X_held_out) == pytest.approx(expected, abs=1e-4)


def test_the_grid_holds_probabilities_of_the_plane(told, nets):
    size = told["grid"]["size"]
    packed = np.frombuffer(base64.b64decode(told["grid"]["data"]), dtype=np.uint8)
    grid = packed.reshape(len(ALPHAS), 2, size, size) / 255
    left, right, bottom, top = told["limits"]
    xs, ys = np.linspace(left, right, size), np.linspace(bottom, top, size)
    for row, column in ((0, 0), (size - 1, 3), (40, size - 1)):
        expected = nets[1].predict_proba(np.float32([[xs[column], ys[row]]]))[0, :2]
        assert grid[1, :, row, column] == pytest.approx(expected, abs=0.51 / 255)


def test_scores_and_curves_are_of_the_rows_held_out(told, three_classes, nets):
    rows = len(three_classes.y_held_out)
    for k, net in enumerate(nets):
        proba = net.predict_proba(three_classes.X_held_out)
        expected = classification_scores(three_classes.y_held_out, proba)
        for name in ("error", "log_loss", "ece"):
            assert told["scores"][name][k] == pytest.approx(expected[name], abs=1e-5)
        count, confidence, accuracy = (
            np.array(told["bins"][k][name]) for name in ("count", "confidence", "accuracy")
        )
        assert count.sum() == rows
        assert count.min() >= ROWS_PER_DOT
        assert count @ accuracy / rows == pytest.approx(1 - expected["error"], abs=1e-4)
        assert count @ confidence / rows == pytest.approx(proba.max(axis=1).mean(), abs=1e-4)
        assert (np.diff(confidence) > 0).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_samples_have_weights_from_the_beta_distribution(alpha):
    lam = np.array([draw_samples(300, [alpha], seed)["lam"][0] for seed in range(8)])
    places = np.linspace(0.05, 0.95, 19)
    found = (lam.ravel() <= places[:, None]).mean(axis=1)
    assert found == pytest.approx(stats.beta(alpha, alpha).cdf(places), abs=0.04)


def test_samples_move_along_their_line_when_alpha_changes():
    drawn = draw_samples(40, [0, 0.2, 1, 8])
    plain, *mixed = np.array(drawn["lam"])
    assert (plain == 1).all()
    assert drawn["first"][:41] == [*range(40), 0]
    assert sorted(drawn["second"][:40]) == list(range(40))
    sides = [np.sign(lam - 0.5) for lam in mixed]
    assert (sides[0] == sides[2]).all()
    assert (np.diff([abs(lam - 0.5) for lam in mixed], axis=0) <= 0).all()


def test_norms_make_the_density_of_lam():
    (none, norm), lam = log_norms([0, 0.3]), 0.2
    assert none is None
    density = np.exp((0.3 - 1) * np.log(lam * (1 - lam)) - norm)
    assert density == pytest.approx(stats.beta(0.3, 0.3).pdf(lam), rel=1e-5)


def test_a_far_point_does_not_squeeze_the_picture(three_classes, nets):
    X = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    X[7] = 1e6
    left, right, bottom, top = plane(X)
    assert -5 < left < right < 5
    assert -5 < bottom < top < 5
    y = np.arange(500) % 3
    held_out = three_classes.X_held_out, three_classes.y_held_out
    scene = Scene("t", ("a", "b"), tuple("xyz"), X, y, *held_out)
    (note,) = describe(scene, nets, ALPHAS)["notes"]
    assert note.endswith("outside the picture.")


@pytest.mark.parametrize("value", [0.0, -3.0, 1e9])
def test_a_column_that_does_not_vary_has_room_around_it(value):
    column = np.full(5, value, np.float32)
    left, right, bottom, top = plane(np.column_stack([column, np.arange(5)]))
    assert np.float32(left) < value < np.float32(right)
    assert (bottom, top) == pytest.approx((-0.2968, 4.2968))
