"""scikit-learn's own contract, and the constructor's."""

import inspect
import re

import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    MixupSearchCV,
    VicinalSampler,
)

SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "max_epochs": 15}

REPEATED_WEIGHTS = (
    "A weight of 2 counts a row twice in the loss, but the row is drawn and mixed once, so "
    "repeating the row gives other batches and other partners."
)
XFAIL_STRICT = "xfail_strict" in inspect.signature(parametrize_with_checks).parameters


def expected_failed_checks(estimator):
    return {"check_sample_weight_equivalence_on_dense_data": REPEATED_WEIGHTS}


CANDIDATES = [{"alpha": 0.2, "max_epochs": 20}, {"alpha": 0, "max_epochs": 20}]
ESTIMATORS = [
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    MixupSearchCV,
    VicinalSampler,
]


def search(net):
    """A search as scikit-learn checks its own."""
    return MixupSearchCV(net, {"alpha": [0, 0.2]}, cv=2, error_score="raise")


# From scikit-learn's own look at y with infinite values, before it splits the rows.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
@parametrize_with_checks(
    [
        MixupClassifier(**SMALL),
        MixupRegressor(**SMALL),
        MixupEnsembleClassifier(candidates=[{**SMALL, **one} for one in CANDIDATES], cv=2),
        MixupEnsembleRegressor(candidates=[{**SMALL, **one} for one in CANDIDATES], cv=2),
        search(MixupClassifier(**SMALL, random_state=0)),
        search(MixupRegressor(**SMALL, random_state=0)),
    ],
    expected_failed_checks=expected_failed_checks,
    **({"xfail_strict": True} if XFAIL_STRICT else {}),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def section(estimator, title):
    """Entries (name, description of the type) of a numpydoc section."""
    text = inspect.getdoc(estimator).split(f"{title}\n{'-' * len(title)}\n")[1]
    text = re.split(r"\n[\w ]+\n-+\n", text)[0]
    return re.findall(r"^(\w[\w, ]*?)(?: : (.*))?$", text, flags=re.M)


def names_in(entries):
    return [name for names, _ in entries for name in names.split(", ")]


EVERY = pytest.mark.parametrize("estimator", ESTIMATORS)


@EVERY
def test_no_more_parameters_than_the_net_of_scikit_learn(estimator):
    counts = [len(inspect.signature(each).parameters) for each in (estimator, MLPClassifier)]
    assert counts[0] <= counts[1]


@EVERY
def test_docstring_lists_the_parameters_with_their_defaults(estimator):
    documented = [
        (name, kind.partition("default=")[2].replace('"', "'"))
        for name, kind in section(estimator, "Parameters")
    ]
    parameters = inspect.signature(estimator).parameters.values()
    defaults = ["" if p.default is p.empty else repr(p.default) for p in parameters]
    assert documented == list(zip([p.name for p in parameters], defaults, strict=True))


@pytest.mark.parametrize("estimator", [MixupClassifier, MixupRegressor])
def test_docstring_lists_the_fitted_attributes(estimator, two_classes):
    X, y = two_classes
    more = {"quantiles": (0.5,)} if estimator is MixupRegressor else {}
    fitted = estimator("auto", max_epochs=1, early_stopping=True, **more).fit(X, y)
    public = {name for name in vars(fitted) if name.endswith("_") and name[0] != "_"}
    documented = set(names_in(section(estimator, "Attributes")))
    assert documented == public | {"feature_names_in_"}


def test_docstring_lists_the_attributes_of_a_fitted_search(two_classes):
    net = MixupClassifier(max_epochs=1)
    fitted = MixupSearchCV(net, {"alpha": [0]}, cv=2).fit(*two_classes)
    theirs = names_in(section(GridSearchCV, "Attributes"))
    documented = names_in(section(MixupSearchCV, "Attributes"))
    assert sorted(documented) == sorted(theirs)
    assert {name for name in vars(fitted) if name.endswith("_")} <= set(documented)
    assert all(hasattr(fitted, name) for name in {*documented} - {"feature_names_in_"})


@pytest.mark.parametrize("kind", [MixupEnsembleClassifier, MixupEnsembleRegressor])
def test_docstring_lists_the_attributes_of_a_fitted_ensemble(kind, two_classes):
    fitted = kind(candidates=CANDIDATES, cv=2).fit(*two_classes)
    public = {name for name in vars(fitted) if name.endswith("_") and name[0] != "_"}
    documented = set(names_in(section(kind, "Attributes")))
    assert documented == public | {"feature_names_in_"}
