"""skorch's own interface on MixupNet: callbacks, history, checkpoints, parameters."""

import copy

import numpy as np
import pytest
import torch
from skorch import callbacks as skorch_callbacks
from skorch.callbacks import Callback, EpochScoring
from small_nets import HALF, make, proba, table
from torch import nn

from mixup_tab import MLP


def called(net, name):
    return dict(net.callbacks_)[name]


# ---------------------------------------------------------------------- callbacks


class Recorder(Callback):
    """Counts the calls of every hook."""

    def initialize(self):
        self.calls = {}
        return self

    def count(self, name, training=None):
        key = (name, training) if training is not None else name
        self.calls[key] = self.calls.get(key, 0) + 1

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        assert X is not None
        self.count("train begin")

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self.count("train end")

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        assert len(dataset_train) + len(dataset_valid) == 80
        self.count("epoch begin")

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        assert {"train_loss", "valid_loss"} <= set(net.history[-1])
        self.count("epoch end")

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        assert net.module_.training == training
        self.count("batch begin", training)

    def on_batch_end(self, net, batch=None, training=None, loss=None, **kwargs):
        assert torch.isfinite(loss).all()
        self.count("batch end", training)

    def on_grad_computed(self, net, named_parameters, batch=None, training=None, **kwargs):
        assert all(p.grad is not None for _, p in named_parameters)
        self.count("gradient", training)


class Quiet(Recorder):
    """The same without the hook that only autograd serves."""

    on_grad_computed = Callback.on_grad_computed


@pytest.mark.parametrize("recorder", [Recorder, Quiet])
@pytest.mark.parametrize("members", [1, 2])
def test_every_hook_is_called_as_often_as_in_skorch(recorder, members):
    net = make(callbacks=[("recorder", recorder)], train_split=HALF, n_members=members)
    calls = called(net.fit(*table()), "recorder").calls
    steps, chunks = 4 * 3, 4 * net.history[-1, "valid_batch_count"]
    expected = {
        "train begin": 1,
        "train end": 1,
        "epoch begin": 4,
        "epoch end": 4,
        ("batch begin", True): steps,
        ("batch end", True): steps,
        ("batch begin", False): chunks,
        ("batch end", False): chunks,
    }
    if recorder is Recorder:
        expected["gradient", True] = steps
    assert calls == expected


def test_history_holds_one_loss_per_epoch_and_none_per_batch():
    history = make(train_split=HALF).fit(*table()).history
    assert len(history) == 4
    assert history[:, "epoch"] == [1, 2, 3, 4]
    assert not any(any(row["batches"]) for row in history)
    for part in ("train", "valid"):
        losses = history[:, f"{part}_loss"]
        lowest = [loss < min([np.inf, *losses[:i]]) for i, loss in enumerate(losses)]
        assert history[:, f"{part}_loss_best"] == lowest
    assert history[:, "train_batch_count"] == [3] * 4
    assert all(duration > 0 for duration in history[:, "dur"])


def test_the_training_loss_is_the_mean_over_examples():
    # Steps of length zero: the loss of the initial weights.
    X, y = table(75)
    whole = make(alpha=0, lr=0.0, batch_size=75).fit(X, y).history[-1, "train_loss"]
    parts = make(alpha=0, lr=0.0, batch_size=16).fit(X, y).history[-1, "train_loss"]
    expected = nn.functional.cross_entropy(
        torch.from_numpy(make(alpha=0, lr=0.0).fit(X, y).raw_outputs(X)[0]), torch.from_numpy(y)
    )
    assert whole == pytest.approx(expected.item(), rel=1e-5)
    assert parts == pytest.approx(whole, rel=1e-5)


class CleanScore(Callback):
    """Training accuracy on the rows as they are, after every epoch."""

    def on_epoch_end(self, net, **kwargs):
        X, y = table()
        net.history.record("clean", (net.predict(X) == y).mean())


@pytest.mark.parametrize("use_caching", [True, False])
def test_training_scores_are_computed_on_unmixed_rows(use_caching):
    score = EpochScoring(
        "accuracy",
        name="train_accuracy",
        on_train=True,
        lower_is_better=False,
        use_caching=use_caching,
    )
    net = make(alpha=8.0, callbacks=[score, CleanScore]).fit(*table())
    assert net.history[:, "train_accuracy"] == net.history[:, "clean"]


def test_scores_on_the_validation_part():
    net = make(train_split=HALF, callbacks=[EpochScoring("accuracy", lower_is_better=False)])
    X, y = table()
    net.fit(X, y)
    rows = HALF(net.get_dataset(X, y), y)[1].indices
    assert net.history[-1, "accuracy"] == (net.predict(X[rows]) == y[rows]).mean()


@pytest.mark.parametrize("module_path", ["by hand", "autograd"])
def test_checkpoint_brings_the_best_epoch_back(tmp_path, module_path):
    point = skorch_callbacks.Checkpoint(dirname=tmp_path, monitor="valid_loss_best")
    setting = {"callbacks": [point], "lr": 0.2, "max_epochs": 12, "train_split": HALF}
    if module_path == "autograd":
        setting["criterion"] = nn.CrossEntropyLoss
    net = make(**setting).fit(*table())
    best = int(np.argmin(net.history[:, "valid_loss"]))
    assert best < 11
    net.load_params(checkpoint=point)
    again = make(**{**setting, "callbacks": None, "callbacks__learning_rate": None})
    assert len(again.initialize().history) == 0
    again.load_params(checkpoint=point)
    assert len(again.history) == best + 1
    np.testing.assert_array_equal(proba(again), proba(net))


@pytest.mark.parametrize("optimizer", ["ours", torch.optim.Adam])
@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_a_scheduler_of_torch_sets_the_rate(optimizer, step_every):
    policy = skorch_callbacks.LRScheduler(
        torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5, step_every=step_every
    )
    setting = {} if optimizer == "ours" else {"optimizer": optimizer}
    net = make(callbacks=[policy], callbacks__learning_rate=None, **setting).fit(*table())
    steps = 4 if step_every == "epoch" else 4 * 5
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.5**steps)


class States(Callback):
    """Copies of the weights after every epoch."""

    def initialize(self):
        self.states = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.states.append(copy.deepcopy(net.module_.state_dict()))


def test_skorchs_early_stopping_stops_and_loads_the_best():
    stop = skorch_callbacks.EarlyStopping(patience=3, load_best=True)
    callbacks = [("states", States), ("stop", stop)]
    net = make(train_split=HALF, max_epochs=200, lr=0.2, callbacks=callbacks).fit(*table())
    assert len(net.history) < 200
    assert not net.interrupted_
    best = int(np.argmin(net.history[:, "valid_loss"]))
    for name, tensor in net.module_.state_dict().items():
        assert torch.equal(tensor, called(net, "states").states[best][name])


def test_gradient_clipping_acts():
    clip = skorch_callbacks.GradientNormClipping(1e-6)
    plain, clipped = (
        make(optimizer=torch.optim.SGD, callbacks=callbacks).fit(*table())
        for callbacks in (None, [clip])
    )
    start = make(lr=0.0).fit(*table())
    assert np.abs(proba(clipped) - proba(start)).max() < 1e-5
    assert np.abs(proba(plain) - proba(start)).max() > 1e-4


def test_print_log_prints_a_line_per_epoch(capsys):
    make(verbose=1, train_split=HALF).fit(*table())
    lines = capsys.readouterr().out.strip().splitlines()
    assert "train_loss" in lines[0]
    assert "valid_loss" in lines[0]
    assert len(lines) == 2 + 4


# --------------------------------------------------------- optimizers and criterions

WHOLE = {"batch_size": 80, "alpha": 0.0}  # what line searches and curvature need
OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.3}),
    (torch.optim.Adam, {"lr": 0.01}),
    (torch.optim.RMSprop, {"lr": 0.01}),
    (torch.optim.LBFGS, {"lr": 0.3, **WHOLE}),
]


@pytest.mark.parametrize(("optimizer", "setting"), OPTIMIZERS)
@pytest.mark.parametrize("members", [1, 2])
def test_any_optimizer_of_torch_trains(optimizer, setting, members):
    X, y = table()
    net = make(optimizer=optimizer, max_epochs=20, n_members=members, **setting).fit(X, y)
    assert (net.predict(X) == y).mean() > 0.85


def test_the_default_optimizer_is_adam():
    ours, torchs = make().fit(*table()), make(optimizer=torch.optim.Adam).fit(*table())
    np.testing.assert_allclose(proba(ours), proba(torchs), atol=1e-4)


@pytest.mark.parametrize("members", [1, 2])
def test_torchs_cross_entropy_is_ours(members):
    ours = make(n_members=members, train_split=HALF).fit(*table())
    torchs = make(MLP, nn.CrossEntropyLoss, n_members=members, train_split=HALF).fit(*table())
    np.testing.assert_allclose(proba(ours), proba(torchs), atol=1e-4)
    for part in ("train_loss", "valid_loss"):
        assert torchs.history[:, part] == pytest.approx(ours.history[:, part], rel=1e-3)
    assert np.array_equal(torchs.predict(table()[0]), ours.predict(table()[0]))
