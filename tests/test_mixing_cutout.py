import pickle

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.mixing import Cutout, as_rule
from mixup_tab.training.batches import Mixing
from mixup_tab.training.randomness import Streams


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(rule=None, alpha=1.0, features=(3, 8, 9), count=200):
    rule = rule or Cutout()
    x = torch.randn(count, *features, generator=source(1))
    return rule, x, rule.draw(alpha, (count,), features=features, generator=source(2))


@pytest.mark.parametrize("fill", [0.0, -2.5])
@pytest.mark.parametrize("features", [(7,), (8, 9), (3, 8, 9)])
def test_what_is_not_kept_becomes_the_fill_value(features, fill):
    rule, x, cut = drawn(Cutout(fill=fill), features=features)
    expected = np.where(cut.keep.expand(x.shape).numpy(), x.numpy(), np.float32(fill))
    np.testing.assert_array_equal(rule.mix_x(x, cut), expected)
    assert not cut.keep.all()


def test_targets_stay_and_weigh_one():
    rule, _, cut = drawn()
    y = torch.rand(200, 4, generator=source(3))
    assert torch.equal(rule.mix_y(y, cut), y)
    assert (cut.lam == 1).all()
    assert torch.equal(cut.partner, torch.arange(200))


def test_at_most_half_is_cut_out_and_more_with_a_larger_alpha():
    gone = [1 - drawn(alpha=a)[2].keep.float().mean((1, 2, 3)) for a in (0.1, 1.0, 50.0)]
    assert all(share.max() <= 0.5 for share in gone)
    means = [float(share.mean()) for share in gone]
    assert means == sorted(means)
    assert means[0] < 0.1 < means[2]


def test_alpha_zero_changes_nothing():
    rule, x, cut = drawn(alpha=0)
    assert torch.equal(rule.mix_x(x, cut), x)


def test_columns_of_a_table_are_cut_out_independently_of_their_place():
    cut = drawn(features=(4,), count=20_000)[2]
    # E max(λ, 1 − λ) under a uniform λ
    np.testing.assert_allclose(cut.keep.double().mean(0), 0.75, atol=0.02)


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("cutout") == Cutout()
    assert pickle.loads(pickle.dumps(Cutout(axes="time"))) == Cutout(axes="time")


def test_unknown_axes_are_refused():
    with pytest.raises(ValueError, match="axes must be one of"):
        Cutout(axes="x")


def test_batches_of_the_net_are_cut():
    x, y = torch.ones(3, 8, 1, 6, 5), torch.eye(8).expand(3, 8, 8)
    mixed, targets = Mixing(Cutout(), [2.0]).apply(0, x, y, None, Streams.from_seed(0, "cpu"))
    assert 0.5 <= mixed.mean() < 1
    assert torch.equal(targets, y)


def test_the_classifier_learns_with_it(three_classes):
    X, y = three_classes
    small = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}
    fitted = MixupClassifier(**small, mixing="cutout", alpha=0.2, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8
