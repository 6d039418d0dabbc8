import copy
import math
import pickle
import signal

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from mixup_tab import MLP, MixupNet
from mixup_tab.training import KeepBestWeights, LearningRate
from mixup_tab.training.callbacks import load_member_state, member_state


def table(rows=80):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] + rng.normal(size=rows) > 0).astype(np.int64)


def make(module=MLP, **kwargs):
    setting = {
        "module__in_features": 4,
        "module__out_features": 2,
        "module__hidden_layer_sizes": (16,),
        "batch_size": 16,
        "max_epochs": 6,
        "lr": 0.05,
        "random_state": 0,
        "verbose": 0,
        "device": "cpu",
    }
    return MixupNet(module, **{**setting, **kwargs})


class Rates(Callback):
    """Notes the learning rate of every epoch."""

    def on_train_begin(self, net, **kwargs):
        self.rates = []

    def on_epoch_end(self, net, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


def rates(net):
    return dict(net.callbacks_)["Rates"].rates


def cosine(rate, epochs):
    return [rate * (1 + math.cos(math.pi * epoch / epochs)) / 2 for epoch in range(epochs)]


# ------------------------------------------------------------------- LearningRate


@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_rate_falls_along_a_cosine(epochs):
    net = make(max_epochs=epochs, callbacks=[Rates]).fit(*table())
    assert rates(net) == pytest.approx(cosine(0.05, epochs))


def test_the_rate_may_stay_constant():
    net = make(callbacks=[Rates], callbacks__learning_rate__policy="constant").fit(*table())
    assert rates(net) == [0.05] * 6


def test_the_rate_may_fall_in_steps():
    policy = LearningRate("step", every=2, factor=0.5)
    net = make(callbacks=[Rates], callbacks__learning_rate=policy).fit(*table())
    assert rates(net) == pytest.approx([0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125])


@pytest.mark.parametrize("wrong", [{"every": 0}, {"factor": 0}, {"factor": math.nan}])
def test_steps_that_make_no_sense_are_refused(wrong):
    net = make(callbacks__learning_rate=LearningRate("step", **wrong))
    with pytest.raises(ValueError, match="every must be at least 1 and factor positive"):
        net.fit(*table())


def test_going_on_starts_the_cosine_again():
    net = make(callbacks=[Rates]).fit(*table())
    net.partial_fit(*table())
    assert len(net.history) == 12
    assert rates(net) == pytest.approx(cosine(0.05, 6))


def test_a_rate_set_between_two_fits_is_the_one_that_falls():
    net = make(callbacks=[Rates]).fit(*table())
    net.set_params(lr=0.01)
    net.partial_fit(*table())
    assert rates(net) == pytest.approx(cosine(0.01, 6))


def test_parameter_groups_keep_the_ratio_of_their_rates():
    class Ratio(Callback):
        def on_epoch_end(self, net, **kwargs):
            one, other = net.optimizer_.param_groups
            assert one["lr"] == pytest.approx(0.1 * other["lr"])

    groups = [("weight0", {"lr": 0.005})]
    net = make(optimizer__param_groups=groups, callbacks=[Ratio]).fit(*table())
    assert len(net.history) == 6


def test_an_unknown_policy_is_refused():
    net = make(callbacks__learning_rate=LearningRate("linear"))
    with pytest.raises(ValueError, match=r"policy must be one of .*, got 'linear'"):
        net.fit(*table())


# ------------------------------------------------------------------ EarlyStopping


class Diary(Callback):
    """Notes every member's weights and validation loss after every epoch."""

    def __init__(self):
        self.losses, self.states = [], []

    def on_epoch_end(self, net, **kwargs):
        self.losses.append(net.epoch_losses_["valid"].tolist())
        self.states.append([member_state(net.module_, k) for k in range(net.n_members)])


def stopping_epochs(losses, patience, tol, ends=()):
    """Best epoch of each member and the number of epochs run, by the definition.

    ``ends`` are the epochs at which cycles end; an epoch counts as a cycle by default.
    """
    best, stops = [], []
    for curve in np.transpose(losses):
        best.append(0)
        counted, waited = math.inf, 0
        for epoch, loss in enumerate(curve):
            if loss < curve[best[-1]]:
                best[-1] = epoch
            if ends and epoch + 1 not in ends:
                continue
            improved = curve[best[-1]] < (1 - tol) * counted
            counted, waited = (curve[best[-1]], 0) if improved else (counted, waited + 1)
            if waited == patience:
                break
        stops.append(epoch + 1)
    return best, max(stops)


def restless(members=3, patience=4, tol=0.0, **kwargs):
    """A net whose validation loss goes up and down."""
    diary = Diary()
    setting = {
        "alpha": [0.0, 0.2, 1.0][:members],
        "n_members": members,
        "max_epochs": 60,
        "train_split": ValidSplit(4, stratified=True),
        "callbacks": [("diary", diary), ("stop", KeepBestWeights(patience, tol))],
    }
    return make(**{**setting, **kwargs}), diary


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))


def noted(net):
    return dict(net.callbacks_)["diary"]


@pytest.mark.parametrize(("patience", "tol"), [(4, 0.0), (1, 0.0), (6, 0.01)])
def test_every_member_keeps_the_weights_of_its_best_epoch(patience, tol):
    net, _ = restless(patience=patience, tol=tol)
    net.fit(*table())
    diary = noted(net)
    best, epochs = stopping_epochs(diary.losses, patience, tol)
    assert len(net.history) == epochs < 60
    assert len(set(best)) > 1, "the data should make the members differ"
    for member, epoch in enumerate(best):
        kept = member_state(net.module_, member)
        for name, tensor in diary.states[epoch][member].items():
            assert torch.equal(kept[name], tensor)


@pytest.mark.parametrize(("patience", "tol"), [(1, 0.0), (2, 0.01)])
def test_in_cycles_the_patience_counts_cycles(patience, tol):
    net, _ = restless(patience=patience, tol=tol, first_cycle=3, max_epochs=93)
    net.fit(*table())
    diary = noted(net)
    best, epochs = stopping_epochs(diary.losses, patience, tol, {3, 9, 21, 45, 93})
    assert len(net.history) == epochs
    for member, epoch in enumerate(best):
        kept = member_state(net.module_, member)
        for name, tensor in diary.states[epoch][member].items():
            assert torch.equal(kept[name], tensor)


class RateDiary(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.history.record("rate", net.optimizer_.param_groups[0]["lr"])


def test_the_rate_falls_in_every_cycle():
    net = make(callbacks=[RateDiary()], lr=0.1, max_epochs=6, first_cycle=2).fit(*table())
    cosine = [0.05 * (1 + math.cos(math.pi * k / n)) for n in (2, 4) for k in range(n)]
    assert net.history[:, "rate"] == pytest.approx(cosine)


class Net(nn.Module):
    """A user's net with buffers, which belong to the best state as well."""

    def __init__(self, in_features, out_features, hidden_layer_sizes):
        super().__init__()
        (hidden,) = hidden_layer_sizes
        self.body = nn.Sequential(
            nn.Linear(in_features, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out_features),
        )

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("members", [1, 2])
def test_a_users_module_gets_its_best_state_back_buffers_included(members):
    net, _ = restless(members=members, module=Net)
    net.fit(*table())
    diary = noted(net)
    best, _ = stopping_epochs(diary.losses, 4, 0.0)
    for member, epoch in enumerate(best):
        for name, tensor in member_state(net.module_, member).items():
            assert torch.equal(tensor, diary.states[epoch][member][name])


class CtrlC(Callback):
    """Presses Ctrl-C at the end of an epoch's first batch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == self.epoch:
            signal.raise_signal(signal.SIGINT)


def test_the_best_weights_are_put_back_after_an_interruption():
    net, _ = restless(patience=60)
    net.set_params(callbacks=[*net.callbacks, ("interrupt", CtrlC(12))])
    with pytest.warns(RuntimeWarning, match="interrupted after 11 complete epochs"):
        net.fit(*table())
    diary = noted(net)
    assert len(diary.losses) == 11
    for member, epoch in enumerate(np.argmin(diary.losses, axis=0)):
        for name, tensor in member_state(net.module_, member).items():
            assert torch.equal(tensor, diary.states[epoch][member][name])


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
def test_a_stopped_net_can_be_copied_and_goes_on(copied):
    X, y = table()
    net, _ = restless()
    other = copied(net.fit(X, y))
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    for one in (net, other):
        one.partial_fit(X, y)
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


def test_member_state_is_a_copy_that_can_be_put_back():
    net = make(n_members=2).fit(*table())
    before = member_state(net.module_, 1)
    with torch.no_grad():
        net.module_.weight0.zero_()
    assert before["weight0"].any()
    load_member_state(net.module_, 1, before)
    assert torch.equal(net.module_.weight0[1], before["weight0"])
    assert not net.module_.weight0[0].any()
