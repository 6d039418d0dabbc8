import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab import MixupClassifier, MixupEnsembleClassifier, MixupRegressor
from mixup_tab.estimators.rescaled import RescaledClassifier, RescaledRegressor
from mixup_tab.mixing import Mixup
from mixup_tab.nets import MLP

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


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), MixupEnsembleClassifier(), MixupRegressor(), MixupClassifier],
)
def test_other_estimators_are_refused(estimator, two_classes):
    with pytest.raises(TypeError, match="estimator must be a MixupClassifier, got"):
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
    "portfolio": MixupEnsembleClassifier(PORTFOLIO, cv=2, random_state=0),
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
