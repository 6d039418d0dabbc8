import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss

from mixup_tab.estimators.selection import (
    fit_temperature,
    log_losses,
    select_greedily,
    temper,
)

RNG = np.random.default_rng(0)
probabilities = arrays(
    float, st.tuples(st.integers(1, 6), st.integers(1, 12)), elements=st.floats(0, 1)
)


def rows_with_classes(rows=400, sharpness=1.0):
    """Probabilities whose truth is drawn from them, made sharper or blunter."""
    proba = RNG.dirichlet(np.ones(3), rows)
    codes = (proba.cumsum(1) > RNG.random((rows, 1))).argmax(1)
    return temper(proba, 1 / sharpness), codes


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_is_scikit_learns(weighted):
    proba, codes = rows_with_classes(50)
    weight = RNG.random(50) if weighted else None
    ours = log_losses(proba[np.arange(50), codes], weight)
    assert_allclose(ours, log_loss(codes, proba, sample_weight=weight), rtol=1e-12)


# ---------------------------------------------------------------------------- selection


def greedy_by_loops(proba, weight, rounds):
    """Caruana et al. 2004, from the text."""
    bag, best, best_loss = [], None, np.inf
    for _ in range(rounds):
        losses = []
        for model in range(len(proba)):
            mean = np.mean([proba[k] for k in [*bag, model]], axis=0)
            loss = -np.average(np.log(np.clip(mean, 1e-7, 1)), weights=weight)
            losses.append(loss)
        bag = [*bag, int(np.argmin(losses))]
        if min(losses) < best_loss:
            best, best_loss = list(bag), min(losses)
    return np.array([best.count(k) for k in range(len(proba))]) / len(best)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rounds", [1, 4, 25])
def test_selects_what_loops_over_the_definition_select(seed, rounds, weighted):
    rng = np.random.default_rng(seed)
    proba, weight = rng.random((5, 30)), rng.random(30) if weighted else None
    ours = select_greedily(proba, weight=weight, rounds=rounds)
    assert_allclose(ours, greedy_by_loops(proba, weight, rounds))


@settings(max_examples=80, deadline=None)
@given(probabilities)
def test_weights_are_a_mean_that_is_never_worse_than_the_best_model(proba):
    weights = select_greedily(proba)
    assert_allclose(weights.sum(), 1)
    assert (weights >= 0).all()
    assert log_losses(weights @ proba) <= log_losses(proba).min() + 1e-12


def test_rows_without_weight_have_no_say():
    proba = RNG.random((4, 20))
    weight = np.r_[np.ones(10), np.zeros(10)]
    assert_array_equal(select_greedily(proba, weight=weight), select_greedily(proba[:, :10]))


def test_a_perfect_model_is_chosen_alone():
    assert_array_equal(select_greedily(np.array([[0.5, 0.5], [1.0, 1.0]])), [0, 1])


# -------------------------------------------------------------------------- temperature


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.25, 4))
def test_tempering_is_dividing_logits_and_keeps_the_order(seed, temperature):
    proba = np.random.default_rng(seed).dirichlet(np.ones(4), 5)
    powers = np.clip(proba, 1e-7, 1) ** (1 / temperature)
    tempered = temper(proba, temperature)
    assert_allclose(tempered, powers / powers.sum(1, keepdims=True), rtol=1e-9)
    assert_allclose(tempered.sum(1), 1)
    assert_array_equal(tempered.argmax(1), proba.argmax(1))


def test_temperature_one_changes_nothing():
    proba = RNG.dirichlet(np.ones(3), 20)
    assert_allclose(temper(proba, 1.0), proba, atol=1e-6)


def test_certain_probabilities_stay_finite():
    tempered = temper(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.25)
    assert np.isfinite(tempered).all()
    assert_allclose(tempered.sum(1), 1)


@pytest.mark.parametrize("sharpness", [0.5, 0.8, 1.5, 2.5])
def test_undoes_over_and_under_confidence(sharpness):
    proba, codes = rows_with_classes(4000, sharpness)
    found = fit_temperature(proba, codes)
    assert (found > 1) == (sharpness > 1)
    assert_allclose(found, sharpness, rtol=0.15)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_slope_of_the_loss_is_zero_there(sharpness, weighted):
    proba, codes = rows_with_classes(500, sharpness)
    weight = RNG.random(500) if weighted else None
    found = fit_temperature(proba, codes, weight)

    def loss(temperature):
        true = temper(proba, temperature)[np.arange(500), codes]
        return log_losses(true, weight)

    step = 1e-3
    slope = (loss(found * (1 + step)) - loss(found / (1 + step))) / (2 * step)
    assert abs(slope) < 1e-4
    assert loss(found) <= min(loss(0.25), loss(1.0), loss(4.0))


@pytest.mark.parametrize(("right", "end"), [(True, 0.25), (False, 4.0)])
def test_it_stays_within_its_bounds(right, end):
    proba, codes = np.tile([0.8, 0.2], (50, 1)), np.full(50, int(not right))
    found = fit_temperature(proba, codes)
    assert 0.25 <= found <= 4
    assert_allclose(found, end, rtol=1e-3)
