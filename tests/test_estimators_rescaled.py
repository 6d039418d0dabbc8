"""Predictions rescaled by what mixup does to inputs and labels on average."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from mixup_tab import MixupClassifier, MixupEnsembleClassifier, MixupRegressor
from mixup_tab.estimators.rescaled import (
    RescaledClassifier,
    RescaledRegressor,
    mean_larger_weight,
    mean_prepared,
    shrunk_outputs,
)
from mixup_tab.mixing import Mixup
from mixup_tab.mixing._draw import draw_lam
from mixup_tab.nets import MLP, PreparedNet, RobustScale

SMALL = {
    "mixing": "mixup",
    "hidden_layer_sizes": (16,),
    "learning_rate_init": 0.02,
    "max_epochs": 15,
    "random_state": 0,
}
REPEATED_WEIGHTS = "Repeating a row gives other batches and other partners than a weight of 2."
KINDS = [(RescaledClassifier, MixupClassifier), (RescaledRegressor, MixupRegressor)]


def small(kind=MixupClassifier, **params):
    return kind(**{**SMALL, **params})


@parametrize_with_checks(
    [rescaled(small(kind)) for rescaled, kind in KINDS],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": REPEATED_WEIGHTS
    },
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def one_layer(rescaled, kind, X, y, **params):
    """A linear net and its weights."""
    params = {"module": MLP, "hidden_layer_sizes": (), "n_estimators": 1, **params}
    model = rescaled(small(kind, alpha=1, **params)).fit(X, y)
    weight, bias = next(model.estimator_.net_.module_.layers())
    return model, weight[0].detach().double().numpy().T, bias[0].detach().double().numpy()


def test_classifier_agrees_with_equation_15(three_classes):
    X, y = three_classes
    X, y = X[:50], y[:50]  # classes of 20, 20 and 10 rows
    model, weight, bias = one_layer(RescaledClassifier, MixupClassifier, X, y)
    theta, mean = 0.75, X.mean(axis=0, dtype=np.float64)
    moved = theta * X.astype(np.float64) + (1 - theta) * mean
    logits = (moved @ weight + bias) / theta + (1 - 1 / theta) * np.array([0.4, 0.4, 0.2])
    powers = np.exp(logits)
    assert_allclose(model.predict_proba(X), powers / powers.sum(1, keepdims=True), rtol=1e-4)
    assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))


def test_regressor_agrees_with_equation_15(line):
    X, y = line
    model, weight, bias = one_layer(RescaledRegressor, MixupRegressor, X, y)
    moved = 0.75 * X.astype(np.float64) + 0.25 * X.mean(axis=0, dtype=np.float64)
    outputs = (moved @ weight + bias)[:, 0] / 0.75
    assert_allclose(model.predict(X), outputs * y.std() + y.mean(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("rescaled", "kind"), KINDS)
def test_nothing_changes_where_nothing_was_mixed(rescaled, kind, two_classes):
    X, y = two_classes
    model = rescaled(small(kind, alpha=0)).fit(X, y)
    assert model.theta_ == 1
    assert_allclose(model.predict(X), kind(**{**SMALL, "alpha": 0}).fit(X, y).predict(X))


def test_probabilities_of_members_are_averaged(three_classes):
    X, y = three_classes
    model = RescaledClassifier(small(alpha=0, n_estimators=3)).fit(X, y)
    assert_allclose(model.predict_proba(X), model.estimator_.predict_proba(X), atol=1e-12)
    assert_allclose(model.predict_log_proba(X), model.estimator_.predict_log_proba(X))


def test_weights_weigh_in_the_mean_label_only(two_classes):
    X, y = two_classes
    weight = np.where(y == 1, 3.0, 1.0)
    weight[:5] = 0
    model = RescaledClassifier(small(module=MLP)).fit(X, y, sample_weight=weight)
    assert_allclose(model.x_mean_, X[5:].mean(0), rtol=1e-5)
    assert_allclose(model.y_mean_[1], weight[y == 1].sum() / weight.sum())
    plain = RescaledClassifier(small(class_weight={0: 1, 1: 3})).fit(X[5:], y[5:])
    assert_allclose(plain.y_mean_, model.y_mean_)


@pytest.mark.parametrize("mixing", ["mixup", "folded", Mixup(lam_per="batch")])
def test_plain_mixup_is_fine(mixing, two_classes):
    model = RescaledClassifier(small(mixing=mixing, max_epochs=1)).fit(*two_classes)
    assert 0.5 < model.theta_ < 1


@pytest.mark.parametrize("mixing", ["auto", "cutmix", "same_class"])
def test_other_rules_are_refused(mixing, two_classes):
    with pytest.raises(ValueError, match=r"estimator has mixing=.*Use mixing='mixup'"):
        RescaledClassifier(small(mixing=mixing)).fit(*two_classes)


class Shifted(MixupClassifier):
    """Is trained on other rows than those it is given."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(X + 1, y, sample_weight)


@pytest.mark.parametrize(
    "estimator",
    [
        *[LogisticRegression(), MixupEnsembleClassifier(), MixupRegressor(), MixupClassifier],
        Shifted(),
    ],
)
def test_other_estimators_are_refused(estimator, two_classes):
    with pytest.raises(
        TypeError, match="estimator must be a MixupClassifier, not a subclass, got"
    ):
        RescaledClassifier(estimator).fit(*two_classes)


def test_the_default_net_mixes_by_mixup(two_classes):
    model = RescaledClassifier().set_params(estimator=None)
    assert model._unfitted().mixing == "mixup"
    assert RescaledRegressor()._unfitted().mixing == "mixup"


# -------------------------------------------------------------------------- temperature


def under_confident(rows=300):
    """Classes that can be told apart, and a net whose targets are soft."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, rows)
    return (rng.normal(size=(rows, 4)) + 4 * np.eye(3, 4)[y]).astype(np.float32), y


PORTFOLIO = [{"mixing": "mixup", "alpha": 8, "max_epochs": 15}]
MODELS = {
    "net": small(alpha=8),
    "pipeline": make_pipeline(StandardScaler(), small(alpha=8)),
    "portfolio": MixupEnsembleClassifier(candidates=PORTFOLIO, cv=2, random_state=0),
    "rescaled": RescaledClassifier(small(alpha=0.2)),
}


def inverse_temperature(model):
    (inner,) = model.calibrated_classifiers_
    return inner.calibrators[0].beta_


@pytest.mark.parametrize("name", MODELS)
def test_one_temperature_for_all_classes(name):
    X, y = under_confident()
    y = np.array(["apple", "fig", "pear"])[y]
    model = CalibratedClassifierCV(MODELS[name], method="temperature", cv=2, ensemble=False)
    model.fit(X, y)
    before = model.calibrated_classifiers_[0].estimator.predict_proba(X)
    powers = before ** inverse_temperature(model)
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert_allclose(model.predict_proba(X), expected, atol=1e-6)
    assert_array_equal(model.predict(X), model.classes_[before.argmax(axis=1)])


@pytest.mark.parametrize("name", ["net", "pipeline"])
def test_nets_that_mix_much_are_made_more_confident(name):
    X, y = under_confident()
    model = CalibratedClassifierCV(MODELS[name], method="temperature", cv=2, ensemble=False)
    assert inverse_temperature(model.fit(X, y)) > 1.5  # T < 1


def test_of_two_classes_half_the_log_odds_are_taken():
    X, y = under_confident()
    X, y = X[y < 2], y[y < 2]
    model = CalibratedClassifierCV(MODELS["net"], method="temperature", cv=2, ensemble=False)
    model.fit(X, y)
    before = model.calibrated_classifiers_[0].estimator.predict_proba(X)
    powers = before ** (2 * inverse_temperature(model))
    assert_allclose(model.predict_proba(X), powers / powers.sum(1, keepdims=True), atol=1e-6)


# ------------------------------------------------------ θ, and inputs moved by it


class Halved(PreparedNet):
    """Prepares inputs without a trace of chance."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def prepare(self, x):
        return x.float() / 2 + 1

    def body(self, x):
        return self.layer(x)


class Noisy(Halved):
    """Prepares inputs at random in training."""

    augments = True

    def prepare(self, x):
        x = super().prepare(x)
        return x + torch.randn_like(x) if self.training else x


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1, 8])
def test_theta_is_the_mean_of_the_weights_above_one_half(alpha):
    above, _ = quad(beta_distribution(alpha, alpha).sf, 0.5, 1)  # P(λ > t) over t
    assert mean_larger_weight(alpha) == pytest.approx(0.5 + above / 0.5, rel=1e-5)
    lam = draw_lam(alpha, (200_000,), generator=torch.Generator().manual_seed(0)).numpy()
    assert mean_larger_weight(alpha) == pytest.approx(np.maximum(lam, 1 - lam).mean(), abs=2e-3)


def test_theta_between_no_mixing_and_halves():
    assert mean_larger_weight(0) == 1
    assert mean_larger_weight(1e-6) == pytest.approx(1, abs=1e-5)
    assert mean_larger_weight(1) == 0.75
    assert mean_larger_weight(1e6) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(ValueError, match="alpha must be a finite number of at least 0"):
        mean_larger_weight(-1)


def fitted(X, y, **params):
    net = {"mixing": "mixup", "max_epochs": 2, "random_state": 0, "device": "cpu", **params}
    return MixupClassifier(**net).fit(X, y)


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_tables_are_moved_after_their_columns_were_scaled(three_classes, n_estimators):
    X, y = three_classes
    X = X * np.float32([1, 10, 100, 1000]) + 5
    params = {"embedding": "none", "hidden_layer_sizes": (8,)}
    net = fitted(X, y, **params, n_estimators=n_estimators).net_
    scaled = RobustScale.fit(torch.as_tensor(X))(torch.as_tensor(X)).double().numpy()
    mean = mean_prepared(net, X)
    assert_allclose(mean, scaled.mean(0), rtol=1e-5)
    moved = 0.7 * scaled + 0.3 * scaled.mean(0)
    weights = [
        (w.detach().double().numpy(), b.detach().double().numpy())
        for w, b in net.module_.layers()
    ]
    hidden = np.maximum(moved @ weights[0][0].swapaxes(1, 2) + weights[0][1], 0)
    expected = hidden @ weights[1][0].swapaxes(1, 2) + weights[1][1]
    assert_allclose(shrunk_outputs(net, X, mean, 0.7), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", [None, Halved, Noisy, "noisy_net"])
@pytest.mark.parametrize("n_estimators", [1, 2])
def test_with_theta_one_the_net_is_asked_about_the_rows_themselves(
    three_classes, noisy_net, module, n_estimators
):
    X, y = three_classes
    module = noisy_net if module == "noisy_net" else module
    net = fitted(X, y, module=module, n_estimators=n_estimators).net_
    mean = mean_prepared(net, X)
    assert_allclose(shrunk_outputs(net, X, mean, 1.0), net.raw_outputs(X), atol=1e-6)
    # With θ = 0 all rows are the mean.
    alike = shrunk_outputs(net, X, mean, 0.0)
    assert_allclose(alike, np.broadcast_to(alike[:, :1], alike.shape), atol=1e-6)


def test_what_a_net_prepares_is_moved_not_what_it_is_given(three_classes):
    X, y = three_classes
    raw = (100 * X).astype(np.int16)
    net = fitted(raw, y, module=Noisy).net_
    prepared = raw / 2 + 1
    assert_allclose(mean_prepared(net, raw), prepared.mean(0), rtol=1e-5)
    weight, bias = (p.detach().double().numpy() for p in net.module_.parameters())
    expected = (0.6 * prepared + 0.4 * prepared.mean(0)) @ weight.T + bias
    outputs = shrunk_outputs(net, raw, prepared.mean(0), 0.6)[0]
    assert_allclose(outputs, expected, rtol=1e-4, atol=1e-3)
