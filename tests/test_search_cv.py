"""MixupSearchCV beside scikit-learn's GridSearchCV over the same estimator.

Nets of a stack end where training them alone would take them, up to rounding in float32:
scores agree to 1e-3, everything that is not a number computed by a net is the same.
"""

import inspect
import pickle
import random
import types

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import (
    log_loss,
    make_scorer,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    cross_val_score,
)
from skorch.callbacks import Callback, EpochScoring
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV
from mixup_tab.mixing import Mixup
from mixup_tab.training import LearningRate

TINY = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.02,
    "max_epochs": 2,
    "random_state": 0,
}
ALPHAS = {"alpha": [0, 1.0]}
LOG_LOSS = "neg_log_loss"  # moves with every weight, so that ties are no accident
CONSTANT = [[LearningRate("constant")]]
ORDER = np.random.default_rng(0).permutation(60)
UNEQUAL = [(ORDER[:50], ORDER[50:]), (ORDER[20:], ORDER[:20]), (ORDER[::3], ORDER[1::2])]


def tiny(**params):
    return MixupClassifier(**{**TINY, **params})


def tiny_regressor(**params):
    return MixupRegressor(**{**TINY, **params})


def search(estimator=None, grid=ALPHAS, **options):
    options = {"cv": 2, "error_score": "raise", **options}
    return MixupSearchCV(tiny() if estimator is None else estimator, grid, **options)


def both(estimator, grid, X, y, fit_params=types.MappingProxyType({}), **options):
    """Fit ours and scikit-learn's with the same arguments."""
    options = {"cv": 2, "error_score": "raise", "refit": False, **options}
    return [
        kind(estimator, grid, **options).fit(X, y, **fit_params)
        for kind in (MixupSearchCV, GridSearchCV)
    ]


def scores_of(fitted):
    columns = fitted.cv_results_.items()
    return {key: column for key, column in columns if "_test_" in key or "_train_" in key}


def assert_same_column(ours, theirs, key):
    assert type(ours) is type(theirs), key
    if key == "params":
        assert ours == theirs
        return
    assert ours.dtype == theirs.dtype, key
    if key.startswith("param_"):
        assert_array_equal(ours.mask, theirs.mask)
        assert ours.compressed().tolist() == theirs.compressed().tolist()
    elif "_time" in key:
        assert ours.shape == theirs.shape
        assert (ours >= 0).all()
    else:
        # Equal but for rounding, which breaks a tie of five.
        atol = 4 if key.startswith("rank_") else 1e-3
        assert_allclose(ours, theirs, atol=atol, err_msg=key)


def assert_agree(ours, theirs):
    """Compare results column by column, and the best candidate."""
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    for key, column in theirs.cv_results_.items():
        assert_same_column(ours.cv_results_[key], column, key)
    for name in ("n_splits_", "multimetric_", "best_index_", "best_params_"):
        assert getattr(ours, name, None) == getattr(theirs, name, None), name
    assert hasattr(ours, "best_score_") == hasattr(theirs, "best_score_")
    if hasattr(theirs, "best_score_"):
        assert_allclose(ours.best_score_, theirs.best_score_, atol=1e-3)


# ------------------------------------------------------------------------ what is kept


def test_the_constructor_is_that_of_grid_search_and_a_checkpoint():
    ours, theirs = (inspect.signature(c).parameters for c in (MixupSearchCV, GridSearchCV))
    assert list(ours) == [*theirs, "checkpoint"]
    assert all(ours[name].kind == p.kind for name, p in theirs.items())
    assert all(repr(ours[name].default) == repr(p.default) for name, p in theirs.items())


def test_the_same_attributes_are_learned(three_classes):
    ours, theirs = both(tiny(), ALPHAS, *three_classes, scoring=LOG_LOSS, refit=True)
    learned = {name for name in vars(theirs) if name.endswith("_")}
    assert {name for name in vars(ours) if name.endswith("_")} == learned
    assert ours.n_features_in_ == 4
    assert_array_equal(ours.classes_, [0, 1, 2])
    assert ours.refit_time_ > 0
    assert repr(ours.scorer_) == repr(theirs.scorer_)


def test_the_best_estimator_is_the_best_setting_fitted_on_all_rows(three_classes):
    X, y = three_classes
    found = search(scoring=LOG_LOSS).fit(X, y)
    expected = tiny(**found.best_params_).fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        assert_array_equal(getattr(found, method)(X), getattr(expected, method)(X))


def test_score_is_that_of_the_scorer(three_classes):
    X, y = three_classes
    found = search(scoring=LOG_LOSS).fit(X, y)
    assert_allclose(found.score(X, y), -log_loss(y, found.predict_proba(X)))
    plain = search().fit(X, y)
    assert plain.score(X, y) == plain.best_estimator_.score(X, y)


def test_a_regressor_has_no_classes_and_no_probabilities(line):
    ours, theirs = both(tiny_regressor(), ALPHAS, *line, refit=True)
    assert_agree(ours, theirs)
    assert not hasattr(ours, "classes_")
    assert not hasattr(ours, "predict_proba")
    assert_array_equal(ours.predict(line[0]), ours.best_estimator_.predict(line[0]))


def test_a_regressor_of_several_values(line):
    X, y = line
    values = np.column_stack([y, 10 - 3 * X[:, 1]])
    assert_agree(*both(tiny_regressor(), ALPHAS, X, values, scoring="r2"))


# ------------------------------------------------------------------ kinds of parameters


class TwoLayers(nn.Sequential):
    """A user's own module, which draws in training."""

    def __init__(self, in_features, out_features):
        layers = nn.Linear(in_features, 6), nn.Dropout(0.2), nn.Linear(6, out_features)
        super().__init__(*layers)


class LooksAtBatches(Callback):
    """Wants to be called for every batch, so its net is trained alone."""

    def on_batch_end(self, net, training=False, **kwargs):
        self.batches_ = getattr(self, "batches_", 0) + 1


# As one list of grids, so that all are chunks of one search.
STACKED = [
    {"alpha": [0, 0.05, 20.0]},
    {"mixing": ["mixup", Mixup(folded=True), Mixup(partners="other_class")]},
    {"learning_rate_init": [1e-4, 0.2], "dropout": [0.0, 0.5]},
    {"weight_decay": np.array([0, 10.0])},
    {"max_epochs": [1, 4], "callbacks": [None, *CONSTANT]},
    {"max_epochs": ["auto"], "batch_size": [20]},
    {"mixing_span": [(0.5, 1.0), (0, 0.5)], "alpha": np.array([1.0])},
    {"early_stopping": [True], "max_epochs": [6], "validation_fraction": [0.2, 0.4]},
    {"class_weight": ["balanced", {0: 1.0, 1: 5.0, 2: 0.2}, {0: 1.0, 1: 1.0, 2: 0.0}]},
    {"random_state": [0, 1]},
    {},
]
ALONE = [
    {"hidden_layer_sizes": [[8], (4, 4), 5, ()]},
    {"n_estimators": [3], "dropout": [0.0, 0.3]},
    {"batch_size": [7, 20], "alpha": [0, 1.0]},
    {"module": [TwoLayers], "alpha": [0, 0.4]},
    {"callbacks": [[LooksAtBatches()], [EpochScoring("accuracy")], [("b", Callback())], []]},
    {"alpha": ["auto"], "max_epochs": [1]},
]


@pytest.mark.parametrize("grids", [STACKED, ALONE], ids=["in stacks", "in several stacks"])
def test_every_parameter_gives_the_results_of_grid_search(grids, three_classes):
    """With equal keys, types and values in ``cv_results_``, and the same best setting."""
    options = {"cv": UNEQUAL[1:], "scoring": LOG_LOSS, "return_train_score": True}
    assert_agree(*both(tiny(), grids, *three_classes, **options))


def test_every_parameter_of_a_regressor(line):
    grids = [
        {"mixing": ["mixup", Mixup(folded=True)], "dropout": [0, 0.3]},
        {"early_stopping": [True], "max_epochs": [3]},
        {"n_estimators": [2], "weight_decay": [0, 1.0]},
        {"alpha": ["auto"]},
    ]
    weights = {"sample_weight": np.linspace(0.1, 2, 60)}
    options = {"scoring": "neg_mean_squared_error", "fit_params": weights}
    assert_agree(*both(tiny_regressor(), grids, *line, **options))


def test_inputs_with_three_axes(three_classes):
    class Flat(nn.Sequential):
        def __init__(self, input_shape, out_features):
            super().__init__(nn.Flatten(), nn.Linear(np.prod(input_shape), out_features))

    X, y = three_classes
    ours, theirs = both(tiny(module=Flat), ALPHAS, X.reshape(60, 2, 2), y, scoring=LOG_LOSS)
    assert_agree(ours, theirs)


# ------------------------------------------------------------------------------- splits

SPLITS = [
    *[3, None, KFold(2, shuffle=True, random_state=0)],
    RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
    [(train.tolist(), test.tolist()) for train, test in UNEQUAL],
]


def test_splits(two_classes):
    for cv in SPLITS:
        assert_agree(*both(tiny(), {"alpha": [0.3]}, *two_classes, cv=cv, scoring=LOG_LOSS))
    X, y = two_classes
    generated = search(cv=KFold(2).split(X, y), scoring=LOG_LOSS).fit(X, y)
    plain = search(cv=KFold(2), scoring=LOG_LOSS).fit(X, y)
    assert_array_equal(
        generated.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_groups_stay_together(two_classes):
    groups = {"groups": np.arange(60) % 4}
    ours, theirs = both(
        tiny(), ALPHAS, *two_classes, cv=GroupKFold(3), scoring=LOG_LOSS, fit_params=groups
    )
    assert_agree(ours, theirs)


def test_a_class_missing_from_a_training_fold(three_classes):
    X, y = three_classes
    few = np.flatnonzero(y < 2)
    cv = [(few[::2], np.arange(1, 60, 2)), (np.arange(0, 60, 2), np.arange(1, 60, 2))]
    ours, theirs = both(tiny(max_epochs=6), ALPHAS, X, y, cv=cv, scoring="accuracy", refit=True)
    assert_agree(ours, theirs)
    assert_array_equal(ours.classes_, [0, 1, 2])


# ------------------------------------------------------------------------------ scoring


def correct_and_wrong(estimator, X, y):
    right = int((estimator.predict(X) == y).sum())
    return {"right": right, "wrong": len(y) - right}


def least_probable(estimator, X, y):
    return float(estimator.predict_proba(X)[np.arange(len(y)), y].min())


ONE_METRIC = {
    "none": None,
    "name": "balanced_accuracy",
    "scorer": make_scorer(log_loss, greater_is_better=False, response_method="predict_proba"),
    "thresholds": "roc_auc_ovr",
    "function": least_probable,
}


def test_one_metric(three_classes):
    for scoring in ONE_METRIC.values():
        assert_agree(*both(tiny(max_epochs=6), ALPHAS, *three_classes, scoring=scoring))


SEVERAL_METRICS = {
    "list": ["accuracy", LOG_LOSS],
    "tuple": (LOG_LOSS, "f1_macro"),
    "dict": {LOG_LOSS: LOG_LOSS, "worst": least_probable},
    "function": lambda net, X, y: {LOG_LOSS: -log_loss(y, net.predict_proba(X)), "one": 1},
}


@pytest.mark.parametrize("scoring", SEVERAL_METRICS.values(), ids=SEVERAL_METRICS)
def test_several_metrics(scoring, three_classes):
    ours, theirs = both(
        tiny(), ALPHAS, *three_classes, scoring=scoring, refit=LOG_LOSS, return_train_score=True
    )
    assert_agree(ours, theirs)
    assert ours.multimetric_
    assert callable(ours.scorer_) == callable(theirs.scorer_)
    assert_allclose(
        ours.score(*three_classes),
        -log_loss(three_classes[1], ours.predict_proba(three_classes[0])),
    )


# -------------------------------------------------------------------------------- refit


@pytest.mark.parametrize("scoring", [LOG_LOSS, ["accuracy", LOG_LOSS]])
def test_without_refit_nothing_is_fitted_on_all_rows(scoring, two_classes):
    ours, theirs = both(tiny(), ALPHAS, *two_classes, scoring=scoring, refit=False)
    assert_agree(ours, theirs)
    assert not hasattr(ours, "best_estimator_")
    assert not hasattr(ours, "refit_time_")
    assert not hasattr(ours, "predict")
    assert hasattr(ours, "best_index_") == (scoring == LOG_LOSS)


def least_alpha(results):
    return int(np.argmin(results["param_alpha"].astype(float)))


@pytest.mark.parametrize("scoring", [LOG_LOSS, ["accuracy", LOG_LOSS], correct_and_wrong])
def test_a_function_chooses_the_best(scoring, two_classes):
    grid = {"alpha": [3.0, 0.1, 1.0]}
    ours, theirs = both(tiny(), grid, *two_classes, scoring=scoring, refit=least_alpha)
    assert_agree(ours, theirs)
    assert ours.best_params_ == {"alpha": 0.1}
    assert ours.best_estimator_.alpha == 0.1
    assert not hasattr(ours, "best_score_")


@pytest.mark.parametrize(
    ("choose", "error"), [(lambda results: "first", TypeError), (lambda results: 9, IndexError)]
)
def test_a_function_that_chooses_nothing(choose, error, two_classes):
    unfitted = search(refit=choose)
    with pytest.raises(error, match="best_index_"):
        unfitted.fit(*two_classes)
    assert not hasattr(unfitted, "cv_results_")


# ------------------------------------------------------------------------ sample weights


@pytest.fixture
def weights():
    weights = np.random.default_rng(5).uniform(0.1, 4, 60)
    weights[::7] = 0
    return weights


def test_weights_are_cut_with_the_rows(three_classes, weights):
    given = {"sample_weight": weights}
    ours, theirs = both(
        tiny(),
        ALPHAS,
        *three_classes,
        scoring=LOG_LOSS,
        fit_params=given,
        return_train_score=True,
    )
    assert_agree(ours, theirs)
    unweighted = search(scoring=LOG_LOSS).fit(*three_classes)
    assert np.abs(ours.best_score_ - unweighted.best_score_) > 1e-3


def weighted_log_loss():
    return make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")


ROUTES = {
    "fit": (True, False),
    "score": (False, True),
    "fit and score": (True, True),
    "under another name": ("importance", "importance"),
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_weights_go_where_they_are_asked_for(route, three_classes, weights):
    name = route[0] if isinstance(route[0], str) else "sample_weight"
    with sklearn.config_context(enable_metadata_routing=True):
        net = tiny().set_fit_request(sample_weight=route[0])
        scorer = weighted_log_loss().set_score_request(sample_weight=route[1])
        ours, theirs = both(
            net, ALPHAS, *three_classes, scoring=scorer, refit=True, fit_params={name: weights}
        )
        assert_agree(ours, theirs)
        given = {name: weights} if route[1] else {}
        scores = [fitted.score(*three_classes, **given) for fitted in (ours, theirs)]
    assert_allclose(*scores, atol=1e-3)


def test_the_estimators_own_score_takes_routed_weights(three_classes, weights):
    with sklearn.config_context(enable_metadata_routing=True):
        net = tiny(max_epochs=8).set_fit_request(sample_weight=True)
        net.set_score_request(sample_weight=True)
        assert_agree(*both(net, ALPHAS, *three_classes, fit_params={"sample_weight": weights}))


def test_groups_are_routed_to_the_splitter(two_classes, weights):
    given = {"groups": np.arange(60) % 4, "sample_weight": weights}
    with sklearn.config_context(enable_metadata_routing=True):
        net = tiny().set_fit_request(sample_weight=True)
        options = {"cv": GroupKFold(2), "scoring": LOG_LOSS, "fit_params": given}
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            both(tiny(), ALPHAS, *two_classes, **options)
        scorer = weighted_log_loss().set_score_request(sample_weight=False)
        assert_agree(*both(net, ALPHAS, *two_classes, **{**options, "scoring": scorer}))


# --------------------------------------------------------------------------- containers

NAMES = list("abcd")

TABLES = {
    "lists": lambda X, y: (X.tolist(), y.tolist()),
    "pandas": lambda X, y: (pd.DataFrame(X, columns=NAMES), pd.Series(y)),
    "pandas with another index": lambda X, y: (
        pd.DataFrame(X, columns=NAMES, index=np.arange(60)[::-1]),
        pd.Series(y, index=np.arange(60) + 7),
    ),
    "polars": lambda X, y: (pl.DataFrame(X, schema=NAMES), pl.Series(y)),
    "double precision": lambda X, y: (X.astype(np.float64), y),
    "columns first": lambda X, y: (np.asfortranarray(X), y),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_any_kind_give_the_same(kind, three_classes):
    tables = TABLES[kind](*three_classes)
    found = search(scoring=LOG_LOSS).fit(*tables)
    expected = search(scoring=LOG_LOSS).fit(*three_classes)
    for key, scores in scores_of(expected).items():
        assert_allclose(found.cv_results_[key], scores, atol=1e-6)
    net = tiny().fit(*tables)  # scikit-learn 1.8 reads no names off polars
    assert hasattr(found, "feature_names_in_") == hasattr(net, "feature_names_in_")
    assert hasattr(net, "feature_names_in_") or not kind.startswith("pandas")
    if hasattr(net, "feature_names_in_"):
        assert found.feature_names_in_.tolist() == NAMES


LABELS = {
    "objects": np.array(["low", "middle", "high"], dtype=object),
    "floats": np.array([0.0, 2.0, 7.0]),
    "true or false": np.array([False, True, True]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_kind(labels, three_classes):
    X, codes = three_classes
    ours, theirs = both(tiny(), ALPHAS, X, labels[codes], scoring=LOG_LOSS, refit=True)
    assert_agree(ours, theirs)
    assert_array_equal(ours.classes_, np.unique(labels))
    assert set(ours.predict(X)) <= set(labels)


# ----------------------------------------------------------------------- reproducibility

RNG = np.random.default_rng(9)
X, Y = RNG.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
EVERY_KIND = [
    {"alpha": [0, 1.0], "class_weight": [None, "balanced"], "dropout": [0.2]},
    {"hidden_layer_sizes": [(4,), (4, 4)], "early_stopping": [True], "n_estimators": [2]},
    {"module": [TwoLayers]},
    {"alpha": ["auto"], "max_epochs": [1]},
]


def fit_every_kind(**options):
    return search(tiny(), EVERY_KIND, scoring=LOG_LOSS, **options).fit(X, Y)


@pytest.fixture(scope="module")
def one_by_one():
    return fit_every_kind(n_jobs=1)


def assert_same_bits(fitted, expected, X=X):
    for key, scores in scores_of(expected).items():
        assert_array_equal(fitted.cv_results_[key], scores, err_msg=key)
    assert fitted.best_params_ == expected.best_params_
    assert_array_equal(fitted.predict_proba(X), expected.predict_proba(X))


def global_states():
    return (
        pickle.dumps(np.random.get_state()),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        random.getstate(),
        torch.get_num_threads(),
    )


@pytest.mark.parametrize("n_jobs", [2, None])
def test_the_number_of_jobs_does_not_change_a_bit_nor_a_global_state(n_jobs, one_by_one):
    before = global_states()
    assert_same_bits(fit_every_kind(n_jobs=n_jobs), one_by_one)
    assert global_states() == before


@pytest.mark.slow
def test_processes_do_not_change_a_bit(one_by_one):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        fitted = fit_every_kind()
    assert_same_bits(fitted, one_by_one)


def test_nets_that_are_worth_several_threads_have_the_same_bits(two_classes):
    net = tiny(hidden_layer_sizes=(1024, 1024), batch_size=30, max_epochs=1)
    fitted = [
        search(net, {"alpha": [0, 1.0]}, cv=2, scoring=LOG_LOSS, n_jobs=n_jobs, refit=False)
        for n_jobs in (1, 2)
    ]
    scores = [one.fit(*two_classes).cv_results_["mean_test_score"] for one in fitted]
    assert_array_equal(*scores)


def test_a_random_state_is_copied_for_every_fit(two_classes):
    state = np.random.RandomState(3)
    before = pickle.dumps(state)
    ours, theirs = both(
        tiny(random_state=state), {"alpha": [0, 0.5]}, *two_classes, scoring=LOG_LOSS
    )
    assert_agree(ours, theirs)
    assert pickle.dumps(state) == before


# ------------------------------------------------------------------------ as an estimator


def test_the_arguments_stay_as_they_were(two_classes):
    net, grid = tiny(callbacks=[LooksAtBatches()]), {"mixing": [Mixup()], "alpha": [0, 1.0]}
    given, values = search(net, grid), {key: list(value) for key, value in grid.items()}
    before = dict(vars(net))
    given.fit(*two_classes)
    assert given.estimator is net
    assert given.param_grid is grid
    assert grid == values
    assert vars(net) == before
    assert not hasattr(net.callbacks[0], "batches_")


def test_a_fitted_search_can_be_pickled(three_classes):
    found = search(scoring=["accuracy", LOG_LOSS], refit=LOG_LOSS).fit(*three_classes)
    again = pickle.loads(pickle.dumps(found))
    assert_array_equal(
        again.predict_proba(three_classes[0]), found.predict_proba(three_classes[0])
    )
    assert_agree(again, found)


def test_fitting_again_replaces_everything(two_classes, three_classes):
    found = search(scoring=LOG_LOSS).fit(*two_classes).fit(*three_classes)
    assert_same_bits(found, search(scoring=LOG_LOSS).fit(*three_classes), three_classes[0])


def test_nested_cross_validation(three_classes):
    scores = [
        cross_val_score(
            kind(tiny(), ALPHAS, cv=2, scoring=LOG_LOSS),
            *three_classes,
            cv=3,
            error_score="raise",
        )
        for kind in (MixupSearchCV, GridSearchCV)
    ]
    assert_allclose(*scores, atol=1e-3)


def test_inside_a_grid_search(two_classes):
    inner = search(scoring=LOG_LOSS)
    grid = {"estimator__weight_decay": [0, 1.0], "cv": [2]}
    outer = GridSearchCV(inner, grid, cv=2, scoring="accuracy", error_score="raise")
    outer.fit(*two_classes)
    assert outer.best_estimator_.n_splits_ == outer.best_params_["cv"]
    assert np.isfinite(outer.cv_results_["mean_test_score"]).all()
