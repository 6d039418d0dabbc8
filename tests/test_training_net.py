"""MixupNet: it learns, keeps skorch's interface, follows its seed, and ends as it should."""

import copy
import pickle
import random
import signal
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch import callbacks as skorch_callbacks
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import ValidSplit
from small_nets import HALF, SETTING, Double, Net, assert_same_bits, make, proba, table
from torch import nn
from torch.nn.functional import cross_entropy

from mixup_tab import MLP, Mixup, MixupNet
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.training.randomness import member_seeds


class WithAutograd(MixupNet):
    """Overrides a method, so that steps are made with autograd."""

    def train_step_single(self, batch, **fit_params):
        return super().train_step_single(batch, **fit_params)


def outputs(net):
    return net.raw_outputs(table()[0])


def dataset():
    return torch.utils.data.TensorDataset(*map(torch.from_numpy, table()))


def called(net, name):
    return dict(net.callbacks_)[name]


# --------------------------------------------------------------------- learning at all


@pytest.mark.parametrize("module", [MLP, Net])
@pytest.mark.parametrize("members", [1, 3])
def test_learns_and_predicts(module, members):
    X, y = table(200, classes=3)
    net = make(module, module__out_features=3, n_members=members, max_epochs=30).fit(X, y)
    found, raw = net.predict_proba(X), net.raw_outputs(X)
    assert raw.shape == (members, 200, 3)
    mean = torch.from_numpy(raw).double().softmax(-1).mean(0)
    np.testing.assert_allclose(found, mean, rtol=1e-12)
    assert np.array_equal(net.predict(X), found.argmax(1))
    assert (net.predict(X) == y).mean() > 0.85


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("rows", [65, 64])  # 65: a last batch of a single row
def test_regression_of_one_value(members, rows):
    X, _ = table(rows)
    y = (X[:, 0] - 2 * X[:, 1]).astype(np.float32)
    setting = {"module__out_features": 1, "max_epochs": 80, "n_members": members}
    net = make(MLP, MixedSquaredError, **setting).fit(X, y)
    assert net.predict(X).shape == (rows,)
    assert np.mean((net.predict(X) - y) ** 2) < 0.2 * y.var()


def test_regression_of_two_values():
    X, _ = table(200)
    y = np.stack([X[:, 0] - X[:, 1], X[:, 2]], axis=1)
    net = make(MLP, MixedSquaredError, module__out_features=2, max_epochs=60).fit(X, y)
    assert net.predict(X).shape == (200, 2)
    assert np.mean((net.predict(X) - y) ** 2) < 0.2 * y.var()


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("criterion", [MixedCrossEntropy, MixedSquaredError])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_by_hand_and_by_autograd_lead_to_the_same_weights(members, criterion, dropout):
    X, y = table(96)
    y = y if criterion is MixedCrossEntropy else np.eye(2, dtype=np.float32)[y]
    setting = {"n_members": members, "module__dropout": dropout}
    hand = make(Double, criterion, **setting).fit(X, y)
    auto = make(Double, criterion, **setting)
    auto.__class__ = WithAutograd
    auto.fit(X, y)
    assert hand.uses_manual_backward()
    assert not auto.uses_manual_backward()
    np.testing.assert_allclose(outputs(hand), outputs(auto), rtol=1e-9, atol=1e-11)


# -------------------------------------------------------------------- stacks of nets


@pytest.mark.parametrize("module", [Double, Net])
def test_a_member_is_the_net_trained_alone(module):
    alphas, seeds = [0.0, 0.3, 2.0], [5, 6, 7]
    setting = {"module__dropout": 0.3}
    stack = make(module, n_members=3, alpha=alphas, random_state=seeds, **setting)
    together = outputs(stack.fit(*table()))
    for k in range(3):
        alone = make(module, alpha=[alphas[k]], random_state=[seeds[k]], **setting)
        own = outputs(alone.fit(*table()))[0]
        tolerance = 1e-9 if module is Double else 1e-5
        np.testing.assert_allclose(together[k], own, rtol=tolerance, atol=tolerance)


def test_members_of_a_smaller_stack_are_the_first_of_a_larger_one():
    small, large = (make(Double, n_members=k).fit(*table()) for k in (2, 4))
    np.testing.assert_allclose(outputs(small), outputs(large)[:2], rtol=1e-9, atol=1e-9)
    assert small.seeds_ == member_seeds(0, 2)


def test_members_with_one_seed_are_one_net_dropout_included():
    net = make(n_members=3, random_state=[4, 4, 9], module__dropout=0.4).fit(*table())
    one, same, other = outputs(net)
    np.testing.assert_allclose(one, same, rtol=1e-6, atol=1e-6)
    assert np.abs(one - other).max() > 0.01


# ------------------------------------------------------------------------- mixing


def test_alpha_zero_and_a_span_without_epochs_are_plain_training_bit_by_bit():
    plain = make(alpha=0).fit(*table())
    assert_same_bits(plain, make(alpha=1.0, mixing_span=(0.9, 1)).fit(*table()))
    mixed = make(alpha=1.0, mixing_span=(0.5, 1)).fit(*table())
    losses = [net.history[:, "train_loss"] for net in (plain, mixed)]
    assert losses[0][:2] == losses[1][:2]
    assert losses[0][2] != losses[1][2]


def test_the_rule_may_be_an_object():
    assert_same_bits(make(mixing=Mixup()).fit(*table()), make(mixing="mixup").fit(*table()))
    folded = make(mixing=Mixup(folded=True, partners="other_class")).fit(*table())
    assert not np.array_equal(outputs(folded), outputs(make().fit(*table())))


def test_validation_is_not_mixed():
    X, y = table()
    net = make(n_members=2, alpha=5.0, train_split=HALF).fit(X, y)
    rows = HALF(net.get_dataset(X, y), y)[1].indices
    losses = [
        cross_entropy(torch.from_numpy(out[rows]), torch.from_numpy(y[rows])).item()
        for out in outputs(net)
    ]
    assert net.epoch_losses_["valid"].tolist() == pytest.approx(losses, rel=1e-5)
    assert net.history[-1, "valid_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_weights_of_one_change_nothing_and_others_count():
    X, y = table()
    plain = make().fit(X, y)
    assert_same_bits(plain, make().fit(X, y, sample_weight=np.ones(len(X), np.float32)))
    wrong = y.copy()
    wrong[::2] = 1 - wrong[::2]
    weight = np.where(np.arange(len(y)) % 2, 2.0, 1e-6)
    net = make(max_epochs=40).fit(X, wrong, sample_weight=weight)
    assert (net.predict(X) == y).mean() > 0.85


# ------------------------------------------------------------------- kinds of input


def test_tables_of_all_kinds_give_the_same_net_and_stay_as_they_are():
    X, y = table()
    before = X.copy(), y.copy()
    net = make(alpha=1.0).fit(X, y)
    for same in (pd.DataFrame(X), torch.from_numpy(X), X.astype(np.float64), X[::-1][::-1]):
        other = make(alpha=1.0).fit(same, y)
        assert_same_bits(net, other)
        np.testing.assert_allclose(other.predict_proba(same), proba(net), atol=1e-6)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("module", [MLP, Net])
@pytest.mark.parametrize("members", [1, 2])
def test_a_torch_dataset_goes_through_a_loader(module, members):
    X, y = table()
    net = make(module, n_outputs=2, n_members=members, max_epochs=30).fit(dataset(), y=None)
    assert net.history[-1, "train_batch_count"] == 5
    assert (net.predict(X) == y).mean() > 0.8
    np.testing.assert_allclose(net.predict_proba(dataset()), proba(net), atol=1e-6)


def test_a_torch_dataset_needs_the_number_of_outputs():
    with pytest.raises(ValueError, match="n_outputs is needed"):
        make().fit(dataset(), y=None)


@pytest.mark.parametrize("batch_size", [1, 2, 1000, -1])
def test_batches_of_any_size(batch_size):
    net = make(batch_size=batch_size, max_epochs=2).fit(*table(9))
    size = 9 if batch_size == -1 else min(batch_size, 9)
    assert net.history[-1, "train_batch_count"] == -(-9 // size)
    assert np.isfinite(outputs(net)).all()


# ---------------------------------------------------------------- skorch's callbacks


class Recorder(Callback):
    """Counts the calls of every hook, and looks at what comes with them."""

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


@pytest.mark.parametrize("members", [1, 2])
def test_every_hook_is_called_as_often_as_in_skorch(members):
    net = make(callbacks=[("recorder", Recorder)], train_split=HALF, n_members=members)
    calls = called(net.fit(*table()), "recorder").calls
    steps, chunks = 4 * 3, 4 * net.history[-1, "valid_batch_count"]
    assert calls == {
        **{"train begin": 1, "train end": 1, "epoch begin": 4, "epoch end": 4},
        **{("batch begin", True): steps, ("batch end", True): steps},
        **{("batch begin", False): chunks, ("batch end", False): chunks},
        ("gradient", True): steps,
    }


class Counted(MixupNet):
    """A user's net that overrides what skorch lets users override."""

    inferred = steps = 0

    def infer(self, x, **fit_params):
        self.inferred += 1
        return super().infer(x, **fit_params)

    def train_step_single(self, batch, **fit_params):
        self.steps += 1
        return super().train_step_single(batch, **fit_params)


def test_infer_and_train_step_may_be_overridden():
    plain, net = make(Net).fit(*table()), Counted(Net, **SETTING).fit(*table())
    assert (net.steps, net.inferred) == (20, 20)
    assert_same_bits(net, plain)


def test_history_holds_one_loss_per_epoch_and_none_per_batch():
    history = make(train_split=HALF).fit(*table()).history
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
    whole, parts = (make(alpha=0, lr=0.0, batch_size=size).fit(X, y) for size in (75, 16))
    logits = torch.from_numpy(whole.raw_outputs(X)[0])
    expected = cross_entropy(logits, torch.from_numpy(y)).item()
    for net in (whole, parts):
        assert net.history[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)


class CleanScore(Callback):
    """Training accuracy on the rows as they are, after every epoch."""

    def on_epoch_end(self, net, **kwargs):
        X, y = table()
        net.history.record("clean", (net.predict(X) == y).mean())


def test_training_scores_are_computed_on_unmixed_rows():
    score = EpochScoring("accuracy", name="train", on_train=True, lower_is_better=False)
    net = make(alpha=8.0, callbacks=[score, CleanScore]).fit(*table())
    assert net.history[:, "train"] == net.history[:, "clean"]


def test_scores_on_the_validation_part():
    net = make(train_split=HALF, callbacks=[EpochScoring("accuracy", lower_is_better=False)])
    X, y = table()
    net.fit(X, y)
    rows = HALF(net.get_dataset(X, y), y)[1].indices
    assert net.history[-1, "accuracy"] == (net.predict(X[rows]) == y[rows]).mean()


@pytest.mark.parametrize("criterion", [MixedCrossEntropy, nn.CrossEntropyLoss])
def test_skorchs_checkpoint_brings_the_best_epoch_back(tmp_path, criterion):
    point = skorch_callbacks.Checkpoint(dirname=tmp_path, monitor="valid_loss_best")
    setting = {"lr": 0.2, "max_epochs": 12, "train_split": HALF, "criterion": criterion}
    net = make(callbacks=[point], **setting).fit(*table())
    best = int(np.argmin(net.history[:, "valid_loss"]))
    assert best < 11
    net.load_params(checkpoint=point)
    again = make(**setting, callbacks__learning_rate=None).initialize()
    again.load_params(checkpoint=point)
    assert len(again.history) == best + 1
    np.testing.assert_array_equal(proba(again), proba(net))


@pytest.mark.parametrize("setting", [{}, {"optimizer": torch.optim.Adam}], ids=str)
@pytest.mark.parametrize("step_every", ["epoch", "batch"])
def test_a_scheduler_of_torch_sets_the_rate(setting, step_every):
    policy = skorch_callbacks.LRScheduler(
        torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5, step_every=step_every
    )
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
    sgd = {"optimizer": torch.optim.SGD}
    plain, clipped = (make(**sgd, callbacks=c).fit(*table()) for c in (None, [clip]))
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

OPTIMIZERS = [
    (torch.optim.SGD, {"lr": 0.3, "n_members": 2}),
    (torch.optim.Adam, {"lr": 0.01, "n_members": 2}),
    (torch.optim.RMSprop, {"lr": 0.01}),
    # A line search needs all rows, and the same loss in every call.
    (torch.optim.LBFGS, {"lr": 0.3, "batch_size": 80, "alpha": 0.0}),
]


@pytest.mark.parametrize(("optimizer", "setting"), OPTIMIZERS)
def test_any_optimizer_of_torch_trains(optimizer, setting):
    X, y = table()
    net = make(optimizer=optimizer, max_epochs=20, **setting).fit(X, y)
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


# --------------------------------------------------------------- parameters and copies


def test_parameters_can_be_read_set_and_cloned():
    net = make(alpha=0.7, callbacks__print_log=None)
    params = net.get_params()
    assert params["alpha"] == 0.7
    assert params["module__hidden_layer_sizes"] == (16, 8)
    other = clone(net).set_params(alpha=0.0, module__hidden_layer_sizes=(5,), max_epochs=1)
    assert net.alpha == 0.7
    shapes = [tuple(weight.shape) for weight, _ in other.fit(*table()).module_.layers()]
    assert shapes == [(1, 5, 6), (1, 2, 5)]
    assert_same_bits(clone(net).fit(*table()), net.fit(*table()))


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda net: pickle.loads(pickle.dumps(net))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("module", [MLP, Net])
def test_copies_predict_and_continue_alike(copied, module):
    net = make(module, n_members=2, train_split=HALF).fit(*table())
    other = copied(net)
    np.testing.assert_array_equal(proba(other), proba(net))
    for one in (net, other):
        one.partial_fit(*table())
    np.testing.assert_array_equal(proba(other), proba(net))
    assert len(other.history) == 8


def test_saved_parameters_are_loaded_and_continue_alike(tmp_path):
    files = {f"f_{part}": tmp_path / part for part in ("params", "optimizer", "history")}
    net = make().fit(*table())
    net.save_params(**files)
    other = make().initialize()
    other.load_params(**files)
    np.testing.assert_array_equal(proba(other), proba(net))
    for one in (net, other):
        one.partial_fit(*table())
    np.testing.assert_array_equal(proba(other), proba(net))


def test_partial_fit_continues_and_fit_starts_again():
    net = make().fit(*table())
    first = proba(net)
    net.partial_fit(*table())
    assert len(net.history) == 8
    assert not np.array_equal(proba(net), first)
    net.fit(*table())
    assert len(net.history) == 4
    np.testing.assert_array_equal(proba(net), first)


def test_continuing_draws_other_batches_than_the_first_epochs():
    # Without a step the order alone decides; the loss of mixed rows shows it.
    net = make(lr=0.0, max_epochs=2).fit(*table())
    net.partial_fit(*table())
    assert len(set(net.history[:, "train_loss"])) == 4


def test_a_net_continues_from_another_of_the_same_shape():
    trained = make().fit(*table())
    other = make(lr=0.5).initialize().continue_from(trained)
    np.testing.assert_array_equal(proba(other), proba(trained))
    other.set_params(lr=0.01).partial_fit(*table())
    assert_same_bits(other, copy.deepcopy(trained).partial_fit(*table()))
    with pytest.raises(ValueError, match="different shapes"):
        make(module__hidden_layer_sizes=(3,)).initialize().continue_from(trained)


# ------------------------------------------------------------------- random numbers

USES = {
    "stack": lambda: make(n_members=3, module__dropout=0.2).fit(*table()),
    "ensemble": lambda: make(Net, n_members=2).fit(*table()),
    "validation": lambda: make(Net, train_split=ValidSplit(0.25, random_state=0)).fit(*table()),
    "loader": lambda: make(Net, n_outputs=2).fit(dataset(), y=None),
    "autograd": lambda: make(MLP, nn.CrossEntropyLoss).fit(*table()),
}


def global_states():
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    )


@pytest.fixture
def own_global_state():
    """Puts the global random states back after the test."""
    numpy_state, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng():
        yield
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(state)


@pytest.mark.parametrize("use", USES)
@pytest.mark.usefixtures("own_global_state")
def test_an_integer_seed_leaves_global_random_states_alone(use):
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        before = global_states()
        results.append(proba(USES[use]()))
        assert global_states() == before
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("use", ["stack", "ensemble"])
def test_the_same_seed_gives_the_same_bits_while_other_threads_draw(use):
    expected = proba(USES[use]())
    done = threading.Event()

    def draw():
        while not done.is_set():
            torch.rand(100)

    with torch.random.fork_rng():
        noise = threading.Thread(target=draw)
        noise.start()
        found = proba(USES[use]())
        done.set()
        noise.join()
    np.testing.assert_array_equal(found, expected)


def test_seeds_matter_and_a_random_state_moves_on_from_fit_to_fit():
    state = np.random.RandomState(5)
    seeds = (0, 1, state, state, [7])
    found = [proba(make(random_state=seed).fit(*table()))[0, 0] for seed in seeds]
    assert len(set(found)) == 5


# ------------------------------------------------------------------------ bad input


def assert_usable(net):
    """A second fit on good data is as good as a first."""
    expected = proba(clone(net).fit(*table()))
    np.testing.assert_array_equal(proba(net.fit(*table())), expected)


@pytest.mark.parametrize("module", [MLP, Net])
def test_a_loss_that_is_not_finite_names_the_epoch(module):
    X, y = table()
    net = make(module, lr=0.0125)
    message = r"loss became (nan|inf) in epoch 1\. Lower the .*0\.0125.* lr in MixupNet"
    with pytest.raises(ValueError, match=message):
        net.fit(np.sign(X) * np.float32(3e38), y)
    assert_usable(net)


def test_a_loss_that_explodes_later_names_that_epoch():
    class Spoil(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                with torch.no_grad():
                    net.module_.weight0.fill_(float("nan"))

    with pytest.raises(ValueError, match="loss became nan in epoch 3"):
        make(callbacks=[Spoil]).fit(*table())


def flat(in_features, out_features):
    return nn.Sequential(nn.Linear(in_features, 1), nn.Flatten(0))


def deep(in_features, out_features):
    return nn.Sequential(nn.Linear(in_features, out_features), nn.Unflatten(1, (1, -1)))


def narrow(in_features, out_features):
    return nn.Linear(in_features, 1)


@pytest.mark.parametrize(
    ("module", "shape", "setting"),
    [
        (flat, r"\(2,\)", {}),
        (deep, r"\(2, 1, 2\)", {"n_members": 2}),
        (narrow, r"\(2, 1\)", {"criterion": nn.CrossEntropyLoss}),
        (narrow, r"\(2, 1\)", {"criterion": MixedSquaredError}),
    ],
)
def test_a_module_with_outputs_of_the_wrong_shape_is_named(module, shape, setting):
    X, y = table()
    y = np.eye(2, dtype=np.float32)[y] if MixedSquaredError in setting.values() else y
    message = rf"module={module.__name__} returned shape {shape} .*It must return \(2, 2\)"
    with pytest.raises(ValueError, match=message):
        make(module, **setting).fit(X, y)


BAD = [
    ({"alpha": -1.0}, ValueError, "alpha must be .*got -1.0"),
    ({"alpha": float("nan")}, ValueError, "alpha must be .*got nan"),
    ({"alpha": "much"}, TypeError, "alpha must be a number.*got 'much'"),
    ({"alpha": [0.1, 0.2, 0.3], "n_members": 2}, ValueError, "alpha has 3 .*n_members=2"),
    ({"mixing": "mixdown"}, ValueError, "mixing must be .*got 'mixdown'"),
    ({"mixing": 3}, TypeError, "mixing must be .*got 3"),
    ({"mixing_span": (1, 0)}, ValueError, "mixing_span must be"),
    ({"random_state": [1, 2, 3], "n_members": 2}, ValueError, "3 seeds for n_members=2"),
    ({"batch_size": 0}, ValueError, "batch_size must be .*got 0"),
    ({"module": lambda in_features, out_features: 3}, TypeError, "must make an nn.Module"),
]


@pytest.mark.parametrize(("setting", "error", "message"), BAD)
def test_bad_settings_are_named(setting, error, message):
    with pytest.raises(error, match=message):
        make(**setting).fit(*table())


def test_an_unknown_device_is_refused_at_once():
    with pytest.raises(ValueError, match="device='gpu' cannot be used here"):
        make(device="gpu")


# --------------------------------------------------------------------------- Ctrl-C


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


@pytest.mark.parametrize("setting", [{"module": InForward}, {"callbacks": [InBatch]}], ids=str)
def test_ctrl_c_keeps_the_complete_epochs_and_the_net_can_be_trained_further(setting):
    net = make(**setting)
    with pytest.warns(RuntimeWarning, match="interrupted after 1 complete epoch"):
        net.fit(*table())
    assert net.interrupted_
    assert len(net.history) == 1
    assert np.isfinite(net.history[:, "train_loss"]).all()
    assert np.isfinite(proba(net)).all()
    net.partial_fit(*table())
    assert len(net.history) == 5
    assert not net.interrupted_


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
    assert_usable(net.set_params(max_epochs=3))
