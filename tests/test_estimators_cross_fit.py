import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mixup_tab import BinnedMLP, MixupClassifier, MixupRegressor
from mixup_tab.estimators.checks import TrainingData
from mixup_tab.estimators.cross_fit import cross_fit, deal_folds, rows_of

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 3, "device": "cpu"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(2, 7), st.integers(0))
def test_folds_differ_by_one_row_at_most_in_all_and_in_every_class(codes, folds, seed):
    y = np.array(codes)
    fold_of = deal_folds(y, folds, seed)
    for rows in (fold_of, *(fold_of[y == k] for k in np.unique(y))):
        sizes = np.bincount(rows, minlength=folds)
        assert len(sizes) == folds
        assert np.ptp(sizes) <= 1
    assert_array_equal(fold_of, deal_folds(y, folds, seed))


def test_values_are_dealt_out_at_random():
    y = np.arange(30.0).reshape(-1, 1)
    one, other = deal_folds(y, 5, 0), deal_folds(y, 5, 1)
    assert np.bincount(one).tolist() == [6] * 5
    assert (one != other).any()


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_are_those_chosen(weighted):
    X, weight = np.arange(8.0).reshape(4, 2), np.arange(4.0) if weighted else None
    chosen = np.array([True, False, False, True])
    rows = rows_of(TrainingData(X, np.arange(4), weight), chosen)
    assert_array_equal(rows.X, X[[0, 3]])
    assert_array_equal(rows.y, [0, 3])
    assert (rows.sample_weight is None) == (not weighted)
    assert not weighted or rows.sample_weight.tolist() == [0, 3]


def look(estimator, rows):
    return estimator.predict(rows.X), rows


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["classes", "values"])
def test_every_job_is_the_estimator_alone_without_its_fold(kind, weighted, n_jobs, request):
    X, y = request.getfixturevalue("three_classes" if kind == "classes" else "line")
    make = MixupClassifier if kind == "classes" else MixupRegressor
    weight = np.random.default_rng(0).uniform(0.3, 2, 60) if weighted else None
    y = y if kind == "classes" else y.reshape(-1, 1)
    variants = [{}, {"module": BinnedMLP}, {"mixing": "cutmix", "alpha": 0.5}, {"dropout": 0.2}]
    fold_of = deal_folds(y, 3, 0)
    jobs = [(make(**{**SMALL, **params}), fold) for params in variants for fold in range(3)]
    data = TrainingData(X, y, weight)
    found = cross_fit(jobs, data, fold_of, look, n_outputs=3, n_jobs=n_jobs)
    for (one, fold), (predicted, rows) in zip(jobs, found, strict=True):
        kept = fold_of != fold
        alone = make(**one.get_params())
        alone.fit(X[kept], y[kept], None if weight is None else weight[kept])
        assert_array_equal(rows.X, X[~kept])
        assert_allclose(predicted, alone.predict(X[~kept]).reshape(predicted.shape), atol=1e-4)
        for ours, theirs in zip(
            one.net_.module_.parameters(), alone.net_.module_.parameters(), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_every_epoch_is_told_of(two_classes):
    told = []
    jobs = [(MixupClassifier(**SMALL), fold) for fold in range(3)]
    fold_of = deal_folds(two_classes[1], 3, 0)
    data = TrainingData(*two_classes, None)
    cross_fit(jobs, data, fold_of, look, n_outputs=2, on_epochs=told.append)
    assert sum(told) == 3 * 4


def test_a_fit_that_fails_is_an_error(two_classes):
    jobs = [(MixupClassifier(**{**SMALL, "learning_rate_init": 1e30}), fold) for fold in (0, 1)]
    fold_of = deal_folds(two_classes[1], 2, 0)
    with pytest.raises(ValueError, match="learning_rate_init"):
        cross_fit(jobs, TrainingData(*two_classes, None), fold_of, look, n_outputs=2)
