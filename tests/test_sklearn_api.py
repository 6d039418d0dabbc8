"""scikit-learn's own contract, and the constructor's."""

import inspect
import re

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab import MixupClassifier, MixupRegressor

SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "max_epochs": 15}

REPEATED_WEIGHTS = (
    "A weight of 2 counts a row twice in the loss, but the row is drawn and mixed once, so "
    "repeating the row gives other batches and other partners."
)
XFAIL_STRICT = "xfail_strict" in inspect.signature(parametrize_with_checks).parameters


def expected_failed_checks(estimator):
    return {"check_sample_weight_equivalence_on_dense_data": REPEATED_WEIGHTS}


@parametrize_with_checks(
    [MixupClassifier(**SMALL), MixupRegressor(**SMALL)],
    expected_failed_checks=expected_failed_checks,
    **({"xfail_strict": True} if XFAIL_STRICT else {}),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def section(estimator, title):
    """Entries (name, description of the type) of a numpydoc section."""
    text = inspect.getdoc(estimator).split(f"{title}\n{'-' * len(title)}\n")[1]
    text = re.split(r"\n\w+\n-+\n", text)[0]
    return re.findall(r"^(\w[\w, ]*) : (.*)$", text, flags=re.M)


@pytest.mark.parametrize("estimator", [MixupClassifier, MixupRegressor])
def test_at_most_twenty_parameters(estimator):
    assert len(inspect.signature(estimator).parameters) <= 20


@pytest.mark.parametrize("estimator", [MixupClassifier, MixupRegressor])
def test_docstring_lists_the_parameters_with_their_defaults(estimator):
    documented = [
        (name, kind.rsplit("default=", 1)[1].replace('"', "'"))
        for name, kind in section(estimator, "Parameters")
    ]
    parameters = inspect.signature(estimator).parameters.values()
    assert documented == [(p.name, repr(p.default)) for p in parameters]


@pytest.mark.parametrize("estimator", [MixupClassifier, MixupRegressor])
def test_docstring_lists_the_fitted_attributes(estimator, two_classes):
    X, y = two_classes
    fitted = estimator("auto", max_epochs=1, early_stopping=True).fit(X, y)
    public = {name for name in vars(fitted) if name.endswith("_") and name[0] != "_"}
    names = [name for name, _ in section(estimator, "Attributes")]
    documented = {name for entry in names for name in entry.split(", ")}
    assert documented == public | {"feature_names_in_"}
