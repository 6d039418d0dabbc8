import pickle

import numpy as np
import pytest
import torch

from mixup_tab import CutMix, MixupClassifier, MixupRegressor
from mixup_tab.mixing import FeatMix, as_rule
from mixup_tab.mixing.information import mutual_information

SHAPES = [((5,), (3,)), ((2, 3, 5), (7,)), ((6,), (4, 5)), ((2, 3), (2, 4, 5))]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def information_for(features):
    return np.random.default_rng(0).exponential(size=int(np.prod(features)))


def drawn(lead, features, alpha=0.7, information=None, **params):
    information = information_for(features) if information is None else information
    rule = FeatMix(information=tuple(information), **params)
    return rule, rule.draw(alpha, lead, features=features, generator=source())


@pytest.mark.parametrize(("lead", "features"), SHAPES)
def test_the_label_weighs_the_share_of_information_that_is_kept(lead, features):
    rule, cut = drawn(lead, features)
    information = information_for(features).reshape(features)
    y = torch.randn(*lead, 3, generator=source(1), dtype=torch.float64)
    keep = np.broadcast_to(cut.keep.numpy(), (*lead, *features))
    mixed = rule.mix_y(y, cut)
    for at in np.ndindex(*lead):
        lam = information[keep[at]].sum() / information.sum()
        other = y[(*at[:-1], int(cut.partner[at]))]
        np.testing.assert_allclose(cut.lam[at], lam, atol=1e-6)
        np.testing.assert_allclose(mixed[at], lam * y[at] + (1 - lam) * other, atol=1e-6)


@pytest.mark.parametrize(("lead", "features"), SHAPES)
def test_inputs_are_mixed_as_by_cutmix(lead, features):
    rule, cut = drawn(lead, features)
    plain = CutMix().draw(0.7, lead, features=features, generator=source())
    x = torch.randn(*lead, *features, generator=source(1))
    assert torch.equal(rule.mix_x(x, cut), CutMix().mix_x(x, plain))


@pytest.mark.parametrize("information", [[0.0] * 40, [0.3] * 40])
@pytest.mark.parametrize("features", [(40,), (2, 4, 5)])
def test_where_all_features_tell_the_same_it_is_cutmix(information, features):
    _, cut = drawn((50,), features, information=information)
    plain = CutMix().draw(0.7, (50,), features=features, generator=source())
    torch.testing.assert_close(cut.lam, plain.lam)


def test_swapping_what_tells_nothing_leaves_the_label():
    _, cut = drawn((200,), (3,), information=(0.0, 5.0, 0.0))
    assert torch.equal(cut.lam, cut.keep[:, 1].float())


@pytest.mark.parametrize("features", [(7,), (3, 4)])
def test_alpha_zero_is_bit_equal_to_not_mixing(features):
    rule, cut = drawn((4, 33), features, alpha=0)
    x = torch.randn(4, 33, *features, generator=source()) * 1e20
    assert torch.equal(rule.mix_x(x, cut), x)
    assert torch.equal(rule.mix_y(x, cut), x)
    assert (cut.lam == 1).all()


def test_targets_sum_to_one():
    rule, cut = drawn((50,), (9,))
    targets = rule.mix_y(torch.eye(50), cut)
    torch.testing.assert_close(targets.sum(1), torch.ones(50))
    assert ((targets >= 0) & (targets <= 1)).all()


@pytest.mark.parametrize("features", [(4,), (2, 2)])
def test_it_learns_the_information_of_the_training_rows(features):
    x = torch.randn(90, *features, generator=source())
    y = (x.flatten(1)[:, 1] > 0).long()
    rule = FeatMix(axes="time").learn(lambda rows: x[rows], y)
    assert rule.axes == "time"
    expected = mutual_information(x.flatten(1), y)
    assert rule.information == tuple(expected.tolist())
    assert int(np.argmax(rule.information)) == 1
    assert rule.learn(lambda rows: x[rows] * 0, y) is rule
    rule.draw(1.0, (5,), features=features, generator=source())


def test_without_information_it_cannot_draw():
    with pytest.raises(ValueError, match="fit learns it"):
        FeatMix().draw(1.0, (5,), features=(3,), generator=source())


def test_information_of_other_features_is_refused():
    with pytest.raises(ValueError, match=r"must hold 6 numbers.*got 3"):
        FeatMix(information=(1, 2, 3)).draw(1.0, (5,), features=(2, 3), generator=source())


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_information_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match="information must hold finite numbers"):
        FeatMix(information=(1.0, value))


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("featmix") == FeatMix()
    rule = FeatMix(information=[1, 2])
    assert pickle.loads(pickle.dumps(rule)) == rule == FeatMix(information=(1.0, 2.0))
    assert len({rule, FeatMix(information=(1.0, 2.0))}) == 1


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_classifier_learns_with_it(three_classes):
    X, y = three_classes
    fitted = MixupClassifier(**SMALL, mixing="featmix", alpha=0.5, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8


def test_the_regressor_learns_with_it(line):
    fitted = MixupRegressor(**SMALL, mixing="featmix", alpha=0.2, max_epochs=60).fit(*line)
    assert fitted.score(*line) > 0.7
