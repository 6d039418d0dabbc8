"""MixupEnsembleClassifier: different nets, weighted by predictions of rows left out."""

import copy
import pickle
import random
import re
import signal
import subprocess
import sys
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import skrub
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import MixupClassifier, MixupEnsembleClassifier
from mixup_tab.estimators.cross_fit import assign_folds
from mixup_tab.estimators.ensemble_classifier import PORTFOLIO
from mixup_tab.estimators.selection import select_greedily, temper

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "learning_rate_init": 0.02}
TWO = [{**SMALL, "alpha": 0.2}, {**SMALL, "embedding": "quantile", "mixing": "cutmix"}]


def small(candidates=None, **params):
    return MixupEnsembleClassifier(candidates or TWO, **{"cv": 3, "random_state": 0, **params})


# -------------------------------------------------------------------- what is learned


def refitted(model, X, y):
    """Every net fitted alone: probabilities of all rows by the nets that did not see them."""
    fold_of, seed = assign_folds(y, model.cv, model.random_state), model.random_state
    nets, unseen = [], np.zeros((len(model.candidates), len(y), len(model.classes_)))
    for number, params in enumerate(model.candidates):
        nets.append([])
        for fold in range(model.cv):
            net = MixupClassifier(**{"n_estimators": 1, **params}, random_state=seed + fold)
            nets[-1].append(net.fit(X[fold_of != fold], y[fold_of != fold]))
            unseen[number, fold_of == fold] = net.predict_proba(X[fold_of == fold])
    return nets, unseen


def test_it_is_what_its_docstring_says(three_classes):
    X, y = three_classes
    model = small().fit(X, y)
    nets, unseen = refitted(model, X, y)
    alone = [log_loss(y, proba) for proba in unseen]
    assert_allclose(model.log_losses_, alone, rtol=1e-3)
    assert_allclose(model.weights_, select_greedily(unseen[:, np.arange(60), y]), atol=0.05)
    mean = np.tensordot(model.weights_, unseen, 1)
    tempered = temper(mean, model.temperature_)
    assert_allclose(model.log_loss_, log_loss(y, tempered), rtol=1e-3)
    assert model.log_loss_ <= min(model.log_losses_) + 1e-6
    expected = sum(
        weight * np.mean([net.predict_proba(X) for net in row], axis=0)
        for weight, row in zip(model.weights_, nets, strict=True)
    )
    assert_allclose(model.predict_proba(X), temper(expected, model.temperature_), atol=1e-3)
    assert model.candidates_ == TWO


def test_the_portfolio_learns(three_classes):
    X, y = three_classes
    model = MixupEnsembleClassifier(cv=2, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    assert len(model.weights_) == len(PORTFOLIO)
    assert len(model.estimators_) == (model.weights_ > 0).sum()
    assert_allclose(model.weights_.sum(), 1)


def test_long_is_two_and_a_half_times_as_many_epochs_as_auto(two_classes):
    auto, long = (
        small([{"hidden_layer_sizes": (4,), "max_epochs": epochs}], cv=2).fit(*two_classes)
        for epochs in ("auto", "long")
    )
    n_iter = [model.estimators_[0][0].n_iter_ for model in (auto, long)]
    assert n_iter[1] == round(2.5 * n_iter[0])


def test_batches_are_no_larger_than_the_rows_of_a_fold(two_classes):
    assert small([{**SMALL, "batch_size": 60}], cv=2).fit(*two_classes)


# ------------------------------------------------------------------------ same bits


def test_the_number_of_jobs_makes_no_difference(three_classes):
    X, y = three_classes
    candidates = TWO + [{**SMALL, "dropout": 0.3, "batch_size": size} for size in (9, 16)]
    one, other = (small(candidates, n_jobs=jobs).fit(X, y) for jobs in (1, 2))
    assert_array_equal(one.predict_proba(X), other.predict_proba(X))
    assert_array_equal(one.log_losses_, other.log_losses_)


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


def test_a_class_with_one_row(three_classes):
    X, y = three_classes[0], three_classes[1].copy()
    y[7] = 3
    model = small().fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == (60, 4)
    assert_allclose(proba.sum(1), 1)
    assert np.isfinite(model.log_losses_).all()


def test_two_classes_of_which_one_has_one_row_are_refused(two_classes):
    y = np.array(["no"] * 59 + ["yes"])
    with pytest.raises(ValueError, match=re.escape("y holds a single row of all but")):
        small().fit(two_classes[0], y)


# --------------------------------------------------------------------------- weights


def test_rows_of_weight_zero_are_not_there(three_classes):
    X, y = three_classes
    keep = np.arange(60) % 5 != 0
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
    ({"candidates": "all"}, "candidates.*'auto'.*'all'"),
    ({"candidates": []}, "candidates is empty"),
    ({"candidates": ["x"]}, "candidates.*dict.*'x'"),
    ({"candidates": [{"alfa": 1}]}, "candidates.*'alfa'.*alpha"),
    ({"candidates": [{"verbose": 1}]}, "'verbose'.*same for all"),
    ({"candidates": [{"alpha": "auto"}]}, "alpha='auto'.*numbers"),
    ({"candidates": [{"alpha": -1}]}, "'alpha'.*-1"),
    ({"candidates": [{"max_epochs": "short"}]}, "'max_epochs'.*'short'"),
    ({"candidates": [{**SMALL, "learning_rate_init": 1e30}]}, "learning_rate_init"),
    ({"cv": 1}, "'cv'.*Got 1"),
    ({"cv": "5"}, "'cv'.*'5'"),
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


class Counts(Callback):
    """Counts the epochs that it has seen."""

    epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.epochs += 1


def test_every_net_has_its_own_callbacks(two_classes):
    mine = Counts()
    model = small([{**SMALL, "callbacks": [mine]}]).fit(*two_classes)
    assert mine.epochs == 0
    assert [net.callbacks[0].epochs for net in model.estimators_[0]] == [4, 4, 4]


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
    assert "epochs of nets" in shown.err
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
