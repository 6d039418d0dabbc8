"""imbalanced-learn's contract, and its pipelines."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from mixup_tab.sampling import VicinalSampler

pytest.importorskip("imblearn", reason="needs the extra 'imbalance'")
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    estimator_checks_generator,
)

VARIANTS = [
    {},
    {"labels": "weighted", "keep": True},
    {"partners": "neighbors", "n_mixed": 3, "balance": True},
]


# Its own parametrize_with_checks hands pytest a generator, which pytest 9 warns of.
CHECKS = [
    (sampler, check)
    for params in VARIANTS
    for sampler, check in estimator_checks_generator(VicinalSampler(random_state=0, **params))
]


@pytest.mark.parametrize(
    ("sampler", "check"), CHECKS, ids=[f"{check.func.__name__}-{one}" for one, check in CHECKS]
)
def test_imbalanced_learn_contract(sampler, check):
    check(sampler)


@pytest.mark.parametrize(
    "check", [check_param_validation, check_dataframe_column_names_consistency]
)
def test_checks_that_imbalanced_learn_runs_on_its_own(check):
    check("VicinalSampler", VicinalSampler())


def pipeline(**params):
    sampler = VicinalSampler(random_state=0, **params)
    return make_pipeline(StandardScaler(), sampler, LogisticRegression())


def test_a_pipeline_trains_on_drawn_rows_and_predicts_the_given_ones(three_classes):
    X, y = three_classes
    fitted = pipeline(size=4.0).fit(X, y)
    assert fitted.predict(X[:7]).shape == (7,)
    scaler, _, alone = (step for _, step in fitted.steps)
    drawn = VicinalSampler(size=4.0, random_state=0).fit_resample(scaler.transform(X), y)
    np.testing.assert_array_equal(alone.coef_, LogisticRegression().fit(*drawn).coef_)


def test_a_search_over_the_sampler_in_a_pipeline(three_classes):
    grid = {"vicinalsampler__alpha": [0, 0.2], "vicinalsampler__balance": [False, True]}
    search = GridSearchCV(pipeline(), grid, cv=2, error_score="raise").fit(*three_classes)
    assert len(search.cv_results_["params"]) == 4


def test_probabilities_are_calibrated_on_rows_that_were_not_drawn(two_classes):
    X, y = two_classes
    rare = np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 == 0))
    X, y = X[rare], y[rare]
    balanced = pipeline(balance=True, size=4.0)
    raw = balanced.fit(X, y).predict_proba(X)[:, 1].mean()
    calibrated = CalibratedClassifierCV(balanced, method="sigmoid", cv=3).fit(X, y)
    assert raw > y.mean() + 0.1
    assert abs(calibrated.predict_proba(X)[:, 1].mean() - y.mean()) < 0.05
