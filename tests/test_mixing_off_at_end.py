import math
import pickle

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.mixing import FeatMix, ManifoldMixup, Mixup, OffAtEnd, RegMixup, Remix, as_rule


def mixed(rule, end):
    """In which epochs there is mixing."""
    return [epoch for epoch in range(end) if rule.at(epoch, end) is not None]


@pytest.mark.parametrize("end", [1, 7, 10, 30, 100])
@pytest.mark.parametrize("epochs", [0, 1, 3, 50])
def test_the_last_epochs_are_not_mixed(epochs, end):
    assert mixed(OffAtEnd(epochs=epochs), end) == list(range(max(end - epochs, 0)))


@pytest.mark.parametrize("end", [1, 7, 10, 30, 100])
@pytest.mark.parametrize("tenths", [1, 3, 7])
def test_a_share_of_the_epochs_is_rounded_up(tenths, end):
    off = math.ceil(tenths * end / 10)
    assert len(mixed(OffAtEnd(epochs=tenths / 10), end)) == end - off


def test_where_nobody_knows_the_end_mixing_stays_on():
    assert all(OffAtEnd(epochs=5).at(epoch, None) == Mixup() for epoch in (0, 3, 1000))


@pytest.mark.parametrize("inside", [ManifoldMixup(layers=["input"]), RegMixup(), Remix()])
def test_until_then_the_rule_is_the_one_inside(inside):
    rule = OffAtEnd(inside, epochs=1)
    assert rule.at(0, 2) == inside
    for name in ("hidden", "grows", "needs_labels", "kind"):
        assert getattr(rule, name) == getattr(inside, name)


def test_two_of_them_end_with_the_first():
    assert mixed(OffAtEnd(OffAtEnd(epochs=4), epochs=2), 10) == list(range(6))


def test_the_rule_inside_learns():
    rule = OffAtEnd(Remix(), epochs=2).learn(lambda rows: None, torch.tensor([0, 1, 1]))
    assert rule == OffAtEnd(Remix(class_counts=(1, 2)), epochs=2)


def test_numbers_of_numpy_are_numbers():
    assert mixed(OffAtEnd(epochs=np.int64(2)), 5) == [0, 1, 2]
    assert mixed(OffAtEnd(epochs=np.float64(0.4)), 5) == [0, 1, 2]


@pytest.mark.parametrize("value", [-1, 0.0, 1.0, 2.5, -0.1, True, None, "0.1"])
def test_bad_numbers_of_epochs_are_refused(value):
    with pytest.raises(ValueError, match="epochs must be a whole number") as error:
        OffAtEnd(epochs=value)
    assert repr(value) in str(error.value)


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("off_at_end") == OffAtEnd(Mixup(), epochs=0.1)
    rule = OffAtEnd(FeatMix(), epochs=3)
    assert pickle.loads(pickle.dumps(rule)) == rule != OffAtEnd(epochs=3)


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_nets_that_are_never_mixed_are_those_without_mixup(three_classes):
    X, y = three_classes
    off, plain, mixed = (
        MixupClassifier(**SMALL, max_epochs=4, **params).fit(X, y).predict_proba(X)
        for params in (
            {"mixing": OffAtEnd(epochs=4), "alpha": 1.0},
            {"alpha": 0},
            {"mixing": OffAtEnd(epochs=1), "alpha": 1.0},
        )
    )
    assert np.array_equal(off, plain)
    assert not np.array_equal(mixed, plain)
