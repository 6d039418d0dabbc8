"""What is left of a MixupNet after Ctrl-C."""

import signal
import threading
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import MLP, MixupNet


class Net(nn.Module):
    """A user's module that draws in its constructor and in training."""

    def __init__(self, in_features, out_features, width=8):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(in_features))
        self.body = nn.Sequential(
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(width, out_features),
        )

    def forward(self, x):
        return self.body(x * self.scale)


def table(rows=70):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def make(module=MLP, *args, **kwargs):
    setting = {
        "module__in_features": 4,
        "module__out_features": 2,
        "batch_size": 16,
        "max_epochs": 3,
        "random_state": 0,
        "verbose": 0,
        "device": "cpu",
    }
    if module is MLP:
        setting |= {"module__hidden_layer_sizes": (8,), "module__dropout": 0.2}
    return MixupNet(module, *args, **{**setting, **kwargs})


def proba(net):
    return net.predict_proba(table()[0])


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
