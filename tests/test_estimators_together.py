"""Estimators that are fitted together end as their own fits would leave them."""

import copy
import pickle
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch import nn

from mixup_tab import MLP, Mixup, MixupClassifier, MixupRegressor
from mixup_tab.estimators.together import (
    Rows,
    count_weights,
    fit_together,
    path_of,
    plan_chunks,
)
from mixup_tab.training import KeepBestWeights, LearningRate, MixupNet

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0}
KINDS = {"classes": MixupClassifier, "values": MixupRegressor}


def small(kind="classes", **params):
    return KINDS[kind](**{**SMALL, **params})


def constant(**params):
    return small(callbacks=[LearningRate("constant")], **params)


def outputs(estimator, X):
    if isinstance(estimator, MixupClassifier):
        return estimator.predict_proba(X)
    return estimator.predict(X)


def fit_own(estimator, *rows):
    try:
        return clone(estimator).fit(*rows)
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
    expected = [fit_own(*pair) for pair in map(lambda e, r: (e, *r), estimators, rows)]
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

DIFFERENCES = {
    "alpha": [{"alpha": alpha} for alpha in (0, 0.2, 1.0)],
    "optimizer": [{"learning_rate_init": 0.01}, {"weight_decay": 0.0}, {}],
    "nets": [{"dropout": 0.3}, {"n_estimators": 3}, {"hidden_layer_sizes": (4, 4)}],
    "epochs": [{"max_epochs": 1}, {"max_epochs": "auto", "batch_size": 30}, {}],
    "early stopping": [
        {"early_stopping": True, "validation_fraction": share, "n_iter_no_change": 1}
        for share in (0.1, 0.3)
    ],
    "seeds": [{"random_state": seed} for seed in (1, np.int64(2), 2**40)],
    "rules": [{"mixing": Mixup(folded=True)}, {"mixing": "mixup"}, {"mixing_span": (0.4, 1)}],
    "module": [{"module": MLP}, {}],
}


@pytest.mark.parametrize("params", DIFFERENCES.values(), ids=DIFFERENCES)
def test_estimators_that_differ_equal_their_own_fits(params, kind, rows):
    assert_fits_are_own([small(kind, **part) for part in params], rows)


def test_a_users_module_equals_its_own_fit(kind, rows, noisy_net):
    assert_fits_are_own([small(kind), small(kind, module=noisy_net), small(kind)], rows)


def test_choosing_alpha_equals_its_own_fit(kind, rows):
    estimators = [small(kind), small(kind, alpha="auto", max_epochs=2)]
    assert_fits_are_own(estimators, rows)
    assert len(estimators[1].alpha_scores_) == 4


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
    assert_allclose(*(outputs(estimators[k], X) for k in (0, 3)), rtol=1e-5)
    assert not np.allclose(outputs(estimators[0], X), outputs(estimators[1], X))


def test_any_labels_come_back(three_classes):
    X, y = three_classes
    estimators = [small(alpha=alpha, max_epochs=30) for alpha in (0, 0.2)]
    fit_together(estimators, [Rows(X, np.array(["eel", "cat", "dog"])[y])] * 2)
    for estimator in estimators:
        assert estimator.classes_.tolist() == ["cat", "dog", "eel"]
        assert set(estimator.predict(X)) <= {"cat", "dog", "eel"}


def test_names_of_columns_are_kept(kind, rows):
    frame = pd.DataFrame(rows.X, columns=list("abcd"))
    assert_fits_are_own([small(kind), small(kind, alpha=0)], Rows(frame, rows.y))
    estimators = [small(kind), small(kind, alpha=0)]
    fit_together(estimators, [Rows(frame, rows.y)] * 2)
    assert [list(e.feature_names_in_) for e in estimators] == [list("abcd")] * 2


def test_several_outputs(line):
    X, y = line
    rows = Rows(X, np.c_[y, -y, 2 * y + 1])
    assert_fits_are_own([small("values"), small("values", alpha=0)], rows)


def test_classifiers_and_regressors_side_by_side(three_classes, line):
    estimators = [small("classes"), small("values")]
    assert_fits_are_own(estimators, [Rows(*three_classes), Rows(*line)])


def test_equal_values_in_different_objects(three_classes):
    X, y = three_classes
    parts = [Rows(X, y), Rows(X.astype(np.float64), y.tolist()), Rows(X.tolist(), y)]
    assert_fits_are_own([small() for _ in parts], parts)


def test_parameters_and_data_are_left_as_they_are(kind, rows):
    copies = copy.deepcopy(rows)
    estimators = [constant(kind=kind), constant(kind=kind, max_epochs=2)]
    before = [estimator.get_params() for estimator in estimators]
    fit_together(estimators, [rows, rows])
    assert_array_equal(rows.X, copies.X)
    assert_array_equal(rows.y, copies.y)
    assert [estimator.get_params() for estimator in estimators] == before


def test_a_fitted_estimator_is_fitted_afresh(kind, rows):
    again = small(kind).fit(rows.X[:, :3], rows.y)
    fresh = small(kind, alpha=0)
    own = [clone(again).fit(*rows), clone(fresh).fit(*rows)]
    assert fit_together([again, fresh], [rows, rows]) == [None, None]
    for fitted, expected in zip((again, fresh), own, strict=True):
        assert fitted.n_features_in_ == 4
        assert_allclose(outputs(fitted, rows.X), outputs(expected, rows.X), atol=1e-3)


def test_a_warm_start_goes_on(kind, rows):
    warm = small(kind, warm_start=True).fit(*rows)
    expected = copy.deepcopy(warm).fit(*rows)
    assert fit_together([warm, small(kind)], [rows, rows]) == [None, None]
    assert warm.n_iter_ == expected.n_iter_ == 8
    assert_allclose(outputs(warm, rows.X), outputs(expected, rows.X), atol=1e-3)


def test_no_estimators():
    assert fit_together([], []) == []


# ----------------------------------------------------------------------------- errors


def message(error):
    """What an error says, whether a loss became infinite or NaN."""
    return re.sub(r"became (inf|nan)", "became inf", str(error))


def test_what_fails_gets_the_error_of_its_own_fit(kind, rows):
    params = [
        *[{}, {"alpha": -1}, {"dropout": 3}, {"learning_rate_init": 1e30}],
        *[{"validation_fraction": 0.99, "early_stopping": True}, {"max_epochs": "ten"}],
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
        assert not hasattr(estimator, "net_")


def test_bad_rows_fail_and_good_ones_do_not(kind, rows):
    bad = Rows(np.full((60, 4), np.nan), rows.y)
    estimators = [small(kind) for _ in range(3)]
    errors = fit_together(estimators, [bad, rows, bad])
    assert errors[1] is None
    for error in (errors[0], errors[2]):
        assert "Input X contains NaN" in str(error)
    assert_same(estimators[1], small(kind).fit(*rows), rows.X)


def flat(input_shape, out_features):
    return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(input_shape)), out_features))


def test_rows_that_one_net_takes_may_be_refused_by_another(three_classes):
    rows = Rows(three_classes[0].reshape(60, 2, 2), three_classes[1])
    estimators = [small(module=flat), small()]
    errors = fit_together(estimators, [rows, rows])
    assert errors[0] is None
    assert message(errors[1]) == message(fit_own(small(), *rows))


def test_an_exception_of_on_epochs_ends_everything(kind, rows):
    def on_epochs(epochs):
        raise KeyboardInterrupt

    estimators = [small(kind), small(kind, alpha=0)]
    with pytest.raises(KeyboardInterrupt):
        fit_together(estimators, [rows, rows], on_epochs)
    assert not any(hasattr(estimator, "net_") for estimator in estimators)


def test_on_epochs_counts_all_epochs(kind, rows, noisy_net):
    estimators = [small(kind), small(kind, max_epochs=7), small(kind, module=noisy_net)]
    counts = []
    fit_together(estimators, [rows] * 3, counts.append)
    assert sum(counts) == 4 + 7 + 4


def test_what_failed_can_be_fitted_again_beside_others(kind, rows):
    again, fresh = small(kind, learning_rate_init=1e30), small(kind)
    assert isinstance(fit_together([again], [Rows(rows.X[:, :3], rows.y)])[0], ValueError)
    again.set_params(learning_rate_init=0.01)
    assert_fits_are_own([again, fresh], rows)


# --------------------------------------------------- one run for several numbers of epochs

EPOCHS = (3, 9, 1, 6, 3)


@pytest.fixture
def trained(monkeypatch):
    """Numbers of epochs of the nets that are really trained."""
    epochs, begin = [], MixupNet.on_train_begin

    def on_train_begin(net, *args, **kwargs):
        epochs.append(net.max_epochs)
        begin(net, *args, **kwargs)

    monkeypatch.setattr(MixupNet, "on_train_begin", on_train_begin)
    return epochs


@pytest.mark.parametrize(
    "params", [{}, {"n_estimators": 2, "dropout": 0.3}, {"module": MLP}], ids=str
)
def test_estimators_that_differ_in_epochs_alone_share_a_run(params, kind, rows, trained):
    estimators = [constant(kind=kind, max_epochs=epochs, **params) for epochs in EPOCHS]
    assert_fits_are_own(estimators, rows)
    assert trained[len(EPOCHS) :] == [9]
    assert [estimator.n_iter_ for estimator in estimators] == list(EPOCHS)


def test_a_users_module_can_be_read_off(kind, rows, noisy_net, trained):
    params = {"module": noisy_net, "n_estimators": 2}
    estimators = [constant(kind=kind, max_epochs=epochs, **params) for epochs in (2, 4)]
    assert_fits_are_own(estimators, rows)
    assert trained[2:] == [4]


def test_readers_of_a_run_are_independent_nets(kind, rows):
    estimators = [constant(kind=kind, max_epochs=epochs) for epochs in (9, 9, 2)]
    fit_together(estimators, [rows] * 3)
    before = [outputs(estimator, rows.X) for estimator in estimators]
    estimators[0].net_.module_.weight0.data.zero_()
    for estimator, old in zip(estimators[1:], before[1:], strict=True):
        assert_array_equal(outputs(estimator, rows.X), old)


@pytest.mark.parametrize("patience", [1, 3])
def test_readers_of_a_run_that_stops_early(patience, kind, rows, trained):
    params = {"early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.1}
    estimators = [
        constant(kind=kind, max_epochs=epochs, n_iter_no_change=patience, **params)
        for epochs in (1, 2, 3, 4, 5, 6, 7, 8, 30, 60)
    ]
    assert_fits_are_own(estimators, rows)
    assert trained[len(estimators) :] == [60]
    assert estimators[-1].n_iter_ == estimators[-2].n_iter_ < 30


def test_readers_of_an_ensemble_whose_members_stop_at_different_times(three_classes):
    params = {"early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.1}
    params |= {"n_estimators": 3, "n_iter_no_change": 3}
    estimators = [constant(max_epochs=epochs, **params) for epochs in (2, 5, 9, 12, 20)]
    assert_fits_are_own(estimators, Rows(*three_classes))


# The weights are multiplied by -4 in every step.
EXPLOSIVE = {"learning_rate_init": 1.0, "weight_decay": 5.0}
EXPLOSIVE |= {"mixing": "mixup", "n_estimators": 1}


def test_readers_of_a_run_that_diverges(kind, rows):
    estimators = [constant(kind=kind, max_epochs=e, **EXPLOSIVE) for e in range(1, 17)]
    expected = [fit_own(estimator, *rows) for estimator in estimators]
    errors = fit_together(estimators, [rows] * len(estimators))
    failed = [isinstance(own, ValueError) for own in expected]
    assert any(failed)
    assert not all(failed)
    assert [isinstance(error, ValueError) for error in errors] == failed
    for estimator, error, own in zip(estimators, errors, expected, strict=True):
        assert hasattr(estimator, "net_") == (error is None)
        if error is not None:
            assert str(error).split(" in epoch ")[1] == str(own).split(" in epoch ")[1]
        else:
            assert_same(estimator, own, rows.X, rtol=1e-2)


def test_a_long_run_that_fails_in_its_last_step(three_classes):
    rows = Rows(*three_classes)
    own = [fit_own(constant(max_epochs=e, **EXPLOSIVE), *rows) for e in range(1, 17)]
    first = next(k for k, fit in enumerate(own) if isinstance(fit, ValueError))
    estimators = [constant(max_epochs=e, **EXPLOSIVE) for e in (first, first + 1)]
    errors = fit_together(estimators, [rows] * 2)
    assert errors[0] is None
    assert f"in epoch {first + 1}" in str(errors[1])


@pytest.mark.parametrize(
    "params",
    [
        [{"max_epochs": 2}, {"max_epochs": 4}],
        [{"max_epochs": n, "callbacks": [LearningRate("cosine")]} for n in (2, 4)],
        [{"max_epochs": n, "callbacks": [("rate", LearningRate("constant"))]} for n in (2, 4)],
    ],
    ids=["default", "cosine", "named"],
)
def test_runs_whose_beginnings_may_differ_are_made_one_by_one(params, kind, rows, trained):
    assert_fits_are_own([small(kind, **part) for part in params], rows)
    assert trained[2:] == [2, 4] or trained[2:] == [4, 2]


def test_fits_without_a_seed_do_not_share_a_run(kind, rows):
    state = np.random.RandomState(3)
    estimators = [constant(kind=kind, max_epochs=3, random_state=state) for _ in range(2)]
    fit_together(estimators, [rows] * 2)
    assert not np.allclose(*(outputs(estimator, rows.X) for estimator in estimators))


def test_different_targets_of_the_same_rows_do_not_share_a_run(kind, rows):
    X, y, _ = rows
    parts = [rows, Rows(X, y[::-1].copy())]
    assert_fits_are_own([constant(kind=kind, max_epochs=n) for n in (3, 5)], parts)


def test_different_weights_of_the_same_rows_do_not_share_a_run(kind, rows):
    parts = [rows, Rows(*rows[:2], np.linspace(0.1, 9, 60))]
    assert_fits_are_own([constant(kind=kind, max_epochs=n) for n in (3, 5)], parts)


@pytest.fixture
def long_and_short(kind, rows):
    """Two estimators that have shared a run."""
    estimators = [constant(kind=kind, max_epochs=epochs) for epochs in (6, 3)]
    fit_together(estimators, [rows] * 2)
    return estimators


def test_the_trained_net_forgets_the_readers(long_and_short, rows):
    long = long_and_short[0]
    own = clone(long).fit(*rows)
    assert [name for name, _ in long.net_.callbacks_] == [n for n, _ in own.net_.callbacks_]
    assert len(pickle.dumps(long)) <= len(pickle.dumps(own))


def test_training_the_long_one_on_leaves_the_short_one_alone(long_and_short, kind, rows):
    long, short = long_and_short
    before = outputs(short, rows.X)
    y = rows.y if kind == "classes" else rows.y.astype(np.float32)
    long.net_.partial_fit(rows.X, y)
    assert_array_equal(outputs(short, rows.X), before)


def test_a_reader_goes_on_like_a_fitted_estimator(long_and_short, rows):
    short = long_and_short[1]
    before = outputs(short, rows.X)
    short.partial_fit(*rows)
    assert short.n_iter_ == 4
    assert not np.allclose(outputs(short, rows.X), before)


# ---------------------------------------------------------------------------- path_of


def test_the_path_is_the_same_for_any_number_of_epochs(kind):
    paths = {path_of(constant(kind=kind, max_epochs=epochs)) for epochs in (1, 5, 1000)}
    assert len(paths) == 1
    assert None not in paths


OTHER = {
    "alpha": 0.3,
    "mixing": Mixup(folded=True),
    "hidden_layer_sizes": (8, 8),
    "module": MLP,
    "n_estimators": 2,
    "learning_rate_init": 0.0020001,
    "weight_decay": 0.2,
    "dropout": 0.1,
    "batch_size": 16,
    "mixing_span": (0.3, 1),
    "early_stopping": True,
    "validation_fraction": 0.2,
    "n_iter_no_change": 11,
    "class_weight": "balanced",
    "device": "cpu",
    "random_state": 1,
}


@pytest.mark.parametrize("name", OTHER)
def test_the_path_depends_on_every_other_parameter(name):
    assert path_of(constant()) != path_of(constant(**{name: OTHER[name]})) is not None


def test_every_parameter_that_matters_is_looked_at():
    free = {"max_epochs", "callbacks", "warm_start", "verbose"}
    assert set(OTHER) | free == set(MixupClassifier().get_params())


def test_classifiers_and_regressors_have_different_paths():
    assert path_of(constant()) != path_of(constant(kind="values"))


@pytest.mark.parametrize(
    "params",
    [
        {"callbacks": None},
        {"callbacks": []},
        {"callbacks": [LearningRate("cosine")]},
        {"callbacks": [LearningRate("constant"), KeepBestWeights()]},
        {"random_state": None},
        {"random_state": np.random.RandomState(0)},
        {"max_epochs": "auto"},
        {"module": partial(MLP, input_layer=nn.Identity())},
    ],
)
def test_no_path_where_the_beginning_may_differ(params):
    assert path_of(clone(constant()).set_params(**params)) is None


# ------------------------------------------------------------------------- plan_chunks

counts = st.lists(st.integers(1, 10**7), max_size=300)


@given(counts)
@settings(max_examples=200, deadline=None)
def test_chunks_are_a_partition_in_order(n_weights):
    chunks = plan_chunks(n_weights)
    assert all(chunks)
    assert [position for chunk in chunks for position in chunk] == list(range(len(n_weights)))


@given(counts)
@settings(max_examples=200, deadline=None)
def test_chunks_hold_nearly_equally_many_fits_and_never_more_than_64(n_weights):
    sizes = [len(chunk) for chunk in plan_chunks(n_weights)]
    assert max(sizes, default=0) <= 64
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@given(st.integers(1, 300), st.integers(1, 10**7))
@settings(max_examples=200, deadline=None)
def test_a_chunk_of_equal_nets_exceeds_the_cache_by_less_than_one_net(count, size):
    budget = 16 * 20_738  # weights of sixteen 30-128-128-2 nets
    for chunk in plan_chunks([size] * count):
        assert (len(chunk) - 1) * size < budget


@given(counts)
@settings(max_examples=50, deadline=None)
def test_the_plan_depends_on_nothing_but_the_fits(n_weights):
    threads, plan = torch.get_num_threads(), plan_chunks(n_weights)
    torch.set_num_threads(1)
    try:
        assert plan_chunks(tuple(n_weights)) == plan
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("count", range(8, 65, 7))
def test_small_searches_keep_a_power_of_two_of_workers_busy(count):
    assert len(plan_chunks([100] * count)) in (2, 4, 8)


@pytest.mark.parametrize(
    "params",
    [
        *[{}, {"hidden_layer_sizes": ()}, {"hidden_layer_sizes": 5}, {"n_estimators": 3}],
        {"hidden_layer_sizes": np.array([7, 3])},
    ],
    ids=str,
)
def test_count_weights_is_what_is_trained(params, kind, rows):
    fitted = small(kind, **params).fit(*rows)
    weights = sum(parameter.numel() for parameter in fitted.net_.module_.parameters())
    assert count_weights(fitted, 4, 3 if kind == "classes" else 1) == weights
