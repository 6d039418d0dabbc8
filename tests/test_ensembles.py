"""The ensembles: packs of nets, weighed by predictions of rows left out."""

import copy
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pandas as pd
import pytest
import skrub
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
)
from mixup_tab.estimators import pack, race
from mixup_tab.estimators.cross_fit import assign_folds
from mixup_tab.estimators.pack import DISTRIBUTION, LARGE_DISTRIBUTION, draw
from mixup_tab.estimators.selection import select_greedily, temper
from mixup_tab.training.state import cycle_lengths

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "learning_rate_init": 0.02}
TWO = [
    {**SMALL, "alpha": 0.2, "embedding": "none"},
    {**SMALL, "embedding": "quantile", "mixing": "cutmix"},
]
DIVERGES = {**SMALL, "learning_rate_init": 1e30}


def small(candidates=TWO, **params):
    params = {"cv": 3, "random_state": 0, **params}
    return MixupEnsembleClassifier(candidates=candidates, **params)


def small_regressor(candidates=TWO, **params):
    params = {"cv": 3, "random_state": 0, **params}
    return MixupEnsembleRegressor(candidates=candidates, **params)


# -------------------------------------------------------------------- what is learned


def refitted(model, kind, X, y, predict):
    """Every net fitted alone: its predictions of all rows, and those it has not seen."""
    fold_of, seed = assign_folds(y, model.cv, model.random_state), model.random_state
    every, unseen = [], []
    for number, params in enumerate(model.candidates):
        every.append([])
        unseen.append(np.zeros_like(predict(kind(max_epochs=1).fit(X, y), X)))
        for fold in range(model.cv):
            seed = model.random_state + number * model.cv + fold
            net = kind(**{"n_estimators": 1, **params}, random_state=seed)
            net.fit(X[fold_of != fold], y[fold_of != fold])
            every[-1].append(predict(net, X))
            unseen[-1][fold_of == fold] = predict(net, X[fold_of == fold])
    return np.mean(every, axis=1), np.array(unseen)


def test_the_classifier_is_what_its_docstring_says(three_classes):
    X, y = three_classes
    model = small().fit(X, y)
    every, unseen = refitted(model, MixupClassifier, X, y, lambda n, x: n.predict_proba(x))
    assert_allclose(model.losses_, [log_loss(y, proba) for proba in unseen], rtol=1e-3)
    assert_allclose(model.weights_, select_greedily(unseen[:, np.arange(60), y]), atol=0.05)
    tempered = temper(np.tensordot(model.weights_, unseen, 1), model.temperature_)
    assert_allclose(model.loss_, log_loss(y, tempered), rtol=1e-3)
    assert model.loss_ <= min(model.losses_) + 1e-6
    expected = temper(np.tensordot(model.weights_, every, 1), model.temperature_)
    assert_allclose(model.predict_proba(X), expected, atol=1e-3)
    assert model.candidates_ == TWO


@pytest.mark.parametrize("outputs", [None, 2])
def test_the_regressor_is_what_its_docstring_says(outputs, line):
    X, y = line[0], 7 + 100 * line[1]
    y = y if outputs is None else np.column_stack([y, -y])
    model = small_regressor().fit(X, y)
    values = y.reshape(60, -1)  # of which folds are made at random
    every, unseen = refitted(
        model, MixupRegressor, X, values, lambda n, x: n.predict(x).reshape(len(x), -1)
    )
    errors = (unseen - values) / values.std(axis=0)
    assert_allclose(model.losses_, (errors**2).mean((1, 2)), rtol=1e-3)
    mean = np.tensordot(model.weights_, errors, 1)
    assert_allclose(model.loss_, (mean**2).mean(), rtol=1e-3)
    assert model.loss_ <= min(model.losses_) + 1e-6
    expected = np.tensordot(model.weights_, every, 1)
    assert_allclose(model.predict(X), expected if outputs else expected[:, 0], rtol=1e-3)


def test_selection_adds_the_best_and_of_equals_the_first():
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4, 50, 1))
    errors[3] = errors[1]

    def mse(errors, weight):
        return (errors**2).mean((1, 2))

    weights = select_greedily(errors, mse)
    assert weights[3] == 0
    assert_allclose(weights.sum(), 1)
    best = mse(np.tensordot(weights, errors, 1)[None], None)
    assert best <= mse(errors, None).min()
    assert_array_equal(select_greedily(np.full((3, 9), 0.5)), [1, 0, 0])


@pytest.mark.parametrize("distribution", [DISTRIBUTION, LARGE_DISTRIBUTION])
def test_what_is_drawn_is_the_distribution_in_the_docstring(distribution):
    doc = MixupEnsembleClassifier.__doc__
    drawn = draw(distribution, 60, seed=0)
    for name, values in distribution.items():
        assert re.search(rf"^    {name}  ", doc, flags=re.M), name
        found = [params[name] for params in drawn]
        if isinstance(values, tuple):
            assert set(found) == set(values)
        else:
            low, high = values.support()
            assert low <= min(found) < 1.2 * low
            assert high / 1.2 < max(found) <= high
    assert draw(distribution, 60, seed=0) == drawn != draw(distribution, 60, seed=1)


def test_a_pack_learns(three_classes, line, monkeypatch):
    monkeypatch.setattr(pack, "_STEPS", 60)
    X, y = three_classes
    model = MixupEnsembleClassifier(3, cv=2, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    assert len(model.weights_) == len(model.candidates_) == 3
    assert [len(nets) for nets in model.estimators_] == [2] * (model.weights_ > 0).sum()
    assert_allclose(model.weights_.sum(), 1)
    assert MixupEnsembleRegressor(3, cv=2, random_state=0).fit(*line).score(*line) > 0.3


def test_drawn_nets_and_given_ones_compete(two_classes, monkeypatch):
    monkeypatch.setattr(pack, "_STEPS", 1)
    model = small(TWO[:1], n_candidates=2).fit(*two_classes)
    assert model.candidates_[2] == TWO[0]
    assert len(model.candidates_) == 3


# ------------------------------------------------------------- by the size of the table


class Counts(DummyClassifier):
    """Guesses; counts its fits."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        type(self).fits += 1
        return super().fit(X, y, sample_weight)


def test_the_worse_half_of_a_pack_leaves_after_two_folds_of_five(two_classes, monkeypatch):
    monkeypatch.setattr(race, "_LEAST_KEPT", 1)
    Counts.fits = 0
    candidates = [TWO[0], LogisticRegression(), Counts(strategy="uniform")]
    model = small(candidates, cv=5).fit(*two_classes)
    assert Counts.fits == 2
    assert model.weights_[2] == 0 < model.losses_[2]
    assert [len(row) for row in model.estimators_] == [5] * len(model.estimators_)


def test_a_tiny_table_is_not_split(two_classes):
    X, y = two_classes[0][:16], two_classes[1][:16]
    nets = [{**SMALL, "max_epochs": 100, "alpha": alpha} for alpha in (0, 0.2, 1)]
    model = small(nets).fit(X, y)
    assert_allclose(model.weights_, 1 / 3)
    assert model.temperature_ == 1
    assert np.isnan([model.loss_, *model.losses_]).all()
    assert model.score(X, y) == 1
    mean = np.mean([net.predict_proba(X) for (net,) in model.estimators_], axis=0)
    assert_allclose(model.predict_proba(X), mean, atol=1e-6)


@pytest.fixture
def large(monkeypatch):
    """Two hundred rows, which are many here."""
    monkeypatch.setattr(race, "LARGE", 200)
    X = np.random.default_rng(0).normal(size=(210, 4)).astype(np.float32)
    return X, X[:, 0] + X[:, 1] ** 2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [small, small_regressor])
def test_a_large_table_holds_rows_out_on_which_nets_stop(kind, weighted, large):
    X, y = large
    y = (y > 0.5).astype(int) if kind is small else y
    weight = np.where(X[:, 2] > 0, 3.0, 1.0) if weighted else None
    quick = {**SMALL, "learning_rate_init": 0.1, "max_epochs": 60}
    model = kind([quick, {**quick, "alpha": 0}]).fit(X, y, weight)
    for (net,) in model.estimators_:
        epochs = [row["valid_loss"] for row in net.net_.history]
        assert len(epochs) in np.cumsum(cycle_lengths(60, net.net_.first_cycle))
        if kind is small:  # the regressor's nets standardise once more
            assert_allclose(
                model.losses_[model.weights_ > 0].min(),
                min(min(r["valid_loss"] for r in n.net_.history) for (n,) in model.estimators_),
                rtol=1e-4,
            )
    if not weighted and kind is small:
        held = assign_folds(y, 7, 0) == 0
        proba = model.estimators_[0][0].predict_proba(X[held])
        assert_allclose(
            log_loss(y[held], proba), model.losses_[model.weights_ > 0][0], rtol=1e-4
        )


# ------------------------------------------------------- candidates that are no nets


def test_a_classifier_of_scikit_learn_competes(two_classes):
    X, y = two_classes
    model = small([*TWO, LogisticRegression()]).fit(X, np.array(["no", "yes"])[y])
    assert model.weights_[2] > 0.5  # the labels are linear
    assert isinstance(model.candidates_[2], LogisticRegression)
    assert model.score(X, np.array(["no", "yes"])[y]) > 0.8
    assert not hasattr(model.candidates_[2], "coef_")
    folds = assign_folds(y, 3, 0)
    unseen = [LogisticRegression().fit(X[folds != k], y[folds != k]) for k in range(3)]
    losses = [log_loss(y[folds == k], unseen[k].predict_proba(X[folds == k])) for k in range(3)]
    assert_allclose(model.losses_[2], np.mean(losses), rtol=1e-6)


def test_a_regressor_of_scikit_learn_competes(line):
    model = small_regressor([*TWO, LinearRegression()]).fit(*line)
    assert model.weights_[2] > 0.9
    assert model.score(*line) > 0.99


class Fails(ClassifierMixin, Ridge):
    """Fails."""

    def fit(self, X, y, sample_weight=None):
        raise RuntimeError("no luck today")

    def predict_proba(self, X):
        return X


def test_candidates_that_fail_are_left_out_with_one_warning(two_classes):
    with pytest.warns(FitFailedWarning, match=r"(?s)2 of 3 .*1e\+30.*Fails\(.*luck") as caught:
        model = small([DIVERGES, TWO[0], Fails()]).fit(*two_classes)
    assert [warning.filename for warning in caught] == [__file__]
    assert_array_equal(model.weights_, [0, 1, 0])
    assert np.isnan(model.losses_[[0, 2]]).all()


def test_an_error_where_all_candidates_fail(two_classes):
    with pytest.raises(ValueError, match=r"All candidates failed.*no luck today"):
        small([DIVERGES, Fails()]).fit(*two_classes)


# ------------------------------------------------------------------------ limited time


def test_max_time_ends_with_the_candidates_that_are_finished(two_classes):
    endless = {**SMALL, "max_epochs": 10**5, "hidden_layer_sizes": (64,)}
    start = time.time()
    model = small([endless, TWO[0]], max_time=4, n_jobs=1).fit(*two_classes)
    assert time.time() - start < 20
    assert_array_equal(model.weights_, [0, 1])
    assert np.isnan(model.losses_[0])
    assert model.predict_proba(two_classes[0]).shape == (60, 2)


def test_a_time_too_short_for_one_candidate_is_an_error(two_classes):
    endless = {**SMALL, "max_epochs": 10**5}
    with pytest.raises(ValueError, match=r"max_time=0.3 .* about .* seconds"):
        small([endless], max_time=0.3).fit(*two_classes)


def test_enough_time_changes_nothing(two_classes):
    X, y = two_classes
    limited, free = (small(max_time=limit).fit(X, y) for limit in (1e6, None))
    assert_array_equal(limited.predict_proba(X), free.predict_proba(X))


# ------------------------------------------------------------------------ same bits


@pytest.mark.parametrize("kind", [small, small_regressor])
def test_the_number_of_jobs_makes_no_difference(kind, two_classes):
    X, y = two_classes
    candidates = TWO + [{**SMALL, "dropout": 0.3, "batch_size": size} for size in (9, 16)]
    one, other = (kind(candidates, n_jobs=jobs).fit(X, y) for jobs in (1, 2))
    assert_array_equal(one.predict(X), other.predict(X))
    assert_array_equal(one.losses_, other.losses_)


FIT_ELSEWHERE = """
import sys, joblib, torch
torch.manual_seed(5)
model, X, y = joblib.load(sys.argv[1])
joblib.dump(model.fit(X, y).predict_proba(X), sys.argv[2])
"""


@pytest.mark.slow
def test_the_same_bits_in_another_process(two_classes, tmp_path):
    joblib.dump((small(), *two_classes), tmp_path / "model")
    paths = [tmp_path / "model", tmp_path / "proba"]
    subprocess.run([sys.executable, "-c", FIT_ELSEWHERE, *paths], check=True)
    here = small().fit(*two_classes).predict_proba(two_classes[0])
    assert_array_equal(joblib.load(tmp_path / "proba"), here)


@pytest.mark.slow
def test_the_same_bits_from_worker_processes(two_classes):
    X, y = two_classes
    candidates = [*TWO, LogisticRegression()]
    here = small(candidates).fit(X, y)
    with joblib.parallel_config("loky", n_jobs=2):
        there = small(candidates).fit(X, y)
    assert_array_equal(there.predict_proba(X), here.predict_proba(X))
    assert_array_equal(there.losses_, here.losses_)


@pytest.mark.slow
def test_the_same_bits_from_dask(two_classes):
    distributed = pytest.importorskip("distributed")
    X, y = two_classes
    here = small().fit(X, y)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(**options), joblib.parallel_config("dask"):
        there = small().fit(X, y)
    assert_array_equal(there.predict_proba(X), here.predict_proba(X))


def test_no_global_random_state_is_read_or_changed(two_classes):
    def state():
        legacy = np.random.get_state()  # noqa: NPY002
        return random.getstate(), str(legacy), torch.get_rng_state().numpy().tobytes()

    before = state()
    one = small().fit(*two_classes).predict_proba(two_classes[0])
    assert state() == before
    with torch.random.fork_rng():
        torch.manual_seed(17)
        other = small().fit(*two_classes).predict_proba(two_classes[0])
    assert_array_equal(one, other)


def test_another_seed_gives_other_nets(two_classes):
    X, y = two_classes
    one, other = (small(random_state=seed).fit(X, y).predict_proba(X) for seed in (0, 1))
    assert np.abs(one - other).max() > 1e-4


# ---------------------------------------------------------------------------- labels


@pytest.mark.parametrize("labels", [["no", "so", "yes"], [-7, 3, 90]])
def test_labels_of_any_kind(labels, three_classes):
    X, codes = three_classes
    y = np.array(labels)[codes]
    model, plain = small().fit(X, y), small().fit(X, codes)
    assert model.classes_.tolist() == sorted(labels)
    assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert_array_equal(model.predict(X), np.array(labels)[plain.predict(X)])
    assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))
    assert_array_equal(model.decision_function(X), model.predict_log_proba(X))


def test_the_only_row_of_a_class_is_in_every_training_part(three_classes):
    X, y = three_classes[0], three_classes[1].copy()
    y[7] = 3
    model = small().fit(X, y)
    assert {tuple(net.classes_) for nets in model.estimators_ for net in nets} == {(0, 1, 2, 3)}
    proba = model.predict_proba(X)
    assert_allclose(proba.sum(1), 1)
    assert np.isfinite(model.losses_).all()
    assert small().fit(X, y == 3).predict_proba(X).shape == (60, 2)


def test_categories(two_classes):
    colour = np.random.default_rng(0).choice(["red", "green", "blue"], 60)
    frame = pd.DataFrame({"size": two_classes[0][:, 0], "colour": pd.Categorical(colour)})
    candidates = [{**SMALL, "max_epochs": 40}, LogisticRegression()]
    model = small(candidates).fit(frame, colour == "green")
    assert model.score(frame, colour == "green") > 0.9
    assert model.weights_[0] == 1  # codes are no numbers
    assert model.is_categorical_.tolist() == [False, True]
    frame["colour"] = "lilac"
    assert np.isfinite(model.predict_proba(frame)).all()


# --------------------------------------------------------------------------- weights


def test_rows_of_weight_zero_are_not_there(three_classes):
    X, y = three_classes
    keep = np.arange(60) % 6 != 0
    weighted = small().fit(X, y, sample_weight=keep.astype(float))
    without = small().fit(X[keep], y[keep])
    assert_array_equal(weighted.predict_proba(X), without.predict_proba(X))


def test_class_weight_is_a_weight_of_the_rows(two_classes):
    X, y = two_classes
    by_class = small(class_weight={0: 1.0, 1: 4.0}).fit(X, y)
    by_row = small().fit(X, y, sample_weight=np.where(y == 1, 4.0, 1.0))
    assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    plain = small().fit(X, y)
    assert by_class.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


# ------------------------------------------------------------------------- bad input

WRONG = [
    ({"n_candidates": 0}, "'n_candidates'.*Got 0"),
    ({"candidates": "all"}, "'candidates'.*'all'"),
    ({"candidates": ["x"]}, "candidates.*dict.*'x'"),
    ({"candidates": [LinearRegression()]}, "classifier with predict_proba.*LinearReg"),
    ({"candidates": [LogisticRegression]}, "classifier with predict_proba.*LogisticReg"),
    ({"candidates": [{"alfa": 1}]}, "candidates.*'alfa'.*alpha"),
    ({"candidates": [{"verbose": 1}]}, "'verbose'.*cannot be set for single"),
    ({"candidates": [{"alpha": "auto"}]}, "alpha='auto'.*each number"),
    ({"candidates": [{"alpha": -1}]}, "'alpha'.*-1"),
    ({"candidates": [{"max_epochs": "short"}]}, "'max_epochs'.*'short'"),
    ({"candidates": [DIVERGES]}, "All candidates failed.*1e.30.*learning_rate_init"),
    ({"cv": 1}, "'cv'.*Got 1"),
    ({"cv": "5"}, "'cv'.*'5'"),
    ({"max_time": 0}, "'max_time'.*Got 0"),
    ({"device": "abacus"}, "device='abacus'"),
    ({"random_state": -1}, "'random_state'.*-1"),
    ({"class_weight": "even"}, "'class_weight'.*'even'"),
]


def test_an_error_names_the_value_and_leaves_the_estimator_as_it_was(two_classes):
    X, y = two_classes
    fitted = small().fit(X, y)
    for params, pattern in WRONG:
        for model in (small(), copy.copy(fitted)):
            before = dict(vars(model.set_params(**params)))
            with pytest.raises((ValueError, TypeError), match=f"(?s){pattern}"):
                model.fit(X, y)
            assert vars(model) == before, params


# ------------------------------------------------------------------ fitting once more


def test_a_refit_is_a_fit(two_classes, three_classes):
    frame = pd.DataFrame(two_classes[0], columns=list("abcd"))
    model = small().fit(frame, two_classes[1])
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[list("dcba")])
    model.fit(*three_classes)
    fresh = small().fit(*three_classes)
    assert set(vars(model)) == set(vars(fresh))
    X = three_classes[0]
    assert_array_equal(model.predict_proba(X), fresh.predict_proba(X))


def test_copies(two_classes, tmp_path):
    X, y = two_classes
    model = small().fit(X, y)
    joblib.dump(model, tmp_path / "model")
    for copied in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        assert_array_equal(copied.predict_proba(X), model.predict_proba(X))
    again = clone(model)
    with pytest.raises(NotFittedError):
        again.predict(X)
    assert_array_equal(again.fit(X, y).predict_proba(X), model.predict_proba(X))


def test_it_keeps_weights_and_nothing_else(large):
    X, y = large[0].repeat(60, axis=1), (large[1] > 0.5).astype(int)
    model = small([{**SMALL, "embedding": "none"}]).fit(X, y)
    ((net,),) = model.estimators_
    weights = sum(p.nbytes for p in net.net_.module_.parameters())
    assert {p.dtype for p in net.net_.module_.parameters()} == {torch.float32}
    assert weights < 8_000 < X.nbytes / 20
    assert len(pickle.dumps(model)) < weights + 30_000 < X.nbytes / 5


class CountsEpochs(Callback):
    """Counts the epochs that it has seen."""

    epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


def test_every_net_has_its_own_callbacks(two_classes):
    mine = CountsEpochs()
    model = small([{**SMALL, "callbacks": [mine]}]).fit(*two_classes)
    assert mine.epochs == 0
    assert [net.callbacks[0].epochs for net in model.estimators_[0]] == [4, 4, 4]


def test_batches_are_no_larger_than_the_rows_of_a_fold(two_classes):
    assert small([{**SMALL, "batch_size": 60}], cv=2).fit(*two_classes)


# ------------------------------------------------------------------- inside other tools


def test_pipeline_and_grid_search(two_classes):
    X, y = two_classes
    pipe = make_pipeline(StandardScaler(), small())
    grid = {
        "mixupensembleclassifier__cv": [2],
        "mixupensembleclassifier__candidates": [TWO, TWO[:1]],
    }
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    best = clone(pipe).set_params(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_skrub_pipeline():
    colour = np.random.default_rng(0).choice(["red", "green", "blue"], 60)
    frame = pd.DataFrame({"colour": colour, "size": np.arange(60.0)})
    frame.loc[::9, "size"] = np.nan
    candidates = [{"max_epochs": 20, "learning_rate_init": 0.02}]
    model = skrub.tabular_pipeline(small(candidates)).fit(frame, colour == "red")
    assert model.score(frame, colour == "red") > 0.9


def test_progress_goes_to_standard_error(two_classes, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    small(verbose=1).fit(*two_classes)
    shown = capsys.readouterr()
    assert "fits" in shown.err
    assert shown.out == ""


# ----------------------------------------------------------------------------- Ctrl-C


class PressesCtrlC(nn.Linear):
    """Presses Ctrl-C in its fifth pass."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        if self.passes == 5:
            signal.raise_signal(signal.SIGINT)
        return super().forward(x)


def make_ctrl_c_net(in_features, out_features):
    return PressesCtrlC(in_features, out_features)


@pytest.fixture
def interruptible():
    """A runner in the background ignores the signal, and tests would with it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("module", [None, make_ctrl_c_net])
def test_ctrl_c_leaves_nothing_half_built(module, n_jobs, two_classes):
    X, y = two_classes
    model = small().fit(X, y)
    before, proba = dict(vars(model)), model.predict_proba(X)
    params = {"max_epochs": 10**5, "module": module}
    model.set_params(candidates=[params], n_jobs=n_jobs)
    threads = set(threading.enumerate())
    main = threading.main_thread().ident
    press = threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT))
    if module is None:
        press.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    for thread in set(threading.enumerate()) - threads - {press}:
        thread.join(20)
        assert not thread.is_alive(), "training continues"
    model.set_params(candidates=before["candidates"], n_jobs=before["n_jobs"])
    assert vars(model) == before
    assert_array_equal(model.predict_proba(X), proba)
