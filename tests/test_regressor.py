"""MixupRegressor: values, weights, training."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.metrics import make_scorer, mean_pinball_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback

from mixup_tab import MixupRegressor, MixupSearchCV
from mixup_tab.estimators.regressor import held_out_shift
from mixup_tab.mixing import Mixup

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 4, "random_state": 0}
QUICK = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.02, "random_state": 0}


def small(**params):
    return MixupRegressor(**{**SMALL, **params})


def predicted(X, y, sample_weight=None, **params):
    return small(**params).fit(X, y, sample_weight).predict(X)


class ValidationRecorder(Callback):
    def __init__(self, X):
        self.X, self.outputs = X, []

    def on_epoch_end(self, net, **kwargs):
        self.outputs.append(net.raw_outputs(self.X))


def test_learns_diabetes():
    X, y = load_diabetes(return_X_y=True)
    scores = cross_val_score(MixupRegressor(**QUICK, max_epochs=15), X, y, cv=3)
    assert scores.mean() > 0.4


@pytest.mark.parametrize(("columns", "n_estimators"), [(None, 1), (1, 3), (3, 1)])
def test_predictions_have_the_shape_of_y(columns, n_estimators, line):
    X, y = line
    if columns is not None:
        y = np.column_stack([y, -y, y**2])[:, :columns]
    fitted = MixupRegressor(**QUICK, max_epochs=30, n_estimators=n_estimators).fit(X, y)
    assert fitted.predict(X).shape == y.shape
    assert fitted.target_mean_.shape == fitted.target_scale_.shape == (columns or 1,)
    assert fitted.score(X, y) > 0.7


def test_every_output_lands_in_its_column(line):
    X, y = line
    both = np.column_stack([y, 100 - 5 * y])
    fitted = MixupRegressor(**QUICK, max_epochs=60).fit(X, both)
    assert ((fitted.predict(X) - both).std(0) < 0.3 * both.std(0)).all()


@pytest.mark.parametrize(("slope", "shift"), [(1000, 5), (1e-6, 0), (-2, 1e4)])
def test_units_of_y_do_not_matter(slope, shift, line):
    X, y = line
    moved = (predicted(X, slope * y + shift) - shift) / slope
    sign = np.sign(slope)  # a net is not odd: mirrored targets are another problem
    assert_allclose(sign * moved, predicted(X, sign * y), rtol=1e-3, atol=1e-3)


def test_constant_target(line):
    assert_allclose(
        MixupRegressor(max_epochs=40).fit(line[0], [7.0] * 60).predict(line[0]), 7, atol=0.3
    )


def test_an_ensemble_averages_its_members(line):
    X, y = line
    fitted = small(n_estimators=3).fit(X, y)
    members = fitted.net_.raw_outputs(X)[..., 0] * fitted.target_scale_ + fitted.target_mean_
    assert members.shape == (3, 60)
    assert_allclose(fitted.predict(X), members.mean(0), rtol=1e-6)
    assert_allclose(small().fit(X, y).predict(X), members[0], rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------- weights


def test_only_relative_weights_matter(line):
    X, y = line
    weight = np.random.default_rng(0).uniform(0.1, 2, 60)
    assert_array_equal(predicted(X, y, weight), predicted(X, y, 4 * weight))
    assert_array_equal(predicted(X, y, np.full(60, 2.0)), predicted(X, y))
    assert np.abs(predicted(X, y, weight) - predicted(X, y)).max() > 1e-4


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_zero_removes_a_row(early_stopping, line):
    X, y = line
    weight = np.arange(60) % 3
    keep = weight > 0
    with_zeros = small(early_stopping=early_stopping).fit(X, y, weight)
    without = small(early_stopping=early_stopping).fit(X[keep], y[keep], weight[keep])
    assert_allclose(with_zeros.predict(X), without.predict(X), rtol=1e-6)


def test_heavy_rows_are_fitted_better(line):
    X, y = line
    heavy = np.arange(60) < 30
    y = np.where(heavy, y, -y)
    fitted = MixupRegressor(**QUICK, max_epochs=40).fit(X, y, np.where(heavy, 100, 1))
    assert fitted.score(X[heavy], y[heavy]) > 0.8 > fitted.score(X[~heavy], y[~heavy])


# ---------------------------------------------------------------------------- training


def test_early_stopping_keeps_the_best_epoch(line):
    X, y = line
    recorder = ValidationRecorder(X)
    fitted = MixupRegressor(
        **QUICK, max_epochs=900, early_stopping=True, callbacks=[recorder]
    ).fit(X, y)
    assert fitted.n_iter_ == len(fitted.validation_loss_curve_)
    best = int(np.argmin(fitted.validation_loss_curve_))
    assert_array_equal(fitted.net_.raw_outputs(X), recorder.outputs[best])


def test_alpha_zero_is_training_without_mixing(line):
    plain = predicted(*line, alpha=0)
    assert_array_equal(plain, predicted(*line, alpha=5.0, mixing_span=(0.95, 1)))
    assert np.abs(plain - predicted(*line, alpha=0.2)).max() > 1e-4


def test_partial_fit_continues_in_the_units_of_the_first_call(line):
    X, y = line
    net = MixupRegressor(**QUICK)
    for _ in range(30):
        net.partial_fit(X, y)
    scale = net.target_scale_.copy()
    net.partial_fit(X[:30], y[:30] + 1)
    assert_array_equal(net.target_scale_, scale)
    assert net.n_iter_ == len(net.loss_curve_) == 31
    assert net.score(X, y) > 0.7


def test_warm_start_continues(line):
    X, y = line
    net = small(learning_rate_init=1e-9, warm_start=True).fit(X, y)
    before = net.predict(X)
    assert_allclose(net.set_params(random_state=1).fit(X, y).predict(X), before, atol=1e-5)
    assert net.n_iter_ == 8


@pytest.mark.parametrize("columns", [None, 2])
def test_user_module(columns, line, noisy_net):
    X, y = line
    y = y if columns is None else np.column_stack([y, -y])
    fitted = MixupRegressor(**QUICK, module=noisy_net, max_epochs=60).fit(X, y)
    assert fitted.predict(X).shape == y.shape
    assert fitted.score(X, y) > 0.5


# --------------------------------------------------------------------------- quantiles

LEVELS = (0.1, 0.5, 0.9)


def noisy(rows, seed):
    """A value whose noise grows with the first column."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(rows, 3))
    return X, X[:, 1] + (1.2 + X[:, 0]) * rng.normal(size=rows)


@pytest.fixture(scope="module")
def quantile_regressor():
    net = MixupRegressor(quantiles=LEVELS, hidden_layer_sizes=(64,), max_epochs=30)
    return net.set_params(random_state=0).fit(*noisy(400, 0))


def test_the_right_share_of_new_values_lies_below_every_quantile(quantile_regressor):
    X, y = noisy(20_000, 1)
    predicted = quantile_regressor.predict(X, quantiles=LEVELS)
    share = (y[:, None] <= predicted).mean(axis=0)
    error = np.sqrt(np.multiply(LEVELS, np.subtract(1, LEVELS)) / 400)  # of 400 training rows
    assert (np.abs(share - LEVELS) < 3 * error).all()
    width = predicted[:, 2] - predicted[:, 0]
    assert width[X[:, 0] > 0.5].mean() > 2 * width[X[:, 0] < -0.5].mean()


def test_quantiles_have_their_own_axis_and_never_cross(quantile_regressor):
    X = noisy(500, 2)[0]
    net = copy.deepcopy(quantile_regressor)
    with torch.no_grad():  # so that outputs cross
        [*net.net_.module_.parameters()][-1].add_(torch.tensor([2.0, 0.0, -2.0]))
    every = net.predict(X, quantiles=LEVELS)
    raw = net.net_.raw_outputs(X)[0]
    assert every.shape == raw.shape == (500, 3)
    assert (np.diff(every) >= 0).all()
    assert not (np.diff(raw) >= 0).all()
    assert_array_equal(net.predict(X), every[:, 1])
    assert_array_equal(net.predict(X, quantiles=[0.1, 0.9]), every[:, [0, 2]])


def test_quantiles_are_the_outputs_moved_by_what_rows_left_out_say(line):
    X, y = line
    net = small(quantiles=LEVELS).fit(X, y)
    outputs = net.net_.raw_outputs(X)[0] + net.quantile_shift_
    values = np.sort(outputs) * net.target_scale_ + net.target_mean_
    assert_allclose(net.predict(X, quantiles=LEVELS), values, rtol=1e-6)
    assert np.abs(net.quantile_shift_).min() > 0


def test_the_net_of_quantiles_is_the_one_without_folds(line):
    X, y = line
    fitted = small(quantiles=LEVELS).fit(X, y)
    streamed = small(quantiles=LEVELS)
    for _ in range(2):
        streamed.partial_fit(X, y)
    assert not streamed.quantile_shift_.any()
    assert streamed.predict(X, quantiles=LEVELS).shape == (60, 3)
    before = fitted.quantile_shift_
    assert_array_equal(fitted.partial_fit(X, y).quantile_shift_, before)


def test_quantiles_of_several_values(line):
    X, y = line
    both = np.column_stack([y, 100 - 5 * y])
    fitted = MixupRegressor(**QUICK, max_epochs=60, quantiles=LEVELS).fit(X, both)
    every = fitted.predict(X, quantiles=LEVELS)
    assert every.shape == (60, 2, 3)
    assert ((every[..., 1] - both).std(0) < 0.3 * both.std(0)).all()
    # What is the lower end of one is the upper end of its mirror image.
    assert_allclose(100 - 5 * every[:, 0, 0], every[:, 1, 2], atol=0.5 * both[:, 1].std())


def test_weight_zero_removes_a_row_from_quantiles_too(line):
    X, y = line
    weight = np.arange(60) % 3
    keep = weight > 0
    with_zeros = small(quantiles=LEVELS).fit(X, y, weight)
    without = small(quantiles=LEVELS).fit(X[keep], y[keep], weight[keep])
    assert_array_equal(with_zeros.quantile_shift_, without.quantile_shift_)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_shift_is_the_smallest_value_with_the_share_below_it(weighted):
    rng = np.random.default_rng(0)
    excess, weight = rng.normal(size=(50, 2, 3)), rng.integers(1, 4, 50)
    weight = weight.astype("float32") if weighted else None
    repeated = np.repeat(excess, np.ones(50, int) if weight is None else weight.astype(int), 0)
    expected = [
        np.quantile(repeated[..., k], level, axis=0, method="inverted_cdf")
        for k, level in enumerate(LEVELS)
    ]
    assert_array_equal(held_out_shift(excess, LEVELS, weight).T, expected)


@pytest.mark.parametrize("quantiles", [(), (0, 0.5), (0.5, 1), (0.9, 0.1), (0.5, 0.5), ["a"]])
def test_bad_quantiles_are_one_clear_error(quantiles, line, quantile_regressor):
    asks = [
        lambda: small(quantiles=quantiles).fit(*line),
        lambda: quantile_regressor.predict([[0, 0, 0]], quantiles=quantiles),
    ]
    for ask in asks:
        with pytest.raises(ValueError, match=r"quantiles must be numbers above 0 and below 1"):
            ask()


def test_quantiles_that_were_not_trained_are_one_clear_error(line, quantile_regressor):
    with pytest.raises(ValueError, match=r"0\.3.*fitted for \(0\.1, 0\.5, 0\.9\)"):
        quantile_regressor.predict([[0, 0, 0]], quantiles=(0.3, 0.5))
    fitted = small().fit(*line)
    with pytest.raises(
        ValueError, match=r"0\.5.*without quantiles.*MixupRegressor\(quantiles="
    ):
        fitted.predict(line[0], quantiles=(0.5,))


def test_a_net_is_not_continued_for_other_quantiles(line):
    net = small(quantiles=LEVELS).partial_fit(*line)
    for other in (None, (0.1, 0.5, 0.8)):
        with pytest.raises(
            ValueError, match=r"quantiles=.*was fitted for \(0\.1, 0\.5, 0\.9\)"
        ):
            net.set_params(quantiles=other).partial_fit(*line)


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_quantiles_of_a_few_rows(rows, line):
    X, y = line[0][:rows], line[1][:rows]
    for target in (y, np.full(rows, 7.0)):
        predicted = small(quantiles=LEVELS).fit(X, target).predict(X, quantiles=LEVELS)
        assert np.isfinite(predicted).all()


def test_alpha_is_chosen_by_the_pinball_loss(line):
    X, y = line
    net = small(alpha="auto", quantiles=LEVELS, max_epochs=2).fit(X, y)
    assert net.alpha_ in net.alpha_scores_
    assert all((scores < 0).all() for scores in net.alpha_scores_.values())
    assert net.predict(X, quantiles=LEVELS).shape == (60, 3)


def test_a_search_chooses_a_quantile_regressor(line):
    X, y = line
    pinball = make_scorer(mean_pinball_loss, alpha=0.5, greater_is_better=False)
    grid = {"quantiles": [(0.5,), LEVELS]}
    net = small(max_epochs=2)
    ours = MixupSearchCV(net, grid, cv=2, scoring=pinball).fit(X, y)
    theirs = GridSearchCV(net, grid, cv=2, scoring=pinball).fit(X, y)
    for part in ("mean_test_score", "rank_test_score"):
        assert_allclose(ours.cv_results_[part], theirs.cv_results_[part], rtol=1e-3)
    assert ours.best_estimator_.predict(X, quantiles=(0.5,)).shape == (60, 1)


def test_two_values_of_a_target_are_values_all_the_same(line):
    X, y = line[0], (line[1] > 0).astype(int)
    fitted = MixupRegressor(**QUICK, max_epochs=40).fit(X, y)
    assert fitted.score(X, y) > 0.5


def test_rules_that_need_classes_are_refused(line):
    net = small(mixing=Mixup(partners="same_class"))
    with pytest.raises(ValueError, match=r"partners='same_class'.*MixupRegressor.*'cmixup'"):
        net.fit(*line)
    assert not hasattr(net, "net_")


# ------------------------------------------------------------------------------ inputs


def test_equal_targets_give_equal_predictions(line):
    X, y = line[0], np.round(10 * line[1])
    expected = predicted(X, y)
    for same in (y.astype("float32"), y.astype(int), pd.Series(y), list(y), y[:, None]):
        assert_allclose(np.ravel(predicted(X, same)), expected, rtol=1e-5)


def test_single_and_double_precision_agree(line):
    X, y = line
    fitted = small().fit(X, y)
    assert_allclose(fitted.predict(X), fitted.predict(X.astype(float)), rtol=1e-4, atol=1e-5)
