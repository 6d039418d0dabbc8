"""What MixupNet promises about random numbers and bad input."""

import random
import threading

import numpy as np
import pytest
import torch
from noisy_nets import Net, make, proba, table
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from mixup_tab import MLP
from mixup_tab.losses import MixedSquaredError


def dataset():
    return torch.utils.data.TensorDataset(*map(torch.from_numpy, table()))


# ------------------------------------------------------------------- random numbers

USES = {
    "MLP": lambda: make().fit(*table()),
    "stack": lambda: make(n_members=3).fit(*table()),
    "module": lambda: make(Net).fit(*table()),
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


def seed_everything(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


@pytest.fixture
def own_global_state():
    """Puts the global random states back after the test."""
    numpy_state, state = np.random.get_state(), random.getstate()  # noqa: NPY002
    with torch.random.fork_rng():
        yield
    np.random.set_state(numpy_state)  # noqa: NPY002
    random.setstate(state)


@pytest.mark.parametrize("use", USES)
def test_an_integer_seed_leaves_global_random_states_alone(use, own_global_state):
    seed_everything(1)
    before = global_states()
    one = USES[use]()
    proba(one)
    assert global_states() == before
    seed_everything(2)
    np.testing.assert_array_equal(proba(USES[use]()), proba(one))


@pytest.mark.parametrize("use", ["MLP", "ensemble"])
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


def test_seeds_matter():
    found = [
        proba(make(random_state=seed).fit(*table()))[0, 0]
        for seed in (0, 1, np.random.RandomState(5), [7])
    ]
    assert len(set(found)) == 4


def test_a_random_state_object_moves_on_from_fit_to_fit():
    state = np.random.RandomState(5)
    one, two = (proba(make(random_state=state).fit(*table())) for _ in range(2))
    assert not np.array_equal(one, two)


def test_dropout_is_off_in_prediction():
    net = make(Net).fit(*table())
    np.testing.assert_array_equal(proba(net), proba(net))


# ------------------------------------------------------------------------ bad input


def assert_usable(net):
    """A second fit on good data is as good as a first."""
    X, y = table()
    expected = proba(net.__class__(**net.get_params(deep=False)).fit(X, y))
    np.testing.assert_array_equal(proba(net.fit(X, y)), expected)


@pytest.mark.parametrize("module", [MLP, Net])
def test_a_loss_that_is_not_finite_names_the_epoch(module):
    X, y = table()
    net = make(module, lr=0.01)
    with pytest.raises(
        ValueError, match=r"loss became (nan|inf) in epoch 1\. Lower the"
    ) as error:
        net.fit(X * np.float32(1e38), y)
    assert "lr" in str(error.value)
    assert "0.01" in str(error.value)
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
    ("module", "shape"), [(flat, r"\(2,\)"), (deep, r"\(2, 1, 2\)"), (narrow, r"\(2, 1\)")]
)
@pytest.mark.parametrize("members", [1, 2])
def test_a_module_with_outputs_of_the_wrong_shape_is_named(module, shape, members):
    message = rf"module={module.__name__} returned shape {shape} .*but \(2, 2\) is needed"
    with pytest.raises(ValueError, match=message):
        make(module, n_members=members).fit(*table())


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, MixedSquaredError])
def test_wrong_shapes_are_noticed_with_any_criterion(criterion):
    X, y = table()
    y = y if criterion is nn.CrossEntropyLoss else np.eye(2, dtype=np.float32)[y]
    with pytest.raises(ValueError, match="module=narrow returned shape"):
        make(narrow, criterion).fit(X, y)


BAD = [
    ({"alpha": -1.0}, ValueError, "alpha must be .*got -1.0"),
    ({"alpha": float("nan")}, ValueError, "alpha must be .*got nan"),
    ({"alpha": "much"}, TypeError, "alpha must be a number.*got 'much'"),
    ({"alpha": [0.1, 0.2, 0.3], "n_members": 2}, ValueError, "alpha has 3 .*n_members=2"),
    ({"mixing": "mixdown"}, ValueError, "mixing must be .*got 'mixdown'"),
    ({"mixing": 3}, TypeError, "mixing must be .*got 3"),
    ({"random_state": [1, 2, 3], "n_members": 2}, ValueError, "3 seeds for n_members=2"),
    ({"batch_size": 0}, ValueError, "batch_size must be .*got 0"),
]


@pytest.mark.parametrize(("setting", "error", "message"), BAD, ids=str)
def test_bad_settings_are_named(setting, error, message):
    with pytest.raises(error, match=message):
        make(**setting).fit(*table())


def test_an_unknown_device_is_refused_at_once():
    with pytest.raises(ValueError, match="device='gpu' cannot be used here"):
        make(device="gpu")
