import pytest
from mixup_tab.displays.fitted_classifiers import check_classifiers
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

X, Y = [[0], [1]], [0, 1]


def test_what_can_be_drawn_is_let_through():
    check_classifiers({"one": LogisticRegression().fit(X, Y)}, "estimators")


@pytest.mark.parametrize(
    ("named", "kind", "message"),
    [
        ({}, ValueError, "models must hold at least one fitted classifier"),
        ({"one": LogisticRegression()}, NotFittedError, "not fitted"),
        ({"one": LinearSVC().fit(X, Y)}, TypeError, r"one has no predict_proba.*Calibrated"),
    ],
    ids=["none", "not fitted", "no probabilities"],
)
def test_what_cannot_be_drawn_is_refused(named, kind, message):
    with pytest.raises(kind, match=message):
        check_classifiers(named, "models")
