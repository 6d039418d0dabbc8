"""Bad input of searches: what is raised and said, what is kept, which fits count as failed.

Every case is tried on an unfitted search, which must stay unfitted, and on a fitted one,
which must keep all it has learned.
"""

import re
import types
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV

TINY = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.02,
    "max_epochs": 2,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
VALUES = X[:, 0] - X[:, 1]
NOTHING = types.MappingProxyType({})
ALPHAS = {"alpha": [0, 1.0]}
LOG_LOSS = "neg_log_loss"
TOO_FAST = 1e30


def tiny(**params):
    return MixupClassifier(**{**TINY, **params})


def search(grid=ALPHAS, estimator=None, **options):
    options = {"cv": 2, "scoring": LOG_LOSS, **options}
    return MixupSearchCV(tiny() if estimator is None else estimator, grid, **options)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


class Case(NamedTuple):
    """What is wrong, and what has to be said about it."""

    error: type
    pattern: str
    params: Any = NOTHING
    X: Any = X
    y: Any = Y
    fit_params: Any = NOTHING


def state_of(estimator):
    return {name: id(value) for name, value in vars(estimator).items()}


def refuses(estimator, case):
    before = state_of(estimator)
    with pytest.raises(case.error, match=f"(?s){case.pattern}"):
        estimator.fit(case.X, case.y, **case.fit_params)
    assert state_of(estimator) == before


def stays_unfitted(case):
    unfitted = search().set_params(**case.params)
    refuses(unfitted, case)
    assert not [name for name in vars(unfitted) if name.endswith("_")]


@pytest.fixture(scope="module")
def fitted():
    return search().fit(X, Y)


def keeps_what_it_has(case, fitted):
    params = fitted.get_params(deep=False)
    outputs = fitted.predict_proba(X)
    try:
        refuses(fitted.set_params(**case.params), case)
    finally:
        fitted.set_params(**params)
    assert_array_equal(fitted.predict_proba(X), outputs)


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


# ------------------------------------------------------------------------ the arguments


def grid(error, pattern, grid):
    return Case(error, pattern, {"param_grid": grid})


def wrong(error, pattern, **params):
    return Case(error, pattern, params)


class Own(nn.Linear):
    """A user's module."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


GRIDS = {
    "a list of nothing": grid(ValueError, "param_grid|[Nn]o fits|candidates", []),
    "no values": grid(ValueError, "'alpha'.*non-empty", {"alpha": []}),
    "a value outside a list": grid(TypeError, "'alpha'.*list.*0.2", {"alpha": 0.2}),
    "no dict": grid(ValueError, "param_grid", "alpha"),
    "unknown name": grid(ValueError, "'alhpa'.*Valid parameters", {"alhpa": [0.2]}),
    "alpha as text": grid((ValueError, TypeError), "alpha.*'much'", {"alpha": [0.2, "much"]}),
    "alpha negative": grid(ValueError, "alpha.*-1", {"alpha": [0.2, -1]}),
    "unknown mixing": grid(ValueError, "mixing.*'cutmax'", {"mixing": ["mixup", "cutmax"]}),
    "a module's instance": grid(TypeError, "module.*class", {"module": [None, Own(4, 3)]}),
}

ARGUMENTS = {
    "no estimator": wrong(ValueError, "estimator.*'net'", estimator="net"),
    "a class": wrong(TypeError, "class", estimator=MixupClassifier),
    "unknown scoring": wrong(ValueError, "scoring.*'acuracy'", scoring="acuracy"),
    "no scoring": wrong(ValueError, "[Ee]mpty|scoring", scoring=[], refit=False),
    "several metrics and none to refit": wrong(
        ValueError, "refit.*True", scoring=["accuracy", LOG_LOSS], refit=True
    ),
    "several metrics and another to refit": wrong(
        ValueError, "refit.*'f1'", scoring=["accuracy", LOG_LOSS], refit="f1"
    ),
    "several metrics from a function": wrong(
        ValueError, "refit.*True", scoring=lambda net, X, y: {"a": 1.0, "b": 2.0}
    ),
    "refit a number": wrong(ValueError, "refit.*3", refit=3),
    "one fold": wrong(ValueError, "cv.*2.*1 instead", cv=1),
    "more folds than rows": wrong(ValueError, "n_splits=100", cv=100),
    "no pairs": wrong(ValueError, "cv|[Nn]o fits", cv=[]),
    "groups missing": wrong(ValueError, "'groups'", cv=GroupKFold(2)),
    "error_score text": wrong(ValueError, "error_score.*'ignore'", error_score="ignore"),
    "no jobs": wrong(ValueError, "n_jobs *== *0", n_jobs=0),
}


@cases(GRIDS | ARGUMENTS)
def test_arguments(case, fitted):
    stays_unfitted(case)
    keeps_what_it_has(case, fitted)


@pytest.mark.parametrize("scoring", ["roc_auc", LOG_LOSS])
@pytest.mark.parametrize("several", [False, True], ids=["one metric", "several"])
def test_a_regressor_has_no_probabilities_to_score(scoring, several):
    options = {"scoring": ["r2", scoring], "refit": "r2"} if several else {"scoring": scoring}
    for end in (
        MixupRegressor(**TINY),
        make_pipeline(StandardScaler(), MixupRegressor(**TINY)),
    ):
        unfitted = search({}, end, **options)
        refuses(unfitted, Case(ValueError, f"scoring=.*{scoring}.*'r2'", y=VALUES))


def test_a_scorer_of_ones_own_of_probabilities_is_named():
    scorer = make_scorer(lambda y, p: 1.0, response_method="predict_proba")
    unfitted = search({}, MixupRegressor(**TINY), scoring=scorer)
    refuses(unfitted, Case(ValueError, "scoring=make_scorer.*predict_proba", y=VALUES))


# ---------------------------------------------------------------------------------- data

DATA = {
    "y missing": Case(ValueError, r"requires y|\by\b", y=None),
    "NaN": Case(ValueError, "X contains NaN.*TableEncoder", X=changed(X, slice(None), np.nan)),
    "X longer than y": Case(ValueError, r"inconsistent.*\[60, 59\]", y=Y[:59]),
    "no rows": Case(ValueError, "0|n_samples|n_splits", X=X[:0], y=Y[:0]),
    "one class": Case(ValueError, "only one class", y=0 * Y),
    "None among labels": Case(
        (TypeError, ValueError), r"\by\b|label", y=np.array(["a", None, "b"] * 20, dtype=object)
    ),
    "weights too short": Case(
        ValueError, "sample_weight.*59", fit_params={"sample_weight": np.ones(59)}
    ),
    "weights negative": Case(
        ValueError, "Negative values.*sample_weight", fit_params={"sample_weight": -np.ones(60)}
    ),
    "unknown argument": Case(
        (TypeError, ValueError), r"fit.*'wieght'", fit_params={"wieght": np.ones(60)}
    ),
}


@cases(DATA)
def test_data(case, fitted):
    case = case._replace(params={"cv": KFold(2)})
    stays_unfitted(case)
    keeps_what_it_has(case, fitted)


@cases({name: DATA[name] for name in ("y missing", "NaN", "X longer than y", "no rows")})
def test_data_of_a_regressor(case):
    y = VALUES[:59] if case.y is not None and len(case.y) == 59 else case.y
    regressor = search(ALPHAS, MixupRegressor(**TINY), scoring="r2")
    refuses(regressor, case._replace(y=y))


# -------------------------------------------------------------------- fits that fail


def fit_with_failures(**options):
    """Fit a search some fits of which fail; return it and the warnings."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = search(**{"error_score": -9.0, **options}).fit(X, Y)
    return found, told


def split_scores(found, metric="score"):
    keys = [f"split{k}_test_{metric}" for k in range(found.n_splits_)]
    return np.column_stack([found.cv_results_[key] for key in keys])


ONE_CLASS_FIRST = [(np.flatnonzero(Y == 1), np.arange(30)), (np.arange(30), np.arange(30, 60))]


def test_a_fold_with_a_single_class_is_scored_as_an_error():
    found, told = fit_with_failures(cv=ONE_CLASS_FIRST)
    assert_array_equal(split_scores(found)[:, 0], -9.0)
    alone = search(cv=ONE_CLASS_FIRST[1:]).fit(X, Y)
    assert_allclose(split_scores(found)[:, 1], split_scores(alone)[:, 0], atol=1e-5)
    assert [warning.category for warning in told] == [FitFailedWarning]
    message = str(told[0].message)
    assert "2 fits failed out of a total of 4" in message
    assert "set to -9.0" in message
    for alpha in ALPHAS["alpha"]:
        assert re.search(rf"{{'alpha': {alpha}}}: .*only one class, 1\b", message)


RATES = {"learning_rate_init": [0.02, TOO_FAST, 0.05], "dropout": [0, 0.3]}


@pytest.mark.parametrize("options", [{}, {"early_stopping": True, "n_estimators": 2}])
def test_nets_whose_loss_is_not_finite_leave_the_others_as_they_are(options):
    net = tiny(max_epochs=4, **options)
    found, told = fit_with_failures(grid=RATES, estimator=net, cv=3)
    fine = {**RATES, "learning_rate_init": [0.02, 0.05]}
    without = search(fine, net, cv=3).fit(X, Y)
    rates = found.cv_results_["param_learning_rate_init"]
    assert_array_equal(split_scores(found)[rates == TOO_FAST], -9.0)
    kept = split_scores(found)[rates != TOO_FAST]
    assert_allclose(kept, split_scores(without), atol=1e-5)
    assert [warning.category for warning in told] == [FitFailedWarning]
    assert str(told[0].message).count("3 fits failed with the following error") == 2
    assert str(told[0].message).count("Lower the learning rate (now 1e+30") == 2
    assert found.best_params_ == without.best_params_


def two_metrics(net, X, y):
    return {"a": float(net.score(X, y)), "b": 1.0}


@pytest.mark.parametrize(
    "scoring", [two_metrics, {"a": "accuracy", "b": LOG_LOSS}], ids=["function", "dict"]
)
@pytest.mark.parametrize("rates", [(TOO_FAST, 0.02)], ids=["first"])
def test_failures_get_the_error_score_for_every_metric(scoring, rates):
    options = {"scoring": scoring, "refit": "a", "return_train_score": True}
    found, _ = fit_with_failures(grid={"learning_rate_init": list(rates)}, **options)
    for metric in "ab":
        assert_array_equal(split_scores(found, metric)[rates.index(TOO_FAST)], -9.0)
        assert (split_scores(found, metric)[rates.index(0.02)] > -9.0).all()
        assert found.cv_results_[f"mean_train_{metric}"][rates.index(TOO_FAST)] == -9.0


def test_all_fits_failing_is_an_error():
    case = Case(ValueError, "All the 4 fits failed.*'alpha': 1.0.*Lower")
    options = {"estimator": tiny(learning_rate_init=TOO_FAST), "error_score": 0.0}
    refuses(search(**options), case)


def test_the_first_failure_is_raised_if_asked_to():
    unfitted = search({"learning_rate_init": [0.02, TOO_FAST]}, error_score="raise")
    before = state_of(unfitted)
    with pytest.raises(ValueError, match=r"Lower the learning rate \(now 1e\+30") as caught:
        unfitted.fit(X, Y)
    (note,) = caught.value.__notes__
    assert "{'learning_rate_init': 1e+30}" in note
    assert re.search("fold [01]", note)
    assert state_of(unfitted) == before


class Breaks(nn.Linear):
    """A user's module that cannot take the rows."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features + 1, out_features)


class LooksUp(nn.Linear):
    """A user's module that raises something else."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        raise KeyError(in_features)


@pytest.mark.parametrize("module", [Breaks, LooksUp])
def test_whatever_a_module_of_ones_own_raises_does_not_stop_the_search(module):
    grid = {"module": [None, module]}
    found, told = fit_with_failures(grid=grid)
    with pytest.warns(FitFailedWarning):
        theirs = GridSearchCV(tiny(), grid, cv=2, scoring=LOG_LOSS, error_score=-9.0).fit(X, Y)
    assert_allclose(split_scores(found), split_scores(theirs), atol=1e-3)
    assert [warning.category for warning in told] == [FitFailedWarning]
    assert "2 fits failed out of a total of 4" in str(told[0].message)


def test_a_refit_that_fails_leaves_what_was_learned_before(fitted):
    cv = [(np.arange(1, 60, 2), np.arange(2, 60, 2))]
    case = Case(ValueError, "X contains NaN", {"cv": cv}, X=changed(X, 0, np.nan))
    keeps_what_it_has(case, fitted)


# ---------------------------------------------------------------------- scorers that fail


def divides(net, X, y):
    return 1 / int(net.alpha)


def test_a_scorer_that_fails_is_scored_as_an_error():
    found, told = fit_with_failures(scoring=divides)
    assert_array_equal(split_scores(found), [[-9.0, -9.0], [1.0, 1.0]])
    assert {warning.category for warning in told} == {UserWarning}
    assert "ZeroDivisionError" in str(told[0].message)


@pytest.mark.parametrize("scoring", [divides, {"own": divides}], ids=["alone", "in a dict"])
def test_a_scorer_that_fails_raises_if_asked_to(scoring):
    unfitted = search(scoring=scoring, refit=False, error_score="raise")
    refuses(unfitted, Case(ZeroDivisionError, "division"))


def test_training_rows_that_lack_a_class_make_a_metric_of_probabilities_fail():
    few = np.flatnonzero(Y < 2)
    cv = [(few, np.arange(60)), (np.arange(0, 60, 2), np.arange(1, 60, 2))]
    found, told = fit_with_failures(cv=cv)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        options = {"cv": cv, "scoring": LOG_LOSS, "error_score": -9.0}
        theirs = GridSearchCV(tiny(), ALPHAS, **options).fit(X, Y)
    assert_allclose(split_scores(found), split_scores(theirs), atol=1e-3)
    assert {warning.category for warning in told} == {UserWarning}
