"""MixupNet as an object: parameters, copies, going on."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from small_nets import HALF, make, proba, table


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))


def test_parameters_can_be_read_set_and_cloned():
    net = make(alpha=0.7, callbacks__print_log=None)
    params = net.get_params()
    assert params["alpha"] == 0.7
    assert params["module__hidden_layer_sizes"] == (16, 8)
    other = clone(net).set_params(alpha=0.0, module__hidden_layer_sizes=(5,), max_epochs=1)
    assert net.alpha == 0.7
    assert [tuple(w.shape) for w, _ in other.fit(*table()).module_.layers()] == [
        (1, 5, 6),
        (1, 2, 5),
    ]
    assert other.history[-1, "epoch"] == 1


def test_a_clone_trains_to_the_same_bits():
    net = make().fit(*table())
    np.testing.assert_array_equal(proba(clone(net).fit(*table())), proba(net))


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "pickle"],
)
@pytest.mark.parametrize("members", [1, 2])
def test_copies_predict_and_go_on_alike(copied, members):
    net = make(n_members=members, train_split=HALF).fit(*table())
    other = copied(net)
    np.testing.assert_array_equal(proba(other), proba(net))
    for one in (net, other):
        one.partial_fit(*table())
    np.testing.assert_array_equal(proba(other), proba(net))
    assert len(other.history) == 8


def test_saved_parameters_are_loaded_and_go_on_alike(tmp_path):
    files = {f"f_{part}": tmp_path / part for part in ("params", "optimizer", "history")}
    net = make().fit(*table())
    net.save_params(**files)
    other = make().initialize()
    other.load_params(**files)
    np.testing.assert_array_equal(proba(other), proba(net))
    for one in (net, other):
        one.partial_fit(*table())
    np.testing.assert_array_equal(proba(other), proba(net))


def test_partial_fit_goes_on_and_fit_starts_again():
    net = make().fit(*table())
    first = proba(net)
    net.partial_fit(*table())
    assert len(net.history) == 8
    assert not np.array_equal(proba(net), first)
    net.fit(*table())
    assert len(net.history) == 4
    np.testing.assert_array_equal(proba(net), first)


def test_going_on_draws_other_batches_than_the_first_epochs():
    # Without a step the order alone decides; the loss of mixed rows tells it.
    net = make(lr=0.0, max_epochs=2).fit(*table())
    net.partial_fit(*table())
    assert len(set(net.history[:, "train_loss"])) == 4
