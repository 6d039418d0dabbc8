"""Mixing of hidden layers."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import cross_val_score
from torch import nn

from mixup_tab import MLP, MixupClassifier, MixupNet, MixupRegressor, MixupSearchCV
from mixup_tab.losses import MixedSquaredError
from mixup_tab.mixing import CMixup, DirichletMixup, ManifoldMixup, Mixup
from mixup_tab.nets.stacked import as_stack
from mixup_tab.training.hidden import (
    INPUT,
    HiddenMix,
    _chosen_layers,
    _LayerDraw,
    mixed_inside,
    mixed_layers,
)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype("float32")
    return X, (X[:, 0] > 0).astype("int64")


class Blocks(nn.Module):
    """Two blocks, something without weights, and an output layer."""

    def __init__(self, in_features=3, out_features=2):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(in_features, 8), nn.ReLU())
        self.second = nn.Linear(8, 6)
        self.shape = nn.Identity()
        self.out = nn.Linear(6, out_features)

    def forward(self, x):
        return self.out(self.shape(self.second(self.first(x)).relu()))


class Shell(nn.Module):
    def __init__(self, in_features=3, out_features=2):
        super().__init__()
        self.net = Blocks(in_features, out_features)

    def forward(self, x):
        return self.net(x)


def test_layers_have_names_and_blocks_come_first():
    assert as_stack(MLP(3, 2, (8, 8, 8))).hidden_layers() == ["layer1", "layer2", "layer3"]
    assert as_stack(MLP(3, 2, ())).hidden_layers() == []
    assert as_stack(Blocks()).blocks() == ["first", "second"]
    assert as_stack(Shell()).blocks() == ["net.first", "net.second"]
    others = {"net", "net.shape", "net.out", "net.first.0"}
    assert set(as_stack(Shell()).hidden_layers()) >= others


@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (MLP(3, 2, (8, 8, 8)), ["input", "layer1", "layer2"]),
        (MLP(3, 2, ()), ["input"]),
        (Blocks(), ["input", "first", "second"]),
    ],
)
def test_the_input_and_two_blocks_are_drawn_where_none_are_named(net, layers):
    assert _chosen_layers(ManifoldMixup(), net) == layers


def mix_at(layer, targets, alpha=1.0, seed=0):
    return HiddenMix(
        ManifoldMixup(), alpha, layer, targets, torch.Generator().manual_seed(seed)
    )


def expected_mix(targets, seed=0):
    return Mixup().draw(1.0, targets.shape[:1], generator=torch.Generator().manual_seed(seed))


def test_a_module_is_mixed_behind_the_layer_that_is_named():
    net, targets, x = Blocks(), torch.eye(2).repeat(3, 1), torch.randn(6, 3)
    mix = mix_at("second", targets)
    with mixed_inside(net, mix):
        outputs = net(x)
    drawn = expected_mix(targets)
    states = net.second(net.first(x))
    mixed = drawn.lam[:, None] * states + (1 - drawn.lam)[:, None] * states[drawn.partner]
    assert torch.allclose(outputs, net.out(mixed.relu()), atol=1e-6)
    wanted = drawn.lam[:, None] * targets + (1 - drawn.lam)[:, None] * targets[drawn.partner]
    assert torch.allclose(mix.mixed_targets(), wanted)
    assert torch.equal(net(x), net.out(states.relu()))  # the hook is gone


@pytest.mark.parametrize("layer", ["input", "layer1", "layer2"])
def test_every_member_of_an_mlp_is_mixed_at_its_own_layer(layer):
    net = MLP(3, 2, (8, 8), n_members=2)
    x, targets = torch.randn(2, 6, 3), torch.eye(2).repeat(3, 1)
    other = "layer2" if layer != "layer2" else "input"
    mixes = [mix_at(layer, targets, seed=0), mix_at(other, targets, seed=1)]
    outputs = net.body(x, change=mixed_layers(mixes))
    for member, (mix, seed) in enumerate(zip(mixes, (0, 1), strict=True)):
        drawn, state = expected_mix(targets, seed), x[member]
        for k, (weight, bias) in enumerate(net.layers()):
            state = state.relu() if k else state
            if mix.layer == (f"layer{k}" if k else "input"):
                lam = drawn.lam[:, None]
                state = lam * state + (1 - lam) * state[drawn.partner]
            state = state @ weight[member].mT + bias[member]
        assert torch.allclose(outputs[member], state, atol=1e-6)


def test_layers_are_drawn_evenly_among_the_names():
    draw = _LayerDraw(["input", "layer2"], torch.Generator().manual_seed(0))
    drawn = [draw.next() for _ in range(1000)]
    assert set(drawn) == {"input", "layer2"}
    assert 430 < drawn.count("input") < 570


@pytest.mark.parametrize("module", [None, Blocks, Shell], ids=["mlp", "blocks", "shell"])
def test_classifiers_learn_and_keep_their_bits(module, rows):
    net = MixupClassifier(
        mixing="manifold", module=module, alpha=1, n_estimators=2, max_epochs=30, random_state=0
    )
    proba = net.fit(*rows).predict_proba(rows[0])
    assert net.score(*rows) > 0.9
    assert np.array_equal(proba, net.fit(*rows).predict_proba(rows[0]))
    plain = net.set_params(mixing="mixup").fit(*rows).predict_proba(rows[0])
    assert not np.array_equal(proba, plain)


def test_alpha_0_is_plain_training(rows):
    def fitted(**params):
        net = MixupClassifier(module=Blocks, max_epochs=3, random_state=0, **params)
        return net.fit(*rows).predict_proba(rows[0])

    plain = fitted(alpha=0, mixing="mixup")
    assert np.array_equal(fitted(alpha=0, mixing="manifold"), plain)
    late = fitted(alpha=1, mixing="manifold", mixing_span=(0.9, 1))  # of 3 epochs none
    assert np.array_equal(late, plain)


def test_mixing_has_a_stream_of_its_own_also_inside_of_a_net(rows):
    rule = ManifoldMixup(DirichletMixup(), layers=("second",))
    net = MixupNet(Blocks, mixing=rule, alpha=1, verbose=0).initialize()
    net.notify("on_train_begin", X=rows[0], y=rows[1])
    state = net._start_training(epochs=1)
    for batches in net._epochs(*rows, state):
        step = {"step_fn": net.train_step, "training_state": state}
        net.run_single_epoch(batches, training=True, prefix="train", **step)
    assert not state.draws_noise  # the net has none of its own


def test_rules_that_look_at_values_get_them():
    values = torch.tensor([[2.0], [5.0], [2.01], [5.01]]).repeat(4, 1)
    targets = MixedSquaredError().encode(values, torch.linspace(0.5, 1.5, 16), 1)
    rule = ManifoldMixup(CMixup(0.1))
    mix = HiddenMix(rule, 1.0, "layer1", targets, torch.Generator().manual_seed(0))
    mixed = mix(values)
    assert (mixed - values).abs().max() < 0.02  # none is mixed with one that is far away
    assert not torch.equal(mixed, values)


def test_regressors_mix_hidden_layers_as_well(rows):
    X, y = rows[0], rows[0] @ [1.0, 2, 3]
    net = MixupRegressor(mixing="manifold", max_epochs=60, random_state=0).fit(X, y)
    assert net.score(X, y) > 0.8


def test_a_search_chooses_among_rules_that_mix_inside_and_outside(rows):
    grid = {"mixing": ["mixup", "manifold", ManifoldMixup(layers=("layer1",))]}
    net = MixupClassifier(n_estimators=1, max_epochs=4, random_state=0)
    search = MixupSearchCV(net, grid, cv=2, scoring="neg_log_loss").fit(*rows)
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 3
    alone = net.set_params(mixing="manifold")
    assert cross_val_score(alone, *rows, cv=2, scoring="neg_log_loss").mean() == scores[1]


@pytest.mark.parametrize("module", [None, Blocks])
def test_unknown_layers_are_named_with_those_that_there_are(module, rows):
    net = MixupClassifier(mixing=ManifoldMixup(layers=("layer9",)), module=module, max_epochs=2)
    with pytest.raises(ValueError, match=r"'layer9'.*some of: 'input', "):
        net.fit(*rows)
    assert not hasattr(net, "net_")


class Rebel(nn.Module):
    """A layer that is not called, and one whose output is not one state per example."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.idle = nn.Linear(1, 1)
        self.turned = nn.Flatten(0)
        self.pair = Pair()
        self.out = nn.Linear(in_features, out_features)

    def forward(self, x):
        self.turned(x), self.pair(x)
        return self.out(x)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("idle", "Layer 'idle' was not called"),
        ("turned", r"Layer 'turned' returns \(\d+,\) for \d+ examples"),
        ("pair", "Layer 'pair' returns tuple"),
    ],
)
def test_layers_that_cannot_be_mixed_are_refused(layer, message, rows):
    net = MixupClassifier(
        mixing=ManifoldMixup(layers=(layer,)), alpha=1, module=Rebel, max_epochs=2
    )
    with pytest.raises(ValueError, match=message):
        net.fit(*rows)


def test_a_layer_that_is_called_twice_is_mixed_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.out(self.layer(self.layer(x)))

    net, targets, x = Twice(), torch.eye(2).repeat(3, 1), torch.randn(6, 3)
    with mixed_inside(net, mix_at("layer", targets)):
        outputs = net(x)
    drawn, states = expected_mix(targets), net.layer(x)
    mixed = torch.lerp(states[drawn.partner], states, drawn.lam[:, None])
    assert torch.allclose(outputs, net.out(net.layer(mixed)), atol=1e-6)


def test_the_input_needs_no_hook():
    net, targets, x = Blocks(), torch.eye(2).repeat(3, 1), torch.randn(6, 3)
    with mixed_inside(net, mix_at(INPUT, targets)):
        assert torch.equal(net(x), Blocks.forward(net, x))
