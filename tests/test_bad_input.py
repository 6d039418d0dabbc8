"""Bad input: what is raised, what the message says, and that nothing else changed.

Every case is tried on an unfitted estimator, which must stay unfitted, and on a fitted
one, which must keep its predictions bit for bit. Patterns look for the name of the
argument, the value and the remedy.
"""

import re
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.mixing import Mixup

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = np.arange(40) % 2
VALUES = X[:, 0] - X[:, 1]
WEIGHT = np.ones(40)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


class Case(NamedTuple):
    """Arguments that are wrong, and what has to be said about them."""

    error: type
    pattern: str
    params: Any = MappingProxyType({})
    X: Any = X
    y: Any = Y
    weight: Any = None


def state_of(estimator):
    return {name: id(value) for name, value in vars(estimator).items()}


def outputs_of(estimator):
    """Outputs on good rows, whatever was done to the estimator since."""
    return estimator.net_.raw_outputs(X)


def raises(case, fit, *args, **kwargs):
    with pytest.raises(case.error, match=f"(?s){case.pattern}") as caught:
        fit(*args, **kwargs)
    assert type(caught.value) is case.error


def stays_unfitted(estimator, case):
    before = state_of(estimator)
    raises(case, estimator.fit, case.X, case.y, sample_weight=case.weight)
    assert state_of(estimator) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)


def keeps_its_net(estimator, case):
    estimator.set_params(**case.params)
    before, outputs = state_of(estimator), outputs_of(estimator)
    raises(case, estimator.fit, case.X, case.y, sample_weight=case.weight)
    assert state_of(estimator) == before
    assert_array_equal(outputs_of(estimator), outputs)


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


# -------------------------------------------------------------------------- parameters


def outputs_three_axes(in_features, out_features):
    return nn.Sequential(
        nn.Linear(in_features, out_features), nn.Unflatten(1, (out_features, 1))
    )


def one_output_too_many(in_features, out_features):
    return nn.Linear(in_features, out_features + 1)


def not_a_module(in_features):
    return len


# By name: values, and what the message says would be right.
WRONG_VALUES = {
    "alpha": (
        [-0.1, float("nan"), float("inf"), "0.2", "Auto", None],
        r"\[0\.0, inf\).*'auto'",
    ),
    "mixing": ([3, Mixup, None], "MixingRule"),
    "hidden_layer_sizes": ([(8, 0), "128", (8.0,), (True,), None], "hidden_layer_sizes"),
    "module": (["mlp", 3], "callable or None"),
    "n_estimators": ([0, 1.5, "four"], r"\[1, inf\)"),
    "learning_rate_init": ([0, -0.1, float("inf"), "fast"], r"\(0\.0, inf\)"),
    "weight_decay": ([-1e-3], r"\[0\.0, inf\)"),
    "dropout": ([1.0, -0.1], r"\[0\.0, 1\.0\)"),
    "batch_size": ([0, "big", 0.5], r"\[1, inf\).*'auto'"),
    "max_epochs": ([0, "ten", None], r"\[1, inf\).*'auto'"),
    "mixing_span": ([(0.5, 0.5), (-1, 1), 0.5, "ab"], "0 <= start < end <= 1"),
    "early_stopping": (["yes"], "bool"),
    "validation_fraction": ([0, 1.0], r"\(0\.0, 1\.0\)"),
    "n_iter_no_change": ([0], r"\[1, inf\)"),
    "warm_start": (["yes"], "bool"),
    "callbacks": ([3, "loud", ["loud"]], "list"),
    "device": ([1.5], "torch.device"),
    "random_state": (["seed", 0.5, -1], "RandomState"),
    "verbose": (["loud", -1], r"int.*\[0, inf\)"),
}


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_a_wrong_parameter_is_named_with_its_value_and_what_would_be_right(kind):
    fitted = kind(**SMALL).fit(X, Y if kind is MixupClassifier else VALUES)
    before, outputs = state_of(fitted), outputs_of(fitted)
    wrong = {**WRONG_VALUES}
    if kind is MixupClassifier:
        wrong["class_weight"] = (["balance", 2.0], "'balanced'")
    for name, (values, right) in wrong.items():
        for value in values:
            unfitted = kind(**{**SMALL, name: value})
            with pytest.raises((ValueError, TypeError)) as caught:
                unfitted.fit(X, Y)
            for part in (name, re.escape(repr(value)), right):
                assert re.search(part, str(caught.value)), (name, value, caught.value)
            assert not hasattr(unfitted, "n_features_in_")
            with pytest.raises(type(caught.value)):
                fitted.set_params(**{name: value}).fit(X, Y)
            fitted.set_params(**{name: SMALL.get(name, getattr(kind(), name))})
    assert state_of(fitted).keys() == before.keys()
    assert_array_equal(outputs_of(fitted), outputs)


LARGE_RATE = "(nan|inf) in epoch 1.*Lower.*learning_rate_init"
PARAMETERS = {
    "mixing unknown": Case(ValueError, "mixing.*mixup.*'cutmax'", {"mixing": "cutmax"}),
    "module an instance": Case(
        TypeError, r"module must be.*Linear\(.*pass its class", {"module": nn.Linear(4, 2)}
    ),
    "module with a wrong width": Case(
        ValueError, r"module=one_output_too_many.*shape", {"module": one_output_too_many}
    ),
    "module with a wrong axis": Case(
        ValueError, r"module=outputs_three_axes.*shape", {"module": outputs_three_axes}
    ),
    "module makes no module": Case(
        TypeError, "module=not_a_module.*nn.Module", {"module": not_a_module}
    ),
    "validation fraction leaves nothing": Case(
        ValueError,
        "validation_fraction=0.99.*out of 40.*early_stopping=False",
        {"validation_fraction": 0.99, "early_stopping": True},
    ),
    "device unknown": Case(ValueError, "device='abacus'.*'cpu'", {"device": "abacus"}),
    "learning rate too high": Case(ValueError, LARGE_RATE, {"learning_rate_init": 1e30}),
    "learning rate too high in the last step": Case(
        ValueError,
        "learning_rate_init",
        {"learning_rate_init": 1e30, "max_epochs": 1, "batch_size": 40},
    ),
}
CLASSIFIER_PARAMETERS = {
    "class weight of another class": Case(
        ValueError,
        r"classes, \[1\], are not in class_weight",
        {"class_weight": {0: 1.0, 7: 2.0}},
    ),
    "class weight negative": Case(
        ValueError, "class_weight.*negative.*-1.0", {"class_weight": {0: 1.0, 1: -1.0}}
    ),
    "class weight zero": Case(ValueError, "class_weight", {"class_weight": {0: 0, 1: 0}}),
}
if not torch.cuda.is_available():
    PARAMETERS["no CUDA here"] = Case(ValueError, "device='cuda'.*'cpu'", {"device": "cuda"})


@cases(PARAMETERS | CLASSIFIER_PARAMETERS)
def test_parameters_of_the_classifier(case):
    stays_unfitted(MixupClassifier(**{**SMALL, **case.params}), case)
    keeps_its_net(MixupClassifier(**SMALL).fit(X, Y), case)


@cases(PARAMETERS)
def test_parameters_of_the_regressor(case):
    case = case._replace(y=VALUES)
    stays_unfitted(MixupRegressor(**{**SMALL, **case.params}), case)
    keeps_its_net(MixupRegressor(**SMALL).fit(X, VALUES), case)


# -------------------------------------------------------------------------------- data

HINT = "mixup_tab.TableEncoder"
words = pd.DataFrame({"a": ["x", "y"] * 20, "b": X[:, 0]})
dates = pd.DataFrame({"a": pd.date_range("2026-01-01", periods=40), "b": X[:, 0]})
gaps = pd.DataFrame(changed(X, 0, np.nan), columns=list("abcd"))

INPUTS = {
    "NaN": Case(ValueError, f"X contains NaN.*{HINT}", X=changed(X, (3, 1), np.nan)),
    "infinity": Case(ValueError, "X contains infinity", X=changed(X, (3, 1), np.inf)),
    "infinity in double precision": Case(
        ValueError, "X contains infinity", X=changed(X.astype(float), (3, 1), np.inf)
    ),
    "no rows": Case(ValueError, "0 sample", X=X[:0], y=Y[:0]),
    "no columns": Case(ValueError, "0 feature", X=X[:, :0]),
    "one axis": Case(ValueError, "Expected 2D array.*Reshape", X=X[:, 0]),
    "three axes": Case(ValueError, "dim 3.*module", X=X[..., None]),
    "one row": Case(ValueError, "1 (sample|row)", X=X[:1], y=Y[:1]),
    "too few targets": Case(ValueError, r"inconsistent.*\[40, 39\]", y=Y[:39]),
    "words": Case(ValueError, f"convert string.*{HINT}", X=words),
    "words in polars": Case(
        ValueError, f"convert string.*{HINT}", X=pl.DataFrame(words.to_dict("list"))
    ),
    "dates": Case(TypeError, HINT, X=dates),
    "gaps in pandas": Case(ValueError, f"NaN.*{HINT}", X=gaps),
    "gaps in nullable pandas": Case(ValueError, f"NaN.*{HINT}", X=gaps.convert_dtypes()),
    "sparse matrix": Case(TypeError, r"Sparse.*toarray", X=scipy.sparse.csr_matrix(X)),
    "sparse array": Case(TypeError, r"Sparse.*toarray", X=scipy.sparse.coo_array(X)),
    "complex": Case(ValueError, "Complex data not supported", X=X + 1j),
    "X None": Case(ValueError, "Expected 2D array", X=None),
    "weight negative": Case(
        ValueError, "Negative values.*sample_weight", weight=changed(WEIGHT, 2, -1)
    ),
    "weight zero": Case(ValueError, "[Ss]ample.weight.*zero", weight=0 * WEIGHT),
    "weight of one row only": Case(
        ValueError, "1 sample.*at least 2", weight=changed(0 * WEIGHT, 2, 1)
    ),
    "weight too short": Case(ValueError, r"sample_weight.*39.*40", weight=WEIGHT[:39]),
    "weight NaN": Case(ValueError, "sample_weight.*NaN", weight=changed(WEIGHT, 2, np.nan)),
    "weight with two axes": Case(ValueError, "weights must be 1D", weight=np.ones((40, 2))),
}

LABELS = {
    "one class": Case(ValueError, "y.*only one class.*at least 2", y=0 * Y),
    "continuous": Case(ValueError, "Unknown label type: continuous", y=VALUES),
    "multilabel": Case(ValueError, r"y should be a 1d array.*\(40, 2\)", y=np.eye(2)[Y]),
    "NaN": Case(ValueError, "y contains NaN", y=changed(Y.astype(float), 3, np.nan)),
    "None among words": Case(
        TypeError, r"\by\b.*None", y=np.array(["a", None] * 20, dtype=object)
    ),
    "words and numbers": Case(
        TypeError, r"\by\b.*str.*int", y=np.array(["a", 1] * 20, dtype=object)
    ),
    "integers as objects": Case(ValueError, "Unknown label type", y=Y.astype(object)),
    "missing": Case(ValueError, "requires y", y=None),
}

TARGETS = {
    "NaN": Case(ValueError, "y contains NaN", y=changed(VALUES, 3, np.nan)),
    "infinity": Case(ValueError, "y contains infinity", y=changed(VALUES, 3, np.inf)),
    "words": Case(ValueError, "convert string", y=np.array(["a", "b"] * 20)),
    "three axes": Case(ValueError, "dim 3", y=VALUES.reshape(40, 1, 1)),
    "missing": Case(ValueError, "requires y", y=None),
}


overflow = pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")


@overflow
@cases(INPUTS | {f"y {name}": case for name, case in LABELS.items()})
def test_data_of_the_classifier(case):
    stays_unfitted(MixupClassifier(**SMALL), case)
    keeps_its_net(MixupClassifier(**SMALL).fit(X, Y), case)


@overflow
@cases(INPUTS | {f"y {name}": case for name, case in TARGETS.items()})
def test_data_of_the_regressor(case):
    if case.y is Y:
        case = case._replace(y=VALUES)
    stays_unfitted(MixupRegressor(**SMALL), case)
    keeps_its_net(MixupRegressor(**SMALL).fit(X, VALUES), case)


# ------------------------------------------------------------------------ continuing


@pytest.mark.parametrize(
    "case",
    [
        Case(ValueError, r"labels.*classes=\[0, 1\].*\[2\]", y=Y + 1),
        Case(ValueError, "5 features.*expecting 4", X=np.column_stack([X, X[:, 0]])),
        Case(ValueError, "labels.*classes", y=np.array(["a", "b"])[Y]),
    ],
    ids=["labels", "features", "kind of labels"],
)
@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
def test_continuing_with_something_else(case, go_on):
    net = MixupClassifier(**SMALL, warm_start=True).fit(X, Y)
    before, outputs = state_of(net), outputs_of(net)
    raises(case, getattr(net, go_on), case.X, case.y)
    assert state_of(net) == before
    assert_array_equal(outputs_of(net), outputs)


def test_partial_fit_with_labels_that_were_not_named():
    net = MixupClassifier(**SMALL)
    before = state_of(net)
    case = Case(ValueError, r"classes=\[0, 3\].*\[1\]")
    raises(case, net.partial_fit, X, Y, classes=[0, 3])
    assert state_of(net) == before


def test_partial_fit_with_other_classes_than_before():
    net = MixupClassifier(**SMALL).partial_fit(X, Y, classes=[0, 1, 2])
    outputs = outputs_of(net)
    raises(Case(ValueError, r"classes=.*\[0, 1, 2\]"), net.partial_fit, X, Y, classes=[0, 1])
    assert_array_equal(outputs_of(net), outputs)


def test_partial_fit_with_another_number_of_values():
    net = MixupRegressor(**SMALL).fit(X, VALUES)
    outputs = outputs_of(net)
    raises(Case(ValueError, "y has 2 columns.*1"), net.partial_fit, X, X[:, :2])
    assert_array_equal(outputs_of(net), outputs)


# -------------------------------------------------------------------------- prediction

NAMED = pd.DataFrame(X, columns=list("abcd"))

PREDICTIONS = {
    "more features": Case(ValueError, "5 features.*expecting 4", X=np.ones((3, 5))),
    "fewer features": Case(ValueError, "3 features.*expecting 4", X=X[:, :3]),
    "other names": Case(ValueError, "feature names.*z", X=NAMED.rename(columns={"a": "z"})),
    "other order": Case(ValueError, "feature names.*order", X=NAMED[list("dcba")]),
    "NaN": Case(ValueError, f"X contains NaN.*{HINT}", X=NAMED.where(NAMED < 0)),
    "no rows": Case(ValueError, "0 sample", X=NAMED[:0]),
    "one row as a vector": Case(ValueError, "Expected 2D array.*Reshape", X=X[0]),
    "sparse": Case(TypeError, "Sparse.*toarray", X=scipy.sparse.csr_array(X)),
}


def test_numbers_that_a_module_of_the_users_cannot_hold():
    large = changed(X.astype(float), (3, 1), 1e60)
    case = Case(ValueError, "X contains infinity.*float32.*StandardScaler", X=large)
    stays_unfitted(MixupClassifier(**SMALL, module=nn.Linear), case)
    net = MixupClassifier(**SMALL, module=nn.Linear).fit(X, Y)
    raises(case, net.predict, large)  # not NaN without a word
    raises(case, net.predict_proba, large[3:4])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_prediction(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(MixupClassifier(), method)(X)
    net = MixupClassifier(**SMALL).fit(NAMED, Y)
    before, outputs = state_of(net), outputs_of(net)
    for case in PREDICTIONS.values():
        raises(case, getattr(net, method), case.X)
    assert state_of(net) == before
    assert_array_equal(outputs_of(net), outputs)


# ---------------------------------------------------------------- odd, but not an error


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_batch_larger_than_the_data_is_the_data(early_stopping):
    params = {**SMALL, "early_stopping": early_stopping}
    with pytest.warns(UserWarning, match="batch_size=1000.*'auto'"):
        net = MixupClassifier(**params, batch_size=1000).fit(X, Y)
    whole = MixupClassifier(**params, batch_size=40).fit(X, Y)
    assert_array_equal(net.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("y", [Y[:, None], pd.DataFrame(Y)], ids=["column", "frame"])
def test_labels_in_a_column(y):
    with pytest.warns(UserWarning, match="column-vector y"):
        net = MixupClassifier(**SMALL).fit(X, y)
    assert_array_equal(net.predict(X), MixupClassifier(**SMALL).fit(X, Y).predict(X))


def test_two_rows_are_enough():
    net = MixupClassifier(**SMALL).fit(X[:2], Y[:2])
    assert net.predict_proba(X).shape == (40, 2)


def test_a_constant_column_is_no_problem():
    net = MixupClassifier(**SMALL).fit(changed(X, (slice(None), 1), 5.0), Y)
    assert np.isfinite(net.predict_proba(X)).all()
