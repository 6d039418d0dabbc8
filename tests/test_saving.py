"""Saving, loading, copying, and nets whose training was interrupted."""

import copy
import io
import os
import pickle
import signal
import subprocess
import sys
import threading

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 4, "random_state": 0}


def through_joblib(thing):
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "joblib": through_joblib,
    "cloudpickle": lambda thing: pickle.loads(cloudpickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
}
all_copies = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


class CtrlC(Callback):
    """Presses Ctrl-C once, at one place of training."""

    def __init__(self, hook, epoch=2):
        self.hook, self.epoch = hook, epoch
        self.pressed = False

    def _at(self, hook, net):
        if hook == self.hook and len(net.history) >= self.epoch and not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)

    def on_train_begin(self, net, *args, **kwargs):
        self._at("on_train_begin", net)

    def on_epoch_begin(self, net, **kwargs):
        self._at("on_epoch_begin", net)

    def on_batch_begin(self, net, **kwargs):
        self._at("on_batch_begin", net)

    def on_grad_computed(self, net, *args, **kwargs):
        self._at("on_grad_computed", net)

    def on_batch_end(self, net, **kwargs):
        self._at("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self._at("on_epoch_end", net)

    def on_train_end(self, net, *args, **kwargs):
        self._at("on_train_end", net)


class Linear(nn.Linear):
    """A user's module."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


def interrupted(X, y, hook="on_batch_end", epoch=2, **params):
    net = MixupClassifier(**SMALL, **params, callbacks=[CtrlC(hook, epoch)])
    with pytest.warns(RuntimeWarning, match="interrupted"):
        net.fit(X, y)
    return net


FITTED = {
    "plain": lambda X, y: MixupClassifier(**SMALL).fit(X, y),
    "early stopped": lambda X, y: MixupClassifier(**SMALL, early_stopping=True).fit(X, y),
    "bins": lambda X, y: MixupClassifier(**SMALL, embedding="target").fit(X, y),
    "ensemble": lambda X, y: MixupClassifier(**SMALL, n_estimators=3).fit(X, y),
    "interrupted": interrupted,
    "user's module": lambda X, y: MixupClassifier(**SMALL, module=Linear).fit(X, y),
    "regressor": lambda X, y: MixupRegressor(**SMALL).fit(X, np.column_stack([y, -y])),
}


@pytest.mark.parametrize("fit", FITTED.values(), ids=FITTED)
def test_a_copy_predicts_the_same(fit, two_classes):
    X, y = two_classes
    fitted = fit(X, y)
    for copied in COPIES.values():
        again = copied(fitted)
        assert_array_equal(again.net_.raw_outputs(X), fitted.net_.raw_outputs(X))
        assert_array_equal(again.predict(X), fitted.predict(X))
        assert again.n_iter_ == fitted.n_iter_
        assert again.loss_curve_ == fitted.loss_curve_


@all_copies
def test_an_unfitted_copy_fits_the_same(copied, two_classes):
    X, y = two_classes
    net = MixupClassifier(**SMALL)
    again = copied(net)
    with pytest.raises(NotFittedError):
        check_is_fitted(again)
    assert_array_equal(again.fit(X, y).predict_proba(X), net.fit(X, y).predict_proba(X))


@all_copies
def test_a_copy_continues_like_the_original(copied, two_classes):
    X, y = two_classes
    fitted = MixupClassifier(**SMALL).fit(X, y)
    before = fitted.predict_proba(X)
    again = copied(fitted).partial_fit(X, y)
    assert_array_equal(fitted.predict_proba(X), before)
    assert again.n_iter_ == 5
    assert_array_equal(again.predict_proba(X), fitted.partial_fit(X, y).predict_proba(X))


USE_ELSEWHERE = """
import sys, warnings, joblib, numpy as np, torch
assert not torch.cuda.is_available()
warnings.simplefilter("ignore")  # skorch says that it moves the net to the CPU
net, X, y = joblib.load(sys.argv[1])
joblib.dump((net.predict_proba(X), net.partial_fit(X, y).n_iter_), sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trained_on_a_gpu_used_where_there_is_none(two_classes, tmp_path):
    X, y = two_classes
    fitted = MixupClassifier(**SMALL, device="cuda").fit(X, y)
    joblib.dump((fitted, X, y), tmp_path / "net")
    subprocess.run(
        [sys.executable, "-c", USE_ELSEWHERE, tmp_path / "net", tmp_path / "result"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=True,
    )
    proba, epochs = joblib.load(tmp_path / "result")
    assert_allclose(proba, fitted.predict_proba(X), rtol=1e-4)
    assert epochs == 5


# ------------------------------------------------------------------------------- Ctrl-C


@pytest.mark.parametrize(
    ("hook", "epoch", "complete"),
    [
        ("on_train_begin", 0, 0),
        ("on_epoch_begin", 1, 0),
        ("on_epoch_begin", 3, 2),
        ("on_batch_begin", 2, 1),
        ("on_grad_computed", 2, 1),
        ("on_batch_end", 1, 0),
        ("on_batch_end", 2, 1),
        ("on_epoch_end", 2, 2),
        ("on_train_end", 2, 4),
    ],
)
def test_ctrl_c_keeps_the_net_and_a_second_fit_works(hook, epoch, complete, two_classes):
    X, y = two_classes
    net = interrupted(X, y, hook, epoch)
    assert net.n_iter_ == len(net.loss_curve_) == complete
    assert np.isfinite(net.predict_proba(X)).all()
    assert net.fit(X, y).n_iter_ == 4
    undisturbed = MixupClassifier(**SMALL).fit(X, y)
    assert_allclose(net.predict_proba(X), undisturbed.predict_proba(X), rtol=1e-4)


class CtrlCSoon(Callback):
    """Presses Ctrl-C some time after the first epoch, wherever training is then.

    Python loses the one that comes while the garbage collector calls a library back, as dask's
    does: it is pressed again then.
    """

    def on_train_begin(self, net, **kwargs):
        self.over = threading.Event()

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 1:
            threading.Timer(0.1, self.press).start()

    def press(self):
        while not self.over.is_set():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            self.over.wait(5)

    def on_train_end(self, net, **kwargs):
        self.over.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("n_estimators", [1, 3])
def test_ctrl_c_at_any_moment(n_estimators, two_classes):
    X, y = two_classes
    params = {**SMALL, "max_epochs": 10**6, "n_estimators": n_estimators}
    net = MixupClassifier(**params, callbacks=[CtrlCSoon()])
    with pytest.warns(RuntimeWarning, match="interrupted after"):
        net.fit(X, y)
    assert 0 < net.n_iter_ == len(net.loss_curve_) < 10**6
    assert np.isfinite(net.predict_proba(X)).all()


@pytest.mark.parametrize("epoch", [1, 3])
def test_ctrl_c_under_early_stopping_keeps_the_best_weights(epoch, two_classes):
    X, y = two_classes
    net = interrupted(X, y, epoch=epoch, early_stopping=True)
    assert net.n_iter_ == len(net.validation_loss_curve_) == epoch - 1
    assert np.isfinite(net.predict_proba(X)).all()
    assert net.partial_fit(X, y).n_iter_ == epoch


def test_ctrl_c_in_a_refit_replaces_the_former_net(two_classes):
    X, y = two_classes
    net = MixupClassifier(**SMALL).fit(X, y)
    net.set_params(callbacks=[CtrlC("on_epoch_begin", 3)])
    with pytest.warns(RuntimeWarning, match="interrupted"):
        net.fit(X, y)
    assert net.n_iter_ == 2


def test_clone_is_unfitted_and_fits_the_same(two_classes):
    X, y = two_classes
    net = MixupClassifier(**SMALL).fit(X, y)
    again = clone(net)
    with pytest.raises(NotFittedError):
        again.predict(X)
    assert_array_equal(again.fit(X, y).predict_proba(X), net.predict_proba(X))
