"""Every mixing rule by name, in estimators and searches."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from mixup_tab import MLP, MixupClassifier, MixupNet, MixupRegressor, MixupSearchCV
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing import CMixup, RegMixup
from mixup_tab.mixing._names import RULES, as_rule

FOR_CLASSES = [name for name in RULES if as_rule(name).task != "regression"]
FOR_VALUES = [name for name in RULES if as_rule(name).task != "classification"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4))
    return X, np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 1)]


def net(**params):
    return MixupClassifier(
        **{"n_estimators": 2, "max_epochs": 12, "random_state": 0, "alpha": 0.4, **params}
    )


@pytest.mark.parametrize("name", FOR_CLASSES)
def test_a_classifier_learns_with_it_and_keeps_its_bits(name, table):
    X, y = table
    fitted = net(mixing=name).fit(X, y)
    assert fitted.score(X, y) > 0.8
    again = net(mixing=as_rule(name)).fit(X, y)
    assert np.array_equal(fitted.predict_proba(X), again.predict_proba(X))


def test_alpha_0_is_plain_training_and_other_alphas_are_not(table):
    X, y = table
    plain = net(alpha=0, mixing="mixup", max_epochs=2).fit(X, y).predict_proba(X)
    for name in FOR_CLASSES:
        same = net(alpha=0, mixing=name, max_epochs=2).fit(X, y).predict_proba(X)
        assert np.allclose(same, plain, atol=1e-6), name
        mixed = net(mixing=name, max_epochs=2).fit(X, y).predict_proba(X)
        assert not np.allclose(mixed, plain, atol=1e-6), name


@pytest.mark.parametrize("name", FOR_VALUES)
def test_a_regressor_learns_with_it(name, table):
    X = table[0]
    y = X @ [1.0, 2, 3, 4]
    several = np.column_stack([y, 100 * X[:, 0]])
    small = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.02, "max_epochs": 30}
    for targets in (y, several):
        fitted = MixupRegressor(mixing=name, **small, random_state=0).fit(X, targets)
        assert fitted.score(X, targets) > 0.5


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rules_for_the_other_task_are_refused(task, table):
    X, y = table
    estimator = MixupClassifier() if task == "regression" else MixupRegressor()
    names = [name for name in RULES if as_rule(name).task == task]
    assert names
    for name in names:
        estimator.set_params(mixing=name)
        with pytest.raises(ValueError, match=f"mixing='{name}'"):
            estimator.fit(X, y if task == "regression" else X[:, 0])


@pytest.mark.parametrize("name", ["remix", "cmixup"])
def test_a_net_refuses_them_by_its_criterion(name, table):
    X = table[0].astype("float32")
    kind, values = {"remix": (MixedSquaredError, True), "cmixup": (MixedCrossEntropy, False)}[
        name
    ]
    y = X[:, :1] if values else (X[:, 0] > 0).astype("int64")
    one = MixupNet(MLP, kind, mixing=name, module__in_features=4, module__out_features=1)
    with pytest.raises(ValueError, match=f"mixing='{name}' is for .*criterion="):
        one.fit(X, y)


def test_both_searches_choose_among_all_of_them(table):
    grid = {"mixing": FOR_CLASSES}
    options = {"cv": 2, "scoring": "neg_log_loss", "refit": False}
    quick = net(n_estimators=1, max_epochs=3)
    ours = MixupSearchCV(quick, grid, **options).fit(*table)
    theirs = GridSearchCV(quick, grid, **options).fit(*table)
    key = "mean_test_score"
    assert np.allclose(ours.cv_results_[key], theirs.cv_results_[key], atol=1e-6)
    assert len({round(score, 6) for score in ours.cv_results_[key]}) == len(FOR_CLASSES)


class Picture(nn.Module):
    """A small net for images, as spectrograms are, with two blocks."""

    def __init__(self, out_features):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten())
        self.out = nn.Linear(4 * 2 * 4, out_features)

    def forward(self, x):
        return self.out(self.second(self.first(x)))


@pytest.mark.parametrize("name", FOR_CLASSES)
def test_images_are_mixed_as_well(name):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 1, 6, 8)) + 1.5 * y.reshape(-1, 1, 1, 1)
    fitted = net(mixing=name, module=Picture, max_epochs=8).fit(X, y)
    assert fitted.score(X, y) > 0.9


def test_mixing_can_start_late_and_end_early(table):
    """Plain epochs at the start are those of plain training, and none are in partial_fit."""
    X, y = table
    plain, mixed = net(alpha=0, max_epochs=4).fit(X, y), net(max_epochs=4).fit(X, y)
    late, early = (net(mixing_span=s, max_epochs=4).fit(X, y) for s in [(0.5, 1), (0, 0.5)])
    assert late.loss_curve_[:2] == plain.loss_curve_[:2]
    assert early.loss_curve_[:2] == mixed.loss_curve_[:2]
    assert late.loss_curve_[2] != plain.loss_curve_[2]
    assert early.loss_curve_[2] != mixed.loss_curve_[2]


def test_every_fit_with_warm_start_has_a_span_of_its_own(table):
    """A share of all epochs so far would leave nothing to mix after a while."""
    one = net(mixing_span=(0.5, 1), max_epochs=2, warm_start=True, weight_decay=0)
    one.set_params(learning_rate_init=1e-12, batch_size=90).fit(*table).fit(*table)
    first, _, again, _ = one.loss_curve_
    assert again == pytest.approx(first, rel=1e-5)  # of the rows as they are
    assert len({round(loss, 4) for loss in one.loss_curve_}) == 3


def test_partial_fit_knows_no_end_so_it_always_mixes(table):
    X, y = table
    on, late = net(), net(mixing_span=(0.9, 1))
    for _ in range(2):
        on.partial_fit(X, y), late.partial_fit(X, y)
    assert np.array_equal(on.predict_proba(X), late.predict_proba(X))


def test_batches_that_grow_work_with_what_a_fit_can_have(table):
    X, y = table
    weight = np.linspace(0, 1, len(y))
    rule = RegMixup(eta=0.5)
    fitted = net(
        mixing=rule,
        alpha=10,
        early_stopping=True,
        mixing_span=(0.2, 1),
        dropout=0.1,
        batch_size=7,
    ).fit(X, y, sample_weight=weight)
    assert fitted.score(X, y) > 0.6
    assert clone(fitted).mixing == rule


def test_auto_is_both_for_tables_and_mixup_for_own_modules(two_classes, noisy_net):
    X, y = two_classes
    quick = {"max_epochs": 2, "random_state": 0}
    auto = MixupClassifier(**quick).fit(X, y)
    named = MixupClassifier(mixing="mixup+cutmix", **quick).fit(X, y)
    assert np.array_equal(auto.predict_proba(X), named.predict_proba(X))
    own = MixupClassifier(module=noisy_net, **quick).fit(X, y)
    named = MixupClassifier(module=noisy_net, mixing="mixup", n_estimators=1, **quick).fit(X, y)
    assert np.array_equal(own.predict_proba(X), named.predict_proba(X))


def test_cmixup_has_the_same_effect_in_any_unit_of_the_values(line):
    X, y = line
    rule = CMixup(0.3)
    fitted, scaled = (
        MixupRegressor(mixing=rule, alpha=2.0, max_epochs=20, random_state=0).fit(X, unit * y)
        for unit in (1, 1024)
    )
    assert np.allclose(scaled.predict(X), 1024 * fitted.predict(X), rtol=1e-3)


def test_remix_finds_more_of_a_rare_class():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 40])
    X = (rng.normal(size=(440, 2)) + 1.5 * y[:, None]).astype(np.float32)
    small = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}
    plain, remix = (
        MixupClassifier(**small, mixing=mixing, alpha=1.0, max_epochs=20).fit(X, y).predict(X)
        for mixing in ("mixup", "remix")
    )
    assert remix[y == 1].mean() > plain[y == 1].mean() + 0.1
