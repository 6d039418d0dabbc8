import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_classification
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn.functional import cross_entropy

from mixup_tab import MLP, Mixup, MixupNet
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.training.randomness import member_seeds


def table(rows=83, classes=3):
    X, y = make_classification(
        rows, 6, n_informative=4, n_classes=classes, class_sep=2.0, random_state=0
    )
    return X.astype(np.float32), y


SETTING = {
    "module__in_features": 6,
    "module__out_features": 3,
    "module__hidden_layer_sizes": (16, 8),
    "batch_size": 16,
    "max_epochs": 4,
    "lr": 0.01,
    "random_state": 0,
    "verbose": 0,
    "device": "cpu",
}


def make(module=MLP, *args, **kwargs):
    return MixupNet(module, *args, **{**SETTING, **kwargs})


class Net(nn.Sequential):
    """A user's module with dropout."""

    def __init__(self, in_features, out_features, hidden_layer_sizes=(16,), dropout=0.0):
        width = hidden_layer_sizes[0]
        super().__init__(
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, out_features),
        )


class Double(MLP):
    """A stack whose parameters are float64."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.double()


class SeesGradients(Callback):
    """Overrides a hook that only autograd serves."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.seen = True


def outputs(net, X=None):
    return net.raw_outputs(table()[0] if X is None else X)


def assert_same_bits(one, other):
    for a, b in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(a, b)


# -------------------------------------------------------------- learning at all


@pytest.mark.parametrize("module", [MLP, Net])
@pytest.mark.parametrize("members", [1, 3])
def test_learns_and_predicts(module, members):
    X, y = table(300)
    net = make(module, n_members=members, max_epochs=40).fit(X, y)
    proba = net.predict_proba(X)
    assert proba.shape == (300, 3)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-6)
    assert np.array_equal(net.predict(X), proba.argmax(1))
    assert (net.predict(X) == y).mean() > 0.85
    assert outputs(net, X).shape == (members, 300, 3)


def test_probabilities_are_averaged_over_the_members():
    net = make(n_members=3).fit(*table())
    expected = torch.from_numpy(outputs(net)).double().softmax(-1).mean(0)
    np.testing.assert_allclose(net.predict_proba(table()[0]), expected, rtol=1e-12)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("rows", [65, 64])  # 65: a last batch of a single row
def test_regression_of_one_value(members, rows):
    X, _ = table(rows)
    y = (X[:, 0] - 2 * X[:, 1]).astype(np.float32)
    net = make(
        MLP, MixedSquaredError, n_members=members, module__out_features=1, max_epochs=80
    ).fit(X, y)
    assert net.predict(X).shape == (rows,)
    assert np.mean((net.predict(X) - y) ** 2) < 0.2 * y.var()


def test_regression_of_two_values():
    X, _ = table(200)
    y = np.stack([X[:, 0] - X[:, 1], X[:, 2]], axis=1)
    net = make(MLP, MixedSquaredError, module__out_features=2, max_epochs=60).fit(X, y)
    assert net.predict(X).shape == (200, 2)
    assert np.mean((net.predict(X) - y) ** 2) < 0.2 * y.var()


# --------------------------------------------------------- the two ways to a gradient


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("criterion", [MixedCrossEntropy, MixedSquaredError])
def test_by_hand_and_by_autograd_lead_to_the_same_weights(members, criterion):
    X, y = table(96)
    y = y if criterion is MixedCrossEntropy else np.eye(3, dtype=np.float32)[y]
    hand = make(Double, criterion, n_members=members).fit(X, y)
    auto = make(Double, criterion, n_members=members, callbacks=[SeesGradients]).fit(X, y)
    assert dict(auto.callbacks_)["SeesGradients"].seen
    np.testing.assert_allclose(outputs(hand), outputs(auto), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("members", [1, 3])
def test_dropout_is_the_same_by_hand_and_by_autograd(members):
    setting = {"module__dropout": 0.3, "n_members": members}
    hand = make(Double, **setting).fit(*table())
    auto = make(Double, callbacks=[SeesGradients], **setting).fit(*table())
    np.testing.assert_allclose(outputs(hand), outputs(auto), rtol=1e-9, atol=1e-11)


# -------------------------------------------------------------------- stacks of nets


@pytest.mark.parametrize("module", [Double, Net])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_member_of_a_stack_is_the_net_trained_alone(module, dropout):
    alphas, seeds = [0.0, 0.3, 2.0], [5, 6, 7]
    setting = {"module__dropout": dropout}
    stack = make(module, n_members=3, alpha=alphas, random_state=seeds, **setting)
    together = outputs(stack.fit(*table()))
    tolerance = 1e-9 if module is Double else 1e-5
    for k in range(3):
        alone = make(module, alpha=[alphas[k]], random_state=[seeds[k]], **setting)
        own = outputs(alone.fit(*table()))[0]
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


def test_alpha_zero_and_warm_up_are_plain_training_bit_by_bit():
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
    net = make(n_members=2, alpha=5.0, train_split=ValidSplit(4, stratified=True)).fit(X, y)
    valid, _ = ValidSplit(4, stratified=True)(net.get_dataset(X, y), y)[::-1]
    rows = valid.indices
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
    wrong[::2] = (wrong[::2] + 1) % 3
    weight = np.where(np.arange(len(y)) % 2, 2.0, 1e-6)
    scores = [
        (make(max_epochs=40).fit(X, wrong, sample_weight=w).predict(X) == y).mean()
        for w in (None, weight)
    ]
    assert scores[1] > 0.85 > scores[0]


# ------------------------------------------------------------------- kinds of input


def test_tables_of_all_kinds_give_the_same_net():
    X, y = table()
    net = make().fit(X, y)
    for same in (pd.DataFrame(X), torch.from_numpy(X), X.astype(np.float64), X[::-1][::-1]):
        other = make().fit(same, y)
        assert_same_bits(net, other)
        np.testing.assert_allclose(other.predict_proba(same), net.predict_proba(X), atol=1e-6)


def test_the_table_is_not_changed():
    X, y = table()
    before = X.copy(), y.copy()
    make(alpha=1.0).fit(X, y).predict(X)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("module", [MLP, Net])
@pytest.mark.parametrize("members", [1, 2])
def test_a_torch_dataset_goes_through_a_loader(module, members):
    X, y = table()
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    net = make(module, n_outputs=3, n_members=members, max_epochs=40).fit(dataset, y=None)
    assert net.history[-1, "train_batch_count"] == 6
    assert (net.predict(X) == y).mean() > 0.8
    np.testing.assert_allclose(net.predict_proba(dataset), net.predict_proba(X), atol=1e-6)


def test_a_torch_dataset_needs_the_number_of_outputs():
    X, y = table()
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    with pytest.raises(ValueError, match="n_outputs must be given"):
        make().fit(dataset, y=None)


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_batches_of_any_size(batch_size):
    net = make(batch_size=batch_size, max_epochs=2).fit(*table(9))
    assert net.history[-1, "train_batch_count"] == -(-9 // min(batch_size, 9))
    assert np.isfinite(outputs(net)).all()
