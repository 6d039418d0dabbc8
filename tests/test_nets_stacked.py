"""Any net behind the interface of a stack: ensembles, nets in two parts, mixed precision."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from mixup_tab import MLP, MixupClassifier, MixupNet
from mixup_tab.nets import Ensemble, PreparedNet
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training.device import has_fast_bfloat16, precision_for


class Plain(torch.nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x)


class Squared(PreparedNet):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def prepare(self, x):
        return x.float() ** 2

    def body(self, x):
        return self.layer(x)


class Jittered(Squared):
    augments = True
    calls = ()

    def prepare(self, x):
        type(self).calls += ((self.training, len(x)),)
        x = x.float()
        return x + torch.rand_like(x) if self.training else x


def table(dtype=np.float32):
    rng = np.random.default_rng(0)
    X = rng.integers(-9, 9, (40, 3)).astype(dtype)
    return X, (np.abs(X[:, 0]) > 4).astype(int)


def classifier(module, **params):
    return MixupClassifier(
        module=module, **{"max_epochs": 3, "random_state": 0, "batch_size": 16, **params}
    )


def weights(clf):
    return torch.cat([p.detach().flatten() for p in clf.net_.module_.parameters()])


@pytest.mark.parametrize("params", [{}, {"n_estimators": 2}, {"early_stopping": True}])
@pytest.mark.parametrize("rows", [40, 1_000])
def test_preparing_comes_before_mixing(params, rows, monkeypatch):
    """So it is the same as training a net without it on prepared rows; small and large."""
    monkeypatch.setattr("mixup_tab.training.table.PREPARED_VALUES", 1000)
    X, y = (np.resize(part, (rows, *part.shape[1:])) for part in table())
    inside = classifier(Squared, alpha=1, **params).fit(X, y)
    outside = classifier(Plain, alpha=1, **params).fit(X**2, y)
    assert torch.equal(weights(inside), weights(outside))
    assert np.array_equal(inside.predict_proba(X), outside.predict_proba(X**2))
    assert inside.loss_curve_ == outside.loss_curve_


def test_integers_arrive_as_they_are():
    X, y = table(np.int16)
    kinds = set()

    class Look(Squared):
        def prepare(self, x):
            kinds.add(x.dtype)
            return super().prepare(x)

    classifier(Look).fit(X, y).predict(X)
    assert kinds == {torch.int16}


def test_other_nets_get_floats_as_ever():
    X, y = table(np.int16)
    assert classifier(Plain).fit(X, y).predict(X).shape == (40,)


def test_random_preparation_is_for_training_alone():
    X, y = table()
    Jittered.calls = ()
    clf = classifier(Jittered, early_stopping=True, validation_fraction=0.25).fit(X, y)
    training = [rows for mode, rows in Jittered.calls if mode]
    assert training[:2] == [16, 14]
    assert sum(training) >= 30 * clf.n_iter_
    Jittered.calls = ()
    assert np.array_equal(clf.predict_proba(X), clf.predict_proba(X))
    assert {mode for mode, _ in Jittered.calls} == {False}


def test_random_preparation_leaves_order_mixing_and_weights_as_they_are():
    """It draws from a stream of its own."""
    X, y = table()

    class Still(Jittered):
        def prepare(self, x):
            if self.training:
                torch.rand(7)
            return x.float() ** 2

    assert torch.equal(
        weights(classifier(Still, alpha=1).fit(X, y)),
        weights(classifier(Squared, alpha=1).fit(X, y)),
    )


def test_members_are_prepared_with_their_own_random_numbers():
    X, y = table()
    pair = classifier(Jittered, n_estimators=2, alpha=0.3).fit(X, y)
    alone = classifier(Jittered, alpha=0.3).fit(X, y)
    first = torch.cat([p.flatten() for p in pair.net_.module_.members[0].parameters()])
    assert torch.equal(first, weights(alone))


@pytest.mark.parametrize("members", [1, 2])
def test_batches_of_a_dataset_are_prepared_too(members):
    """Streamed by a loader, raw examples are what they are as arrays."""
    X, y = table(np.int16)

    def net(module):
        return MixupNet(
            module,
            module__in_features=3,
            module__out_features=2,
            n_outputs=2,
            n_members=members,
            mixing_span=(0.3, 1),
            **{"max_epochs": 3, "random_state": 0, "batch_size": 16, "verbose": 0},
        )

    def trained(module, X):
        dataset = torch.utils.data.TensorDataset(*map(torch.from_numpy, (X, y)))
        return torch.cat([p.flatten() for p in net(module).fit(dataset).module_.parameters()])

    assert torch.equal(trained(Squared, X), trained(Plain, X.astype(np.float32) ** 2))
    Jittered.calls = ()
    trained(Jittered, X)
    assert {mode for mode, _ in Jittered.calls} == {True}


def test_a_net_with_an_attribute_called_augments_is_no_prepared_net():
    X, y = table()

    class Named(Plain):
        augments = True

    clf = classifier(Named, early_stopping=True).fit(X, y)
    assert torch.equal(weights(clf), weights(classifier(Plain, early_stopping=True).fit(X, y)))


def test_an_input_layer_that_a_function_gives_every_member_is_applied_once():
    X, y = table()

    class Shift(torch.nn.Module):
        def forward(self, x):
            return x / 9 + 1

    def make(in_features, out_features):
        return MLP(in_features, out_features, input_layer=Shift())

    pair = classifier(make, n_estimators=2).fit(X, y)
    alone = classifier(make, n_estimators=1).fit(X, y)
    first = torch.cat([p.flatten() for p in pair.net_.module_.members[0].parameters()])
    assert torch.allclose(first, weights(alone), atol=1e-5)


def test_what_preparing_computes_with_is_not_trained():
    X, y = table()

    class Learned(Squared):
        def __init__(self, in_features, out_features):
            super().__init__(in_features, out_features)
            self.factor = torch.nn.Parameter(torch.ones(in_features))

        def prepare(self, x):
            return super().prepare(x) * self.factor

    clf = classifier(Learned).fit(X, y)
    assert torch.equal(clf.net_.module_.factor, torch.ones(3))


def test_they_can_be_cloned_and_trained_on():
    X, y = table()
    clf = clone(classifier(Jittered, warm_start=True)).fit(X, y)
    clf.fit(X, y)
    assert clf.n_iter_ == 6


# -------------------------------------------------------------------- mixed precision


class Precise(torch.nn.Module):
    mixed_precision = True
    kinds = ()

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        out = self.layer(x)
        type(self).kinds += ((self.training, out.dtype),)
        return out


fast_here = pytest.mark.skipif(
    not has_fast_bfloat16("cpu"), reason="this CPU does not multiply bfloat16 numbers"
)


@fast_here
def test_a_net_that_asks_is_trained_in_mixed_precision_and_predicts_in_full():
    X, y = table()
    Precise.kinds = ()
    clf = classifier(Precise).fit(X, y)
    assert set(Precise.kinds) == {(True, torch.bfloat16), (False, torch.float32)}
    assert weights(clf).dtype == torch.float32
    assert clf.predict_proba(X).dtype == np.float64


@fast_here
def test_mixed_precision_learns_the_same_to_its_precision():
    X, y = table()

    class Full(Precise):
        mixed_precision = False

    mixed, full = classifier(Precise).fit(X, y), classifier(Full).fit(X, y)
    assert not torch.equal(weights(mixed), weights(full))
    assert torch.allclose(weights(mixed), weights(full), atol=0.05)


def test_others_are_not():
    X, y = table()
    kinds = set()

    class Look(Plain):
        def forward(self, x):
            out = super().forward(x)
            kinds.add(out.dtype)
            return out

    classifier(Look).fit(X, y)
    assert kinds == {torch.float32}


def test_no_autocast_on_a_device_that_gains_nothing_by_it():
    net = Precise(2, 2)
    with precision_for(net, "mps"):
        assert not torch.is_autocast_enabled("cpu")
    with precision_for(net.eval(), "cpu"):
        assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_on_cuda_convolutions_are_laid_out_channels_last():
    class Images(torch.nn.Module):
        mixed_precision = True

        def __init__(self, out_features):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.LazyLinear(out_features)
            )
            self.layers(torch.zeros(1, 3, 8, 8))

        def forward(self, x):
            return self.layers(x)

    X = np.random.default_rng(0).normal(size=(40, 3, 8, 8)).astype(np.float32)
    clf = classifier(Images, device="cuda").fit(X, np.arange(40) % 2)
    weight = clf.net_.module_.layers[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


# ------------------------------------------------------------------ the interface itself


class Convolution(torch.nn.Module):
    """Uses its weights in many places."""

    def __init__(self, channels=4):
        super().__init__()
        self.layer = torch.nn.Conv1d(1, channels, 3, padding=1)
        self.norm = torch.nn.BatchNorm1d(channels)
        self.last = torch.nn.Linear(channels, 2)

    def forward(self, x):
        return self.last(self.norm(self.layer(x.unsqueeze(1))).mean(2))


def test_an_ensemble_is_a_stack_of_any_nets():
    nets = [Plain(3, 2) for _ in range(3)]
    ensemble, x = Ensemble(nets), torch.randn(5, 3)
    assert torch.equal(ensemble(x), torch.stack([net(x) for net in nets]))
    stack = as_stack(ensemble)
    assert stack.nets() == nets
    for member, net in enumerate(nets):
        assert stack.member_tensors(member)["layer.weight"] is not None
        assert torch.equal(stack.member_tensors(member)["layer.weight"], net.layer.weight)
        before, after = stack.halves()[member]
        assert torch.equal(after(before(x)), net(x))


def test_members_of_an_mlp_are_the_mlp_itself():
    net = MLP(3, 2, (4,), n_members=2)
    assert as_stack(net) is net
    assert net.nets() == [net, net]
    assert len(net.halves()) == 1
    assert net.has_manual_backward
    assert net.can_join


def test_a_prepared_net_is_two_halves():
    net, x = Squared(3, 2), torch.arange(6).view(2, 3)
    [(prepare, body)] = as_stack(net).halves()
    assert torch.equal(body(prepare(x)), net(x))
    assert torch.equal(as_stack(net).prepare(x), x.float() ** 2)
    random = as_stack(Jittered(3, 2))
    assert random.augments
    assert random.prepare(x) is x  # it is prepared batch by batch


FLOAT, DOUBLE, SHORT = torch.float32, torch.float64, torch.int16


@pytest.mark.parametrize(
    ("net", "given", "training", "expected"),
    [
        (MLP(3, 2), DOUBLE, True, FLOAT),
        (MLP(3, 2), DOUBLE, False, DOUBLE),
        (MLP(3, 2), SHORT, False, FLOAT),
        (MLP(3, 2).double(), FLOAT, True, DOUBLE),
        (Plain(3, 2), DOUBLE, False, FLOAT),
        (Plain(3, 2).double(), FLOAT, True, DOUBLE),
        (Plain(3, 2), SHORT, True, FLOAT),
        (Squared(3, 2), SHORT, True, SHORT),
        (Squared(3, 2), DOUBLE, True, FLOAT),
        (torch.nn.Identity(), DOUBLE, True, FLOAT),
    ],
)
def test_the_rule_for_dtypes(net, given, training, expected):
    assert as_stack(net).input_dtype(given, training=training, device="cpu") == expected


def test_mps_has_no_double_precision():
    assert MLP(3, 2).input_dtype(DOUBLE, training=False, device="mps") == FLOAT


def test_the_work_of_a_net_is_counted_where_weights_are_shared():
    net = Convolution().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    for row in (torch.zeros(1, 100), torch.zeros(1, 100, dtype=torch.float64)):
        assert as_stack(net).multiplications(row) == 100 * 4 * 3 + 4 * 2
    assert as_stack(net).multiplications(None) == sum(p.numel() for p in net.parameters())
    assert net.training
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())
    mlp = MLP(3, 2, (4,), n_members=2)
    assert mlp.multiplications(None) == 2 * (3 * 4 + 4 + 4 * 2 + 2)
