import numpy as np
import pytest
import torch

from mixup_tab import CutMix, MixupClassifier, MixupCutMix
from mixup_tab.training.batches import Mixing
from mixup_tab.training.randomness import Streams


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(rule, alpha=0.7, shape=(2, 50), features=6):
    x = torch.randn((*shape, features), generator=source(1))
    return x, rule.draw(alpha, shape, features=(features,), generator=source(2))


def test_every_column_is_mixed_by_its_own_share():
    rule = MixupCutMix()
    x, mix = drawn(rule)
    keep, partner = mix.keep.numpy(), mix.partner.numpy()
    for b, i in np.ndindex(2, 50):
        own, other = x[b, i].numpy(), x[b, partner[b, i]].numpy()
        wanted = keep[b, i] * own + (1 - keep[b, i]) * other
        np.testing.assert_allclose(rule.mix_x(x, mix)[b, i], wanted, rtol=1e-5, atol=1e-6)


def test_an_example_is_either_mixed_or_cut_and_its_weight_is_the_share_kept():
    _, mix = drawn(MixupCutMix())
    cut = ((mix.keep == 0) | (mix.keep == 1)).all(-1)
    even = (mix.keep == mix.keep[..., :1]).all(-1)
    assert (cut | even).all()
    assert 0.2 < cut.float().mean() < 0.8
    torch.testing.assert_close(mix.keep.mean(-1), mix.lam)


def test_with_probability_one_it_is_cutmix():
    x, mix = drawn(MixupCutMix(cutmix=1.0))
    cut = CutMix().draw(0.7, (2, 50), features=(6,), generator=source(2))
    assert torch.equal(MixupCutMix().mix_x(x, mix), CutMix().mix_x(x, cut))
    assert torch.equal(mix.lam, cut.lam)


def test_with_probability_zero_it_is_mixup():
    _, mix = drawn(MixupCutMix(cutmix=0.0))
    assert torch.equal(mix.keep, mix.lam.unsqueeze(-1).expand(2, 50, 6))


def test_alpha_zero_changes_nothing():
    rule = MixupCutMix()
    x, mix = drawn(rule, alpha=0)
    y = torch.eye(50).expand(2, 50, 50)
    assert torch.equal(rule.mix_x(x, mix), x)
    assert torch.equal(rule.mix_y(y, mix), y)


def test_targets_are_mixed_by_the_same_weights():
    rule = MixupCutMix()
    _, mix = drawn(rule)
    y = torch.eye(50).expand(2, 50, 50)
    wanted = mix.lam[..., None] * y + (1 - mix.lam[..., None]) * torch.eye(50)[mix.partner]
    torch.testing.assert_close(rule.mix_y(y, mix), wanted)


def test_images_are_either_mixed_or_lose_a_box():
    rule, x = MixupCutMix(axes="time"), torch.randn(200, 2, 6, 9, generator=source(1))
    mix = rule.draw(0.7, (200,), features=(2, 6, 9), generator=source(2))
    keep = mix.keep.flatten(1)
    cut = ((keep == 0) | (keep == 1)).all(1)
    assert (cut | (keep == keep[:, :1]).all(1)).all()
    assert 0.3 < cut.float().mean() < 0.7
    torch.testing.assert_close(keep.mean(1), mix.lam)
    assert torch.equal(mix.keep, mix.keep[:, :, :1].expand_as(mix.keep))
    wanted = mix.keep * x + (1 - mix.keep) * x[mix.partner]
    torch.testing.assert_close(rule.mix_x(x, mix), wanted)


def test_probabilities_outside_of_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"cutmix must lie in \[0, 1\], got 1.5"):
        MixupCutMix(cutmix=1.5)


def test_auto_is_both_for_tables_and_mixup_for_own_modules(two_classes, noisy_net):
    X, y = two_classes
    quick = {"max_epochs": 2, "random_state": 0}
    auto = MixupClassifier(**quick).fit(X, y)
    named = MixupClassifier(mixing="mixup+cutmix", n_estimators=4, **quick).fit(X, y)
    assert np.array_equal(auto.predict_proba(X), named.predict_proba(X))
    own = MixupClassifier(module=noisy_net, **quick).fit(X, y)
    named = MixupClassifier(module=noisy_net, mixing="mixup", n_estimators=1, **quick).fit(X, y)
    assert np.array_equal(own.predict_proba(X), named.predict_proba(X))


def test_batches_of_the_net_are_mixed_with_it():
    x, y = torch.randn(3, 8, 5, generator=source()), torch.eye(8).expand(3, 8, 8)
    mixing = Mixing(MixupCutMix(), [0.5])
    mixed, targets = mixing.apply(0, x, y, None, Streams.from_seed(0, "cpu"))
    assert mixed.shape == x.shape
    torch.testing.assert_close(targets.sum(-1), torch.ones(3, 8))
