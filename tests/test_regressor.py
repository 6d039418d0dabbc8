"""MixupRegressor: values, weights, training."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback

from mixup_tab import MixupRegressor
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
