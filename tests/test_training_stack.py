"""A net of a stack ends where the same net ends when it is trained alone."""

import copy
import pickle
import random
import re

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring, Freezer
from skorch.callbacks import EarlyStopping as SkorchEarlyStopping
from skorch.dataset import Dataset
from torch import nn
from torch.utils.data import Subset

from mixup_tab import MLP, CutMix, Mixup, MixupNet
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.nets import Columns, RobustScale
from mixup_tab.training import KeepBestWeights, LeanAdamW, LearningRate
from mixup_tab.training.stack import NetFit, fit_stacked
from mixup_tab.training.stopping import StopTraining, TrainingAborted

ROWS = 53
KINDS = {"classes": MixedCrossEntropy, "values": MixedSquaredError}


class Double(MLP):
    """A net in double precision, so that only mistakes make a difference."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.double()


class FirstRows:
    """Holds out the first fifth of the rows."""

    def __call__(self, dataset, y=None, **kwargs):
        held_out = len(dataset) // 5
        rows = np.arange(len(dataset))
        return Subset(dataset, rows[held_out:]), Subset(dataset, rows[:held_out])


def table(kind="classes", rows=slice(None), dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 4))
    codes = (X[:, 0] + 0.5 * rng.normal(size=ROWS) > 0).astype(np.int64) + (X[:, 1] > 0.5)
    values = (X[:, :2] * [2, -1]).sum(1, keepdims=True) + 0.1 * rng.normal(size=(ROWS, 1))
    y = codes if kind == "classes" else values.astype(dtype)
    return X.astype(dtype)[rows], y[rows]


def make(kind="classes", module=Double, **setting):
    net = {
        "criterion": KINDS[kind],
        "module__in_features": 4,
        "module__out_features": 3 if kind == "classes" else 1,
        "batch_size": 16,
        "max_epochs": 5,
        "lr": 0.01,
        "random_state": 0,
        "verbose": 0,
        "device": "cpu",
    }
    if isinstance(module, type) and issubclass(module, MLP):
        net["module__hidden_layer_sizes"] = (8, 6)
    return MixupNet(module, **copy.deepcopy({**net, **setting})).initialize()


def fit_alone(task):
    try:
        task.net.partial_fit(task.X, task.y, sample_weight=task.weight)
    except ValueError as error:
        return error
    return None


def fit_both_ways(settings, *data, kind="classes"):
    """Train nets with these settings on all data, or each on its own, both ways."""
    data = data or [table(kind)]
    data = data * len(settings) if len(data) == 1 else data
    stacked, alone = (
        [
            NetFit(make(kind, **setting), *rows)
            for setting, rows in zip(settings, data, strict=True)
        ]
        for _ in range(2)
    )
    assert fit_stacked(stacked) == [None] * len(settings)
    assert [fit_alone(task) for task in alone] == [None] * len(settings)
    return [task.net for task in stacked], [task.net for task in alone]


def losses(net, part="train_loss"):
    return [row[part] for row in net.history if part in row]


def assert_equal(net, other):
    assert len(net.history) == len(other.history)
    for part in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(losses(net, part), losses(other, part), atol=1e-6)
    for one, two in zip(net.module_.parameters(), other.module_.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


def assert_equal_alone(settings, *data, kind="classes"):
    nets, alone = fit_both_ways(settings, *data, kind=kind)
    for net, other in zip(nets, alone, strict=True):
        assert_equal(net, other)
    return nets


def assert_same_bits(net, other):
    assert losses(net) == losses(other)
    for one, two in zip(net.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.fixture
def stacks(monkeypatch):
    """Numbers of nets of every stack that is made."""
    sizes, join = [], MLP.join
    monkeypatch.setattr(MLP, "join", lambda nets: sizes.append(len(nets)) or join(nets))
    return sizes


# ------------------------------------------------------- a member equals the net alone

CONSTANT = {"callbacks": [LearningRate("constant")], "callbacks__learning_rate": None}


def stopping(patience, **setting):
    return {
        "train_split": FirstRows(),
        "callbacks": [KeepBestWeights(patience)],
        "max_epochs": 25,
        "lr": 0.05,
        **setting,
    }


DIFFERENCES = {
    "seed": [{"random_state": seed} for seed in range(3)],
    "alpha": [{"alpha": alpha} for alpha in (0.0, 0.2, 4.0)],
    "learning rate": [{"lr": rate} for rate in (0.03, 0.001, 0.01)],
    "weight decay": [{"optimizer__weight_decay": decay} for decay in (0.0, 5.0, 0.3, 0.0)],
    "moments": [{"optimizer__betas": (0.5, 0.9)}, {}, {"optimizer__eps": 0.1}],
    "dropout": [{"module__dropout": share} for share in (0.5, 0.0, 0.2)],
    "epochs along a cosine": [{"max_epochs": epochs} for epochs in (2, 1, 5, 2)],
    "epochs at a constant rate": [{"max_epochs": n, **CONSTANT} for n in (5, 1, 3)],
    "rates of both kinds": [{}, CONSTANT],
    "early stopping": [stopping(1), {}, stopping(3, alpha=1.0), stopping(2, max_epochs=4)],
    "early stopping of members": [stopping(2, n_members=3, alpha=[0, 0.3, 2.0]), stopping(1)],
    "held out without stopping": [{"train_split": FirstRows()}, {}],
    "mixing span": [{"mixing_span": span} for span in [(0, 1), (0.4, 1), (0, 0.6)]],
    "members": [{"n_members": 3, "module__dropout": 0.3}, {}, {"n_members": 2}],
    "alphas of members": [{"n_members": 2, "alpha": [0, 1.0]}, {"alpha": 0.3}],
    "batches of 16 and 14": [{"batch_size": 14}, {}, {"batch_size": 14, "alpha": 0}],
    "batches of 16 and 9": [{"batch_size": 9}, {}, {"batch_size": -1}],
    "padding beside dropout": [
        {"batch_size": size, "module__dropout": share, "n_members": 2}
        for size, share in [(16, 0.3), (13, 0.3), (15, 0.0), (14, 0.6)]
    ],
    "rules": [
        {"mixing": Mixup(lam_per="batch")},
        {"mixing": Mixup(folded=True)},
        {"mixing": "mixup"},
        {"mixing": CutMix(), "alpha": 0.5, "n_members": 2},
    ],
}
CLASSES_ONLY = {
    "rules that look at classes": [
        {"mixing": Mixup(partners="same_class")},
        {"mixing": Mixup(partners="other_class"), "batch_size": 14},
        {},
    ],
    "label smoothing": [{"criterion__label_smoothing": share} for share in (0.0, 0.2, 0.0)],
}
CASES = {**DIFFERENCES, **CLASSES_ONLY}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_nets_that_differ_equal_the_nets_alone(settings):
    assert_equal_alone(settings)


def test_nets_on_bins_equal_the_nets_alone():
    layer = Columns.fit(torch.from_numpy(table()[0]), embedding="quantile")
    bins = {"module__input_layer": layer, "module__in_features": layer.width}
    settings = [{**bins, "alpha": 0.3}, {**bins, "mixing": "cutmix", "alpha": 0.5}, {}]
    nets = assert_equal_alone(settings)
    assert nets[0].module_.weight0.shape[-1] == layer.width


@pytest.mark.parametrize("kind", KINDS)
def test_sample_weights_are_those_of_each_net(kind):
    X, y = table(kind)
    weights = [np.random.default_rng(k).uniform(0.2, 3, ROWS) for k in range(2)]
    data = [(X, y, weights[0]), (X, y), (X, y, weights[1])]
    nets = assert_equal_alone([{}, {}, {"batch_size": 14}], *data, kind=kind)
    assert losses(nets[0]) != losses(nets[1])


FOLDS = [slice(None), slice(0, 48), slice(3, 36), slice(5, 22), slice(20, 50)]


@pytest.mark.parametrize(
    ("kind", "setting"), [("classes", {"module__dropout": 0.3, "n_members": 2}), ("values", {})]
)
def test_folds_may_differ_in_size_and_in_the_number_of_steps(kind, setting, stacks):
    settings = [{**setting, "random_state": k} for k in range(len(FOLDS))]
    assert_equal_alone(settings, *(table(kind, rows) for rows in FOLDS), kind=kind)
    assert stacks[0] == len(FOLDS)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_may_differ_at_once(kind):
    settings = [part[1] for part in DIFFERENCES.values()]
    folds = [table(kind, FOLDS[k % len(FOLDS)]) for k in range(len(settings))]
    assert_equal_alone(settings, *folds, kind=kind)


def test_every_net_scales_its_rows_with_its_own_input_layer():
    folds = [table(rows=rows) for rows in FOLDS[1:4]]
    layers = [RobustScale.fit(torch.from_numpy(10 * X)) for X, _ in folds]
    settings = [{"module__input_layer": layer} for layer in layers]
    nets = assert_equal_alone([*settings, {}], *folds, folds[0])
    assert losses(nets[0]) != losses(nets[3])


def test_nets_may_share_the_rows_and_differ_in_the_input_layer():
    X, y = table()
    layers = [RobustScale.fit(torch.from_numpy(part)) for part in (X, 10 * X[:20])]
    assert_equal_alone([{"module__input_layer": layer} for layer in layers], (X, y))


def test_tables_may_differ_in_their_columns():
    X, y = table()
    settings = [{"module__in_features": 2}, {}, {"module__hidden_layer_sizes": ()}]
    assert_equal_alone(settings, (X[:, :2].copy(), y), (X, y), (X, y))


def test_in_single_precision_probabilities_agree():
    data = table(dtype=np.float32)
    settings = [part[0] for part in DIFFERENCES.values()]
    settings = [{**setting, "module": MLP} for setting in settings]
    for net, other in zip(*fit_both_ways(settings, data), strict=True):
        found, expected = net.predict_proba(data[0]), other.predict_proba(data[0])
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_criteria_that_differ_in_what_a_user_added_are_kept_apart():
    settings = [{"criterion": Steep, "criterion__factor": factor} for factor in (1.0, 30.0)]
    assert_equal_alone(settings)


class Steep(MixedCrossEntropy):
    """Cross-entropy of logits times a factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def rows(self, outputs, targets):
        return super().rows(self.factor * outputs, targets)

    def gradient(self, outputs, targets):
        return self.factor * super().gradient(self.factor * outputs, targets)


class Squared(Double):
    """A net that squares its inputs first."""

    def prepare(self, x):
        return super().prepare(x) ** 2


def test_nets_that_prepare_their_inputs_in_their_own_way_keep_it():
    nets = assert_equal_alone([{}, {"module": Squared}])
    assert losses(nets[0]) != losses(nets[1])


class Frozen(Double):
    """A net whose first layer does not learn."""

    def bind(self, *args, **kwargs):
        step = super().bind(*args, **kwargs)

        def without_the_first(x, targets):
            outputs = step(x, targets)
            self.weight0.grad.zero_()
            return outputs

        return without_the_first


def test_a_net_with_a_step_of_its_own_keeps_it():
    assert_equal_alone([{"module": Frozen}, {"module": Frozen, "alpha": 0}])


class AfterTwoEpochs(Callback):
    """Does something to the net at the end of the second epoch."""

    def __init__(self, change):
        self.change = change

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            with torch.no_grad():
                self.change(net)


def set_option(name, value):
    return lambda net: net.optimizer_.param_groups[0].update({name: value})


CHANGES = {
    "learning rate": AfterTwoEpochs(set_option("lr", 0.1)),
    "weight decay": AfterTwoEpochs(set_option("weight_decay", 20.0)),
    "betas": AfterTwoEpochs(set_option("betas", (0.1, 0.9))),
    "alpha": AfterTwoEpochs(lambda net: setattr(net, "alpha", 5.0)),
    "dropout": AfterTwoEpochs(lambda net: setattr(net.module_, "dropout", 0.5)),
    "weights": AfterTwoEpochs(lambda net: net.module_.weight0.mul_(0.5)),
    "new weights": AfterTwoEpochs(
        lambda net: setattr(net.module_.weight0, "data", torch.ones_like(net.module_.weight0))
    ),
    "no gradient": AfterTwoEpochs(lambda net: net.module_.weight0.requires_grad_(False)),
    "skorch's Freezer": Freezer("weight0"),
}


def test_what_a_callback_changes_between_two_epochs_counts():
    settings = [{**CONSTANT, "callbacks": [callback]} for callback in CHANGES.values()]
    *changed, plain = assert_equal_alone([*settings, CONSTANT])
    for name, net in zip(CHANGES, changed, strict=True):
        assert losses(net) != losses(plain), name


def test_hardly_any_epochs_and_no_nets():
    nets = assert_equal_alone([{"max_epochs": 0}, {"max_epochs": 1}, {}])
    assert [len(net.history) for net in nets] == [0, 1, 5]
    assert fit_stacked([]) == []


def test_nets_stop_at_different_epochs():
    nets = assert_equal_alone([stopping(patience, lr=0.1) for patience in (1, 2, 4)])
    epochs = [len(net.history) for net in nets]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < 25


# ------------------------------------------------------------------- who shares a stack


def test_all_that_have_the_same_layers_share_a_stack(stacks):
    settings = [{}, {"alpha": 0}, {"lr": 0.1}, {"module__dropout": 0.3}, {"n_members": 2}]
    fit_both_ways(settings)
    assert stacks == [5]


@pytest.mark.parametrize(("size", "together"), [(16, 2), (14, 2), (12, 2), (9, 1), (1, 1)])
def test_batches_of_similar_size_share_a_stack(size, together, stacks):
    fit_both_ways([{"batch_size": size}, {"batch_size": 16}])
    assert stacks[0] == together


def test_a_stack_shrinks_when_nets_are_done(stacks):
    fit_both_ways([{"max_epochs": epochs} for epochs in (3, 1, 3, 2, 1)])
    assert stacks == [5, 3, 2]


# ------------------------------------------------------------------------------ errors


class Spoil(Callback):
    """Makes the weights infinite at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            with torch.no_grad():
                net.module_.weight0.fill_(float("inf"))


def message(error):
    """What an error says, whether a loss became infinite or NaN."""
    return re.sub(r"became (inf|nan)", "became inf", str(error))


def explosive(factor, **setting):
    """Settings that multiply the weights by a factor in every step."""
    return {"lr": 1.0, "optimizer__weight_decay": factor, **CONSTANT, **setting}


FAILURES = {
    "at once": {"lr": 1e30},
    "later": explosive(30.0),
    "in the last step": explosive(1e308, lr=1e10, max_epochs=1, batch_size=-1),
    "in the hands of a callback": {"callbacks": [Spoil(2)]},
    "after the hands of a callback": {"callbacks": [Spoil(5)]},
    "settings": {"alpha": -1.0},
    "batches": {"batch_size": 0},
    "alone": {"lr": 1e30, "optimizer": torch.optim.Adam},
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_net_that_fails_is_named_and_the_others_are_trained_to_the_end(failure):
    settings = [{}, failure, {"batch_size": 14}, {"n_members": 2, "module__dropout": 0.2}]
    stacked, alone = (
        [NetFit(make(**setting), *table()) for setting in settings] for _ in range(2)
    )
    errors, expected = fit_stacked(stacked), [fit_alone(task) for task in alone]
    assert [type(error) for error in errors] == [type(None), ValueError, *[type(None)] * 2]
    assert message(errors[1]) == message(expected[1])
    for one, other in zip(stacked, alone, strict=True):
        if one is not stacked[1]:
            assert_equal(one.net, other.net)


def test_several_may_fail_at_different_times(stacks):
    settings = [explosive(factor, max_epochs=9) for factor in (30.0, 1e5, 0.0, 1e3)]
    tasks, alone = ([NetFit(make(**part), *table()) for part in settings] for _ in range(2))
    errors, expected = fit_stacked(tasks), [fit_alone(task) for task in alone]
    epochs = [len(task.net.history) for task in tasks]
    assert stacks == [4, 3, 2, 1]
    assert sorted(set(epochs)) == sorted(epochs)
    assert epochs == [len(task.net.history) for task in alone]
    assert [message(error) for error in errors] == [message(error) for error in expected]
    assert errors[2] is None


class Enough(TrainingAborted):
    pass


def test_an_exception_of_on_epochs_ends_everything():
    tasks = [NetFit(make(max_epochs=50), *table()) for _ in range(3)]
    threads, calls = torch.get_num_threads(), []

    def on_epochs(epochs):
        calls.append(epochs)
        if sum(calls) >= 6:
            raise Enough

    with pytest.raises(Enough):
        fit_stacked(tasks, on_epochs)
    assert sum(calls) == 6
    assert max(len(task.net.history) for task in tasks) < 5
    assert torch.get_num_threads() == threads


def test_nets_can_be_looked_at_after_every_epoch(stacks):
    tasks = [NetFit(make(alpha=alpha, **CONSTANT), *table()) for alpha in (0.0, 0.5)]
    seen = []
    fit_stacked(tasks, lambda _: seen.append([weights(task.net) for task in tasks]))
    assert stacks == [2]
    shorter = [make(alpha=0.5, max_epochs=epochs, **CONSTANT) for epochs in range(1, 6)]
    for net in shorter:
        net.partial_fit(*table())
        distances = [(entry[1][0] - net.module_.weight0).abs().max() for entry in seen]
        assert min(distances) < 1e-9


def test_on_epochs_can_end_a_net_that_is_trained_alone():
    def on_epochs(epochs):
        raise Enough

    tasks = [NetFit(make(optimizer=torch.optim.Adam), *table()), NetFit(make(), *table())]
    with pytest.raises(Enough):
        fit_stacked(tasks, on_epochs)
    assert len(tasks[1].net.history) == 0


# ----------------------------------------------------------------------------- counting


def test_on_epochs_counts_every_epoch_of_every_net_once():
    settings = [
        *[{"max_epochs": 1}, {"max_epochs": 7}, {"batch_size": 9}, stopping(1)],
        *[{"optimizer": torch.optim.Adam}, {"lr": 1e30}, {"callbacks": [Spoil(2)]}],
    ]
    tasks = [NetFit(make(**setting), *table()) for setting in settings]
    tasks.append(NetFit(make(), *table(rows=slice(0, 20))))
    counts = []
    fit_stacked(tasks, counts.append)
    assert sum(counts) == sum(len(task.net.history) for task in tasks)
    assert len(counts) > 10


# ----------------------------------------------------------------------- trained alone


class User(nn.Module):
    """What a user might write."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(in_features, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, out_features)
        )
        self.double()

    def forward(self, x):
        return self.body(x)


class SeesBatches(Callback):
    """Wants to see every batch."""

    def on_train_begin(self, net, **kwargs):
        self.seen = 0

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        self.seen += training


class OwnAdam(LeanAdamW):
    """Makes steps of half the size."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] /= 2
        super().step(closure)
        for group in self.param_groups:
            group["lr"] *= 2


class TwiceTheRows(Dataset):
    """A dataset that changes its rows on the way out."""

    def transform(self, X, y):
        return 2 * X, y


UNSTACKABLE = {
    "another module": {"module": User},
    "several of another module": {"module": User, "n_members": 2},
    "another optimizer": {"optimizer": torch.optim.SGD},
    "an optimizer made of ours": {"optimizer": OwnAdam},
    "a hook for batches": {"callbacks": [("sees", SeesBatches())]},
    "another criterion": {"criterion": nn.CrossEntropyLoss},
    "two groups of parameters": {"optimizer__param_groups": [("weight0", {"lr": 0.1})]},
    "another kind of data set": {"dataset": TwiceTheRows, "n_outputs": 3},
}


@pytest.mark.parametrize("setting", UNSTACKABLE.values(), ids=UNSTACKABLE)
def test_what_cannot_be_stacked_is_trained_alone(setting, stacks):
    nets, alone = fit_both_ways([{}, setting, {"batch_size": 14}])
    assert stacks == [2]
    assert_same_bits(nets[1], alone[1])
    for net, other in zip(nets[::2], alone[::2], strict=True):
        assert_equal(net, other)


def test_a_hook_for_batches_sees_every_batch():
    net = fit_both_ways([{}, UNSTACKABLE["a hook for batches"]])[0][1]
    assert dict(net.callbacks_)["sees"].seen == 5 * 4


def test_a_net_that_has_been_trained_before_is_trained_further(stacks):
    trained = make().partial_fit(*table())
    expected = copy.deepcopy(trained).partial_fit(*table())
    assert fit_stacked([NetFit(make(), *table()), NetFit(trained, *table())]) == [None, None]
    assert len(trained.history) == 10
    assert stacks == [1]
    assert_same_bits(trained, expected)


# --------------------------------------------------------------------------- afterwards


@pytest.fixture
def trained():
    """Nets that have been one stack, one of them for a short while."""
    settings = [{}, {"alpha": 0}, {"max_epochs": 1}, {"lr": 0.03}, {"n_members": 2}]
    tasks = [NetFit(make(**setting), *table()) for setting in settings]
    assert fit_stacked(tasks) == [None] * len(tasks)
    return [task.net for task in tasks]


def weights(net):
    return [parameter.detach().clone() for parameter in net.module_.parameters()]


def test_nets_own_their_parameters(trained):
    storages = [p.untyped_storage() for net in trained for p in net.module_.parameters()]
    assert len({storage.data_ptr() for storage in storages}) == len(storages)
    for net in trained:
        for parameter in net.module_.parameters():
            size = parameter.numel() * parameter.element_size()
            assert parameter.untyped_storage().nbytes() == size


def test_a_net_that_failed_owns_its_parameters():
    tasks = [NetFit(make(lr=rate), *table()) for rate in (0.01, 1e30)]
    fit_stacked(tasks)
    for task in tasks:
        size = task.net.module_.weight0.numel() * 8
        assert task.net.module_.weight0.untyped_storage().nbytes() == size


def test_further_training_of_one_leaves_the_others_alone(trained):
    before = [weights(net) for net in trained]
    trained[1].partial_fit(*table())
    for k, (net, old) in enumerate(zip(trained, before, strict=True)):
        same = [torch.equal(one, two) for one, two in zip(weights(net), old, strict=True)]
        assert all(same) == (k != 1)


def test_a_copy_is_trained_further_like_the_net(trained):
    net, other = trained[0], pickle.loads(pickle.dumps(trained[0]))
    assert len(pickle.dumps(net)) < 1.2 * len(pickle.dumps(make().partial_fit(*table())))
    for one in (net, other):
        one.partial_fit(*table())
    assert_same_bits(net, other)


def test_further_training_starts_with_fresh_moments(trained):
    expected = make()
    expected.module_.load_state_dict(trained[0].module_.state_dict())
    expected.history_ = copy.deepcopy(trained[0].history_)
    expected.partial_fit(*table())
    trained[0].partial_fit(*table())
    for one, two in zip(weights(trained[0]), weights(expected), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def public(net):
    return {name for name in vars(net) if name.endswith("_") and not name.startswith("_")}


def test_nothing_but_the_state_of_the_optimizer_is_missing():
    settings = [stopping(2), {"n_members": 2}]
    for net, other in zip(*fit_both_ways(settings), strict=True):
        assert public(other) == public(net)
        assert [set(row) for row in net.history] == [set(row) for row in other.history]
        for part, expected in other.epoch_losses_.items():
            torch.testing.assert_close(net.epoch_losses_[part], expected)
        rates = [n.optimizer_.param_groups[0]["lr"] for n in (net, other)]
        assert rates[0] == rates[1]


# ---------------------------------------------------------------------------- callbacks


class Diary(Callback):
    """Notes which hooks are called, when, with what rows and for which net."""

    def initialize(self):
        self.entries, self.nets = [], []
        return self

    def _note(self, hook, net, rows):
        self.entries.append((hook, len(net.history), rows))
        self.nets.append(net)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self._note("train begin", net, len(X))

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self._note("epoch begin", net, len(dataset_train))

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self._note("epoch end", net, len(dataset_valid))

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self._note("train end", net, len(y))


def test_a_callback_hears_what_it_hears_alone_and_of_its_own_net():
    diaries = {"callbacks": [("diary", Diary()), ("stop", KeepBestWeights(1))]}
    settings = [stopping(1, **diaries), stopping(1, alpha=0, **diaries)]
    for net, other in zip(*fit_both_ways(settings), strict=True):
        own, expected = dict(net.callbacks_)["diary"], dict(other.callbacks_)["diary"]
        assert own.entries == expected.entries
        assert all(one is net for one in own.nets)
        assert own.entries[-1][0] == "train end"


def test_nets_share_no_callback(trained):
    callbacks = [id(callback) for net in trained for _, callback in net.callbacks_]
    assert len(set(callbacks)) == len(callbacks)


def test_scores_of_every_epoch_are_those_of_the_net_alone():
    scoring = [
        ("train", EpochScoring("accuracy", name="train", on_train=True)),
        ("valid", EpochScoring("accuracy", name="valid")),
    ]
    settings = [
        {"callbacks": scoring, "train_split": FirstRows(), "module__dropout": share}
        for share in (0.0, 0.3)
    ]
    for net, other in zip(*fit_both_ways(settings), strict=True):
        assert losses(net, "train") == losses(other, "train")
        assert losses(net, "valid") == losses(other, "valid")
        assert len(losses(net, "valid")) == 5


class StopAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise StopTraining


def test_any_callback_can_stop_its_net():
    skorchs = SkorchEarlyStopping("train_loss", patience=2, threshold=10, load_best=True)
    settings = [{"callbacks": [StopAfter(2)]}, {}, {"callbacks": [skorchs]}]
    nets = assert_equal_alone(settings)
    assert [len(net.history) for net in nets] == [2, 5, 3]


# ----------------------------------------------------------------------- global state


def test_global_random_states_are_left_alone():
    before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    fit_both_ways([{"module__dropout": 0.3}, {"n_members": 2}])
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
