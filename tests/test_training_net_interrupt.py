"""What is left of a MixupNet after Ctrl-C."""

import signal
import threading
import warnings

import numpy as np
import pytest
from noisy_nets import Net, make, proba, table
from skorch.callbacks import Callback


def assert_usable(net):
    """A second fit on good data is as good as a first."""
    X, y = table()
    expected = proba(net.__class__(**net.get_params(deep=False)).fit(X, y))
    np.testing.assert_array_equal(proba(net.fit(X, y)), expected)


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


class InBatch(Callback):
    """Presses Ctrl-C in the second epoch, at the end of its second batch."""

    batches = 0

    def on_batch_end(self, net, **kwargs):
        self.batches += len(net.history) == 2
        if self.batches == 2:
            press_ctrl_c()


class InForward(Net):
    """Presses Ctrl-C in its eighth pass in training."""

    passes = 0

    def forward(self, x):
        self.passes += self.training
        if self.training and self.passes == 8:
            press_ctrl_c()
        return super().forward(x)


def assert_interrupted_in_epoch_two(net):
    with pytest.warns(RuntimeWarning, match="interrupted after 1 complete epoch"):
        net.fit(*table())
    assert net.interrupted_
    assert len(net.history) == 1
    assert np.isfinite(net.history[:, "train_loss"]).all()
    assert np.isfinite(proba(net)).all()


def test_ctrl_c_in_a_module_keeps_the_net_usable():
    net = make(InForward)
    assert_interrupted_in_epoch_two(net)
    np.testing.assert_array_equal(
        proba(net.set_params(module=Net).fit(*table())), proba(make(Net).fit(*table()))
    )
    assert not net.interrupted_


def test_ctrl_c_while_a_callback_runs_keeps_the_net_usable():
    net = make(callbacks=[InBatch])
    assert_interrupted_in_epoch_two(net)
    net.partial_fit(*table())
    assert len(net.history) == 4


def test_ctrl_c_at_any_moment_keeps_the_net_usable():
    X, y = table(2000)
    net = make(max_epochs=100_000)
    timer = threading.Timer(0.5, press_ctrl_c)
    timer.start()
    with pytest.warns(RuntimeWarning, match=r"interrupted after \d+ complete epochs"):
        net.fit(X, y)
    timer.join()
    assert net.interrupted_
    assert "train_loss" in net.history[-1]
    assert np.isfinite(net.predict_proba(X)).all()
    net.set_params(max_epochs=3)
    assert_usable(net)


def test_an_undisturbed_fit_is_not_called_interrupted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not make().fit(*table()).interrupted_
