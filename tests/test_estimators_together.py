"""Estimators that are fitted together end as their own fits would leave them."""

import copy
import pickle
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.estimators.fitting import count_weights
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.estimators.together import Rows, fit_together, plan_chunks
from mixup_tab.training.stopping import TrainingAborted

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
KINDS = {"classes": MixupClassifier, "values": MixupRegressor}


def small(kind="classes", **params):
    return KINDS[kind](**{**SMALL, **params})


def outputs(estimator, X):
    if isinstance(estimator, MixupClassifier):
        return estimator.predict_proba(X)
    return estimator.predict(X)


def fit_own(estimator, *rows):
    try:
        return copy.deepcopy(estimator).fit(*rows)
    except (ValueError, TypeError) as error:
        return error


def public(estimator):
    return {name for name in vars(estimator) if name.endswith("_") and name[0] != "_"}


def assert_same(fitted, own, X, rtol=1e-4):
    """Compare fitted attributes and outputs."""
    assert public(fitted) == public(own)
    for name in public(own) - {"net_"}:
        one, other = getattr(fitted, name), getattr(own, name)
        if isinstance(other, np.ndarray):
            assert_array_equal(one, other)
        elif isinstance(other, list):
            assert_allclose(one, other, rtol=rtol, atol=1e-4)
        elif isinstance(other, dict):
            assert_allclose(list(one.values()), list(other.values()), rtol=rtol)
        else:
            assert one == other
    assert_allclose(outputs(fitted, X), outputs(own, X), rtol=rtol, atol=1e-3)


def assert_fits_are_own(estimators, rows):
    """Fit together, and compare each with its own fit."""
    rows = [rows] * len(estimators) if isinstance(rows, Rows) else rows
    expected = [
        fit_own(estimator, *part) for estimator, part in zip(estimators, rows, strict=True)
    ]
    assert fit_together(estimators, rows) == [None] * len(estimators)
    for estimator, own, part in zip(estimators, expected, rows, strict=True):
        assert_same(estimator, own, part.X)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def rows(kind, three_classes, line):
    """Sixty rows for a classifier or a regressor."""
    return Rows(*(three_classes if kind == "classes" else line))


# ------------------------------------------------------------------- equal to own fits


def test_estimators_that_differ_equal_their_own_fits(kind, rows, noisy_net):
    """Those of one stack, of stacks of their own, and those that are fitted alone."""
    params = [
        *[{}, {"alpha": 0, "learning_rate_init": 0.01}, {"weight_decay": 0.0, "dropout": 0.3}],
        *[{"n_estimators": 3, "max_epochs": 1}, {"random_state": np.int64(2)}],
        {"early_stopping": True, "n_iter_no_change": 1},
        *[{"hidden_layer_sizes": (4, 4)}, {"max_epochs": "auto", "batch_size": 60}],
        *[{"module": noisy_net}, {"alpha": "auto"}],
    ]
    assert_fits_are_own([small(kind, **part) for part in params], rows)


def test_folds_and_weights_are_each_estimators_own(kind, rows):
    weight = np.random.default_rng(0).uniform(0.1, 3, 60)
    weight[::7] = 0
    X, y, _ = rows
    parts = [rows, Rows(X[:40], y[:40]), Rows(X, y, weight), Rows(X[5:], y[5:], weight[5:])]
    assert_fits_are_own([small(kind) for _ in parts], parts)


def test_class_weight_is_each_classifiers_own(three_classes):
    X, y = three_classes
    rows = Rows(X[:45], y[:45])
    weights = [None, "balanced", {0: 5.0, 2: 0.5}, None]
    estimators = [small(class_weight=weight) for weight in weights]
    assert_fits_are_own(estimators, rows)
    assert not np.allclose(outputs(estimators[0], X), outputs(estimators[1], X))


def test_rows_of_every_form_side_by_side(three_classes, line):
    """Named columns, lists, labels of any kind, several values, classes beside values."""
    X, y = three_classes
    frame = pd.DataFrame(X, columns=list("abcd"))
    parts = [
        *[Rows(frame, y), Rows(X.tolist(), y.tolist())],
        Rows(X, np.array(["eel", "cat", "dog"])[y]),
        Rows(line[0], np.c_[line[1], -line[1]]),
    ]
    estimators = [small(), small(), small(), small("values")]
    assert_fits_are_own(estimators, parts)
    assert estimators[0].feature_names_in_.tolist() == list("abcd")
    assert estimators[2].classes_.tolist() == ["cat", "dog", "eel"]


def test_parameters_and_data_are_left_as_they_are(kind, rows):
    copies = copy.deepcopy(rows)
    estimators = [small(kind), small(kind, max_epochs=2)]
    before = [estimator.get_params() for estimator in estimators]
    fit_together(estimators, [rows, rows])
    assert_array_equal(rows.X, copies.X)
    assert_array_equal(rows.y, copies.y)
    assert [estimator.get_params() for estimator in estimators] == before


def test_fitted_estimators_start_afresh_or_warm(kind, rows):
    again = small(kind).fit(rows.X[:, :3], rows.y)
    warm = small(kind, warm_start=True).fit(*rows)
    assert_fits_are_own([again, warm, small(kind)], rows)
    assert again.n_features_in_ == 4
    assert warm.n_iter_ == 6


def test_no_estimators():
    assert fit_together([], []) == []


# ----------------------------------------------------------------------------- errors


def message(error):
    """What an error says, whether a loss became infinite or NaN."""
    return re.sub(r"became (inf|nan)", "became inf", str(error))


def test_what_fails_gets_the_error_of_its_own_fit(kind, rows):
    params = [
        *[{}, {"alpha": -1}, {"learning_rate_init": 1e30}, {"max_epochs": "ten"}],
        {"validation_fraction": 0.99, "early_stopping": True},
        {"alpha": "auto", "learning_rate_init": 1e30},
    ]
    estimators = [small(kind, **part) for part in params]
    expected = [fit_own(estimator, *rows) for estimator in estimators]
    errors = fit_together(estimators, [rows] * len(params))
    assert errors[0] is None
    assert_same(estimators[0], expected[0], rows.X)
    for estimator, error, own in zip(estimators[1:], errors[1:], expected[1:], strict=True):
        assert type(error) is type(own)
        assert message(error) == message(own)
        assert not public(estimator)
    failed = estimators[2].set_params(learning_rate_init=0.01)
    assert_fits_are_own([failed, small(kind)], rows)


def flat(input_shape, out_features):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), out_features))


def test_rows_that_one_net_takes_may_be_refused_by_another(three_classes):
    rows = Rows(three_classes[0].reshape(60, 2, 2), three_classes[1])
    bad = Rows(np.full((60, 4), np.nan), rows.y)
    estimators = [small(module=flat), small(), small()]
    errors = fit_together(estimators, [rows, rows, bad])
    assert errors[0] is None
    assert message(errors[1]) == message(fit_own(small(), *rows))
    assert "Input X contains NaN" in str(errors[2])


def test_on_epochs_counts_all_epochs_and_may_end_everything(kind, rows, noisy_net):
    def interrupt(epochs):
        raise KeyboardInterrupt

    estimators = [small(kind), small(kind, max_epochs=7), small(kind, module=noisy_net)]
    with pytest.raises(KeyboardInterrupt):
        fit_together(estimators, [rows] * 3, interrupt)
    assert not any(hasattr(estimator, "net_") for estimator in estimators)
    counts = []
    fit_together(estimators, [rows] * 3, counts.append)
    assert sum(counts) == 3 + 7 + 3


# ------------------------------------------------------------------------- plan_chunks

counts = st.lists(st.integers(1, 10**7), max_size=300)


@given(counts)
@settings(max_examples=100, deadline=None)
def test_chunks_are_an_even_partition_in_order(n_weights):
    threads, chunks = torch.get_num_threads(), plan_chunks(n_weights)
    assert [position for chunk in chunks for position in chunk] == list(range(len(n_weights)))
    sizes = [len(chunk) for chunk in chunks] or [1]
    assert 1 <= min(sizes) <= max(sizes) <= min(min(sizes) + 1, 64)
    torch.set_num_threads(1)
    try:
        assert plan_chunks(tuple(n_weights)) == chunks
    finally:
        torch.set_num_threads(threads)


@given(st.integers(1, 300), st.integers(1, 10**7))
@settings(max_examples=100, deadline=None)
def test_a_chunk_of_equal_nets_exceeds_the_cache_by_less_than_one_net(count, size):
    budget = 16 * 20_738  # weights of sixteen 30-128-128-2 nets
    for chunk in plan_chunks([size] * count):
        assert (len(chunk) - 1) * size < budget


def test_small_searches_keep_a_power_of_two_of_workers_busy():
    assert {len(plan_chunks([100] * count)) for count in range(8, 65)} <= {2, 4, 8}


def test_count_weights_is_what_is_trained(kind, rows):
    sizes = [(), 5, np.array([7, 3])]
    for params in [{"n_estimators": 3}, *({"hidden_layer_sizes": size} for size in sizes)]:
        fitted = small(kind, embedding="none", **params).fit(*rows)
        weights = sum(parameter.numel() for parameter in fitted.net_.module_.parameters())
        assert count_weights(fitted, 4, 3 if kind == "classes" else 1) == weights, params


# ----------------------------------------------------------------------------- Monitor


def test_a_monitor_adds_up_what_threads_report():
    epochs = []

    def work():
        with monitor.task():
            for _ in range(50):
                monitor.report(1)

    with Monitor(epochs.append) as monitor:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(epochs) == 200


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_stops_all_tasks_and_waits_for_them(error):
    ended, begun = [], threading.Event()

    def work():
        try:
            with monitor.task():
                begun.set()
                while True:
                    time.sleep(0.01)
                    monitor.report(1)
        except TrainingAborted:
            ended.append(True)

    other = Monitor()
    with pytest.raises(error), Monitor() as monitor:  # noqa: PT012
        threading.Thread(target=work).start()
        begun.wait()
        raise error
    time.sleep(0.1)
    assert ended == [True]
    with pytest.raises(TrainingAborted), monitor.task():
        raise AssertionError("must not begin")
    with other.task():
        other.report(1)


def test_a_copy_of_a_monitor_in_another_process_reports_to_nobody():
    epochs = []
    with Monitor(epochs.append) as monitor:
        copied = pickle.loads(pickle.dumps(monitor))
        with copied.task():
            copied.report(3)
    assert epochs == []


def test_a_clone_shares_nothing(kind, rows):
    estimators = [small(kind), small(kind)]
    fit_together(estimators, [rows, rows])
    before = outputs(estimators[1], rows.X)
    clone(estimators[0]).fit(*rows)
    estimators[0].set_params(warm_start=True).fit(*rows)
    assert_array_equal(outputs(estimators[1], rows.X), before)
