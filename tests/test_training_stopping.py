"""One rule for early stops, Ctrl-C and aborts."""

import signal
import warnings

import numpy as np
import pytest
from skorch.callbacks import Callback
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from small_nets import HALF, make, table

from mixup_tab.training import KeepBestWeights
from mixup_tab.training.stopping import StopTraining, TrainingAborted, propagate_interrupt


class Does(Callback):
    """Does something in a hook of the second epoch, or at the begin or end of training."""

    def __init__(self, hook, action):
        self.hook, self.action = hook, action

    def _at(self, hook, net):
        if hook == self.hook and (len(net.history) == 2 or "train" in hook):
            self.action()

    def on_train_begin(self, net, *args, **kwargs):
        self._at("on_train_begin", net)

    def on_epoch_begin(self, net, **kwargs):
        self._at("on_epoch_begin", net)

    def on_batch_end(self, net, **kwargs):
        self._at("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self._at("on_epoch_end", net)

    def on_train_end(self, net, *args, **kwargs):
        self._at("on_train_end", net)


def stop():
    raise StopTraining


def abort():
    raise TrainingAborted


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


COMPLETE = {
    "on_train_begin": 0,
    "on_epoch_begin": 1,
    "on_batch_end": 1,
    "on_epoch_end": 2,
    "on_train_end": 4,
}
in_every_hook = pytest.mark.parametrize(("hook", "epochs"), COMPLETE.items())


@in_every_hook
def test_an_early_stop_is_a_quiet_end(hook, epochs):
    with warnings.catch_warnings(), propagate_interrupt():  # which an early stop is not
        warnings.simplefilter("error")
        net = make(callbacks=[Does(hook, stop)]).fit(*table())
    assert len(net.history) == epochs
    assert not net.interrupted_


@in_every_hook
def test_ctrl_c_ends_a_single_fit_gently(hook, epochs):
    net = make(callbacks=[Does(hook, press_ctrl_c)])
    with pytest.warns(RuntimeWarning, match=f"interrupted after {epochs} complete epochs"):
        net.fit(*table())
    assert len(net.history) == epochs
    assert net.interrupted_


@in_every_hook
def test_ctrl_c_passes_where_a_net_is_one_of_many(hook, epochs):
    net = make(callbacks=[Does(hook, press_ctrl_c)])
    with pytest.raises(KeyboardInterrupt), propagate_interrupt():
        net.fit(*table())
    with pytest.warns(RuntimeWarning, match="interrupted"):  # not so afterwards
        net.fit(*table())


@in_every_hook
def test_an_abort_ends_everything_also_where_errors_are_caught(hook, epochs):
    assert not issubclass(TrainingAborted, Exception)
    net = make(callbacks=[Does(hook, abort)])
    with pytest.raises(TrainingAborted):
        net.fit(*table())


def test_skorchs_early_stopping_is_an_early_stop_also_among_many():
    callback = SkorchEarlyStopping("train_loss", patience=2, threshold=10)
    with propagate_interrupt():
        net = make(callbacks=[callback]).fit(*table())
    assert len(net.history) == 3
    assert not net.interrupted_


@pytest.mark.parametrize("order", [1, -1])
def test_best_weights_are_put_back_whenever_ctrl_c_comes(order):
    X, y = table()
    keep = ("keep", KeepBestWeights(patience=60))
    other = ("press", Does("on_train_end", press_ctrl_c))
    setting = {"max_epochs": 12, "lr": 0.2, "train_split": HALF}
    net = make(callbacks=[keep, other][::order], **setting)
    with pytest.warns(RuntimeWarning, match="interrupted after 12 complete epochs"):
        net.fit(X, y)
    undisturbed = make(callbacks=[keep, ("press", Callback())], **setting).fit(X, y)
    assert int(np.argmin(net.history[:, "valid_loss"])) < 11
    np.testing.assert_allclose(net.predict_proba(X), undisturbed.predict_proba(X), atol=1e-4)


def test_best_weights_need_a_validation_part():
    with pytest.raises(ValueError, match=r"needs validation rows, but train_split=None"):
        make(callbacks=[KeepBestWeights()]).fit(*table())
