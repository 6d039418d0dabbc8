import pickle

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing import (
    CutMix,
    DirichletMixup,
    ManifoldMixup,
    Mixup,
    RegMixup,
    as_rule,
)

SHAPES = [((5,), (3,)), ((3, 5), (4,)), ((2, 3), (2, 4, 5))]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("inside", [Mixup(), CutMix(), DirichletMixup()])
@pytest.mark.parametrize(("lead", "rest"), SHAPES)
def test_the_mixed_batch_stands_behind_the_clean_one(lead, rest, inside):
    rule, batch = RegMixup(inside, eta=0.5), lead[-1]
    x = torch.randn(*lead, *rest, generator=source(1))
    y = torch.randn(*lead, 3, generator=source(2))
    mix = rule.draw(10.0, lead, features=rest, generator=source())
    axis = len(lead) - 1
    clean, mixed = rule.mix_x(x, mix).split(batch, axis)
    np.testing.assert_array_equal(clean, x)
    np.testing.assert_array_equal(mixed, inside.mix_x(x, mix))
    clean, mixed = rule.mix_y(y, mix).split(batch, axis)
    np.testing.assert_allclose(clean, y * 2 / 1.5, rtol=1e-6)
    np.testing.assert_allclose(mixed, inside.mix_y(y, mix) * 2 * 0.5 / 1.5, rtol=1e-6)


@pytest.mark.parametrize("eta", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("criterion", [MixedCrossEntropy(0.1), MixedSquaredError()])
def test_the_loss_is_the_papers_up_to_a_factor(eta, criterion):
    rule = RegMixup(eta=eta)
    x = torch.randn(6, 3, generator=source(1), dtype=torch.float64)
    y = torch.arange(6) % 3 if isinstance(criterion, MixedCrossEntropy) else x.flip(0)
    weight = torch.rand(6, generator=source(3), dtype=torch.float64) + 0.5
    targets = criterion.encode(y, weight, 3)
    mix = rule.draw(10.0, (6,), generator=source())
    loss = criterion(rule.mix_x(x, mix), rule.mix_y(targets, mix))  # the net changes nothing
    clean = criterion(x, targets)
    mixed = criterion(Mixup().mix_x(x, mix), Mixup().mix_y(targets, mix))
    torch.testing.assert_close(loss, (clean + eta * mixed) / (1 + eta))


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_labels_weigh_one_on_average(eta):
    rule = RegMixup(eta=eta)
    mix = rule.draw(10.0, (40,), generator=source())
    torch.testing.assert_close(rule.mix_y(torch.eye(40), mix).sum(1).mean(), torch.tensor(1.0))


def test_alpha_zero_is_the_same_batch_twice():
    x, rule = torch.randn(2, 9, 4, generator=source()), RegMixup()
    mix = rule.draw(0, (2, 9), generator=source())
    assert torch.equal(rule.mix_x(x, mix), torch.cat((x, x), 1))
    assert torch.equal(rule.mix_y(x, mix), torch.cat((x, x), 1))


def test_it_says_that_batches_grow():
    assert RegMixup().grows
    assert not RegMixup().hidden


@pytest.mark.parametrize("inside", [RegMixup(), ManifoldMixup()])
def test_rules_that_cannot_stand_beside_the_batch_are_refused(inside):
    with pytest.raises(ValueError, match="cannot be used beside the batch"):
        RegMixup(inside)


@pytest.mark.parametrize("eta", [0, -1.0, float("nan"), float("inf")])
def test_a_weight_out_of_range_is_refused(eta):
    with pytest.raises(ValueError, match=f"eta must be .*got {eta!r}"):
        RegMixup(eta=eta)


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("regmixup") == RegMixup(Mixup(), eta=1.0)
    assert pickle.loads(pickle.dumps(RegMixup(eta=2.0))) == RegMixup(eta=2.0)


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_classifier_learns_with_it(three_classes):
    X, y = three_classes
    fitted = MixupClassifier(**SMALL, mixing="regmixup", alpha=10.0, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8
